"""Decoding: from vectors back to RNNs: an emulator under a fixed representation is an LSTM.

The input map multiplies into the input weights of the lower layer, and the representation adds to its bias. Where the
representation enters in the first step alone, one more hidden unit tells the steps apart: it is 0 before the first step
and tanh(1) after every step (its gates are saturated), so its recurrent weights can take back in all later steps what
the bias adds in all.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from rnn2vec._shapes import Representation
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

_SATURATED = 30.0
"""Preactivation at which sigmoid and tanh are 0 or 1 in float32."""


def decode(emulator: Emulator, representations: Representation) -> RNNStack:
    """Return LSTMs that answer as the emulator does under these representations, differentiable in them.

    Args:
        emulator: the emulator; its weights are copied for each RNN.
        representations: one for each RNN, `(N, Z)`.

    Returns:
        N LSTMs of the emulator's size, with one hidden unit more where the representation enters in the first step.
    """
    lstm, count = emulator.lstm, len(representations)
    is_marked = emulator.conditioning == "first-step"
    hidden_size = lstm.hidden_size + is_marked
    spec = RNNSpec(
        cell="lstm",
        input_size=emulator.read_input.in_features,
        hidden_size=hidden_size,
        num_layers=lstm.num_layers,
        output_size=emulator.readout.out_features,
    )
    own = dict(lstm.named_parameters())
    into = own["weight_ih_l0"]
    told = emulator.read_representation(representations) @ into.T  # (N, 4H)
    weights: dict[str, Tensor] = {
        "rnn.weight_ih_l0": into @ emulator.read_input.weight,
        "rnn.weight_hh_l0": own["weight_hh_l0"],
        "rnn.bias_ih_l0": own["bias_ih_l0"] + into @ emulator.read_input.bias + told,
        "rnn.bias_hh_l0": own["bias_hh_l0"],
        "readout.weight": emulator.readout.weight,
        "readout.bias": emulator.readout.bias,
    }
    weights |= {f"rnn.{name}": own[name] for name in own if not name.endswith("_l0")}
    if is_marked:
        weights = {name: _with_one_more(name, weight) for name, weight in weights.items()}
    expanded = {name: weights[name].expand(count, *shape).clone() for name, shape in spec.parameter_shapes.items()}
    if is_marked:
        _mark_first_step(expanded, told, lstm.hidden_size)
    return RNNStack(spec, expanded)


def _with_one_more(name: str, weight: Tensor) -> Tensor:
    """Return a weight with room for one more hidden unit, whose entries are zero."""
    grown = weight
    if name.startswith("rnn."):
        gates = weight.unflatten(weight.ndim - 1 if "bias" in name else weight.ndim - 2, (4, -1))
        axis = gates.ndim - 1 if "bias" in name else gates.ndim - 2
        grown = functional.pad(gates, (0, 1) if axis == gates.ndim - 1 else (0, 0, 0, 1)).flatten(axis - 1, axis)
    reads_hidden = name == "readout.weight" or ("weight" in name and name != "rnn.weight_ih_l0")
    return functional.pad(grown, (0, 1)) if reads_hidden else grown


def _mark_first_step(weights: dict[str, Tensor], told: Tensor, marker: int) -> None:
    """Set the gates of the unit `marker`, and what it takes back in every step but the first, in place."""
    size = marker + 1
    for gate, preactivation in enumerate((1.0, -1.0, 1.0, 1.0)):  # i = 1, f = 0, g = 1, o = 1
        weights["rnn.bias_ih_l0"][:, gate * size + marker] = preactivation * _SATURATED
    taken_back = functional.pad(told.unflatten(1, (4, marker)), (0, 1)).flatten(1)
    weights["rnn.weight_hh_l0"][:, :, marker] = -taken_back / math.tanh(1.0)


def interpolate(start: Float[Tensor, " Z"], end: Float[Tensor, " Z"], steps: int, *, on_sphere: bool) -> Representation:
    """Return `steps` representations from one to another, both included: `(Z,)` and `(Z,)` to `(steps, Z)`.

    Args:
        start: the first.
        end: the last.
        steps: how many, at least 2.
        on_sphere: whether they lie on an arc of equal angles instead of a line: for encoders of unit length.
    """
    shares = torch.linspace(0.0, 1.0, steps, dtype=start.dtype)[:, None]
    if not on_sphere:
        return (1 - shares) * start + shares * end
    angle = torch.arccos((functional.normalize(start, dim=0) @ functional.normalize(end, dim=0)).clamp(-1.0, 1.0))
    if angle < 1e-4:
        return functional.normalize((1 - shares) * start + shares * end, dim=1)
    arc = torch.sin((1 - shares) * angle) * start + torch.sin(shares * angle) * end
    return functional.normalize(arc / torch.sin(angle), dim=1)
