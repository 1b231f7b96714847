"""RNNs in the forms that people have them in: modules, state dicts, files, stacks, black boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from rnn2vec._errors import Rnn2VecError
from rnn2vec.embedding.reading import read_all
from rnn2vec.rnn.blackbox import BlackBox
from rnn2vec.rnn.collection import RNNCollection, RNNs
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints

OneRNN = BlackBox | nn.Module | Mapping[str, Tensor] | str | Path
"""A module, a state dict, a checkpoint's path, or anything that steps (a black box or a folder may hold several)."""


def collected(rnns: Sequence[RNNStack | OneRNN], hints: Hints, *, verify: bool) -> RNNCollection:
    """RNNs in any forms, in their order; errors name the file, or the number, of the one that cannot be read."""
    members: list[RNNs] = []
    for number, rnn in enumerate(rnns):
        if isinstance(rnn, (str, Path)):
            members += read_all([Path(rnn)], **hints)
        else:
            members.append(_as_rnns(rnn, hints, number, verify=verify))
    return RNNCollection(members)


def _as_rnns(
    rnn: RNNStack | BlackBox | nn.Module | Mapping[str, Tensor], hints: Hints, number: int, *, verify: bool
) -> RNNs:
    """One RNN in any form as a stack, or as the black box that it is."""
    try:
        if isinstance(rnn, RNNStack):
            rnn.require_finite()
            return rnn
        if isinstance(rnn, nn.Module):
            return RNNStack.from_modules(  # a module knows its cell
                [rnn], ignore=hints.get("ignore", ()), input_scaling=hints.get("input_scaling"), verify=verify
            )
        if isinstance(rnn, Mapping):
            return RNNStack.from_state_dicts([rnn], **hints)
    except Rnn2VecError as error:  # the error counts within what was read: one module, one state dict, one stack
        raise type(error)(f"item {number}: {error.problem.removeprefix('RNN 0: ')}", remedy=error.remedy) from error
    return rnn
