"""The fidelity of emulations, and part (a) of the task-blind floor, the fidelity of predictions that ignore the RNN.

Fidelity is every distance between emulations and their RNNs, over whole rollouts and up to their end.

The floor has two parts. Part (b) is an emulator pre-trained with the `task-blind` encoder. An encoder has learned
something about RNNs only if its emulator is clearly below the lower of the two. For categorical outputs, part (a) is
the
family's own prediction from the prefix. For continuous outputs, it is the best prediction that depends on the step
alone: for squared errors, the mean output of these RNNs. It is chosen in hindsight, so no fixed prediction does better;
but it ignores the inputs, and part (b), which reads them, is lower.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from rnn2vec._shapes import OutputSequences
from rnn2vec.emulation import losses
from rnn2vec.emulation.data import Behaviour, SplitData
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


def closed_form_floor(data: SplitData, num_rollouts: int) -> Fidelity | None:
    """Compute the distances of a task-blind prediction to each RNN; None if there is none in closed form.

    Args:
        data: RNNs of unseen tasks.
        num_rollouts: number of rollouts of each RNN to use.
    """
    kind = data.family.interface.output_kind
    if kind == "continuous":
        behaviour = data.first_rollouts(num_rollouts)
        best = behaviour.outputs.mean(dim=(0, 1)).expand_as(behaviour.outputs)
        return fidelity(behaviour.outputs, best, behaviour.before_end, kind)
    predicted = data.family.task_blind_prediction(data.codes[:, :num_rollouts])
    if predicted is None:
        return None
    behaviour = data.first_rollouts(num_rollouts)
    # KL is infinite where the prediction is exactly 0 and the RNN's output is not: keep a trace of every outcome.
    logits = torch.log(predicted.clamp_min(float(np.finfo(np.float32).eps))).to(behaviour.outputs)
    return fidelity(behaviour.outputs, logits, behaviour.before_end, kind)
