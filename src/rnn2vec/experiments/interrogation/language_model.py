"""What an RNN that has learned a formal language should answer to every prefix, for every language of a family.

The languages of a family overlap: all their strings together form one tree of prefixes. A node of it is a question
("and what comes after a a b?"); reaching it from its parent costs one step of the RNN. Under the hypothesis that
the RNN generates a certain language the right answer is known exactly: the training strings are equally likely.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from rnn2vec.tasks.formal_languages import FormalLanguages, Language


class LanguageModel:
    """The prefix tree of a family's languages, with each language's next-token distributions.

    Nodes are in the order of their depth. Node 0 is BOS.

    Args:
        family: the languages' family.
        languages: the H hypotheses; by default all languages of the family.
        longest_run: prefixes with more a's are left out. Short strings tell as much as long ones, and need fewer
            steps; offsets down to -3 show once there are four a's.
    """

    def __init__(
        self, family: FormalLanguages, languages: Sequence[Language] | None = None, *, longest_run: int = 5
    ) -> None:
        self.languages = tuple(family.languages if languages is None else languages)
        self.num_tokens = family.output_size
        counts = _next_tokens(family, self.languages, longest_run)
        prefixes = sorted(counts, key=lambda prefix: (len(prefix), prefix))
        numbers = {prefix: number for number, prefix in enumerate(prefixes)}
        weights = np.zeros((len(prefixes), len(self.languages), self.num_tokens), dtype=np.float32)
        for prefix, number in numbers.items():
            for language, after in counts[prefix].items():
                weights[number, language] = after
        self.allowed: Bool[np.ndarray, "X H"] = weights.sum(axis=2) > 0
        """Whether a language has strings with this prefix."""
        self.predictions: Float[np.ndarray, "X H O"] = weights / np.maximum(weights.sum(axis=2, keepdims=True), 1e-9)
        """Next-token distributions; zeros where the prefix is not the language's."""
        self.tokens: Int[np.ndarray, " X"] = np.array([prefix[-1] for prefix in prefixes])
        """The last token of each node's prefix: what to feed to get there from its parent."""
        self.depths: Int[np.ndarray, " X"] = np.array([len(prefix) for prefix in prefixes])
        """Steps from the start of a sequence; BOS is one."""
        self.parents: Int[np.ndarray, " X"] = np.array([numbers.get(prefix[:-1], -1) for prefix in prefixes])
        """The node before; -1 for BOS."""

    def __len__(self) -> int:
        return len(self.tokens)

    def path(self, node: int) -> list[int]:
        """The nodes from BOS to a node."""
        path = [node]
        while path[-1]:
            path.append(int(self.parents[path[-1]]))
        return path[::-1]


def _next_tokens(
    family: FormalLanguages, languages: Sequence[Language], longest_run: int
) -> dict[bytes, dict[int, np.ndarray]]:
    """For each prefix and each language that has it: how often which token follows."""
    counts: dict[bytes, dict[int, np.ndarray]] = {}
    for number, language in enumerate(languages):
        for row in family.sequences(language):
            end = int(np.argmax(row == family.eos))  # nothing is to be learned after the end
            for length in range(1, end + 1):
                prefix = row[:length].tobytes()
                if prefix.count(0) > longest_run:
                    break
                after = counts.setdefault(prefix, {}).setdefault(number, np.zeros(family.output_size))
                after[row[length]] += 1
    return counts
