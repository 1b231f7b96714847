"""Part (a) of the task-blind floor: how near the best prediction comes that does not know the task.

Part (b) is an emulator pre-trained with the `task-blind` encoder. An encoder has learned something about RNNs
only where its emulator is clearly below the lower of the two.

Categorical outputs: the family's own prediction from the prefix. Continuous outputs: the best answer that depends on
the step alone, which for squared errors is the mean answer of these very RNNs. It is chosen in hindsight, so no fixed
answer does better; but it does not look at the inputs, and part (b), which does, is lower.
"""

from __future__ import annotations

import numpy as np
import torch

from rnn2vec.emulation.data import SplitData
from rnn2vec.emulation.fidelity import Fidelity, fidelity


def closed_form_floor(data: SplitData, num_rollouts: int) -> Fidelity | None:
    """Distances of a task-blind prediction to each RNN, where there is one in closed form.

    Args:
        data: RNNs of unseen tasks.
        num_rollouts: rollouts of each that are used.
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
    # A prediction of exactly 0 is infinitely wrong in KL where the RNN does it: keep a trace of every outcome.
    logits = torch.log(predicted.clamp_min(float(np.finfo(np.float32).eps))).to(behaviour.outputs)
    return fidelity(behaviour.outputs, logits, behaviour.before_end, kind)
