"""Inputs and answers of an RNN in words: names of tokens, or numbers."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from rnn2vec.rnn.interface import Interface

_TOKENS_SHOWN = 3
_SMALLEST_SHARE = 0.01


def inputs_text(inputs: Float[Tensor, "T I"], interface: Interface) -> str:
    """Return an input sequence as text: its tokens, or its numbers step by step."""
    if interface.input_kind == "categorical":
        tokens = inputs.argmax(dim=-1).tolist()
        names = interface.input_names
        return " ".join(names[token] if names else str(token) for token in tokens)
    return "; ".join(" ".join(f"{number:+.2f}" for number in step) for step in inputs.tolist())


def answer_text(answer: Float[Tensor, " O"], interface: Interface) -> str:
    """Return an answer as text: its likeliest tokens with their probabilities, or its numbers."""
    if interface.output_kind == "continuous":
        return " ".join(f"{number:+.3g}" for number in answer.tolist())
    best = answer.topk(min(_TOKENS_SHOWN, len(answer)))
    names = interface.output_names
    pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
    shown = [(token, share) for token, share in pairs if share >= _SMALLEST_SHARE]
    return ", ".join(f"{names[token] if names else token} {share:.0%}" for token, share in shown)
