"""Losses: the distance between an emulation and its RNN at each step of a rollout.

With p the RNN's distribution of the next output and q the emulator's (natural logarithms):

    total variation     1/2 sum |p - q|
    forward KL          KL(p || q) = sum p (log p - log q)
    reverse KL          KL(q || p) = sum q (log q - log p)
    Jensen-Shannon      1/2 KL(p || m) + 1/2 KL(q || m),  m = (p + q) / 2

and for continuous outputs the mean squared error. All functions take logits (or log-probabilities, which are logits
too) and return one number per step, `(...)` from `(..., O)`. Other packages add losses under the entry-point group
`rnn2vec.losses` (`docs/extending.md`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import unknown_name
from rnn2vec._registry import LOSSES
from rnn2vec.rnn.interface import Kind

Distance = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Loss:
    """A distance between an RNN's outputs and an emulation's, for one kind of outputs.

    Args:
        distance: maps the outputs of both, `(*any, O)`, to one number per step, `(*any,)`.
        output_kind: kind of the outputs; categorical outputs are logits.
    """

    distance: Distance
    output_kind: Kind

    def __call__(self, rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
        """Return the distance at each step."""
        return self.distance(rnn, emulator)


def loss(output_kind: Kind) -> Callable[[Distance], Loss]:
    """Make a function a `Loss` for outputs of this kind: a decorator."""
    return lambda distance: Loss(distance, output_kind)


@loss("categorical")
def total_variation(rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
    """Return half the sum of |p - q|, from 0 to 1."""
    return (rnn.softmax(dim=-1) - emulator.softmax(dim=-1)).abs().sum(dim=-1) / 2


@loss("categorical")
def forward_kl(rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
    """Return KL(p || q) in nats: the cost of expecting the emulator's outputs when the RNN acts."""
    return _kl(rnn.log_softmax(dim=-1), emulator.log_softmax(dim=-1))


@loss("categorical")
def reverse_kl(rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
    """Return KL(q || p) in nats: the cost of expecting the RNN's outputs when the emulator acts; the paper's loss."""
    return _kl(emulator.log_softmax(dim=-1), rnn.log_softmax(dim=-1))


@loss("categorical")
def jensen_shannon(rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
    """Return the mean KL of p and q to their mixture, in nats, from 0 to log 2."""
    log_p, log_q = rnn.log_softmax(dim=-1), emulator.log_softmax(dim=-1)
    log_m = torch.logaddexp(log_p, log_q) - math.log(2)
    return (_kl(log_p, log_m) + _kl(log_q, log_m)) / 2


@loss("continuous")
def squared_error(rnn: Float[Tensor, "*any O"], emulator: Float[Tensor, "*any O"]) -> Float[Tensor, "*any"]:
    """Return the mean squared difference of continuous outputs."""
    return (rnn - emulator).square().mean(dim=-1)


def _kl(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return the sum of p (log p - log q), where p = 0 contributes nothing."""
    terms = log_p.exp() * (log_p - log_q)
    return torch.where(log_p == -math.inf, 0.0, terms).sum(dim=-1)


def distances(kind: Kind) -> dict[str, Loss]:
    """Return the losses for outputs of one kind, by name."""
    return {name: one for name, one in LOSSES.loadable() if one.output_kind == kind}


def distance(name: str, kind: Kind) -> Loss:
    """Return a loss by name.

    Raises:
        UsageError: if no loss of this name is for outputs of this kind.
    """
    if name not in LOSSES or LOSSES[name].output_kind != kind:
        raise unknown_name(f"loss for {kind} outputs", name, distances(kind))
    return LOSSES[name]
