"""`verify` reads the whole zoo and reports every problem; the card summarizes it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from tests.seals import rewrite

from rnn2vec._errors import DataError
from rnn2vec.zoo import recompute
from rnn2vec.zoo.manifest import Manifest
from rnn2vec.zoo.shards import Shard, write_shard
from rnn2vec.zoo.sharing.card import render, summarize
from rnn2vec.zoo.store import Zoo
from rnn2vec.zoo.verify import verify


def _rewrite(folder: Path, number: int, change: Callable[[Shard], Shard]) -> Zoo:
    """A shard with another content and the right checksums, as a faulty tool would write it."""
    zoo = Zoo.open(folder)
    entry = write_shard(folder, number, change(zoo.shard(number)), "formal-languages")
    zoo.manifest.with_shard(dataclasses.replace(entry, num_rnns=zoo.manifest.shards[number].num_rnns)).write(folder)
    return Zoo.open(folder)


def _with_column(shard: Shard, name: str, values: object) -> Shard:
    table = shard.properties
    column = pa.array(values)
    return dataclasses.replace(shard, properties=table.set_column(table.column_names.index(name), name, column))


def test_a_sound_zoo_has_no_problems_and_every_shard_is_read(zoo: Zoo) -> None:
    told: list[tuple[float, float, str]] = []
    assert verify(zoo, recompute=0, progress=lambda *report: told.append(report)) == []
    assert told == [(0, 3, "shard 1"), (1, 3, "shard 2"), (2, 3, "shard 3"), (3, 3, "done")]


def test_what_changed_since_it_was_read_is_found(copy: Path) -> None:
    zoo = Zoo.open(copy)
    assert verify(zoo) == []
    zoo.rnns(range(15))
    (copy / "shards/00000.parquet").write_bytes(b"PAR1")
    assert len(verify(zoo)) == 1


def test_all_problems_are_told_and_a_missing_shard_is_one(copy: Path) -> None:
    zoo = Zoo.open(copy)
    (copy / "shards/00000.parquet").unlink()
    file = copy / "shards/00001.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    dataclasses.replace(zoo.manifest, shards=zoo.manifest.shards[:2]).write(copy)
    first, second, third = verify(Zoo.open(copy))
    assert first == f"{copy}/shards/00000.parquet is missing"
    assert second.startswith(f"{copy}/shards/00001.safetensors is truncated or altered")
    assert third == "shard 2 is not built yet"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda shard: dataclasses.replace(shard, weights=shard.weights * torch.nan),
            "RNN 0 has NaN or infinite weights",
        ),
        (lambda shard: _with_column(shard, "performance", [1.5] * 6), "a performance is not between 0 and 1"),
        (lambda shard: _with_column(shard, "performance", [np.nan] * 6), "a performance is not between 0 and 1"),
        (lambda shard: _with_column(shard, "run", [0] * 6), "are not those that the config deals"),
        (lambda shard: _with_column(shard, "offset_b", [9.0] * 6), "are not those that the config deals"),
        (lambda shard: _with_column(shard, "split", ["ood"] * 6), "are not those that the config deals"),
        (
            lambda shard: dataclasses.replace(shard, properties=shard.properties.drop_columns(["step", "split"])),
            "its properties lack split, step",
        ),
    ],
)
def test_a_content_that_cannot_be_is_found(copy: Path, change: Callable[[Shard], Shard], words: str) -> None:
    (problem,) = verify(_rewrite(copy, 1, change))
    assert problem.startswith(("shard 1: ", f"{copy}/shards/00001.parquet is not part of a shard"))
    assert words in problem


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda shard: dataclasses.replace(shard, weights=shard.weights[:, 1:]),
            "safetensors is not part of a shard of this zoo: weights and rollouts of (6, 1141, 6), expected",
        ),
        (lambda shard: dataclasses.replace(shard, weights=shard.weights[1:]), "of (5, 1142, 6), expected (6, 1142, 6)"),
        (lambda shard: dataclasses.replace(shard, rollouts=shard.rollouts[1:]), "of (6, 1142, 5), expected"),
        (
            lambda shard: dataclasses.replace(shard, properties=shard.properties.slice(1)),
            "parquet is not part of a shard of this zoo: it has 5 rows, expected 6",
        ),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_a_shard_of_other_sizes_is_no_shard(copy: Path, change: Callable[[Shard], Shard], words: str) -> None:
    zoo = _rewrite(copy, 1, change)
    (problem,) = verify(zoo)
    assert words in problem
    with pytest.raises(DataError, match=r"not part of a shard of this zoo(.|\n)*download or build it again"):
        zoo.rnns([8])


@pytest.mark.parametrize("suffix", ["safetensors", "parquet"])
def test_files_of_no_format_with_the_right_checksums_are_no_shard(copy: Path, suffix: str) -> None:
    (copy / f"shards/00001.{suffix}").write_bytes(b"nonsense")
    checksum = hashlib.sha256(b"nonsense").hexdigest()
    rewrite(copy / "zoo.json", lambda values: values["shards"][1]["checksums"].update({suffix: checksum}))
    (problem,) = verify(Zoo.open(copy))
    assert re.search(rf"shards/00001\.{suffix} (is truncated or altered|cannot be read as Parquet)", problem)


# -- rolling out again -----------------------------------------------------------------------------


def test_rollouts_are_reproduced(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    """Check bit-identical rollouts on the same machine, for samples of any size."""
    monkeypatch.setattr(recompute, "ALLOWED_DIFFERENCE", 0.0)
    reports: list[tuple[float, float, str]] = []
    for count in (1, 4, 15, 99):
        assert verify(zoo, recompute=count, progress=lambda *report: reports.append(report)) == []
        assert reports[-1] == (min(count, 15), min(count, 15), "done")


def test_rollouts_of_another_length_than_the_options_make_are_found(copy: Path) -> None:
    manifest = Manifest.read(copy)
    longer = dataclasses.replace(
        manifest.config, family_options={**manifest.config.family_options, "sequence_length": 50}
    )
    dataclasses.replace(manifest, made=longer).write(copy)
    (problem, *_) = list(verify(Zoo.open(copy), recompute=1))
    assert "its stored rollouts have 42 entries each" in problem
    assert "formal-languages in zoo.json make 50" in problem


def test_a_performance_that_is_not_what_the_rnn_does_is_found(copy: Path) -> None:
    stored = Zoo.open(copy).column("performance")[6:12]
    wrong = [
        *stored[:4],
        stored[4] + (0.5 if stored[4] < 0.5 else -0.5),
        stored[5] + (0.02 if stored[5] < 0.5 else -0.02),
    ]
    zoo = _rewrite(copy, 1, lambda shard: _with_column(shard, "performance", wrong))
    (problem,) = verify(zoo, recompute=15)
    assert problem == (
        f"RNN 10 (run 3, step 100): its performance is {wrong[4]:.3f} in the zoo and {stored[4]:.3f} when "
        "rolled out again (tolerance 0.020)"
    )
    assert verify(zoo, recompute=0) == []


def test_rollouts_and_weights_that_do_not_belong_together_are_found(copy: Path) -> None:
    zoo = _rewrite(copy, 1, lambda shard: dataclasses.replace(shard, weights=shard.weights.flip(0)))
    problems = verify(zoo, recompute=15)
    assert any("RNN 6 (run 2, step 0): 100% of its stored rollouts cannot be reproduced" in one for one in problems)
    assert all(one.startswith(tuple(f"RNN {place} " for place in range(6, 12))) for one in problems)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            lambda shard: _with_column(shard, "split", ["train"] * 14 + ["ood"]),
            "is in split 'ood', and elsewhere in 'train'",
        ),
        (lambda shard: _with_column(shard, "split", ["test"] * 15), "is in split 'test', which does not exist"),
        (lambda shard: _with_column(shard, "run", [-1] * 15), "run -1, step 0: both should be whole numbers from 0"),
        (lambda shard: _with_column(shard, "step", [0.5] * 15), "run 0, step 0.5: both should be whole numbers from 0"),
    ],
)
def test_rows_that_cannot_be_are_found_where_no_config_deals(
    zoo: Zoo, tmp_path: Path, change: Callable[[Shard], Shard], words: str
) -> None:
    zoo.filter(tmp_path / "zoo")
    (problem,) = verify(_rewrite(tmp_path / "zoo", 0, change))
    assert words in problem


# -- the card --------------------------------------------------------------------------------------


def test_the_card_says_what_is_in_a_zoo(zoo: Zoo) -> None:
    summary = json.loads(json.dumps(summarize(zoo)))
    assert {name: summary[name] for name in ("rnns", "runs", "runs_planned", "steps", "seed", "backend")} == {
        "rnns": 15, "runs": 5, "runs_planned": 5, "steps": 120, "seed": 0, "backend": "numba",
    }  # fmt: skip
    assert (summary["architecture"], summary["parameters"]) == ("lstm 2x8, 6 inputs, 6 outputs", 1142)
    assert sum(summary["tasks"].values()) == 5
    assert [snapshot["step"] for snapshot in summary["snapshots"]] == [0, 100, 120]
    for snapshot in summary["snapshots"]:
        chosen = zoo.where(step=snapshot["step"])
        assert snapshot["validation_loss"] == round(zoo.column("validation_loss")[chosen].mean(), 4)


def test_a_person_can_read_it(zoo: Zoo) -> None:
    text = render(summarize(zoo))
    assert f"{zoo.folder}: 15 RNNs" in text
    assert "runs          5, 120 steps each, seed 0" in text
    assert "OOD: the sum of absolute offsets is at most 2" in text
    assert max(map(len, text.splitlines())) <= 100 + len(str(zoo.folder))


def test_an_unfinished_zoo_says_how_much_was_planned(copy: Path) -> None:
    manifest = Manifest.read(copy)
    dataclasses.replace(manifest, shards=manifest.shards[:1]).write(copy)
    assert "runs          2 of 5 planned, 120 steps each" in render(summarize(Zoo.open(copy)))
