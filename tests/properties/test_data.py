"""Targets and parts: half of the OOD tasks joins the training data, by task and by seed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rnn2vec._errors import DataError, UsageError
from rnn2vec.properties.data import collect, find_property
from rnn2vec.tasks.base import Property
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo.store import Manifest, Zoo


def test_half_of_the_ood_tasks_joins_the_training_data(zoo: Zoo) -> None:
    data = collect(zoo, "task", seed=0)
    ood, joined = set(zoo.split("ood")), set(data.rows["train"]) - set(zoo.split("train"))
    assert joined | set(data.rows["ood"]) == ood
    assert set(zoo.split("train")) < set(data.rows["train"])
    assert list(data.rows["validation"]) == list(zoo.split("validation"))

    halves = [set(zoo.tasks(np.array(list(rows)))) for rows in (joined, data.rows["ood"])]
    assert halves[0].isdisjoint(halves[1]), "all snapshots of a task stay together"
    assert len(halves[1]) - len(halves[0]) in {0, 1}


def test_the_halves_follow_from_the_seed(zoo: Zoo) -> None:
    one, again, *others = (collect(zoo, "task", seed=seed).rows["ood"].tolist() for seed in (0, 0, 1, 2, 3, 4))
    assert one == again
    assert any(one != other for other in others)
    assert one == collect(zoo, "performance", seed=0).rows["ood"].tolist()


def test_targets_are_those_of_the_rows(zoo: Zoo) -> None:
    data = collect(zoo, "task", seed=0)
    hot = data.targets["ood"].reshape(-1, 3, 6)
    assert [tuple(row) for row in hot.argmax(axis=2) - 3.0] == zoo.tasks(data.rows["ood"])
    assert (hot.sum(axis=2) == 1).all()
    numbers = collect(zoo, "performance", seed=0)
    assert numbers.targets["train"][:, 0] == pytest.approx(zoo.column("performance")[numbers.rows["train"]])
    assert data.is_last["ood"].tolist() == (zoo.column("step")[data.rows["ood"]] == 2).tolist()


def test_one_ood_task_is_kept_for_the_test_and_without_any_there_is_no_test(zoo: Zoo, tmp_path: Path) -> None:
    for task, expected in ((zoo.tasks(zoo.split("ood"))[0], 1), (None, 0)):
        fewer = _changed(zoo, tmp_path / str(expected), lambda table, kept=task: _without_other_ood(table, kept))
        data = collect(fewer, "task", seed=0)
        assert len(set(fewer.tasks(data.rows["ood"]))) == 1 if expected else "ood" not in data.rows
        assert len(data.rows["train"]) == len(fewer.split("train"))


def _without_other_ood(table: pa.Table, kept: tuple[float, ...] | None) -> pa.Table:
    """All OOD snapshots but those of one task become training snapshots."""
    tasks = zip(*(table.column(f"offset_{letter}").to_pylist() for letter in "bcd"), strict=True)
    split = [
        "train" if part == "ood" and task != kept else part
        for part, task in zip(table.column("split").to_pylist(), tasks, strict=True)
    ]
    return _with_column(table, "split", pa.array(split))


def _with_column(table: pa.Table, name: str, values: pa.Array) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def _changed(zoo: Zoo, folder: Path, change: object) -> Zoo:
    """A copy of the zoo with another property table."""
    shutil.copytree(zoo.folder, folder)
    copy = Zoo(folder, Manifest.read(folder))
    assert callable(change)
    copy.properties = change(copy.properties)  # a cached property: from now on, this is the table
    return copy


# -- categories ------------------------------------------------------------------------------------


class _WithStep(FormalLanguages):
    @property
    def properties(self) -> tuple[Property, ...]:
        return (*super().properties, Property("step", ("step",), "cross-entropy"))


def test_choices_that_the_family_leaves_open_are_those_that_occur(zoo: Zoo) -> None:
    zoo = Zoo.open(zoo.folder)
    zoo.family = _WithStep()
    data = collect(zoo, "step", seed=0)
    assert data.property.categories == (0.0, 2.0)
    assert data.targets["train"][:2].tolist() == [[1, 0], [0, 1]]


# -- refused ---------------------------------------------------------------------------------------


def test_an_unknown_property_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown property of formal-languages 'perfomance'\n.*did you mean"):
        find_property(FormalLanguages(), "perfomance")


@pytest.mark.parametrize(
    ("name", "column", "value", "words"),
    [
        ("performance", "performance", float("nan"), "performance is nan, expected a number"),
        ("task", "offset_c", 7.0, r"offset_c is 7.0, expected one of -3.0, -2.0"),
    ],
)
def test_a_value_that_cannot_be_is_named(
    zoo: Zoo, tmp_path: Path, name: str, column: str, value: float, words: str
) -> None:
    def spoil(table: pa.Table) -> pa.Table:
        values = np.array(table.column(column).to_numpy(), dtype=np.float64)
        values[0] = value
        return _with_column(table, column, pa.array(values))

    with pytest.raises(DataError, match=rf"snapshot 0: {words}(.|\n)*zoo verify"):
        collect(_changed(zoo, tmp_path / "zoo", spoil), name, seed=0)


def test_a_zoo_without_a_validation_task_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    def all_train(table: pa.Table) -> pa.Table:
        return _with_column(table, "split", pa.array(["train"] * len(table)))

    with pytest.raises(UsageError, match="no RNN in its validation split"):
        collect(_changed(zoo, tmp_path / "zoo", all_train), "task", seed=0)
