"""Building: equal seeds give equal bytes, in one piece or in several, and nothing that is finished is made again."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rnn2vec.rnn.spec import CellName
from rnn2vec.zoo import build
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.store import Zoo
from rnn2vec.zoo.verify import verify

Digests = Callable[[Path], dict[str, str]]


def _interrupt_after(updates: float) -> Callable[[float, float, str], None]:
    """Build a progress callback that interrupts like a user's Ctrl-C."""

    def progress(done: float, total: float, what: str) -> None:
        if done >= updates:
            raise KeyboardInterrupt(f"{done} of {total}: {what}")

    return progress


# -- the same bytes --------------------------------------------------------------------------------


def test_the_same_config_gives_the_same_bytes(config: ZooConfig, built: Path, tmp_path: Path, digests: Digests) -> None:
    build_zoo(config, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(built)


def test_another_seed_gives_other_bytes_in_every_file(
    config: ZooConfig, built: Path, tmp_path: Path, digests: Digests
) -> None:
    build_zoo(dataclasses.replace(config, seed=1), tmp_path / "other")
    ours, theirs = digests(tmp_path / "other"), digests(built)
    assert set(ours) == set(theirs)
    assert all(ours[name] != theirs[name] for name in ours)


@pytest.mark.parametrize("updates", [0, 120, 245, 599])
def test_a_build_in_two_pieces_is_one_build(
    config: ZooConfig, built: Path, tmp_path: Path, digests: Digests, updates: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        build_zoo(config, tmp_path / "zoo", progress=_interrupt_after(updates))
    finished = Zoo.open(tmp_path / "zoo")
    assert not finished.is_complete
    assert len(finished.manifest.shards) == updates // 240
    build_zoo(config, tmp_path / "zoo")
    assert digests(tmp_path / "zoo") == digests(built)


def test_a_zoo_may_be_built_in_other_shards_and_be_the_same_rnns(config: ZooConfig, zoo: Zoo, tmp_path: Path) -> None:
    other = build_zoo(dataclasses.replace(config, runs_per_shard=3), tmp_path / "zoo")
    assert torch.equal(other.rnns(range(15)).flatten(), zoo.rnns(range(15)).flatten())
    assert torch.equal(other.rollouts(range(15)), zoo.rollouts(range(15)))
    assert other.properties.equals(zoo.properties)


def test_a_larger_zoo_begins_with_the_smaller_one(config: ZooConfig, zoo: Zoo, tmp_path: Path) -> None:
    smaller = build_zoo(dataclasses.replace(config, num_runs=3), tmp_path / "zoo")
    assert torch.equal(smaller.rnns(range(9)).flatten(), zoo.rnns(range(9)).flatten())
    assert smaller.properties.equals(zoo.properties.slice(0, 9))


def test_rollouts_are_the_first_episodes(config: ZooConfig, zoo: Zoo, tmp_path: Path) -> None:
    fewer = build_zoo(dataclasses.replace(config, num_rollouts=6), tmp_path / "zoo")
    assert torch.equal(fewer.rollouts(range(15)), zoo.rollouts(range(15))[:, :6])
    assert fewer.properties.equals(zoo.properties)


# -- backends and cells ----------------------------------------------------------------------------


def test_auto_is_written_down_as_what_it_stood_for(config: ZooConfig, built: Path) -> None:
    zoo = build_zoo(dataclasses.replace(config, backend="auto"), built)
    assert zoo.manifest.config == dataclasses.replace(config, family_options=zoo.family.options())


def test_the_torch_backend_builds_nearly_the_same_zoo(config: ZooConfig, zoo: Zoo, tmp_path: Path) -> None:
    """120 updates apart in rounding only."""
    other = build_zoo(dataclasses.replace(config, backend="torch", num_runs=2), tmp_path / "zoo")
    untrained, trained = other.where(step=0), other.where(step=120)
    assert torch.equal(other.rnns(untrained).flatten(), zoo.rnns(untrained).flatten())
    assert torch.equal(other.rollouts(untrained), zoo.rollouts(untrained))
    torch.testing.assert_close(other.rnns(trained).flatten(), zoo.rnns(trained).flatten(), atol=2e-2, rtol=0)
    assert other.column("validation_loss") == pytest.approx(zoo.column("validation_loss")[:6], abs=2e-3)
    assert verify(other) == []


@pytest.mark.parametrize("cell", ["gru", "rnn_tanh"])
def test_other_cells_are_trained_and_learn(cell: CellName, config: ZooConfig, tmp_path: Path, digests: Digests) -> None:
    config = dataclasses.replace(config, cell=cell, backend="torch", num_runs=2, num_steps=30)
    zoo = build_zoo(config, tmp_path / "zoo")
    assert zoo.manifest.config.backend == "torch"
    assert zoo.spec.cell == cell
    assert verify(zoo) == []
    loss = zoo.column("validation_loss")
    assert (loss[zoo.where(step=30)] < 0.8 * loss[zoo.where(step=0)]).all()
    build_zoo(config, tmp_path / "again")
    assert digests(tmp_path / "again") == digests(tmp_path / "zoo")


# -- resuming --------------------------------------------------------------------------------------


def test_a_finished_zoo_is_not_touched(config: ZooConfig, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_build_shard", pytest.fail)
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    assert build_zoo(config, copy).is_complete
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


@pytest.mark.parametrize("name", ["00001.safetensors", "00001.parquet"])
@pytest.mark.parametrize("how", ["truncated", "altered", "missing"])
def test_a_damaged_shard_alone_is_made_again(
    config: ZooConfig, built: Path, copy: Path, digests: Digests, name: str, how: str
) -> None:
    file = copy / "shards" / name
    content = file.read_bytes()
    if how == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-10] if how == "truncated" else content[:-1] + bytes([content[-1] ^ 1]))
    others = {path: path.stat().st_mtime_ns for path in (copy / "shards").iterdir() if path.stem != "00001"}
    build_zoo(config, copy)
    assert digests(copy) == digests(built)
    assert {path: path.stat().st_mtime_ns for path in others} == others
    log = [json.loads(line) for line in (copy / "build.jsonl").read_text().splitlines()]
    assert [line["shard"] for line in log] == [0, 1, 2, 1]


def test_what_a_killed_build_left_behind_is_removed(
    config: ZooConfig, built: Path, copy: Path, digests: Digests
) -> None:
    """The claim leaves no other writer, so that a process number that is in use again protects no leftover."""
    leftovers = [copy / ".zoo.json.4194999.tmp", copy / "shards/.00001.parquet.4194999.tmp"]
    leftovers.append(copy / "shards/.00002.parquet.1.tmp")
    for file in leftovers:
        file.write_text("half a file")
    build_zoo(config, copy)
    assert [file.exists() for file in leftovers] == [False, False, False]
    assert digests(copy) == digests(built)


def test_progress_counts_updates_and_begins_where_the_work_does(config: ZooConfig, copy: Path) -> None:
    (copy / "shards/00002.parquet").unlink()
    told: list[tuple[float, float, str]] = []
    build_zoo(config, copy, progress=lambda *report: told.append(report))
    assert told[0] == (480, 600, "shard 3 of 3")
    assert told[-1] == (600, 600, "done")
    assert [done for done, _, _ in told] == sorted(done for done, _, _ in told)


def test_a_log_that_cannot_be_written_is_not_worth_a_zoo(
    config: ZooConfig, copy: Path, digests: Digests, built: Path
) -> None:
    (copy / "shards/00002.parquet").unlink()
    (copy / "build.jsonl").unlink()
    (copy / "build.jsonl").mkdir()
    build_zoo(config, copy)
    assert digests(copy) == digests(built)
