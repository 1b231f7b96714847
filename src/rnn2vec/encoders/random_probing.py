"""Random probing: a random projection of the RNNs' responses to fixed input sequences; nothing is learned.

Every RNN reads the same M sequences of L steps. The responses (probabilities of tokens, or numbers in the outputs'
unit) are one long vector of behaviour, and a seeded projection to Z numbers preserves its distances up to a few per
cent (Johnson and Lindenstrauss 1984). RNNs that compute the same function have the same representation, whatever their
cell and size.

It gives a result in seconds, without training, and shows copies and gross faults. Learning pays off if small
differences in behaviour matter, or if only particular inputs reveal them.

The projection of output o at step s has the entry A[s, z] B[o, z], signs drawn at random. A dense matrix would have as
many entries for each output as this one has in all: 130 MB for an RNN over 1,000 tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._shapes import Representation
from rnn2vec.encoders.base import WeightEncoder, require_same_sides
from rnn2vec.rnn.blackbox import BlackBox
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

_LARGEST_ANSWER = 10.0  # in spreads: one diverging RNN must not dominate
_HELD = (1, 2, 4, 8)
"""Numbers of steps for which random inputs are held, so that inputs change fast and slowly."""


class RandomProbing(WeightEncoder):
    """Fixed probing sequences and a fixed random projection.

    Args:
        spec: architecture of the RNNs; only the sizes of inputs and outputs matter.
        interface: kinds of inputs and outputs, the range from which inputs are drawn, and the unit of outputs.
        representation_size: size of a representation.
        unit_norm: scale representations to length 1; off by default, since the length is part of the behaviour.
        num_sequences: number of probing sequences, M.
        sequence_length: number of steps of each, L.

    Raises:
        UsageError: if there are no probes.
    """

    name = "random-probing"
    probes: Tensor
    """Probing sequences `(M, L, I)`."""
    scale: Tensor
    """Centre and spread of each output, `(2, O)`."""
    step_signs: Tensor
    """Part A of the projection, `(M L, Z)`."""
    output_signs: Tensor
    """Part B of the projection, `(O, Z)`."""

    def __init__(
        self,
        spec: RNNSpec,
        *,
        interface: Interface,
        representation_size: int = 16,
        unit_norm: bool = False,
        num_sequences: int = 16,
        sequence_length: int = 32,
    ) -> None:
        super().__init__(spec, interface=interface, representation_size=representation_size, unit_norm=unit_norm)
        if min(num_sequences, sequence_length) < 1:
            raise UsageError(
                f"num_sequences={num_sequences}, sequence_length={sequence_length}", remedy="give at least 1 of each."
            )
        self.num_sequences, self.sequence_length = num_sequences, sequence_length
        centre, spread = interface.output_scale
        self.register_buffer("probes", _random_inputs(spec.input_size, interface, num_sequences, sequence_length))
        self.register_buffer("scale", torch.tensor([centre, spread])[:, None].repeat(1, spec.output_size))
        self.register_buffer("step_signs", _signs(num_sequences * sequence_length, representation_size))
        self.register_buffer("output_signs", _signs(spec.output_size, representation_size))

    def ask(self, inputs: Float[Tensor, "M L I"]) -> None:
        """Replace the probing sequences; their shape stays that of `probes`."""
        self.probes.copy_(inputs)

    @torch.no_grad()
    def standardize(self, rnns: Sequence[RNNs]) -> None:
        """Set the unit of continuous outputs to that of a collection: median and robust spread of each output.

        The spread is the standard deviation of a normal distribution with the same 5 % and 95 % quantiles, so that a
        few diverging RNNs do not set the unit.
        """
        if self.interface.output_kind == "categorical":
            return
        answers = torch.cat([self.answers(one).flatten(0, 2) for one in rnns]).double().cpu().numpy()
        low, centre, high = np.nanquantile(np.clip(answers, -1e30, 1e30), [0.05, 0.5, 0.95], axis=0)
        spread = (high - low) / (2 * 1.645)
        largest = spread.max() if spread.max() > 0 else 1.0
        # In a unit of its own, an output that is constant everywhere would be pure noise.
        self.scale.copy_(torch.from_numpy(np.stack([centre, np.maximum(spread, 1e-3 * largest)])))

    def check(self, rnns: RNNs) -> None:
        """Check that the RNNs have the encoder's inputs and outputs; cells and sizes may differ."""
        require_same_sides(self, rnns)

    def encode(self, rnns: RNNs) -> Representation:
        """Encode RNNs or a `BlackBox` as `WeightEncoder.encode` defines."""
        answers = self._standard(self.answers(rnns)).flatten(1, 2)  # (N, M L, O)
        mixed = torch.einsum("nso,oz->nsz", answers, self.output_signs)
        return torch.einsum("nsz,sz->nz", mixed, self.step_signs) / math.sqrt(
            answers.shape[1] * self.step_signs.shape[1]
        )

    def _fault(self, rnns: RNNs, place: int) -> str:
        """See `WeightEncoder._fault`."""
        with torch.no_grad():
            is_finite = bool(self.answers(rnns)[place].isfinite().all())
        return super()._fault(rnns, place) if is_finite else "answers"

    def answers(self, rnns: RNNs) -> Float[Tensor, "N M L O"]:
        """Return the RNNs' responses to the probes."""
        if isinstance(rnns, RNNStack):
            return rnns(self.probes.expand(len(rnns), -1, -1, -1))[0]
        return step_by_step(rnns, self.probes)

    def _standard(self, answers: Tensor) -> Tensor:
        if self.interface.output_kind == "categorical":
            return answers.softmax(dim=-1)
        centre, spread = self.scale
        return ((answers - centre) / spread).clamp(-_LARGEST_ANSWER, _LARGEST_ANSWER)


def step_by_step(box: BlackBox, inputs: Float[Tensor, "M L I"]) -> Float[Tensor, "N M L O"]:
    """Return the responses of a black box to sequences."""
    state = box.initial_state(len(inputs))
    answers: list[Tensor] = []
    for step in inputs.unbind(1):
        answer, state = box.step(step.expand(box.num_rnns, -1, -1), state)
        answers.append(answer.to(inputs))
    return torch.stack(answers, dim=2)


def _random_inputs(size: int, interface: Interface, number: int, length: int) -> Float[Tensor, "M L I"]:
    """Draw inputs: random tokens after the first input, or numbers over the input range, held for some steps."""
    if interface.input_kind == "categorical":
        inputs = torch.nn.functional.one_hot(torch.randint(size, (number, length)), size).float()
    else:
        low, high = interface.input_range
        drawn = low + (high - low) * torch.rand(number, length, size)
        held = torch.tensor([_HELD[row % len(_HELD)] for row in range(number)])[:, None]
        steps = torch.arange(length) // held * held
        inputs = drawn.gather(1, steps[:, :, None].expand(-1, -1, size))
    if interface.first_input is not None:
        inputs[:, 0] = torch.tensor(interface.first_input)
    return inputs


def _signs(rows: int, columns: int) -> Float[Tensor, "rows columns"]:
    return torch.randint(2, (rows, columns)).float() * 2 - 1
