"""Probing (paper, Section 3, Figure 2): learn about an RNN from its responses to inputs.

In each of L steps, the RNN receives M parallel probes, and the encoder reads its M responses. The representation is
computed from the reader's memory after the last step. With E_I, E_O as MLPs and E_R as an LSTM:

    probes x_i = E_I(S_i)  non-interactive: S_i is learned, the same for every RNN
           x_i = E_I(r_i)  interactive: r_i is E_R's memory of the previous responses
    responses y_i = f(x_i),  r_{i+1} = E_R(E_O(y_i))

Both kinds share one loop and differ in one line. It needs only a `BlackBox`, so RNNs may have any weights, cell type
and size as long as inputs and outputs agree.

Additions to the paper's method, each of which can be disabled:

- `first_input`: the first probe is the input with which real sequences begin. An RNN that has only ever been trained
  with this first input responds arbitrarily to any other.
- `normalize`: responses are read as log-probabilities, not as raw logits, whose scale differs between RNNs and grows
  in training; continuous responses are in units of their spread (`Interface.output_scale`).
- `probe_start="self-feeding"` (interactive only): before training, a probe is the RNN's own prediction. The proof of
  Proposition 3.3 does the same: it appends the letter that the function allows.
- `forget_bias`: E_R's forget gates are open before training.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec._shapes import InputStep, OutputStep, Representation
from rnn2vec.encoders.base import WeightEncoder, as_box, ground_of, mlp, require_same_sides
from rnn2vec.encoders.dialogue import Exchange, ProbingTranscript
from rnn2vec.encoders.fused_dialogue import Plan, Weights, have_dialogue
from rnn2vec.encoders.stepwise_lstm import Memory, StepwiseLSTM
from rnn2vec.rnn import fused
from rnn2vec.rnn.blackbox import BlackBox, StackBlackBox
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

ProbeStart = Literal["learned", "self-feeding"]
"""Interactive probe before training: the output of E_I, or the RNN's own prediction."""

_LARGEST_ANSWER = 10.0  # in spreads: one diverging RNN must not dominate


class ProbingEncoder(WeightEncoder):
    """Base class of both probing encoders, with their loop.

    Args:
        spec: architecture of the RNNs; only its inputs and outputs matter.
        num_sequences: number of parallel probing sequences, M.
        sequence_length: number of probes in each, L.
        hidden_size: number of hidden units of both layers of E_R, and size of its inputs and outputs.
        mlp_size: width of the hidden layers of E_I and E_O.
        first_input: begin every probing sequence with the interface's first input, if it has one.
        normalize: normalize the responses.
        forget_bias: value added to the initial biases of E_R's forget gates.
        extra_step: let E_R read a learned vector after the last response, as the released code does.
        **options: arguments of `WeightEncoder`; its interface also has the first input of a sequence.

    Raises:
        UsageError: if there are no probes, or the interface's first input has another size than the RNNs' inputs.
    """

    interactive: bool

    def __init__(
        self,
        spec: RNNSpec,
        *,
        num_sequences: int = 8,
        sequence_length: int = 22,
        hidden_size: int = 256,
        mlp_size: int = 128,
        first_input: bool = True,
        normalize: bool = True,
        forget_bias: float = 1.0,
        extra_step: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        self.num_sequences = num_sequences
        self.sequence_length = sequence_length
        self.hidden_size = hidden_size
        self.normalize = normalize
        if min(num_sequences, sequence_length) < 1:
            raise UsageError(
                f"num_sequences={num_sequences}, sequence_length={sequence_length}", remedy="give at least 1 of each."
            )
        begins = self.interface.first_input if first_input else None
        if begins is not None and len(begins) != spec.input_size:
            raise UsageError(
                f"the interface's first_input has {len(begins)} numbers, but the RNNs have {spec.input_size} inputs",
                remedy="give the interface of these RNNs' family, or first_input=False.",
            )
        self.first_probe = None if begins is None else torch.tensor(begins)
        self.probe_maker = mlp(hidden_size, mlp_size, num_sequences * self.probe_size)  # E_I
        self.answer_reader = mlp(num_sequences * spec.output_size, mlp_size, hidden_size)  # E_O
        self.reader = nn.ModuleList(nn.LSTMCell(hidden_size, hidden_size) for _ in range(2))  # E_R
        for cell in self.reader:
            assert isinstance(cell, nn.LSTMCell)
            with torch.no_grad():
                cell.bias_hh[hidden_size : 2 * hidden_size] += forget_bias
        self.end = nn.Parameter(torch.zeros(hidden_size)) if extra_step else None
        self.to_representation = nn.Linear(hidden_size, self.representation_size)

    @property
    def probe_size(self) -> int:
        """Number of outputs of E_I for each probe."""
        return self.spec.input_size

    def check(self, rnns: RNNs) -> None:
        """Check that the RNNs have the encoder's inputs and outputs; cells and sizes may differ."""
        require_same_sides(self, rnns)

    def encode(self, rnns: RNNs) -> Representation:
        """See `WeightEncoder.encode`; takes a `BlackBox` too."""
        if self.accelerated and isinstance(rnns, RNNStack) and fused.suits(rnns) and self._suits_kernels():
            return self.to_representation(self._remembered(rnns))
        *_, last = self.dialogue(rnns)
        return self._read_out(last)

    def _suits_kernels(self) -> bool:
        weight = self.to_representation.weight
        return weight.device.type == "cpu" and weight.dtype == torch.float32

    def _remembered(self, stack: RNNStack) -> Float[Tensor, "N hidden"]:
        """Return the memory after the last exchange, computed by kernels."""
        lower, upper = (cell for cell in self.reader if isinstance(cell, nn.LSTMCell))
        linear = [
            layer for part in (self.probe_maker, self.answer_reader) for layer in part if isinstance(layer, nn.Linear)
        ]
        weights = Weights(
            (
                *(layer.weight for layer in linear),
                *(torch.cat([cell.weight_ih, cell.weight_hh], dim=1) for cell in (lower, upper)),
            ),
            (*(layer.bias for layer in linear), *(cell.bias_ih + cell.bias_hh for cell in (lower, upper))),
        )
        blank = self._blank_memory(1, StepwiseLSTM(self.reader))
        memory = [vector.expand(len(stack), -1) for layer in blank for vector in layer]
        return have_dialogue(self._plan(), stack, self._given_probes(), weights, memory)

    def _plan(self) -> Plan:
        """Return the description of a dialogue for the kernels."""
        interface = self.interface
        reading = 0
        if self.normalize:
            reading = 1 if interface.output_kind == "categorical" else 2
        return Plan(
            length=self.sequence_length,
            num_sequences=self.num_sequences,
            probe_size=self.probe_size,
            interactive=self.interactive,
            begins=self.first_probe is not None,
            categorical=interface.input_kind == "categorical",
            feeds=self.probe_size > self.spec.input_size,
            input_range=interface.input_range,
            reading=reading,
            scale=(*interface.output_scale, _LARGEST_ANSWER),
        )

    def _given_probes(self) -> Float[Tensor, "T M I"] | None:
        """Return the probes that do not depend on responses: for each exchange, `(L or 1, M, I)`."""
        if self.first_probe is None:
            return None
        first = self.first_probe.to(self.to_representation.weight)
        return first.expand(1, self.num_sequences, -1)

    def anytime(self, rnns: RNNs) -> Iterator[Representation]:
        """Compute the representation after every exchange, as if the dialogue ended there; callers may stop early.

        Args:
            rnns: N RNNs.

        Yields:
            Representations `(N, Z)`, L times; the last one is the encoder's own.

        Raises:
            UsageError: see `admit`.
            DataError: if responses are NaN or infinite.
        """
        self.admit(rnns)
        return (self._known(exchange, rnns) for exchange in self.dialogue(rnns))

    def probing_transcript(self, rnns: RNNs) -> ProbingTranscript:
        """Record all probes and responses, and the representation after each exchange.

        Args:
            rnns: N RNNs.

        Raises:
            UsageError: see `admit`.
            DataError: if responses are NaN or infinite.
        """
        self.admit(rnns)
        exchanges = list(self.dialogue(rnns))
        known = [self._known(exchange, rnns) for exchange in exchanges]
        return ProbingTranscript.of(exchanges, known)

    def _known(self, exchange: Exchange, rnns: RNNs) -> Representation:
        """Return the representation if the dialogue ended after an exchange."""
        return self._finite(self.scaled(self._read_out(exchange)), rnns)

    @torch.no_grad()
    def _fault(self, rnns: RNNs, place: int) -> str:
        """See `WeightEncoder._fault`; probes again without kernels, which keep no responses."""
        if all(exchange.responses[place].isfinite().all() for exchange in self.dialogue(rnns)):
            return super()._fault(rnns, place)
        return "answers"

    def dialogue(self, rnns: RNNs) -> Iterator[Exchange]:
        """Probe and read, step by step; all other methods use this loop.

        Args:
            rnns: N RNNs that fit the encoder (`check`).

        Yields:
            The L exchanges.
        """
        box = self._as_box(rnns)
        state: Any = box.initial_state(self.num_sequences)
        reader = StepwiseLSTM(self.reader)
        memory = self._blank_memory(box.num_rnns, reader)
        responses: Tensor | None = None
        for step in range(self.sequence_length):
            probes = self._ask(step, memory[-1][0], responses)
            outputs, state = _answered(box, probes, state)
            responses = self._normalize(outputs)
            memory = reader.step(self.answer_reader(responses.flatten(1)), memory)
            yield Exchange(probes, responses, reader, memory)

    def _read_out(self, exchange: Exchange) -> Representation:
        """Compute the representation before scaling if the dialogue ended after an exchange."""
        if self.end is None:
            return self.to_representation(exchange.memory[-1][0])
        end = self.end.expand(len(exchange.probes), -1)
        return self.to_representation(exchange.reader.step(end, exchange.memory)[-1][0])

    def _ask(self, step: int, memory: Tensor, responses: OutputStep | None) -> InputStep:
        """Compute the probes of one step, `(N, M, I)`."""
        if step == 0 and self.first_probe is not None:
            return self.first_probe.to(memory).expand(len(memory), self.num_sequences, -1)
        made = self.probe_maker(self._source(step, memory)).unflatten(-1, (self.num_sequences, self.probe_size))
        return self._to_probes(made, responses).expand(len(memory), -1, -1)

    def _source(self, step: int, memory: Tensor) -> Tensor:
        """Return the input of E_I for the probes of a step, `(N or 1, hidden_size)`."""
        raise NotImplementedError

    def _to_probes(self, made: Tensor, responses: OutputStep | None) -> Tensor:  # noqa: ARG002
        """Map outputs of E_I to probes in the RNN's input space."""
        if self.interface.input_kind == "categorical":
            return made.softmax(dim=-1)
        low, high = self.interface.input_range
        return low + (high - low) * made.sigmoid()

    def _normalize(self, outputs: OutputStep) -> OutputStep:
        if not self.normalize:
            return outputs
        if self.interface.output_kind == "categorical":
            return outputs.log_softmax(dim=-1)
        # In units of the outputs' spread; layer normalization would remove a single output entirely.
        centre, spread = self.interface.output_scale
        return ((outputs - centre) / spread).clamp(-_LARGEST_ANSWER, _LARGEST_ANSWER)

    def _blank_memory(self, num_rnns: int, reader: StepwiseLSTM) -> Memory:  # noqa: ARG002
        zeros = self.to_representation.weight.new_zeros(num_rnns, self.hidden_size)
        return ((zeros, zeros),) * len(self.reader)

    def _as_box(self, rnns: RNNs) -> BlackBox:
        return as_box(rnns, self.interface)


def _answered(box: BlackBox, probes: InputStep, state: Any) -> tuple[OutputStep, Any]:
    """Step a black box, which may be the user's code and support only one float type and device."""
    try:
        outputs, state = box.step(probes, state)
    except RuntimeError as error:
        if isinstance(box, StackBlackBox) or isinstance(error, torch.OutOfMemoryError):
            raise
        raise UsageError(
            f"this {type(box).__name__} failed on a step of {tuple(probes.shape)} {ground_of(probes)} ({error})",
            remedy="let its step take inputs of that type and on that device: inputs.to(...) its own, or bring the "
            "encoder to them.",
        ) from error
    return outputs.to(probes), state


class NoninteractiveProbing(ProbingEncoder):
    """Probing with learned sequences, the same for every RNN; see `ProbingEncoder` for the arguments."""

    name = "noninteractive-probing"
    interactive = False

    def __init__(self, spec: RNNSpec, **options: Any) -> None:
        super().__init__(spec, **options)
        self.script = nn.Parameter(torch.randn(self.sequence_length, self.hidden_size))

    def _source(self, step: int, memory: Tensor) -> Tensor:  # noqa: ARG002
        return self.script[step : step + 1]

    def _given_probes(self) -> Float[Tensor, "T M I"] | None:
        given = [self._ask(step, self.script[:1], None)[0] for step in range(self.sequence_length)]
        return torch.stack(given)


class InteractiveProbing(ProbingEncoder):
    """Probing in which each probe depends on the previous responses; see `ProbingEncoder` for the other arguments.

    Args:
        spec: architecture of the RNNs; only its inputs and outputs matter.
        probe_start: `"self-feeding"` mixes the RNN's own prediction into each probe, `"learned"` does not. The default
            is `"self-feeding"` if an output is a possible input: both categorical, and of equal size.
        **options: arguments of `ProbingEncoder`.

    Raises:
        UsageError: if `probe_start` is unknown, or self-feeding with outputs that are not possible inputs.
    """

    name = "interactive-probing"
    interactive = True

    def __init__(self, spec: RNNSpec, *, probe_start: ProbeStart | None = None, **options: Any) -> None:
        interface: Interface = options["interface"]
        possible = (
            interface.input_kind == interface.output_kind == "categorical" and spec.input_size == spec.output_size
        )
        if probe_start is not None and probe_start not in get_args(ProbeStart):
            raise unknown_name("probe_start", probe_start, get_args(ProbeStart))
        if probe_start == "self-feeding" and not possible:
            raise UsageError(
                f"probe_start='self-feeding' with {spec.input_size} {interface.input_kind} inputs and "
                f"{spec.output_size} {interface.output_kind} outputs",
                remedy="it needs categorical outputs that are possible inputs: take probe_start='learned'.",
            )
        self.probe_start: ProbeStart = probe_start or ("self-feeding" if possible else "learned")
        self._feeds_itself = self.probe_start == "self-feeding"
        self._num_inputs = spec.input_size
        super().__init__(spec, **options)
        self.start = nn.Parameter(torch.zeros(self.hidden_size))
        if self._feeds_itself:
            with torch.no_grad():
                last = self.probe_maker[-1]
                assert isinstance(last, nn.Linear)
                last.bias.view(self.num_sequences, self.probe_size)[:, -1] = 2.0  # the gate starts at 0.88

    @property
    def probe_size(self) -> int:
        """Size of a probe, plus a gate with self-feeding."""
        return self._num_inputs + self._feeds_itself

    def _blank_memory(self, num_rnns: int, reader: StepwiseLSTM) -> Memory:
        return reader.step(self.start.expand(num_rnns, -1), super()._blank_memory(num_rnns, reader))

    def _source(self, step: int, memory: Tensor) -> Tensor:  # noqa: ARG002
        return memory

    def _to_probes(self, made: Tensor, responses: OutputStep | None) -> Tensor:
        if not self._feeds_itself:
            return super()._to_probes(made, responses)
        learned = super()._to_probes(made[..., :-1], None)
        if responses is None:
            return learned
        gate = made[..., -1:].sigmoid()
        return gate * responses.softmax(dim=-1) + (1 - gate) * learned
