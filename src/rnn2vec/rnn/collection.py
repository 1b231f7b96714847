"""RNNs of several architectures in one order.

A stack is one computation because all of its RNNs have the same shapes. Collections of people's RNNs do not: here
those of one architecture are put together into a batch each, and what is computed of the batches comes back in the
order in which the RNNs were given. Padding all to the largest architecture was the alternative; it computes mostly
zeros, and a padded LSTM has hidden units that are not there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Shaped
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.blackbox import BlackBox
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

RNNs = RNNStack | BlackBox
"""Weights of one architecture, or anything that steps."""


class RNNCollection:
    """RNNs in one order, whatever their architectures.

    >>> collection = RNNCollection([gru_stack, lstm_stack, gru_stack])
    >>> len(collection), len(collection.batches)
    (9, 2)
    >>> collection.map(count_parameters).shape
    torch.Size([9])

    Args:
        members: stacks and black boxes, the RNNs of each one after another.

    Raises:
        UsageError: there are none.
    """

    def __init__(self, members: Sequence[RNNs]) -> None:
        if not members:
            raise UsageError("no RNN was given", remedy="give at least one.")
        self.batches: tuple[RNNs, ...] = ()
        """One stack for each architecture, in the order of their first RNNs, and every black box by itself."""
        places: list[Tensor] = []
        for same in _grouped(members):
            stacks = [member for number in same if isinstance(member := members[number], RNNStack)]
            self.batches += (RNNStack.concatenate(stacks) if stacks else members[same[0]],)
            places += [positions for number, positions in enumerate(_positions(members)) if number in same]
        self.places = torch.cat(places)
        """For each RNN of the batches, one batch after the other, its place in the order: `(N,)`."""
        self._order = self.places.argsort()

    def __len__(self) -> int:
        return len(self._order)

    def map(self, function: Callable[[RNNs], Shaped[Tensor, "M *row"]]) -> Shaped[Tensor, "N *row"]:
        """What a function makes of each batch, a row for each RNN, in the RNNs' order."""
        rows = torch.cat([function(batch) for batch in self.batches])
        return rows[self._order.to(rows.device)]

    def __repr__(self) -> str:
        return f"RNNCollection({len(self)} RNNs in {len(self.batches)} batches)"


def count_rnns(rnns: RNNs) -> int:
    """How many RNNs there are in a stack or behind a black box."""
    return len(rnns) if isinstance(rnns, RNNStack) else rnns.num_rnns


def _grouped(members: Sequence[RNNs]) -> list[list[int]]:
    """The numbers of the members that make up each batch."""
    groups: dict[RNNSpec | int, list[int]] = {}
    for number, member in enumerate(members):
        groups.setdefault(member.spec if isinstance(member, RNNStack) else number, []).append(number)
    return list(groups.values())


def _positions(members: Sequence[RNNs]) -> tuple[Tensor, ...]:
    """The places of each member's RNNs in the collection."""
    counts = [count_rnns(member) for member in members]
    return torch.arange(sum(counts)).split(counts)
