"""Languages a^n b^(n+m_b) c^(n+m_c) ...: one RNN learns to generate one of them (Section 5, Appendix D).

A string of L(m) has n times the first letter, then n + m_j times each further letter, for some n >= 0 for
which no count is negative. Training strings are drawn with n uniform between the smallest possible and `n_max`,
and for each language never so large that the end token falls outside the sequence (four of the paper's 216
languages would overflow, and could never be accepted).

Tokens are the letters 0..k-1, then BOS = k and EOS = k + 1. A sequence is BOS, the string, and EOS to the end.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._seeding import numpy_generator
from rnn2vec._shapes import InputSequences, InputStep, OutputStep
from rnn2vec.rnn.interface import Interface
from rnn2vec.tasks.base import DealtTask, Environment, Property, SampledTokens, Split, Task, TaskFamily, one_hot
from rnn2vec.tasks.blind import PrefixTree
from rnn2vec.tasks.examples import SequenceExamples

LETTERS = "abcdefghijklmnopqrstuvwxyz"
_FEWEST_LANGUAGES = 3  # one of each split
_MOST_LANGUAGES = 100_000
_LONGEST = 1000
"""Tokens of a sequence, and the largest n: a zoo from elsewhere cannot ask for rollouts without end."""


@dataclass(frozen=True)
class Language:
    """The language { a^(n+offsets[0]) b^(n+offsets[1]) ... }, n so that no count is negative.

    Args:
        offsets: one whole number per letter; the paper's languages have `offsets[0] == 0`.
    """

    offsets: tuple[int, ...]

    def __post_init__(self) -> None:
        if not 2 <= len(self.offsets) <= len(LETTERS):
            raise UsageError(
                f"a language over {len(self.offsets)} letters", remedy=f"give 2 to {len(LETTERS)} offsets."
            )

    @property
    def n_min(self) -> int:
        """The smallest n."""
        return max(0, *(-offset for offset in self.offsets))

    def string(self, n: int) -> str:
        """Return the string for one n >= `n_min`."""
        return "".join(letter * (n + offset) for letter, offset in zip(LETTERS, self.offsets, strict=False))

    def accepts(self, string: str) -> bool:
        """Return True if the string is in the language: the right letters, in order, the right number of times."""
        n = string.count("a") - self.offsets[0]
        return n >= self.n_min and string == self.string(n)

    def __str__(self) -> str:
        exponents = [f"n{offset:+d}" if offset else "n" for offset in self.offsets]
        return " ".join(
            f"{letter}^{exponent if exponent == 'n' else f'({exponent})'}"
            for letter, exponent in zip(LETTERS, exponents, strict=False)
        )


@dataclass(frozen=True)
class FormalLanguages(TaskFamily):
    """All languages over one alphabet with offsets in one range. The defaults are the paper's 216 languages.

    Raises:
        UsageError: an alphabet, range or length that leaves some language without a string, or a length beyond 1,000.
    """

    name: ClassVar[str] = "formal-languages"

    alphabet_size: int = 4
    """Letters, k >= 2."""
    smallest_offset: int = -3
    """Lower end of the range of each offset m_j."""
    largest_offset: int = 2
    """Upper end of the range of each offset m_j."""
    n_max: int = 9
    """Largest n that is drawn in training, inclusive."""
    sequence_length: int = 42
    """Tokens of a sequence, with BOS and the padding of EOS."""

    def __post_init__(self) -> None:
        if not 2 <= self.alphabet_size <= len(LETTERS):
            raise UsageError(f"alphabet_size={self.alphabet_size}", remedy=f"give 2 to {len(LETTERS)} letters.")
        if self.smallest_offset > self.largest_offset:
            raise UsageError(
                f"offsets from {self.smallest_offset} to {self.largest_offset}", remedy="give the smaller one first."
            )
        for name in ("n_max", "sequence_length"):
            if not 1 <= getattr(self, name) <= _LONGEST:
                raise UsageError(f"{name}={getattr(self, name)}", remedy=f"give 1 to {_LONGEST:,}.")
        num_languages = (self.largest_offset - self.smallest_offset + 1) ** (self.alphabet_size - 1)
        if not _FEWEST_LANGUAGES <= num_languages <= _MOST_LANGUAGES:
            raise UsageError(
                f"{num_languages:,} languages over {self.alphabet_size} letters with offsets from "
                f"{self.smallest_offset} to {self.largest_offset}",
                remedy=f"{_FEWEST_LANGUAGES} to {_MOST_LANGUAGES:,} can be split and dealt: change the alphabet or "
                "the range of offsets.",
            )
        for language in self.languages:
            if self.largest_n(language) < language.n_min:
                raise UsageError(
                    f"{language} has no string with n <= {self.n_max} in {self.sequence_length} tokens",
                    remedy="raise n_max or sequence_length, or narrow the range of offsets.",
                )

    # -- sizes and names ---------------------------------------------------------------------------

    @property
    def input_size(self) -> int:
        """The letters, BOS and EOS."""
        return self.alphabet_size + 2

    @property
    def output_size(self) -> int:
        """Logits of the next token, one for each."""
        return self.alphabet_size + 2

    @property
    def interface(self) -> Interface:
        """Tokens in, logits out, and BOS first."""
        first = tuple(float(token == self.bos) for token in range(self.input_size))
        return Interface(
            input_kind="categorical",
            output_kind="categorical",
            first_input=first,
            input_names=self.symbols,
            output_names=self.symbols,
        )

    @property
    def symbols(self) -> tuple[str, ...]:
        """Symbols of the tokens: letters, `^` for BOS, `.` for EOS."""
        return (*LETTERS[: self.alphabet_size], "^", ".")

    @property
    def bos(self) -> int:
        """The token that begins a sequence."""
        return self.alphabet_size

    @property
    def eos(self) -> int:
        """The token that ends a string."""
        return self.alphabet_size + 1

    @property
    def task_columns(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """`offset_b`, `offset_c`, ...: the first letter's offset is always 0."""
        return tuple(f"offset_{letter}" for letter in LETTERS[1 : self.alphabet_size])

    @property
    def properties(self) -> tuple[Property, ...]:
        """The task as three one-hot offsets (in the paper's case), and the performance."""
        offsets = tuple(float(offset) for offset in range(self.smallest_offset, self.largest_offset + 1))
        return (
            Property("task", self.task_columns, "binary-cross-entropy", offsets),
            Property("performance", ("performance",), "mean-squared-error"),
        )

    # -- tasks and splits --------------------------------------------------------------------------

    @functools.cached_property
    def languages(self) -> tuple[Language, ...]:
        """Every language of the family."""
        offsets = range(self.smallest_offset, self.largest_offset + 1)
        return tuple(Language((0, *rest)) for rest in itertools.product(offsets, repeat=self.alphabet_size - 1))

    @functools.cached_property
    def _ood_radius(self) -> int:
        """The largest sum of absolute offsets within which at most an eighth of all languages is; never none."""
        sums = np.array([sum(map(abs, language.offsets)) for language in self.languages])
        fitting = [radius for radius in range(sums.min(), sums.max() + 1) if (sums <= radius).mean() <= 1 / 8]
        return max(fitting, default=int(sums.min()))

    @property
    def ood_rule(self) -> str:
        """The languages nearest to a^n b^n c^n ...; no tie is cut. For the paper's family: 25 languages."""
        return f"the sum of absolute offsets is at most {self._ood_radius}"

    def splits(self, seed: int) -> dict[Split, list[Language]]:
        """Divide the languages: OOD by rule; of the others, a seeded 160 in 191 train, and the rest validate."""
        ood = [one for one in self.languages if sum(map(abs, one.offsets)) <= self._ood_radius]
        unusual = set(ood)
        others = [one for one in self.languages if one not in unusual]
        order = numpy_generator(seed, "formal-languages", "split").permutation(len(others))
        num_train = min(round(len(others) * 160 / 191), len(others) - 1)
        shuffled = [others[i] for i in order]
        return {"train": shuffled[:num_train], "validation": shuffled[num_train:], "ood": ood}

    def deal(self, num_runs: int, seed: int) -> list[DealtTask]:
        """Languages from a seeded permutation of all, again and again.

        Each permutation spreads the splits evenly, so that the smallest zoos have some of each: the first three
        runs train on one language of each split.
        """
        splits = self.splits(seed)
        dealt: list[DealtTask] = []
        for deck in range(-(-num_runs // len(self.languages))):
            keyed: list[tuple[float, DealtTask]] = []
            for split, languages in splits.items():
                order = numpy_generator(seed, "formal-languages", "deal", deck, split).permutation(len(languages))
                keyed += [
                    (rank / len(languages), DealtTask(tuple(map(float, languages[i].offsets[1:])), split))
                    for rank, i in enumerate(order)
                ]
            dealt += [task for _, task in sorted(keyed, key=lambda pair: pair[0])]
        return dealt[:num_runs]

    def language(self, task: Task) -> Language:
        """Return the language of a task."""
        return Language((0, *(int(offset) for offset in task)))

    def describe(self, task: Task) -> str:
        """Return the language in the usual notation."""
        return str(self.language(task))

    # -- strings -----------------------------------------------------------------------------------

    def largest_n(self, language: Language) -> int:
        """Return the largest n whose string and EOS fit into a sequence, at most `n_max`."""
        fitting = (self.sequence_length - 2 - sum(language.offsets)) // self.alphabet_size
        return min(self.n_max, fitting)

    @functools.lru_cache(maxsize=1024)  # noqa: B019 (families are few and live as long as the program)
    def sequences(self, language: Language) -> UInt8[np.ndarray, "E T"]:
        """All training sequences of a language, one for each n."""
        strings = [language.string(n) for n in range(language.n_min, self.largest_n(language) + 1)]
        tokens = np.full((len(strings), self.sequence_length), self.eos, dtype=np.uint8)
        tokens[:, 0] = self.bos
        for row, string in zip(tokens, strings, strict=True):
            row[1 : len(string) + 1] = [LETTERS.index(letter) for letter in string]
        return tokens

    @property
    def most_examples(self) -> int:
        """Strings of the language that has most."""
        return max(self.largest_n(language) - language.n_min + 1 for language in self.languages)

    def examples(self, task: Task) -> SequenceExamples:
        """Predict each next token of each string; all n are equally likely."""
        tokens = self.sequences(self.language(task))
        return SequenceExamples(tokens[:, :-1], tokens[:, 1:], np.full(len(tokens), 1 / len(tokens)))

    def accepted(self, codes: UInt8[Tensor, "N B C"], tasks: Sequence[Task]) -> Bool[Tensor, "N B"]:
        """Return a mask of the sequences that are, up to their first EOS, strings of their RNN's language.

        Sequences begin with BOS. Those without EOS, or with a second BOS, are not accepted.
        """
        tokens = codes[:, :, 1:].long()
        ended = (tokens == self.eos).cumsum(dim=-1) > 0
        letters = torch.where(ended, self.eos, tokens)
        in_order = (letters.diff(dim=-1) >= 0).all(dim=-1)  # BOS counts as a letter after the last one
        counts = torch.stack([(letters == letter).sum(-1) for letter in range(self.alphabet_size + 1)], dim=-1)
        offsets = torch.tensor([[0, *map(int, task), 0] for task in tasks], device=codes.device)
        expected = counts[..., :1] + offsets[:, None]
        expected[..., -1] = 0  # no second BOS
        return in_order & ended[..., -1] & (counts == expected).all(dim=-1)

    def decode(self, codes: Int[Tensor, " C"] | UInt8[Tensor, " C"]) -> str:
        """Return the string after BOS, with `.` for its end, `^` for a BOS inside, and `...` if it has no end."""
        text = "".join(self.symbols[int(token)] for token in codes[1:])
        return text[: text.index(".") + 1] if "." in text else text + "..."

    # -- rollouts ----------------------------------------------------------------------------------

    def environment(
        self, tasks: Sequence[Task], num_episodes: int, generators: Sequence[np.random.Generator]
    ) -> Environment:
        """Build an environment in which each RNN generates: samples of its output are its next input."""
        return _Generation(self, tasks, num_episodes, generators)

    def rollout_inputs(self, codes: Tensor, tasks: Sequence[Task]) -> InputSequences:  # noqa: ARG002
        """Return one-hot tokens, without the last, which no RNN has read."""
        return one_hot(codes[:, :, :-1], self.input_size)

    def before_end(self, codes: Tensor) -> Bool[Tensor, "N B T"]:
        """Return a mask of the steps up to the one that should predict the first EOS."""
        return (codes[:, :, :-1] == self.eos).cumsum(dim=-1) == 0

    def task_blind_prediction(self, codes: Tensor) -> Float[Tensor, "N B T O"]:
        """Compute the prediction by counting the languages that have the prefix, and their continuations.

        All languages of the family are possible. With those of the training split only, the prediction is worse on
        unseen languages (0.077 instead of 0.061 in our measurement), and thus a floor that is easier to beat.
        """
        tree = PrefixTree([self.sequences(language) for language in self.languages], self.output_size)
        return torch.from_numpy(tree.predict(codes.flatten(0, 1).cpu().numpy())).unflatten(0, codes.shape[:2])


class _Generation(Environment):
    """Sampling strings: the environment of an RNN that generates.

    Each RNN's random numbers come from its own generator, so its strings do not depend on its neighbours.
    """

    def __init__(
        self,
        family: FormalLanguages,
        tasks: Sequence[Task],
        num_episodes: int,
        generators: Sequence[np.random.Generator],
    ) -> None:
        self._family = family
        self._tasks = tasks
        length = family.sequence_length
        draws = [generator.random((length - 1, num_episodes), dtype=np.float32) for generator in generators]
        self._draws = torch.from_numpy(np.stack(draws))
        self._tokens = torch.full((len(tasks), num_episodes, length), family.bos, dtype=torch.uint8)
        self._position = 0

    def first(self) -> InputStep:
        return one_hot(self._tokens[:, :, 0], self._family.input_size)

    def next(self, outputs: OutputStep) -> InputStep | None:
        cumulative = torch.softmax(outputs.float().cpu(), dim=-1).cumsum(dim=-1)
        drawn = (self._draws[:, self._position, :, None] > cumulative[..., :-1]).sum(dim=-1)
        self._position += 1
        self._tokens[:, :, self._position] = drawn.to(torch.uint8)
        if self._position == self._family.sequence_length - 1:
            return None
        return one_hot(drawn, self._family.input_size).to(outputs)

    def sampled(self) -> SampledTokens:
        return SampledTokens(self._draws.numpy(), self._tokens.numpy())

    def codes(self) -> UInt8[Tensor, "N B C"]:
        return self._tokens

    def performance(self) -> Float[Tensor, " N"]:
        return self._family.accepted(self._tokens, self._tasks).float().mean(dim=1)
