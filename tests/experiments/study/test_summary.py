"""What tables say of made-up rows, of which the answer is known."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from rnn2vec._errors import DataError, UsageError
from rnn2vec.experiments.study.config import Study
from rnn2vec.experiments.study.expand import StudyPiece, pieces_of
from rnn2vec.experiments.study.files import write_marker
from rnn2vec.experiments.study.rows import Row, write_row
from rnn2vec.experiments.study.summary import Floor, is_clearly_below, left_plateau_at, summarize, to_json
from rnn2vec.experiments.study.table import tidy_table, write_table
from rnn2vec.report.study_tables import losses_markdown

MadeUp = Callable[[Study, Callable[[StudyPiece], list[float]]], Path]
TASKS = [(float(offset), 0.0, 0.0) for offset in range(10)]
LEARNS, STAYS = [0.07, 0.05, 0.03], [0.07, 0.062, 0.061]


def _losses(piece: StudyPiece) -> list[float]:
    if piece.encoder == "task-blind":
        return [0.07, 0.065, 0.063]
    if piece.encoder == "interactive-probing" and piece.seed != 2:
        return [one + 0.001 * piece.seed for one in LEARNS]
    return STAYS


def _floor(value: float | None, **by_task: Any) -> Floor:
    return Floor("total-variation", value, None, by_task.get("by_task", {}))


def test_groups_floor_and_plateau(made_up: MadeUp, study_of: Callable[..., Study]) -> None:
    summary = summarize(made_up(study_of(), _losses))
    assert summary.metric == "total-variation"
    assert (summary.floor.closed_form, summary.floor.trained) == (0.06, 0.063)
    assert summary.floor.value == 0.06
    assert summary.floor.plateau == pytest.approx(0.054)
    interactive, static = summary.groups
    assert interactive.name == "interactive-probing, default"
    assert interactive.loss.points == (0.03, 0.031, 0.061)
    assert interactive.loss.interval is None
    assert interactive.last.points == (0.015, 0.0155, 0.0305)
    assert interactive.left_at == {0: 200, 1: 200, 2: None}
    assert interactive.clearly_below == {0: True, 1: True, 2: False}
    assert static.left_at == {0: None, 1: None, 2: None}
    assert summary.missing == ()


def test_every_group_is_compared_with_the_first_of_the_file(made_up: MadeUp, study_of: Callable[..., Study]) -> None:
    study = study_of(encoders=["interactive-probing"], variants={"z": {}, "a": {}})
    summary = summarize(made_up(study, lambda piece: [0.04 - 0.01 * (piece.variant == "a") * piece.seed]))
    (name,) = summary.comparisons
    assert name == "interactive-probing, a"
    assert summary.comparisons[name].difference.points == pytest.approx((0.0, -0.01, -0.02))
    assert summary.comparisons[name].lower == 2


def test_a_sweep_has_the_default_among_its_points(made_up: MadeUp, study_of: Callable[..., Study]) -> None:
    lengths = {"over": "encoder_options.sequence_length", "values": [4, 8, 16], "encoders": ["interactive-probing"]}
    study = study_of(encoders=["interactive-probing"], sweeps={"length": lengths})
    folder = made_up(study, lambda piece: [0.1 / piece.config.encoder_options.get("sequence_length", 1)])
    summary = summarize(folder)
    assert [group.variant for group in summary.groups] == ["default"]
    (curve,) = summary.sweeps
    assert {value: one.mean for value, one in curve.estimates.items()} == pytest.approx(
        {4: 0.025, 8: 0.0125, 16: 0.00625}
    )
    assert all(len(one.points) == 3 for one in curve.estimates.values())


def test_both_measures_stand_side_by_side_and_bounds_are_no_groups(
    made_up: MadeUp, study_of: Callable[..., Study], made_up_row: Callable[..., Row]
) -> None:
    study = study_of(encoders=["interactive-probing"], seeds=[0], ceiling=True)
    folder = made_up(study, _losses)
    kl = {"interactive-probing": 0.12, "task-blind": 0.3, "oracle": 0.06}
    for piece in pieces_of(study):
        numbers = {"validation/total-variation": 0.05, "last/total-variation": 0.05}
        best = {"step": 100, **numbers, "validation/reverse-kl": kl[piece.encoder]}
        names = {"encoder": piece.encoder, "variant": piece.variant, "config": {"loss": "total-variation"}}
        unseen = {"task": [list(task) for task in TASKS], "total-variation": [0.05] * 10, "reverse-kl": [0.3] * 10}
        write_row(folder, made_up_row(piece.name, [0.05], best=best, unseen=unseen, **names))
    summary = summarize(folder)
    assert [group.encoder for group in summary.groups] == ["interactive-probing"]
    assert summary.num_outputs == 6
    assert summary.groups[0].in_papers_measure is not None
    assert summary.groups[0].in_papers_measure.mean == pytest.approx(0.02)
    assert summary.floor_in_papers_measure == pytest.approx(0.05)
    assert (summary.ceiling, summary.ceiling_in_papers_measure) == pytest.approx((0.05, 0.01))
    text = losses_markdown(summary)
    assert "| 0.0200 | 0.015 (0.008, 0.022) |" in text
    assert "in the paper's measure 0.0500" in text
    assert "given the true task and step: **0.0500**; in the paper's measure 0.0100" in text


@pytest.mark.parametrize("number", [5, 7, 8])
def test_intervals_from_five_seeds_on(made_up: MadeUp, study_of: Callable[..., Study], number: int) -> None:
    study = study_of(seeds=list(range(number)), encoders=["interactive-probing"])
    group = summarize(made_up(study, lambda piece: [0.03 + 0.001 * piece.seed])).groups[0]
    assert group.loss.interval is not None
    assert group.loss.interval[0] < 0.03 + 0.0005 * (number - 1) < group.loss.interval[1]


def test_what_is_not_done_is_named(made_up: MadeUp, study_of: Callable[..., Study]) -> None:
    folder = made_up(study_of(), _losses)
    missing = "pretrain.noninteractive-probing.default.seed-1"
    (folder / "rows" / f"{missing}.json").unlink()
    summary = summarize(folder)
    assert summary.missing == (missing,)
    assert len(summary.groups[1].rows) == 2
    assert len(summary.comparisons["noninteractive-probing, default"].difference.points) == 2


@pytest.mark.parametrize(("losses", "step"), [([0.06, 0.0539, 0.07], 200), ([0.06, 0.054, 0.054], None), ([0.01], 100)])
def test_the_plateau_is_left_when_a_validation_is_below_nine_tenths_of_the_floor(
    made_up_row: Callable[..., Row], losses: list[float], step: int | None
) -> None:
    assert left_plateau_at(made_up_row("x", losses), _floor(0.06)) == step


def test_without_a_floor_nothing_is_below_it(made_up_row: Callable[..., Row]) -> None:
    assert left_plateau_at(made_up_row("x", [0.01]), _floor(None)) is None
    assert not is_clearly_below(made_up_row("x", [0.01]), _floor(None))


@pytest.mark.parametrize(
    ("by_task", "clearly"),
    [
        ([0.05] * 10, True),  # 0.054 on every task
        ([0.055] * 10, False),
        ([0.03] * 9 + [0.2], False),  # below on average, thanks to which tasks were drawn
        ([0.03 + 0.002 * task for task in range(10)], True),
        ([0.01] * 7, False),  # too few to tell
    ],
)
def test_clearly_below_is_not_the_luck_of_the_tasks(
    made_up_row: Callable[..., Row], by_task: list[float], clearly: bool
) -> None:
    tasks = TASKS[: len(by_task)]
    row = made_up_row("x", [0.05], unseen={"task": [list(task) for task in tasks], "total-variation": by_task})
    assert is_clearly_below(row, _floor(0.06, by_task=dict.fromkeys(tasks, 0.06))) is clearly


def test_continuous_outputs_are_told_by_their_loss(
    made_up: MadeUp, study_of: Callable[..., Study], made_up_row: Callable[..., Row]
) -> None:
    study = study_of(encoders=["interactive-probing"], seeds=[0], floor=False, pretrain={"loss": "mse"})
    folder = made_up(study, lambda _: [0.5])
    name = "pretrain.interactive-probing.default.seed-0"
    numbers = {"validation/mse": 0.25, "last/mse": 0.125}
    curve = {"step": [100], **{metric: [value] for metric, value in numbers.items()}}
    unseen = {"task": [[0.0]], "mse": [0.25]}
    config = {"loss": "mse"}
    write_row(
        folder, made_up_row(name, [0.5], config=config, best={"step": 100, **numbers}, curve=curve, unseen=unseen)
    )
    summary = summarize(folder)
    assert summary.metric == "mse"
    assert summary.groups[0].loss.points == (0.25,)
    assert summary.floor.value is None


def test_the_summary_is_json_ready(made_up: MadeUp, study_of: Callable[..., Study]) -> None:
    sweep = {"size": {"over": "representation_size", "values": [4, 16]}}
    content = json.loads(json.dumps(to_json(summarize(made_up(study_of(sweeps=sweep), _losses)))))
    assert content["groups"][0]["left_plateau_at"] == {"0": 200, "1": 200, "2": None}
    assert content["floor"]["plateau"] == pytest.approx(0.054)
    assert list(content["sweeps"][0]["estimates"]) == ["4", "16"]


def test_the_table_is_tidy(made_up: MadeUp, study_of: Callable[..., Study], tmp_path: Path) -> None:
    rows = summarize(made_up(study_of(), _losses)).rows
    table = tidy_table(rows.values())
    curve = [line for line in table.to_pylist() if line["piece"].endswith("interactive-probing.default.seed-1")]
    curve = [line for line in curve if line["encoder"] == "interactive-probing"]
    validations = [line for line in curve if line["metric"] == "validation/total-variation"]
    assert [(line["step"], line["kept"]) for line in validations] == [
        (100, False), (200, False), (300, False), (300, True)
    ]  # fmt: skip
    assert [line["value"] for line in validations] == pytest.approx([0.071, 0.051, 0.031, 0.031])
    assert len(table) == len(rows) * (3 + 1) * 2 - 4  # the closed form has one validation, not three
    write_table(tmp_path / "x.parquet", rows.values())
    assert pq.read_table(tmp_path / "x.parquet").equals(table)


def test_a_folder_without_a_study_is_refused(tmp_path: Path, study_of: Callable[..., Study]) -> None:
    with pytest.raises(UsageError, match="holds no study"):
        summarize(tmp_path)
    write_marker(tmp_path, study_of())
    with pytest.raises(UsageError, match="has no finished piece yet"):
        summarize(tmp_path)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"study": {"name": 1}}'])
def test_a_damaged_marker_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "study.json").write_text(content)
    with pytest.raises(DataError, match=r"study\.json"):
        summarize(tmp_path)
