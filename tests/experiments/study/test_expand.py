"""From a study to its pieces: names that last, and what each is trained with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest

from rnn2vec._errors import UsageError
from rnn2vec.emulation.config import PretrainConfig, preset
from rnn2vec.experiments.study.config import Study
from rnn2vec.experiments.study.expand import changes, pieces_of, points_of, require_trainable
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec

SPEC = RNNSpec(cell="lstm", input_size=6, hidden_size=4, num_layers=1, output_size=6)
CATEGORICAL = Interface(input_kind="categorical", output_kind="categorical")


def test_encoders_times_variants_times_seeds_and_one_floor(study_of: Callable[..., Study]) -> None:
    study = study_of(seeds=[3, 5], variants={"one": {}, "two": {"encoders": ["interactive-probing"]}})
    assert [piece.name for piece in pieces_of(study)] == [
        "pretrain.task-blind.floor.seed-3",
        "pretrain.interactive-probing.one.seed-3",
        "pretrain.noninteractive-probing.one.seed-3",
        "pretrain.interactive-probing.two.seed-3",
        "pretrain.interactive-probing.one.seed-5",
        "pretrain.noninteractive-probing.one.seed-5",
        "pretrain.interactive-probing.two.seed-5",
    ]


def test_the_floor_can_be_left_out(study_of: Callable[..., Study]) -> None:
    assert all(piece.encoder != "task-blind" for piece in pieces_of(study_of(floor=False)))


def test_the_nearer_option_wins(study_of: Callable[..., Study]) -> None:
    study = study_of(
        floor=False,
        pretrain={"batch_size": 5, "num_steps": 7},
        encoder_options={"interactive-probing": {"mlp_size": 9, "num_sequences": 3}},
        variants={"v": {"pretrain": {"batch_size": 6}, "encoder_options": {"num_sequences": 4}}},
    )
    config = pieces_of(study)[0].config
    assert (config.batch_size, config.num_steps, config.seed) == (6, 7, 0)
    assert config.encoder_options == {"hidden_size": 32, "sequence_length": 8, "mlp_size": 9, "num_sequences": 4}
    assert pieces_of(study)[1].config.encoder_options == {"hidden_size": 32, "sequence_length": 8, "num_sequences": 4}


def test_numbers_that_yaml_reads_as_text_become_numbers(study_of: Callable[..., Study]) -> None:
    config = pieces_of(study_of(pretrain={"learning_rate": "1e-3"}))[0].config
    assert config.learning_rate == 0.001


def test_without_changes_a_piece_is_its_preset(study_of: Callable[..., Study]) -> None:
    pieces = pieces_of(study_of(floor=False, preset="paper", seeds=[0]))
    assert [piece.config for piece in pieces] == [preset("paper", piece.encoder) for piece in pieces]


def test_a_sweep_adds_pieces_for_all_values_but_the_one_that_is_there(study_of: Callable[..., Study]) -> None:
    lengths = {"over": "encoder_options.sequence_length", "values": [4, 8], "encoders": ["interactive-probing"]}
    study = study_of(seeds=[0], floor=False, sweeps={"length": lengths})
    names = [piece.name for piece in pieces_of(study)]
    assert names == [
        "pretrain.interactive-probing.default.seed-0",
        "pretrain.noninteractive-probing.default.seed-0",
        "pretrain.interactive-probing.length-4.seed-0",
    ]
    points = [(point.value, point.piece.name) for point in points_of(study, 0)]
    assert points == [(4.0, names[2]), (8.0, names[0])]
    assert pieces_of(study)[2].config.encoder_options["sequence_length"] == 4


def test_a_sweep_over_training_varies_it(study_of: Callable[..., Study]) -> None:
    study = study_of(seeds=[0], floor=False, sweeps={"size": {"over": "representation_size", "values": [2]}})
    assert [piece.config.representation_size for piece in pieces_of(study)] == [16, 16, 2, 2]


@pytest.mark.parametrize(
    ("options", "problem"),
    [({"batch_size": 0}, "batch_size=0"), ({"num_steps": "many"}, "num_steps is 'many'")],
)
def test_a_value_that_cannot_be_names_the_piece(
    options: dict[str, object], problem: str, study_of: Callable[..., Study]
) -> None:
    with pytest.raises(UsageError, match=f"study made-up, .*{problem}"):
        pieces_of(study_of(pretrain=options))


def test_an_encoder_that_cannot_be_made_is_found_before_anything_runs(study_of: Callable[..., Study]) -> None:
    pieces = pieces_of(study_of(encoder_options={"noninteractive-probing": {"sequence_lenght": 4}}))
    with pytest.raises(UsageError, match=r"pretrain.noninteractive-probing.default.seed-0: .*sequence_lenght"):
        require_trainable(pieces, SPEC, CATEGORICAL)
    require_trainable(pieces_of(study_of()), SPEC, CATEGORICAL)


def test_a_loss_for_other_outputs_is_found_before_anything_runs(study_of: Callable[..., Study]) -> None:
    outputs = dataclasses.replace(CATEGORICAL, output_kind="continuous")
    with pytest.raises(UsageError, match=r"pretrain.*seed-0: unknown loss for continuous outputs 'total-variation'"):
        require_trainable(pieces_of(study_of()), SPEC, outputs)
    require_trainable(pieces_of(study_of(pretrain={"loss": "mse"})), SPEC, outputs)


def test_changes_are_told_in_words() -> None:
    config = preset("tiny")
    assert changes(config, config.to_dict()) == []
    assert changes(config, {**config.to_dict(), "batch_size": 5}) == ["batch_size was 5, now 64"]


def test_digit_readers_are_compared_as_distributions_and_asked_fifty_probes(study_of: Callable[..., Study]) -> None:
    study = study_of(zoo={"preset": "laptop", "family": "tiled-mnist"}, preset="laptop")
    for piece in pieces_of(study):
        assert isinstance(piece.config, PretrainConfig)
        assert (piece.config.loss, piece.config.warm_up_loss) == ("total-variation", 0.5)
    assert pieces_of(study)[-1].config.encoder_options["sequence_length"] == 50
