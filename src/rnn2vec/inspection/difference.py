"""Differences between two RNNs: the shortest input that reveals one, and their frequency on natural inputs.

Two outputs differ by the total variation between their distributions, from 0 to 1, if they are over tokens, and
otherwise
by the largest difference of an output in units of the outputs' spread.

Token inputs are searched breadth first: all inputs of one token, of two, and so on. As long as none is left out, the
result is the shortest possible. If they become too many, half of those kept are the ones on which the outputs differ
most, and half are those that either RNN considers likely, since differences often occur only after a long natural
input.
Continuous inputs are searched by gradient ascent from random starts, one length after the other, which proves nothing
about shorter ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._seeding import torch_generator
from rnn2vec._shapes import InputSequences, State
from rnn2vec.emulation.losses import total_variation
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import one_hot

_ASCENT_STEPS = 60
_ASCENT_RATE = 0.3
_STARTS = 8

Answers = Float[Tensor, "... O"]


@dataclass(frozen=True)
class Disagreement:
    """An input after which two RNNs answer differently."""

    inputs: Float[Tensor, "T I"]
    """The input."""
    answers: tuple[Float[Tensor, " O"], Float[Tensor, " O"]]
    """Output of each RNN at its end: probabilities, or numbers."""
    distance: float
    """Between the answers."""
    is_shortest: bool
    """True if all shorter inputs were tried."""


@dataclass(frozen=True)
class NaturalDifference:
    """The differences between two RNNs on natural inputs."""

    num_sequences: int
    """Inputs that both read."""
    share: float
    """Share of them on which the RNNs disagree at some step."""
    by_step: Float[Tensor, " T"]
    """Share on which they disagree at each step."""
    mean_distance: float
    """Between the answers, over all steps."""


def answer_distance(one: Answers, other: Answers, interface: Interface) -> Float[Tensor, "..."]:
    """Compute the distance between outputs; the module describes its unit."""
    if interface.output_kind == "categorical":
        return total_variation(one, other)
    return (one - other).abs().amax(dim=-1) / interface.output_scale[1]


def require_comparable(one: RNNStack, other: RNNStack, interface: Interface, margin: float) -> None:
    """Check that two RNNs can disagree.

    Raises:
        UsageError: if there is not one of each, inputs or outputs differ in size, or the margin is not above 0.
    """
    sizes = [(stack.spec.input_size, stack.spec.output_size) for stack in (one, other)]
    if (len(one), len(other)) != (1, 1) or sizes[0] != sizes[1]:
        raise UsageError(
            f"{len(one)} RNN ({one.spec}) against {len(other)} ({other.spec})",
            remedy="give two RNNs with the same inputs and outputs; hidden sizes and cells may differ.",
        )
    if not margin > 0 or (interface.output_kind == "categorical" and margin >= 1):
        raise UsageError(f"margin={margin}", remedy="give a number above 0; below 1 for answers over tokens.")


@torch.no_grad()
def on_natural(
    one: RNNStack, other: RNNStack, inputs: Float[Tensor, "B T I"], interface: Interface, *, margin: float = 0.5
) -> NaturalDifference:
    """Measure how often, and at which steps, two RNNs disagree by more than a margin on the same inputs.

    Raises:
        UsageError: if they cannot be compared.
    """
    require_comparable(one, other, interface, margin)
    distances = answer_distance(one(inputs[None])[0][0], other(inputs[None])[0][0], interface)  # (B, T)
    apart = distances > margin
    return NaturalDifference(
        num_sequences=len(inputs),
        share=float(apart.any(dim=1).float().mean()),
        by_step=apart.float().mean(dim=0),
        mean_distance=float(distances.mean()),
    )


@torch.no_grad()
def generated(stack: RNNStack, interface: Interface, *, number: int, length: int, seed: int = 0) -> InputSequences:
    """Generate inputs with an RNN over tokens by sampling its next input from its output, `(1, number, length, I)`.

    Raises:
        UsageError: if its outputs are not possible inputs.
    """
    if not generates(stack, interface):
        raise UsageError(
            f"an RNN with {stack.spec.input_size} {interface.input_kind} inputs and {stack.spec.output_size} "
            f"{interface.output_kind} outputs does not generate its own inputs",
            remedy="give natural inputs: an array, or a .npy or .parquet file.",
        )
    generator = torch_generator(seed, "natural inputs")
    state = stack.initial_state(number)
    inputs = _first_tokens(stack, interface, number, generator)
    read = [inputs]
    for _ in range(length - 1):
        outputs, state = stack.step(inputs[None], state)
        inputs = _sampled(outputs[0], generator)
        read.append(inputs)
    return torch.stack(read, dim=1)[None]


def generates(stack: RNNStack, interface: Interface) -> bool:
    """Return True if an RNN's outputs are possible inputs."""
    tokens = interface.input_kind == interface.output_kind == "categorical"
    return tokens and stack.spec.input_size == stack.spec.output_size


def _first_tokens(stack: RNNStack, interface: Interface, number: int, generator: torch.Generator) -> Tensor:
    if interface.first_input is not None:
        return torch.tensor(interface.first_input, dtype=torch.float32).expand(number, -1)
    return _sampled(torch.zeros(number, stack.spec.input_size), generator)


def _sampled(logits: Tensor, generator: torch.Generator) -> Tensor:
    tokens = torch.multinomial(logits.softmax(dim=-1), 1, generator=generator)[:, 0]
    return one_hot(tokens, logits.shape[-1])


def shortest(
    one: RNNStack,
    other: RNNStack,
    interface: Interface,
    *,
    margin: float = 0.5,
    max_length: int = 32,
    width: int = 512,
    seed: int = 0,
) -> Disagreement | None:
    """Search for the shortest input after which two RNNs disagree by more than a margin; None if none is found.

    Args:
        one: an RNN.
        other: another RNN with the same inputs and outputs.
        interface: kinds of inputs and outputs.
        margin: minimum distance between the outputs.
        max_length: maximum length of inputs.
        width: number of token inputs of one length to keep.
        seed: seed of the starts of gradient ascent.

    Raises:
        UsageError: if the RNNs cannot be compared.
    """
    require_comparable(one, other, interface, margin)
    if interface.input_kind == "categorical":
        return _shortest_tokens(one, other, interface, margin, max_length, width)
    return _shortest_by_gradient(one, other, interface, margin, max_length, seed)


@dataclass(frozen=True)
class _Reading:
    """Two RNNs after some token inputs of one length, side by side."""

    tokens: Int[Tensor, "B T"]
    states: tuple[State, State]
    logits: tuple[Float[Tensor, "B O"], Float[Tensor, "B O"]]
    likely: Float[Tensor, "B 2"]
    """Logarithm of the probability that each RNN gives to the input."""

    def keep(self, rows: Int[Tensor, " M"]) -> _Reading:
        states = tuple(tuple(tuple(vector[:, rows] for vector in layer) for layer in state) for state in self.states)
        one, other = self.logits
        return _Reading(self.tokens[rows], (states[0], states[1]), (one[rows], other[rows]), self.likely[rows])


@torch.no_grad()
def _shortest_tokens(
    one: RNNStack, other: RNNStack, interface: Interface, margin: float, max_length: int, width: int
) -> Disagreement | None:
    size = one.spec.input_size
    reading = _Reading(
        torch.empty(1, 0, dtype=torch.long),
        (one.initial_state(1), other.initial_state(1)),
        (torch.empty(1, 0), torch.empty(1, 0)),
        torch.zeros(1, 2),
    )
    complete = True
    for length in range(1, max_length + 1):
        choices = torch.arange(size)
        if length == 1 and interface.first_input is not None and 1.0 in interface.first_input:
            choices = torch.tensor([interface.first_input.index(1.0)])
        reading = _one_longer((one, other), reading, choices, generates(one, interface))
        distances = answer_distance(*reading.logits, interface)
        best = int(distances.argmax())
        if distances[best] > margin:
            kind = interface.output_kind
            answers = [logits[best].softmax(-1) if kind == "categorical" else logits[best] for logits in reading.logits]
            inputs = one_hot(reading.tokens[best], size)
            return Disagreement(inputs, (answers[0], answers[1]), float(distances[best]), complete)
        if len(distances) > width:
            complete = False
            half = width // 2
            natural = reading.likely.amax(dim=1).topk(half).indices
            reading = reading.keep(torch.cat([distances.topk(half).indices, natural]).unique())
    return None


def _one_longer(rnns: Sequence[RNNStack], reading: _Reading, choices: Tensor, is_generative: bool) -> _Reading:
    """Every input with every choice appended, read by both RNNs."""
    count, size = len(reading.tokens), rnns[0].spec.input_size
    rows = torch.arange(count).repeat_interleave(len(choices))
    tokens = choices.repeat(count)
    before = reading.keep(rows)
    likely = before.likely
    if is_generative and reading.tokens.shape[1]:
        gained = [logits.log_softmax(-1).gather(1, tokens[:, None])[:, 0] for logits in before.logits]
        likely = likely + torch.stack(gained, dim=1)
    inputs = one_hot(tokens, size)[None]
    (one, first_state), (other, second_state) = (
        rnn.step(inputs, state) for rnn, state in zip(rnns, before.states, strict=True)
    )
    longer = torch.cat([before.tokens, tokens[:, None]], dim=1)
    return _Reading(longer, (first_state, second_state), (one[0], other[0]), likely)


def _shortest_by_gradient(
    one: RNNStack, other: RNNStack, interface: Interface, margin: float, max_length: int, seed: int
) -> Disagreement | None:
    lengths = sorted({min(length, max_length) for length in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)} | {max_length})
    found: Disagreement | None = None
    failed = 0
    for length in lengths:
        found = _ascend(one, other, interface, margin, length, seed)
        if found is not None:
            break
        failed = length
    while found is not None and len(found.inputs) - failed > 1:
        middle = (len(found.inputs) + failed) // 2
        shorter = _ascend(one, other, interface, margin, middle, seed)
        failed, found = (middle, found) if shorter is None else (failed, shorter)
    return found


def _ascend(
    one: RNNStack, other: RNNStack, interface: Interface, margin: float, length: int, seed: int
) -> Disagreement | None:
    """Find the inputs of one length on which outputs differ most, by gradient ascent from several starts."""
    generator = torch_generator(seed, "ascent", length)
    free = torch.randn(1, _STARTS, length, one.spec.input_size, generator=generator).requires_grad_()
    optimizer = torch.optim.Adam([free], lr=_ASCENT_RATE)
    for _ in range(_ASCENT_STEPS):
        inputs, answers = _read_within_range(one, other, interface, free)
        distances = answer_distance(*answers, interface)
        if distances.max() > margin:
            break
        optimizer.zero_grad()
        (-distances.sum()).backward()
        optimizer.step()
    inputs, answers = _read_within_range(one, other, interface, free.detach())
    distances = answer_distance(*answers, interface)
    best = int(distances.argmax())
    if not distances[best] > margin:
        return None
    kind = interface.output_kind
    ends = [answer[best].softmax(dim=-1) if kind == "categorical" else answer[best] for answer in answers]
    return Disagreement(inputs[0, best], (ends[0], ends[1]), float(distances[best]), is_shortest=length == 1)


def _read_within_range(
    one: RNNStack, other: RNNStack, interface: Interface, free: Float[Tensor, "1 S T I"]
) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Free numbers as inputs in the range, and the last answers of both."""
    low, high = interface.input_range
    inputs = low + (high - low) * free.sigmoid()
    return inputs, (one(inputs)[0][0, :, -1], other(inputs)[0][0, :, -1])
