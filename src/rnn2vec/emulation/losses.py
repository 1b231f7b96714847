"""How far an emulation is from the RNN, at each step of a rollout.

With p the RNN's distribution of the next output and q the emulator's (natural logarithms):

    total variation     1/2 sum |p - q|
    forward KL          KL(p || q) = sum p (log p - log q)
    reverse KL          KL(q || p) = sum q (log q - log p)
    Jensen-Shannon      1/2 KL(p || m) + 1/2 KL(q || m),  m = (p + q) / 2

and for continuous outputs the mean squared error. All functions take logits (or log-probabilities, which are logits
too) and return one number per step, `(...)` from `(..., O)`.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import unknown_name
from rnn2vec.rnn.interface import Kind

Distance = Callable[[Tensor, Tensor], Tensor]


def total_variation(rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
    """Half the sum of |p - q|, from 0 to 1."""
    return (rnn.softmax(dim=-1) - emulator.softmax(dim=-1)).abs().sum(dim=-1) / 2


def forward_kl(rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
    """KL(p || q), in nats: what it costs to expect the emulator's outputs where the RNN acts."""
    return _kl(rnn.log_softmax(dim=-1), emulator.log_softmax(dim=-1))


def reverse_kl(rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
    """KL(q || p), in nats: what it costs to expect the RNN's outputs where the emulator acts. The paper's."""
    return _kl(emulator.log_softmax(dim=-1), rnn.log_softmax(dim=-1))


def jensen_shannon(rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
    """The mean KL of p and q to their mixture, in nats, from 0 to log 2."""
    log_p, log_q = rnn.log_softmax(dim=-1), emulator.log_softmax(dim=-1)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    return (_kl(log_p, log_m) + _kl(log_q, log_m)) / 2


def squared_error(rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
    """The mean squared difference of continuous outputs."""
    return (rnn - emulator).square().mean(dim=-1)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """The sum of p (log p - log q), where p = 0 contributes nothing."""
    terms = log_p.exp() * (log_p - log_q)
    return torch.where(log_p == -math.inf, 0.0, terms).sum(dim=-1)


CATEGORICAL: dict[str, Distance] = {
    "total-variation": total_variation,
    "forward-kl": forward_kl,
    "reverse-kl": reverse_kl,
    "js": jensen_shannon,
}
CONTINUOUS: dict[str, Distance] = {"mse": squared_error}


def distances(kind: Kind) -> dict[str, Distance]:
    """The distances between outputs of one kind, by name."""
    return CATEGORICAL if kind == "categorical" else CONTINUOUS


def distance(name: str, kind: Kind) -> Distance:
    """A distance by name.

    Raises:
        UsageError: there is none of that name for outputs of this kind.
    """
    known = distances(kind)
    if name not in known:
        raise unknown_name(f"loss for {kind} outputs", name, known)
    return known[name]
