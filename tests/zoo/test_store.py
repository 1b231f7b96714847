"""Zoos on disk: what is written comes back, in the order asked for."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open

from rnn2vec._errors import DataError, UsageError
from rnn2vec.zoo import store
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.manifest import FORMAT_VERSION, Manifest, ShardEntry
from rnn2vec.zoo.shards import Shard, damage, write_shard
from rnn2vec.zoo.store import Zoo

NUM_RNNS = 15
with_zoo = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
INDICES = st.lists(st.integers(0, NUM_RNNS - 1), min_size=1, max_size=20)


def _all(zoo: Zoo) -> tuple[torch.Tensor, torch.Tensor]:
    shards = [zoo.shard(place) for place in range(3)]
    return torch.cat([shard.weights for shard in shards]), torch.cat([shard.rollouts for shard in shards])


# -- what is there ---------------------------------------------------------------------------------


def test_a_row_is_a_snapshot_in_the_order_of_runs_and_steps(zoo: Zoo, config: ZooConfig) -> None:
    assert len(zoo) == NUM_RNNS == config.num_rnns
    assert zoo.is_complete
    assert zoo.column("run").tolist() == sorted([0, 1, 2, 3, 4] * 3)
    assert zoo.column("step").tolist() == [0, 100, 120] * 5
    assert zoo.properties.column_names == [
        "run", "spec", "offset_b", "offset_c", "offset_d", "step", "performance", "train_loss", "validation_loss",
        "generalization_gap", "weight_decay", "seed", "split",
    ]  # fmt: skip
    assert repr(zoo) == f"Zoo({str(zoo.folder)!r}: 15 RNNs, lstm 2x8, 6 inputs, 6 outputs)"


def test_tasks_and_splits_are_those_that_the_family_deals(zoo: Zoo, config: ZooConfig) -> None:
    dealt = [one for one in zoo.family.deal(5, config.seed) for _ in range(3)]
    assert zoo.tasks(range(NUM_RNNS)) == [one.task for one in dealt]
    assert zoo.column("split").tolist() == [one.split for one in dealt]


def test_what_is_stored_fits_together(zoo: Zoo) -> None:
    """Performance is that of the rollouts (here all episodes are stored), the gap is the difference of the losses."""
    everyone = range(NUM_RNNS)
    accepted = zoo.family.accepted(zoo.rollouts(everyone), zoo.tasks(everyone))
    np.testing.assert_allclose(zoo.column("performance"), accepted.double().mean(dim=1).numpy(), atol=1e-7)
    gap = zoo.column("validation_loss") - zoo.column("train_loss")
    np.testing.assert_allclose(zoo.column("generalization_gap"), gap)
    assert (zoo.column("generalization_gap")[zoo.where(step=0)] == 0).all()
    assert (zoo.column("validation_loss")[zoo.where(step=0)] > zoo.column("validation_loss")[zoo.where(step=120)]).all()


def test_the_validation_loss_is_the_expected_one_of_the_stored_weights(zoo: Zoo) -> None:
    chosen = [2, 8]
    for rnn, task, stored in zip(chosen, zoo.tasks(chosen), zoo.column("validation_loss")[chosen], strict=True):
        examples = zoo.family.examples(task)
        codes = torch.from_numpy(np.concatenate([examples.inputs, examples.targets[:, -1:]], axis=1))
        logits, _ = zoo.rnns([rnn])(zoo.family.rollout_inputs(codes[None], [task]))
        loss = torch.nn.functional.cross_entropy(logits[0].flatten(0, 1), codes[:, 1:].flatten().long())
        assert stored == pytest.approx(loss.item(), abs=1e-5)


# -- choosing --------------------------------------------------------------------------------------


@with_zoo
@given(indices=INDICES)
def test_rnns_rollouts_and_tasks_come_in_the_order_asked_for(zoo: Zoo, indices: list[int]) -> None:
    """Across shards, backwards, and more than once."""
    weights, rollouts = _all(zoo)
    everyone = zoo.tasks(range(NUM_RNNS))
    assert torch.equal(zoo.rnns(indices).flatten(), weights[indices])
    assert torch.equal(zoo.rollouts(indices), rollouts[indices])
    assert zoo.tasks(np.array(indices)) == [everyone[index] for index in indices]


@pytest.mark.parametrize("step", [0, 100, 120])
@pytest.mark.parametrize("split", ["train", "validation", "ood"])
def test_where_finds_exactly_the_snapshots_with_these_values(zoo: Zoo, step: int, split: Any) -> None:
    rows = zoo.properties.to_pylist()
    expected = [place for place, row in enumerate(rows) if (row["step"], row["split"]) == (step, split)]
    assert zoo.where(step=step, split=split).tolist() == expected
    assert zoo.where(f"step={step}", f"split={split}").tolist() == expected
    assert zoo.split(split).tolist() == [place for place, row in enumerate(rows) if row["split"] == split]
    assert zoo.where().tolist() == list(range(NUM_RNNS))


def test_a_step_without_snapshots_is_refused_with_the_steps_there_are(zoo: Zoo) -> None:
    with pytest.raises(UsageError, match=r"no RNN has step = 201\n.*there are: 0, 100, 120"):
        zoo.where(step=201)


@pytest.mark.parametrize("method", ["rnns", "rollouts", "tasks"])
@pytest.mark.parametrize("indices", [[15], [-1], [0, 99]])
def test_snapshots_that_are_not_there_are_refused(zoo: Zoo, method: str, indices: list[int]) -> None:
    with pytest.raises(UsageError, match=rf"snapshots {min(indices)}\.\.{max(indices)} of a zoo of 15\n.*0 to 14"):
        getattr(zoo, method)(indices)


@pytest.mark.parametrize("method", ["rnns", "rollouts", "tasks"])
def test_a_mask_is_not_taken_for_the_numbers_0_and_1(zoo: Zoo, method: str) -> None:
    with pytest.raises(UsageError, match=r"snapshots given as bool\n.*`where` finds them"):
        getattr(zoo, method)(zoo.column("step") == 100)


def test_choosing_nobody_is_an_error_for_rnns_and_no_tasks(zoo: Zoo) -> None:
    nobody = zoo.where("step < 0")
    for method in (zoo.rnns, zoo.rollouts):
        with pytest.raises(UsageError, match=r"no snapshot was chosen\n.*at least one"):
            method(nobody)
        with pytest.raises(UsageError, match="no snapshot was chosen"):
            method([])
    assert zoo.tasks(nobody) == zoo.tasks([]) == []


def test_an_unknown_property_lists_those_there_are(zoo: Zoo) -> None:
    with pytest.raises(UsageError, match=r"no property 'loss'\n.*there are: run, spec, offset_b"):
        zoo.column("loss")


# -- files -----------------------------------------------------------------------------------------


def test_the_folder_has_the_stated_files_and_no_others(built: Path) -> None:
    shards = [f"shards/0000{number}.{suffix}" for number in range(3) for suffix in ("parquet", "safetensors")]
    assert sorted(str(path.relative_to(built)) for path in built.rglob("*") if path.is_file()) == [
        "build.jsonl",
        *shards,
        "zoo.json",
    ]


def test_other_tools_can_read_them(built: Path, config: ZooConfig) -> None:
    manifest = json.loads((built / "zoo.json").read_text())
    assert manifest["format_version"] == FORMAT_VERSION == 2
    assert manifest["snapshot_steps"] == [0, 100, 120]
    assert manifest["config"]["family"] == config.family
    assert [shard["num_rnns"] for shard in manifest["shards"]] == [6, 6, 3]
    with safe_open(built / "shards/00002.safetensors", "np") as file:
        assert file.get_slice("weights").get_shape() == [3, 1142]
        assert (file.get_slice("weights").get_dtype(), file.get_slice("rollouts").get_dtype()) == ("F32", "U8")
        assert file.get_slice("rollouts").get_shape() == [3, 20, 42]
        assert json.loads(file.metadata()["rnn2vec"]) == {"family": "formal-languages", "format_version": 2, "shard": 2}


def test_a_manifest_comes_back_as_it_was(built: Path, tmp_path: Path) -> None:
    manifest = Manifest.read(built)
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest
    assert (tmp_path / "zoo.json").read_bytes() == (built / "zoo.json").read_bytes()


@settings(parent=with_zoo, max_examples=10)
@given(seed=st.integers(0, 2**32), rnns=st.integers(1, 4), episodes=st.integers(1, 3))
def test_a_shard_comes_back_as_it_was(built: Path, tmp_path: Path, seed: int, rnns: int, episodes: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    manifest = Manifest.read(built)
    columns: dict[str, Any] = {name: np.arange(rnns) for name in ("run", "step", "offset_b", "offset_c", "offset_d")}
    columns |= {"split": ["train"] * rnns, "loss": np.random.default_rng(seed).random(rnns)}
    shard = Shard(
        torch.randn(rnns, manifest.spec.num_parameters, generator=generator),
        torch.randint(0, 6, (rnns, episodes, 42), generator=generator, dtype=torch.uint8),
        pa.table(columns),
    )
    entry = write_shard(tmp_path, 7, shard, "formal-languages")
    again = write_shard(tmp_path, 7, shard, "formal-languages")
    assert entry == again, "the same content must give the same bytes"
    assert damage(tmp_path, entry) is None

    zoo = Zoo(tmp_path, Manifest(manifest.config, manifest.spec, "", {}, (entry,)))
    read = zoo.shard(0)
    assert torch.equal(read.weights, shard.weights)
    assert torch.equal(read.rollouts, shard.rollouts)
    assert read.properties.equals(shard.properties)


def test_a_shard_is_verified_once_and_its_properties_put_together_once(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    monkeypatch.setattr(store, "damage", lambda folder, entry: looked.append(entry.number) or damage(folder, entry))
    zoo.rnns([0])
    assert looked == [0]
    for _ in range(2):
        zoo.column("run")
        zoo.rnns(range(NUM_RNNS))
    assert looked == [0, 1, 2]
    assert zoo.properties is zoo.properties


def test_weights_are_mapped_not_copied(zoo: Zoo) -> None:
    zoo.shard(0)
    assert str(zoo.folder / "shards/00000.safetensors") in Path("/proc/self/maps").read_text()


def test_a_growing_zoo_shows_its_finished_shards(copy: Path) -> None:
    manifest = Manifest.read(copy)
    Manifest(manifest.config, manifest.spec, manifest.ood_rule, manifest.provenance, manifest.shards[:2]).write(copy)
    zoo = Zoo.open(copy)
    assert len(zoo) == 12
    assert not zoo.is_complete
    assert zoo.column("run").max() == 3


def test_a_zoo_without_any_finished_shard_says_so(copy: Path) -> None:
    manifest = Manifest.read(copy)
    Manifest(manifest.config, manifest.spec, manifest.ood_rule, manifest.provenance).write(copy)
    with pytest.raises(DataError, match=r"has no finished shard yet\n.*zoo build` to continue"):
        _ = Zoo.open(copy).properties


# -- which zoo it is -------------------------------------------------------------------------------


def test_a_zoo_is_the_same_whatever_version_built_it_and_wherever_it_is(zoo: Zoo, copy: Path) -> None:
    manifest = dataclasses.replace(zoo.manifest, provenance={"commit": "another"})
    manifest.write(copy)
    assert Zoo.open(copy).identity()["checksum"] == zoo.identity()["checksum"]
    assert Zoo.open(copy).identity()["folder"] == "copy"


def test_other_weights_or_another_config_make_another_zoo_but_only_weights_another_build(zoo: Zoo) -> None:
    manifest = zoo.manifest
    renamed = dataclasses.replace(manifest, made=dataclasses.replace(manifest.config, num_steps=7))
    first, *others = manifest.shards
    rounded = dataclasses.replace(
        manifest, shards=(dataclasses.replace(first, checksums={**first.checksums, "safetensors": "0" * 64}), *others)
    )
    assert len({one.checksum for one in (manifest, renamed, rounded)}) == 3
    assert manifest.weights_checksum == renamed.weights_checksum != rounded.weights_checksum


def test_a_verified_zoo_is_not_hashed_again(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[int] = []

    def counted(folder: Path, entry: ShardEntry) -> str | None:
        hashed.append(entry.number)
        return damage(folder, entry)

    monkeypatch.setattr(store, "damage", counted)
    zoo = Zoo.open(copy)
    zoo.verify_checksums()
    zoo.rnns(range(NUM_RNNS))
    Zoo.open(copy, is_verified=True).rnns(range(NUM_RNNS))
    assert hashed == [0, 1, 2]
    zoo = Zoo.open(copy)
    (copy / "shards/00001.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"00001\.parquet is truncated or altered"):
        zoo.verify_checksums()
