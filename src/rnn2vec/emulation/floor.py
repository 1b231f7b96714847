"""Part (a) of the task-blind floor: the distance of the best prediction that does not know the task.

Part (b) is an emulator pre-trained with the `task-blind` encoder. An encoder has learned something about RNNs only if
its emulator is clearly below the lower of the two.

For categorical outputs, part (a) is the family's own prediction from the prefix. For continuous outputs, it is the best
prediction that depends on the step alone: for squared errors, the mean output of these RNNs. It is chosen in hindsight,
so no fixed prediction does better; but it ignores the inputs, and part (b), which reads them, is lower.
"""

from __future__ import annotations

import numpy as np
import torch

from rnn2vec.emulation.data import SplitData
from rnn2vec.emulation.fidelity import Fidelity, fidelity


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
