"""Transcripts: they say what really was asked and answered, and are refused where there is nothing to read."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.inspection.dialogues import token_name, transcribe
from rnn2vec.rnn.blackbox import StackBlackBox
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.formal_languages import FormalLanguages

PROBING = ["interactive-probing", "noninteractive-probing"]
SIZES = {"num_sequences": 3, "sequence_length": 7, "hidden_size": 8, "mlp_size": 8}


def _encoder(name: str, imitated: Any, **options: Any) -> WeightEncoder:
    return encoders.build(name, imitated.rnns.spec, interface=imitated.family.interface, **{**SIZES, **options})


@pytest.mark.parametrize("name", PROBING)
@pytest.mark.parametrize("normalize", [True, False])
def test_the_answers_are_the_rnns_own(name: str, normalize: bool, imitated: Any) -> None:
    """Play the probes to the stack again, all at once, and compare with what the transcript says."""
    encoder, rnn = _encoder(name, imitated, normalize=normalize), imitated.rnns.select([4])
    transcript = transcribe(encoder, rnn, imitated.family)
    with torch.no_grad():
        probes = torch.stack([exchange.probes for exchange in encoder.dialogue(rnn)], dim=2)  # (1, M, L, I)
        outputs, _ = rnn(probes)
    for asked, answered, turns in zip(probes[0], outputs[0].softmax(-1), transcript.sequences, strict=True):
        assert [turn.asked for turn in turns] == [token_name(imitated.family, int(token)) for token in asked.argmax(-1)]
        assert [turn.asked_probability for turn in turns] == pytest.approx(asked.amax(-1).tolist())
        assert [turn.answered for turn in turns] == [token_name(imitated.family, int(k)) for k in answered.argmax(-1)]
        assert [turn.answered_probability for turn in turns] == pytest.approx(answered.amax(-1).tolist(), abs=1e-5)
        entropies = torch.distributions.Categorical(answered).entropy()
        assert [turn.entropy for turn in turns] == pytest.approx(entropies.tolist(), abs=1e-5)


@pytest.mark.parametrize("name", PROBING)
def test_every_sequence_begins_with_bos(name: str, imitated: Any) -> None:
    transcript = transcribe(_encoder(name, imitated), imitated.rnns.select([0]), imitated.family)
    assert [(turns[0].asked, turns[0].asked_probability) for turns in transcript.sequences] == [("^", 1.0)] * 3


def test_static_probing_asks_every_rnn_the_same_and_interactive_probing_does_not(imitated: Any) -> None:
    asked = {
        name: [
            [
                [turn.asked_probability for turn in turns]
                for turns in transcribe(encoder, rnn, imitated.family).sequences
            ]
            for rnn in (imitated.rnns.select([0]), imitated.rnns.select([1]))
        ]
        for name in PROBING
        for encoder in [_encoder(name, imitated)]
    }
    assert asked["noninteractive-probing"][0] == asked["noninteractive-probing"][1]
    assert asked["interactive-probing"][0] != asked["interactive-probing"][1]


def test_a_black_box_can_be_transcribed(imitated: Any) -> None:
    encoder, rnn = _encoder("interactive-probing", imitated), imitated.rnns.select([2])
    box = StackBlackBox(rnn, input_kind="categorical", output_kind="categorical")
    assert transcribe(encoder, box, imitated.family) == transcribe(encoder, rnn, imitated.family)


def test_as_many_sequences_as_asked_for(imitated: Any) -> None:
    encoder = _encoder("interactive-probing", imitated)
    everything = transcribe(encoder, imitated.rnns.select([0]), imitated.family)
    some = transcribe(encoder, imitated.rnns.select([0]), imitated.family, num_sequences=2)
    assert some.sequences == everything.sequences[:2]


def test_the_text_has_a_line_for_each_turn(imitated: Any) -> None:
    transcript = transcribe(_encoder("interactive-probing", imitated), imitated.rnns.select([0]), imitated.family)
    blocks = transcript.render().split("\n\n")
    turn = transcript.sequences[1][3]

    assert [len(block.splitlines()) for block in blocks] == [9, 9, 9]
    assert blocks[1].startswith("probing sequence 2\n")
    assert blocks[1].splitlines()[5].split() == [
        "4", turn.asked, f"({turn.asked_probability:.2f})", turn.answered, f"({turn.answered_probability:.2f})",
        f"{turn.entropy:.2f}",
    ]  # fmt: skip


def test_tokens_have_the_names_that_rollouts_show() -> None:
    assert [token_name(FormalLanguages(), token) for token in range(6)] == ["a", "b", "c", "d", "^", "."]


def test_an_encoder_that_asks_nothing_is_refused(imitated: Any) -> None:
    encoder = encoders.build("flattened-weights", imitated.rnns.spec, interface=imitated.family.interface)
    with pytest.raises(UsageError, match="the flattened-weights encoder asks nothing"):
        transcribe(encoder, imitated.rnns.select([0]), imitated.family)


def test_several_rnns_are_refused(imitated: Any) -> None:
    with pytest.raises(UsageError, match="a transcript of 12 RNNs"):
        transcribe(_encoder("interactive-probing", imitated), imitated.rnns, imitated.family)


def test_rnns_with_other_outputs_are_refused(imitated: Any, other_rnn: RNNStack) -> None:
    with pytest.raises(UsageError, match="was made for 4 categorical inputs"):
        transcribe(_encoder("interactive-probing", imitated), other_rnn, imitated.family)


def test_numbers_are_refused(imitated: Any) -> None:
    encoder = encoders.build("noninteractive-probing", imitated.rnns.spec, interface=Interface(), **SIZES)
    with pytest.raises(UsageError, match="a transcript of continuous inputs and continuous outputs"):
        transcribe(encoder, imitated.rnns.select([0]), imitated.family)


@pytest.fixture
def other_rnn(imitated: Any) -> RNNStack:
    """One RNN with five outputs."""
    spec = type(imitated.rnns.spec)(cell="lstm", input_size=4, hidden_size=3, num_layers=1, output_size=5)
    return RNNStack.from_flat(spec, torch.zeros(1, spec.num_parameters))
