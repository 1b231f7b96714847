"""Zoos made of zoos open, verify and pre-train like built ones, and say where they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnn2vec._errors import DataError, UsageError
from rnn2vec.zoo import change
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.manifest import Manifest
from rnn2vec.zoo.origin import Origin
from rnn2vec.zoo.shards import write_shard
from rnn2vec.zoo.sharing.card import render, summarize
from rnn2vec.zoo.store import Zoo
from rnn2vec.zoo.verify import verify

Digests = Callable[[Path], dict[str, str]]


@pytest.fixture(scope="session")
def other(config: ZooConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo of another seed and other sizes: 3 runs x 2 snapshots. Read only."""
    folder = tmp_path_factory.mktemp("zoo") / "other"
    build_zoo(dataclasses.replace(config, num_runs=3, num_steps=20, seed=1, num_episodes=30), folder)
    return folder


def _same_snapshots(zoo: Zoo, rows: np.ndarray, source: Zoo, source_rows: np.ndarray) -> None:
    assert torch.equal(zoo.rnns(rows).flatten(), source.rnns(source_rows).flatten())
    assert torch.equal(zoo.rollouts(rows), source.rollouts(source_rows)[:, : zoo.rollouts([0]).shape[1]])
    for name in ("step", "performance", "train_loss", "validation_loss", "seed", *zoo.family.task_columns):
        np.testing.assert_array_equal(zoo.column(name)[rows], source.column(name)[source_rows])


def _origin(zoo: Zoo) -> Origin:
    assert isinstance(zoo.manifest.made, Origin)
    return zoo.manifest.made


# -- filter and subset -----------------------------------------------------------------------------


def test_a_filtered_zoo_is_those_snapshots(zoo: Zoo, tmp_path: Path) -> None:
    made = zoo.filter(tmp_path / "zoo", where=["step>=100"], split="train", num_rollouts=7)
    rows = np.flatnonzero((zoo.column("step") >= 100) & (zoo.column("split") == "train"))
    assert len(made) == len(rows) > 0
    _same_snapshots(made, np.arange(len(rows)), zoo, rows)
    assert made.column("run").tolist() == zoo.column("run")[rows].tolist()
    assert made.rollouts([0]).shape[1] == 7
    assert made.is_complete
    assert verify(made) == []
    origin = _origin(made)
    assert origin.options == {"where": ["step>=100", "split=train"], "num_rollouts": 7}
    (source,) = origin.sources
    assert (source.name, source.num_rnns, source.made) == ("built", 15, zoo.manifest.config)


def test_a_subset_has_all_snapshots_of_some_runs_and_every_split(zoo: Zoo, tmp_path: Path) -> None:
    made = zoo.subset(tmp_path / "zoo", num_runs=3)
    runs = np.unique(made.column("run"))
    rows = np.flatnonzero(np.isin(zoo.column("run"), runs))
    assert len(runs) == 3
    assert len(made) == 9
    assert set(made.column("split")) == {"train", "validation", "ood"}
    _same_snapshots(made, np.arange(9), zoo, rows)
    assert verify(made) == []


def test_a_subset_follows_from_its_seed(zoo: Zoo, tmp_path: Path, digests: Digests) -> None:
    for name, seed in (("one", 0), ("again", 0)):
        zoo.subset(tmp_path / name, num_runs=2, seed=seed)
    assert digests(tmp_path / "one") == digests(tmp_path / "again")
    drawn = {tuple(zoo.subset(tmp_path / str(seed), num_runs=1, seed=seed).column("run")) for seed in range(6)}
    assert len(drawn) > 1


def test_what_cannot_be_cut_out_is_refused_before_anything_is_made(zoo: Zoo, tmp_path: Path) -> None:
    out = tmp_path / "zoo"
    with pytest.raises(UsageError, match=r"no snapshot of .* has step<0 and split=ood\n.*`rnn2vec zoo info`"):
        zoo.filter(out, where=["step<0"], split="ood")
    with pytest.raises(UsageError, match=r"num_rollouts=21, but 20 are stored\n.*give 1 to 20"):
        zoo.filter(out, num_rollouts=21)
    with pytest.raises(UsageError, match=r"num_runs=6 of a zoo with 5\n.*give 1 to 5"):
        zoo.subset(out, num_runs=6)
    assert not out.exists()


# -- merge -----------------------------------------------------------------------------------------


def test_a_merged_zoo_has_every_snapshot_and_a_run_number_for_each_run(zoo: Zoo, other: Path, tmp_path: Path) -> None:
    second = Zoo.open(other)
    made = Zoo.merge([zoo, second], tmp_path / "zoo")
    assert len(made) == 15 + 6
    _same_snapshots(made, np.arange(15), zoo, np.arange(15))
    _same_snapshots(made, np.arange(15, 21), second, np.arange(6))
    assert made.column("run").tolist() == [*sorted([*range(5)] * 3), 5, 5, 6, 6, 7, 7]
    assert verify(made, recompute=21) == []


def test_a_task_has_one_split_and_the_first_zoo_says_which(zoo: Zoo, other: Path, tmp_path: Path) -> None:
    """Splits are seeded: a language that one zoo trains on may validate in another."""
    second = Zoo.open(other)
    wrong = _with_splits(second, tmp_path / "wrong", dict.fromkeys(zoo.tasks(range(15)), "ood"))
    task = zoo.tasks([0])[0]
    assert task not in wrong.tasks(range(6)), "no task in common: nothing moves"
    made = Zoo.merge([zoo, wrong], tmp_path / "zoo")
    assert _origin(made).options == {"rnns_that_changed_split": [0, 0]}

    moved = _with_splits(zoo, tmp_path / "moved", {task: "ood"})
    made = Zoo.merge([zoo.filter(tmp_path / "part", where=["step=0,100"]), moved], tmp_path / "again")
    chosen = [index for index, one in enumerate(made.tasks(range(25))) if one == task]
    assert len(chosen) == 5
    assert set(made.column("split")[chosen]) == {zoo.column("split")[0]}
    assert _origin(made).options == {"rnns_that_changed_split": [0, 3]}


def _with_splits(zoo: Zoo, folder: Path, splits: dict[tuple[float, ...], str]) -> Zoo:
    """A copy in which some tasks are in another split, as in a zoo of another seed."""
    copy = zoo.filter(folder)
    shard = copy.snapshots(range(len(copy)))
    own = copy.column("split").tolist()
    changed = [splits.get(task, split) for task, split in zip(copy.tasks(range(len(copy))), own, strict=True)]
    table = shard.properties.set_column(shard.properties.column_names.index("split"), "split", [changed])
    entry = write_shard(folder, 0, dataclasses.replace(shard, properties=table), "formal-languages")
    copy.manifest.with_shard(entry).write(folder)
    return Zoo.open(folder)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden_size": 5}, "differ in architecture: lstm 2x8, 6 inputs, 6 outputs and lstm 2x5, 6 inputs, 6 outputs"),
        ({"family_options": {"n_max": 5}}, "differ in family: FormalLanguages(alphabet_size=4"),
        ({"num_rollouts": 3}, "differ in rollouts per snapshot: 20 and 3"),
    ],
)
def test_zoos_that_do_not_fit_together_are_named(
    zoo: Zoo, config: ZooConfig, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    small = dataclasses.replace(config, num_runs=1, num_steps=1, backend="torch", **changes)
    second = build_zoo(small, tmp_path / "second")
    with pytest.raises(UsageError) as caught:
        Zoo.merge([zoo, second], tmp_path / "zoo")
    assert f"{zoo.folder} and {second.folder} {words}" in str(caught.value)
    assert "-> merge zoos of one family and architecture; `rnn2vec zoo filter --rollouts N`" in str(caught.value)
    assert not (tmp_path / "zoo").exists()


def test_the_same_rnns_twice_are_refused(zoo: Zoo, built: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"every RNN of .* is in the zoos before it\n.*omit this zoo"):
        Zoo.merge([zoo, Zoo.open(built).filter(tmp_path / "part", where=["run>2"])], tmp_path / "zoo")
    with pytest.raises(UsageError, match=r"1 zoo to merge\n.*at least two"):
        Zoo.merge([zoo], tmp_path / "zoo")


# -- like any other zoo ----------------------------------------------------------------------------


def test_the_way_back_to_the_builds_is_never_lost(zoo: Zoo, other: Path, tmp_path: Path) -> None:
    """A filtered merge of a subset: its RNNs still act in the streams of their own builds, to the bit."""
    subset = zoo.subset(tmp_path / "subset", num_runs=2, seed=4)
    merged = Zoo.merge([Zoo.open(other), subset], tmp_path / "merged")
    made = merged.filter(tmp_path / "zoo", where=["step>0"])
    assert Manifest.read(made.folder) == made.manifest
    assert verify(made, recompute=len(made)) == []
    made_of: Any = made.manifest.made
    for source in (0, 1, 0):
        made_of = made_of.sources[source].made
    assert made_of == zoo.manifest.config


def test_the_command_again_finishes_what_was_begun_and_mends_what_is_damaged(
    zoo: Zoo, other: Path, tmp_path: Path, digests: Digests, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change, "_MOST_RNNS_PER_SHARD", 4)
    zoos = [zoo, Zoo.open(other)]
    whole = Zoo.merge(zoos, tmp_path / "whole")
    assert [entry.num_rnns for entry in whole.manifest.shards] == [4, 4, 4, 3, 4, 2]

    def stop(done: float, total: float, what: str) -> None:
        if done == 2:
            raise KeyboardInterrupt(f"{what} of {total}")

    out = tmp_path / "zoo"
    with pytest.raises(KeyboardInterrupt):
        Zoo.merge(zoos, out, progress=stop)
    begun = Zoo.open(out)
    assert len(begun) == 8
    assert not begun.is_complete
    assert verify(begun) == [f"shard {number} is not made yet" for number in range(2, 6)]
    (out / "shards/00001.parquet").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"00001.parquet is truncated or altered(.|\n)*`rnn2vec zoo merge` that made"):
        _ = begun.properties
    Zoo.merge(zoos, out)
    assert digests(out) == digests(tmp_path / "whole")


def test_a_folder_that_holds_another_zoo_is_not_touched(zoo: Zoo, copy: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"holds a zoo made by `rnn2vec zoo build`, not by `filter`; it was not touched"
    ):
        zoo.filter(copy, where=["step=0"])
    zoo.filter(tmp_path / "zoo", where=["step=0"])
    with pytest.raises(UsageError, match=r"another zoo made by `rnn2vec zoo filter`: options is .*step=0.*step=100"):
        zoo.filter(tmp_path / "zoo", where=["step=100"])
    assert len(Zoo.open(tmp_path / "zoo")) == 5


def test_a_zoo_that_was_not_built_has_no_config(zoo: Zoo, tmp_path: Path) -> None:
    made = zoo.filter(tmp_path / "zoo", where=["step=0"])
    with pytest.raises(UsageError, match=r"made by `rnn2vec zoo filter` has no config of a build"):
        _ = made.manifest.config


def test_the_card_of_a_zoo_made_of_zoos_says_of_which(zoo: Zoo, other: Path, tmp_path: Path) -> None:
    made = Zoo.merge([zoo, Zoo.open(other)], tmp_path / "zoo")
    text = render(summarize(made))
    assert f"{made.folder}: 21 RNNs" in text
    assert "made          merged from built (15 RNNs) and other (6 RNNs)" in text
    part = made.filter(tmp_path / "part", where=["step=0"])
    assert "made          filtered from zoo (21 RNNs): where ['step=0'], num_rollouts 20" in render(summarize(part))


def test_an_encoder_can_be_pre_trained_on_it(tiny_zoo: Zoo, tmp_path: Path) -> None:
    from rnn2vec.emulation.config import preset
    from rnn2vec.emulation.pretrain import pretrain

    made = tiny_zoo.subset(tmp_path / "zoo", num_runs=4)
    config = dataclasses.replace(preset("tiny"), num_steps=2, batch_size=4)
    pretrain(made, config, tmp_path / "run")
    assert (tmp_path / "run" / "config.json").exists()
