"""Predictions of a study: which are made, what their rows say, and what is concluded from rows that are made up."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rnn2vec._errors import UsageError
from rnn2vec.experiments.study.checked import checked
from rnn2vec.experiments.study.config import Study
from rnn2vec.experiments.study.expand import StudyPiece, pieces_of
from rnn2vec.experiments.study.files import write_marker
from rnn2vec.experiments.study.pieces import run_prediction
from rnn2vec.experiments.study.rows import Row, read_rows, write_row
from rnn2vec.experiments.study.run import Outcome, run_study
from rnn2vec.experiments.study.summary import read_study_of, summarize
from rnn2vec.experiments.study.table import tidy_table
from rnn2vec.properties.config import PredictConfig
from rnn2vec.properties.predict import property_baselines
from rnn2vec.report.study_report import write_study_report
from rnn2vec.report.study_tables import correlations_markdown, predictions_markdown
from rnn2vec.zoo.store import Zoo

BOTH = {"settings": ["pretrain", "frozen", "supervised"], "properties": ["task"]}
PREDICT = {name: {"num_steps": 4, "validate_every": 2, "batch_size": 3} for name in ("frozen", "supervised")}


# -- which are made --------------------------------------------------------------------------------


def _names(study: Study) -> list[str]:
    return [piece.name for piece in pieces_of(study) if piece.setting != "pretrain"]


def test_every_way_of_training_is_frozen_and_every_encoder_supervised_once(study_of: Callable[..., Study]) -> None:
    study = study_of(
        **BOTH, encoders=["dwsnet"], seeds=[3], variants={"a": {}, "b": {"pretrain": {"representation_size": 4}}}
    )
    assert _names(study) == [
        "baseline.statistics.default.task.seed-3",
        "frozen.dwsnet.a.task.seed-3",
        "frozen.dwsnet.b.task.seed-3",
        "supervised.dwsnet.default.task.seed-3",
    ]
    sizes = [piece.config.representation_size for piece in pieces_of(study) if piece.setting == "frozen"]
    assert sizes == [16, 4]
    assert pieces_of(study)[-2].pretraining == "pretrain.dwsnet.b.seed-3"


def test_frozen_ones_come_right_behind_what_they_need_and_supervised_ones_at_the_end_of_their_seed(
    study_of: Callable[..., Study],
) -> None:
    sweep = {"over": "representation_size", "values": [4]}
    study = study_of(**BOTH, encoders=["dwsnet", "flattened-weights"], seeds=[0, 1], sweeps={"size": sweep})
    of_seed = [
        "baseline.statistics.default.task",
        "pretrain.dwsnet.default",
        "frozen.dwsnet.default.task",
        "pretrain.flattened-weights.default",
        "frozen.flattened-weights.default.task",
        "pretrain.dwsnet.size-4",
        "pretrain.flattened-weights.size-4",
        "supervised.dwsnet.default.task",
        "supervised.flattened-weights.default.task",
    ]
    expected = ["pretrain.task-blind.floor.seed-0", *(f"{name}.seed-{seed}" for seed in (0, 1) for name in of_seed)]
    assert [piece.name for piece in pieces_of(study)] == expected


def test_options_of_predictions_reach_them(study_of: Callable[..., Study]) -> None:
    study = study_of(
        **BOTH,
        encoders=["interactive-probing"],
        encoder_options={"interactive-probing": {"num_sequences": 3}},
        predict={"frozen": {"learning_rate": "1e-2"}, "supervised": {"batch_size": 5}},
    )
    frozen, supervised = (one for one in pieces_of(study) if one.seed == 2 and isinstance(one.config, PredictConfig))
    assert isinstance(frozen.config, PredictConfig)
    assert isinstance(supervised.config, PredictConfig)
    assert (frozen.config.learning_rate, supervised.config.learning_rate) == (0.01, 1e-3)
    assert (frozen.config.batch_size, supervised.config.batch_size) == (64, 5)
    assert frozen.config.encoder_options == {}
    assert supervised.config.encoder_options["num_sequences"] == 3
    assert supervised.config.num_steps == 20  # the preset's


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": ["frozen"], "properties": ["task"]}, "give pretrain too"),
        ({"settings": ["pretrain", "frozen"]}, "without properties"),
        ({"properties": ["task"]}, "with properties"),
        ({"settings": ["pretrain", "frozn"], "properties": ["task"]}, "did you mean 'frozen'"),
        ({**BOTH, "predict": {"frozn": {}}}, "did you mean 'frozen'"),
        ({**BOTH, "predict": {"frozen": {"learning_rat": 1}}}, "did you mean 'learning_rate'"),
        ({**BOTH, "predict": {"supervised": {"encoder_options": {}}}}, "give it under encoder_options"),
        ({**BOTH, "predict": {"supervised": {"num_steps": 0}}}, "num_steps=0"),
    ],
)
def test_what_cannot_be_is_refused(study_of: Callable[..., Study], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        pieces_of(study_of(**changes))
    assert message in f"{caught.value.problem} -> {caught.value.remedy}"


# -- running ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def predicted(
    ran: tuple[Path, Outcome, Any], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Outcome, list[tuple[str, float, float, str]]]:
    """A study that has run, and then grew by predictions. Read only."""
    folder = Path(shutil.copytree(ran[0], tmp_path_factory.mktemp("predicted") / "study"))
    heard: list[tuple[str, float, float, str]] = []
    outcome = run_study(_grown(folder), folder, workers=1, progress=lambda *said: heard.append(said))
    return folder, outcome, heard


def _grown(folder: Path) -> Study:
    return checked(Study, {**read_study_of(folder).to_dict(), **BOTH, "predict": PREDICT}, where="here")


BASELINES = "baseline.statistics.default.task.seed-0"
FROZEN = "frozen.interactive-probing.default.task.seed-0"
SUPERVISED = "supervised.interactive-probing.default.task.seed-0"


def test_a_study_may_grow_by_predictions(predicted: tuple[Path, Outcome, Any]) -> None:
    folder, outcome, heard = predicted
    assert outcome.done == (BASELINES, FROZEN, SUPERVISED)
    assert not outcome.failed
    assert heard[-1][1:3] == (9, 9)
    assert not list((folder / "runs").glob("*.safetensors"))


def test_a_row_says_what_was_predicted_and_how_well(predicted: tuple[Path, Outcome, Any]) -> None:
    rows = read_rows(predicted[0])
    for name in (FROZEN, SUPERVISED):
        row = rows[name]
        assert (row.property_name, row.encoder, row.seed) == ("task", "interactive-probing", 0)
        assert row.config["num_steps"] == 4
        assert row.best["step"] in {2, 4}
        assert {"train/loss", "validation/loss", "validation/accuracy", "validation/last/loss"} <= row.best.keys()
    assert list(rows[FROZEN].baselines) == ["linear on representation"]
    assert not rows[SUPERVISED].baselines
    lines = tidy_table(rows.values()).to_pylist()
    (loss,) = (
        one
        for one in lines
        if one["piece"] == FROZEN and one["encoder"] == "interactive-probing" and one["metric"] == "validation/loss"
    )
    assert (loss["property"], loss["setting"]) == ("task", "frozen")
    assert loss["value"] == pytest.approx(rows[FROZEN].best["validation/loss"])
    assert {one["property"] for one in lines if one["setting"] == "pretrain"} == {None}


def test_baselines_have_one_row_for_each_property_and_seed(predicted: tuple[Path, Outcome, Any]) -> None:
    rows = read_rows(predicted[0])
    row = rows[BASELINES]
    assert (row.setting, row.property_name, row.seed, row.config, row.best) == ("baseline", "task", 0, {}, {})
    assert set(row.baselines) == {"constant", "linear on statistics", "trees on statistics"}
    for metrics in row.baselines.values():
        assert metrics.keys() == rows[FROZEN].best.keys() - {"step"}
    expected = property_baselines(Zoo.open(predicted[0] / "zoo"), "task", seed=0)["trees on statistics"]
    assert row.baselines["trees on statistics"]["ood/loss"] == pytest.approx(expected["ood"].loss)
    told = {(one["setting"], one["encoder"]) for one in tidy_table([row]).to_pylist()}
    assert told == {("baseline", name) for name in row.baselines}


def test_predictions_that_are_done_are_not_made_again(predicted: tuple[Path, Outcome, Any], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(predicted[0], tmp_path / "copy"))
    shutil.rmtree(folder / "runs")
    assert run_study(_grown(folder), folder).done == ()


def test_a_frozen_prediction_without_its_run_says_so(predicted: tuple[Path, Outcome, Any], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(predicted[0], tmp_path / "copy"))
    shutil.rmtree(folder / "runs")
    (piece,) = (one for one in pieces_of(_grown(folder)) if one.name == FROZEN)
    with pytest.raises(UsageError, match=r"the run of pretrain\.interactive.* is missing") as caught:
        run_prediction(folder / "zoo", piece, folder)
    assert "to pre-train again" in caught.value.remedy


def test_an_unknown_property_is_refused_before_anything_is_trained(
    ran: tuple[Path, Outcome, Any], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(ran[0], tmp_path / "copy"))
    study = checked(Study, {**_grown(folder).to_dict(), "properties": ["tsk"]}, where="here")
    with pytest.raises(UsageError, match="tsk"):
        run_study(study, folder)


# -- conclusions -----------------------------------------------------------------------------------

ENCODERS = ["interactive-probing", "noninteractive-probing"]


def _best(piece: StudyPiece) -> dict[str, float]:
    """Losses that grow with the seed; interactive probing is lower by 0.1, and its loss tells that of predictions."""
    if piece.setting == "baseline":
        return {}
    level = 0.3 + 0.01 * piece.seed + 0.1 * (piece.encoder == "noninteractive-probing")
    if piece.setting == "pretrain":
        return {"step": 1, "validation/total-variation": level, "last/total-variation": level / 2}
    return {"step": 1, "validation/loss": 2 * level, "ood/loss": 5 - level, "validation/accuracy": 1 - level}


@pytest.fixture
def concluded(tmp_path: Path, study_of: Callable[..., Study], made_up_row: Callable[..., Row]) -> Path:
    """A study of two encoders and three seeds with made-up predictions."""
    study = study_of(**BOTH, encoders=ENCODERS, floor=False)
    write_marker(tmp_path, study)
    for piece in pieces_of(study):
        baselines = {
            "baseline": {"constant": {"validation/loss": 1.0 + piece.seed}},
            "frozen": {"linear on representation": _best(piece)},
        }
        row = made_up_row(
            piece.name, [0.1], setting=piece.setting, encoder=piece.encoder, seed=piece.seed, best=_best(piece),
            property_name=piece.property_name, baselines=baselines.get(piece.setting, {}),
            config={} if piece.config is None else piece.config.to_dict()
        )  # fmt: skip
        write_row(tmp_path, row)
    return tmp_path


def test_predictions_are_grouped_and_compared_seed_by_seed(concluded: Path) -> None:
    predictions = {(one.setting, one.encoder): one for one in summarize(concluded).predictions}
    assert list(predictions) == [
        ("frozen", "interactive-probing"),
        ("frozen", "noninteractive-probing"),
        ("supervised", "interactive-probing"),
        ("supervised", "noninteractive-probing"),
        ("baseline", "constant"),
        ("baseline", "linear on representation of interactive-probing"),
        ("baseline", "linear on representation of noninteractive-probing"),
    ]
    first, second = predictions["frozen", ENCODERS[0]], predictions["frozen", ENCODERS[1]]
    assert first.metrics["validation/loss"].points == pytest.approx((0.6, 0.62, 0.64))
    assert not first.comparisons
    assert second.comparisons["validation"].difference.points == pytest.approx((0.2, 0.2, 0.2))
    assert second.comparisons["ood"].lower == 3
    assert predictions["baseline", "constant"].metrics["validation/loss"].points == (1.0, 2.0, 3.0)


def test_rows_from_before_baselines_had_their_own_say_the_same(concluded: Path) -> None:
    """They have all baselines beside every prediction."""
    now = summarize(concluded).predictions
    rows = read_rows(concluded)
    for row in rows.values():
        if row.setting == "baseline":
            (concluded / "rows" / f"{row.piece}.json").unlink()
        elif row.property_name is not None:
            simple = {"constant": {"validation/loss": 1.0 + row.seed}}
            write_row(concluded, dataclasses.replace(row, baselines={**simple, **row.baselines}))
    assert summarize(concluded).predictions == now


def test_losses_before_and_after_are_correlated(concluded: Path) -> None:
    summary = summarize(concluded)
    found = {one.part: one.correlation for one in summary.correlations}
    assert found["validation"].r == pytest.approx(1.0)
    assert found["ood"].r == pytest.approx(-1.0)
    assert found["validation"].num_points == 6
    assert "| task | OOD test | -1.000 (-1.000, -1.000) | 6 | 0.987 |" in correlations_markdown(summary)


def test_tables_and_figure_show_them(concluded: Path) -> None:
    summary = write_study_report(concluded)
    text = (concluded / "report" / "report.md").read_text()
    assert predictions_markdown(summary) in text
    assert "| noninteractive-probing, frozen | 0.8000 0.8200 0.8400 | 0.6000 0.5900 0.5800 | +0.2000 | 0 of 3 |" in text
    picture = (concluded / "report" / "predictions.svg").read_text()
    for shown in ("task, unseen tasks", "task, OOD test", "interactive-probing, supervised", "constant, baseline"):
        assert shown in picture


def test_what_is_not_done_yet_is_left_out(concluded: Path) -> None:
    for path in (concluded / "rows").glob("frozen*seed-[12].json"):
        path.unlink()
    summary = summarize(concluded)
    assert len(summary.missing) == 4
    assert not summary.correlations  # two points are too few
    frozen = next(one for one in summary.predictions if one.setting == "frozen")
    assert np.isclose(frozen.metrics["ood/loss"].mean, 4.7)
