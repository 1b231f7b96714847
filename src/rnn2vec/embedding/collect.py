"""RNNs in the forms that people have: modules, state dicts, files, stacks, black boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from rnn2vec.embedding.reading import read_all
from rnn2vec.rnn.blackbox import BlackBox
from rnn2vec.rnn.collection import RNNCollection, RNNs
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints

OneRNN = BlackBox | nn.Module | Mapping[str, Tensor] | str | Path
"""A module, a state dict, a checkpoint's path, or anything that steps (a black box or a folder may hold several)."""


def collected(rnns: Sequence[RNNStack | OneRNN], hints: Hints, *, verify: bool) -> RNNCollection:
    """Return RNNs in any forms, in their order; errors name the file, or the number, of one that cannot be read.

    Args:
        rnns: RNNs.
        hints: what they leave open.
        verify: whether modules are run to see that they answer as what was read.
    """
    members: list[RNNs] = []
    for number, rnn in enumerate(rnns):
        if isinstance(rnn, (str, Path)):
            members += read_all([Path(rnn)], **hints)
        else:
            members.append(_as_rnns(rnn, hints, f"item {number}", verify=verify))
    return RNNCollection(members)


def require_verified(rnns: Sequence[object], hints: Hints, inputs: Tensor) -> None:
    """Check that the modules among RNNs answer as what is read of them, on the caller's inputs too.

    Args:
        rnns: RNNs; those that are no modules are passed over.
        hints: what they leave open.
        inputs: real inputs, numbers `(S, T, I)` or tokens `(S, T)`.

    Raises:
        UsageError: a module answers differently; the text has its number.
    """
    for number, rnn in enumerate(rnns):
        if isinstance(rnn, nn.Module):
            _as_rnns(rnn, hints, f"item {number}", verify=True, inputs=inputs)


def _as_rnns(
    rnn: RNNStack | BlackBox | nn.Module | Mapping[str, Tensor],
    hints: Hints,
    name: str,
    *,
    verify: bool,
    inputs: Tensor | None = None,
) -> RNNs:
    """Return one RNN in any form as a stack, or as the black box that it is."""
    if isinstance(rnn, RNNStack):
        rnn.require_finite([f"{name}: RNN {number}" for number in range(len(rnn))])
    elif isinstance(rnn, nn.Module):
        return RNNStack.from_modules([rnn], verify=verify, inputs=inputs, names=[name], **hints)
    elif isinstance(rnn, Mapping):
        return RNNStack.from_state_dicts([rnn], names=[name], **hints)
    return rnn
