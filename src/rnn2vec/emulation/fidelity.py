"""The fidelity of emulations: every distance to their RNNs, over whole rollouts and up to their end."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rnn2vec._shapes import OutputSequences
from rnn2vec.emulation import losses
from rnn2vec.emulation.data import Behaviour
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.emulation.model import represent
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.interface import Kind

Fidelity = dict[str, Float[np.ndarray, " N"]]
"""Numbers per RNN for each distance and, if sequences end early, for each `<distance>/to-end`."""

_RNNS_AT_ONCE = 128


def fidelity(
    rnn_outputs: OutputSequences, emulated: OutputSequences, before_end: Bool[Tensor, "N B T"] | None, kind: Kind
) -> Fidelity:
    """Compute the distances between RNNs and emulations, averaged over each RNN's rollouts.

    Args:
        rnn_outputs: outputs of the RNNs, `(N, B, T, O)`.
        emulated: outputs of the emulations for the same inputs.
        before_end: mask of the steps that count for `/to-end`; None if all do.
        kind: kind of the outputs.
    """
    result: Fidelity = {}
    for name, distance in losses.distances(kind).items():
        steps = distance(rnn_outputs, emulated).double()
        result[name] = steps.mean(dim=(1, 2)).cpu().numpy()
        if before_end is not None:
            result[f"{name}/to-end"] = ((steps * before_end).sum(dim=(1, 2)) / before_end.sum(dim=(1, 2))).cpu().numpy()
    return result


@torch.no_grad()
def emulation_fidelity(encoder: WeightEncoder, emulator: Emulator, behaviour: Behaviour) -> Fidelity:
    """Encode each RNN, emulate it on its own rollouts, and measure the distances."""
    parts: list[Fidelity] = []
    for start in range(0, len(behaviour.rnns), _RNNS_AT_ONCE):
        part = slice(start, start + _RNNS_AT_ONCE)
        own = behaviour.select(part)
        emulated = emulator(represent(encoder, own), own.inputs)
        parts.append(fidelity(own.outputs, emulated, own.before_end, encoder.interface.output_kind))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
