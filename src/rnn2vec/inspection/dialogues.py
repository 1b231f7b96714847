"""Probing dialogues that can be read: what an encoder asked an RNN, and what the RNN answered.

A probe is a mixture of tokens and an answer a distribution over them. Each is shown by its most probable token with
its probability, and an answer also by its entropy: how sure the RNN is of what comes next.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.encoders.probing import ProbingEncoder
from rnn2vec.rnn.collection import RNNs, count_rnns
from rnn2vec.tasks.base import TaskFamily


@dataclass(frozen=True)
class Turn:
    """A probe of one sequence, and its response."""

    asked: str
    """The probe's most probable token."""
    asked_probability: float
    """Weight of the token in the probe; 1 for a pure token."""
    answered: str
    """The token that the RNN finds most probable next."""
    answered_probability: float
    """Probability of the token in the response."""
    entropy: float
    """Entropy of the RNN's response, in nats."""


@dataclass(frozen=True)
class Transcript:
    """The dialogue of a probing encoder with one RNN."""

    sequences: tuple[tuple[Turn, ...], ...]
    """The turns of each probing sequence; all sequences run side by side."""

    def render(self) -> str:
        """Format the dialogue as plain text: a block for each sequence, a line for each turn."""
        blocks: list[str] = []
        for number, turns in enumerate(self.sequences, 1):
            lines = [f"probing sequence {number}", "step  asked        answered     entropy"]
            lines += [_line(step, turn) for step, turn in enumerate(turns, 1)]
            blocks.append("\n".join(lines))
        return "\n\n".join(blocks)


def _line(step: int, turn: Turn) -> str:
    asked = f"{turn.asked}  ({turn.asked_probability:.2f})"
    answered = f"{turn.answered}  ({turn.answered_probability:.2f})"
    return f"{step:>4}  {asked:<12} {answered:<12} {turn.entropy:.2f}"


@torch.no_grad()
def transcribe(
    encoder: WeightEncoder, rnns: RNNs, family: TaskFamily, *, num_sequences: int | None = None
) -> Transcript:
    """Record the dialogue of an encoder with one RNN.

    Args:
        encoder: a probing encoder.
        rnns: one RNN.
        family: task family, which names the tokens.
        num_sequences: number of parallel probing sequences, starting with the first; all by default.

    Raises:
        UsageError: if the encoder asks nothing, there is not exactly one RNN, or inputs or outputs are no tokens.
    """
    kinds = encoder.interface
    num_rnns = count_rnns(rnns)
    if not isinstance(encoder, ProbingEncoder):
        raise UsageError(f"the {encoder.name} encoder asks nothing", remedy="take a probing encoder.")
    if not kinds.input_kind == kinds.output_kind == "categorical":
        raise UsageError(
            f"a transcript of {kinds.input_kind} inputs and {kinds.output_kind} outputs",
            remedy="read the numbers themselves from `encoder.probing_transcript`.",
        )
    if num_rnns != 1:
        raise UsageError(f"a transcript of {num_rnns} RNNs", remedy="give one: stack.select([number]).")
    said = encoder.probing_transcript(rnns)
    chosen = slice(num_sequences)
    sequences = zip(said.probes[0, chosen], said.responses[0, chosen].softmax(dim=-1), strict=True)
    return Transcript(tuple(_turns(family, asked, answered) for asked, answered in sequences))


def _turns(family: TaskFamily, probes: Float[Tensor, "L I"], answers: Float[Tensor, "L O"]) -> tuple[Turn, ...]:
    asked, answered = probes.max(dim=-1), answers.max(dim=-1)
    entropies = torch.special.entr(answers).sum(dim=-1)
    return tuple(
        Turn(
            asked=token_name(family, int(asked.indices[step])),
            asked_probability=float(asked.values[step]),
            answered=token_name(family, int(answered.indices[step])),
            answered_probability=float(answered.values[step]),
            entropy=float(entropies[step]),
        )
        for step in range(len(probes))
    )


def token_name(family: TaskFamily, token: int) -> str:
    """Return a token's symbol in the family's decoded rollouts: a letter, `^` for the beginning, `.` for the end."""
    text = family.decode(torch.tensor([0, token]))  # a rollout's first token is its BOS, which is not shown
    return text.removesuffix("...") or text
