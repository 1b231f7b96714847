"""Proposition 3.1: |D| - 1 interactions suffice, interactive or not.

Split the set by the first input on which two members differ: the members that answer like the first one, and the rest.
Split both parts again until each has one member. A binary tree with |D| leaves has |D| - 1 inner nodes. Asking the
inputs of *all* inner nodes therefore identifies every member (non-interactive), and so does asking along one path from
the root (interactive).
"""

from __future__ import annotations

import functools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

from rnn2vec.experiments.interrogation.examination import Ask
from rnn2vec.experiments.interrogation.functions import FunctionSet


@dataclass(frozen=True)
class Split:
    """An inner node of the splitting tree: does the function answer `x` with `answer`?"""

    x: Hashable
    """Input to ask."""
    answer: Hashable
    """Answer that leads to `same`."""
    same: Split | Hashable
    """Subtree for this answer: an inner node, or the only remaining identity."""
    other: Split | Hashable
    """Subtree for any other answer."""


def splitting_tree(functions: FunctionSet) -> Split | Hashable:
    """Build the tree of the proof (Figure 9 of the paper).

    Raises:
        UsageError: if two members are the same function.
    """
    return _split(functions, list(range(len(functions))))


def _split(functions: FunctionSet, group: list[int]) -> Split | Hashable:
    if len(group) == 1:
        return functions.identities[group[0]]
    x = functions.distinguishing_input(group)
    answer = functions.functions[group[0]](x)
    same = [member for member in group if functions.functions[member](x) == answer]
    other = [member for member in group if member not in same]
    return Split(x, answer, _split(functions, same), _split(functions, other))


class SplittingInterrogator:
    """The interactive interrogator, which follows one path through the splitting tree.

    Args:
        functions: the set to identify members of.
    """

    def __init__(self, functions: FunctionSet) -> None:
        self._tree = splitting_tree(functions)

    def interrogate(self, ask: Ask) -> Hashable:
        """Descend the tree in at most |D| - 1 calls; no input is asked twice."""
        return _descend(self._tree, functools.cache(ask))


class SplittingProbes:
    """The non-interactive interrogator, which asks the inputs of all inner nodes.

    Args:
        functions: the set to identify members of.
    """

    def __init__(self, functions: FunctionSet) -> None:
        self._tree = splitting_tree(functions)
        self.probes: Sequence[Hashable] = tuple(dict.fromkeys(_inputs(self._tree)))  # an input may recur

    def conclude(self, answers: Sequence[Hashable]) -> Hashable:
        """Follow the path that the answers determine."""
        return _descend(self._tree, dict(zip(self.probes, answers, strict=True)).__getitem__)


def _descend(node: Split | Hashable, answer_to: Ask) -> Hashable:
    while isinstance(node, Split):
        node = node.same if answer_to(node.x) == node.answer else node.other
    return node


def _inputs(node: Split | Hashable) -> list[Hashable]:
    return [node.x, *_inputs(node.same), *_inputs(node.other)] if isinstance(node, Split) else []
