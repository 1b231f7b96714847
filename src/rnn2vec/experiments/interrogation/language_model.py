"""The correct next-token distribution after every prefix, for every language of a family.

The languages of a family overlap: together, their strings form one tree of prefixes. A node of the tree is a question
("what follows a a b?"); reaching it from its parent costs one step of the RNN. If the RNN generates a given language,
the correct answer is known exactly, because the training strings are equally likely.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from rnn2vec.tasks.formal_languages import FormalLanguages, Language


class LanguageModel:
    """The prefix tree of a family's languages, with each language's next-token distributions.

    Nodes are ordered by depth. Node 0 is BOS.

    Args:
        family: family of the languages.
        languages: the H hypotheses; by default all languages of the family.
        longest_run: maximum number of a's in a prefix. Short strings are as informative as long ones and need fewer
            steps; offsets down to -3 become visible after four a's.
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
        """Mask of the prefixes (X) that occur in each language (H)."""
        self.predictions: Float[np.ndarray, "X H O"] = weights / np.maximum(weights.sum(axis=2, keepdims=True), 1e-9)
        """Next-token distributions; zeros where the prefix does not occur in the language."""
        self.tokens: Int[np.ndarray, " X"] = np.array([prefix[-1] for prefix in prefixes])
        """Last token of each node's prefix: the input that leads from its parent to the node."""
        self.depths: Int[np.ndarray, " X"] = np.array([len(prefix) for prefix in prefixes])
        """Number of steps from the start of a sequence; 1 for BOS."""
        self.parents: Int[np.ndarray, " X"] = np.array([numbers.get(prefix[:-1], -1) for prefix in prefixes])
        """Parent of each node; -1 for BOS."""

    def __len__(self) -> int:
        return len(self.tokens)

    def path(self, node: int) -> list[int]:
        """List the nodes on the path from BOS to a node, both included."""
        path = [node]
        while path[-1]:
            path.append(int(self.parents[path[-1]]))
        return path[::-1]


def _next_tokens(
    family: FormalLanguages, languages: Sequence[Language], longest_run: int
) -> dict[bytes, dict[int, np.ndarray]]:
    """Count the tokens that follow each prefix in each language."""
    counts: dict[bytes, dict[int, np.ndarray]] = {}
    for number, language in enumerate(languages):
        for row in family.sequences(language):
            end = int(np.argmax(row == family.eos))  # tokens after EOS are padding
            for length in range(1, end + 1):
                prefix = row[:length].tobytes()
                if prefix.count(0) > longest_run:
                    break
                after = counts.setdefault(prefix, {}).setdefault(number, np.zeros(family.output_size))
                after[row[length]] += 1
    return counts
