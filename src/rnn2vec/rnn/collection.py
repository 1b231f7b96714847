"""RNNs of several architectures in one order.

A stack is one computation because all of its RNNs have the same shapes. The RNNs of a collection may differ: those of
one architecture form a batch, and results come back in the order in which the RNNs were given. Padding all RNNs to the
largest architecture was rejected: it computes mostly zeros, and adds hidden units that a padded LSTM does not have.
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
    """RNNs of any architectures in one order.

    Examples:
        >>> collection = RNNCollection([gru_stack, lstm_stack, gru_stack])
        >>> len(collection), len(collection.batches)
        (9, 2)
        >>> collection.map(count_parameters).shape
        torch.Size([9])

    Args:
        members: stacks and black boxes, the RNNs of each one after another.

    Raises:
        UsageError: `members` is empty.
    """

    def __init__(self, members: Sequence[RNNs]) -> None:
        if not members:
            raise UsageError("no RNN was given", remedy="give at least one.")
        groups, positions = _grouped(members), _positions(members)
        self.batches: tuple[RNNs, ...] = tuple(_batch([members[number] for number in group]) for group in groups)
        """A stack for each architecture, in the order of their first RNNs, and each black box separately."""
        self.places = torch.cat([positions[number] for group in groups for number in group])
        """Place in the order of each RNN of the batches, one batch after the other: `(N,)`."""
        self._order = self.places.argsort()

    def __len__(self) -> int:
        return len(self._order)

    def map(self, function: Callable[[RNNs], Shaped[Tensor, " M *row"]]) -> Shaped[Tensor, " N *row"]:
        """Apply a function to each batch; return its rows, one for each RNN, in the RNNs' order."""
        rows = torch.cat([function(batch) for batch in self.batches])
        return rows[self._order.to(rows.device)]

    def __repr__(self) -> str:
        return f"RNNCollection({len(self)} RNNs in {len(self.batches)} batches)"


def count_rnns(rnns: RNNs) -> int:
    """Return the number of RNNs in a stack or behind a black box."""
    return len(rnns) if isinstance(rnns, RNNStack) else rnns.num_rnns


def _grouped(members: Sequence[RNNs]) -> list[list[int]]:
    """Return the numbers of the members of each batch."""
    groups: dict[RNNSpec | int, list[int]] = {}
    for number, member in enumerate(members):
        groups.setdefault(member.spec if isinstance(member, RNNStack) else number, []).append(number)
    return list(groups.values())


def _batch(members: Sequence[RNNs]) -> RNNs:
    """Return one stack of all members, or the only member where it is a black box."""
    stacks = [member for member in members if isinstance(member, RNNStack)]
    return RNNStack.concatenate(stacks) if stacks else members[0]


def _positions(members: Sequence[RNNs]) -> tuple[Tensor, ...]:
    """Return the places of each member's RNNs in the collection."""
    counts = [count_rnns(member) for member in members]
    return torch.arange(sum(counts)).split(counts)
