"""A zoo of image classifiers: what is in it, and that it is made the same again."""

from __future__ import annotations

import dataclasses
import gzip
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec._errors import DataError, UsageError
from rnn2vec.tasks import idx_images
from rnn2vec.tasks.tiled_mnist import TiledMnist
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig, preset
from rnn2vec.zoo.store import Zoo
from rnn2vec.zoo.verify import verify

Digests = Callable[[Path], dict[str, str]]


def _config(zoo: Zoo, digits: Path, **changes: object) -> ZooConfig:
    """The config that made a zoo, with the images' place again."""
    options = {"folder": digits, "tile_size": 7}
    return dataclasses.replace(zoo.manifest.config, family_options=options, **changes)


def _loss(zoo: Zoo, rnn: int, numbers: np.ndarray) -> float:
    """Mean cross-entropy of all answers to some images, through `torch.nn`."""
    assert isinstance(zoo.family, TiledMnist)
    codes = torch.from_numpy(numbers.astype(np.int32))[None, :, None]
    inputs = zoo.family.rollout_inputs(codes, zoo.tasks([rnn]))[0]
    (module,) = zoo.rnns([rnn]).to_modules()
    logits, _ = module(inputs)
    labels = torch.from_numpy(zoo.family.data.labels[numbers]).long()[:, None].expand(-1, inputs.shape[1])
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()).item()


def test_losses_are_those_on_images_trained_on_and_held_out(tiny_mnist_zoo: Zoo) -> None:
    zoo = tiny_mnist_zoo
    assert isinstance(zoo.family, TiledMnist)
    for rnn in (0, 5):
        train, validation = (_loss(zoo, rnn, part[:15]) for part in (zoo.family.trained_on, zoo.family.held_out))
        assert zoo.column("train_loss")[rnn] == pytest.approx(train, abs=1e-5)
        assert zoo.column("validation_loss")[rnn] == pytest.approx(validation, abs=1e-5)
        assert zoo.column("generalization_gap")[rnn] == pytest.approx(validation - train, abs=1e-5)


def test_training_helps(tiny_mnist_zoo: Zoo) -> None:
    before, after = (tiny_mnist_zoo.column("train_loss")[tiny_mnist_zoo.where(step=step)] for step in (0, 40))
    assert (after < before).all()


def test_performance_is_the_accuracy_of_the_last_answer_on_held_out_images(tiny_mnist_zoo: Zoo) -> None:
    zoo = tiny_mnist_zoo
    assert isinstance(zoo.family, TiledMnist)
    everyone = range(len(zoo))
    codes = zoo.rollouts(everyone)
    assert codes.shape == (8, 5, 1)
    assert set(codes.flatten().tolist()) <= set(zoo.family.held_out.tolist())
    outputs, _ = zoo.rnns(everyone)(zoo.family.rollout_inputs(codes, zoo.tasks(everyone)))
    right = torch.from_numpy(zoo.family.data.labels[codes[..., 0].numpy()])
    hits = (outputs[:, :, -1].argmax(dim=-1) == right).sum(dim=1).numpy()
    performance = zoo.column("performance")
    assert ((hits / 15 <= performance + 1e-6) & (performance <= (hits + 10) / 15 + 1e-6)).all()


def test_each_run_draws_its_weight_decay_and_trains_with_it(tiny_mnist_zoo: Zoo, digits: Path, tmp_path: Path) -> None:
    decay = tiny_mnist_zoo.column("weight_decay")
    assert (decay[::2] == decay[1::2]).all()
    assert set(decay) <= {0, 0.001, 0.01, 0.1}
    assert len(set(decay)) > 1
    fixed = build_zoo(_config(tiny_mnist_zoo, digits, weight_decay=0.1, num_runs=2), tmp_path / "zoo")
    assert set(fixed.column("weight_decay")) == {0.1}
    same = fixed.rnns([1, 3]).flatten() == tiny_mnist_zoo.rnns([1, 3]).flatten()
    assert same.all(dim=1).tolist() == (decay[[1, 3]] == 0.1).tolist()


def test_a_zoo_is_the_same_again_in_any_company_and_without_a_path(
    tiny_mnist_zoo: Zoo, digits: Path, tmp_path: Path, digests: Digests
) -> None:
    elsewhere = Path(shutil.copytree(digits, tmp_path / "elsewhere"))
    again = build_zoo(_config(tiny_mnist_zoo, elsewhere), tmp_path / "again")
    assert digests(again.folder) == digests(tiny_mnist_zoo.folder)
    for file in again.folder.rglob("*"):
        assert file.is_dir() or not any(bytes(path) in file.read_bytes() for path in (elsewhere, digits))
    alone = build_zoo(_config(tiny_mnist_zoo, digits, num_runs=1), tmp_path / "alone")
    assert torch.equal(alone.rnns([0, 1]).flatten(), tiny_mnist_zoo.rnns([0, 1]).flatten())
    assert torch.equal(alone.rollouts([0, 1]), tiny_mnist_zoo.rollouts([0, 1]))


def test_it_is_sound(tiny_mnist_zoo: Zoo) -> None:
    assert verify(tiny_mnist_zoo) == []


def test_it_is_not_finished_with_other_images(tiny_mnist_zoo: Zoo, digits: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_mnist_zoo.folder, tmp_path / "zoo"))
    others = _other_images(digits, tmp_path)
    with pytest.raises(UsageError, match=r"another config: family_options is .*'images': .*it was not touched"):
        build_zoo(_config(tiny_mnist_zoo, others), folder)


def test_it_is_not_read_with_other_images(
    tiny_mnist_zoo: Zoo, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(idx_images, "_known", {})
    monkeypatch.setenv(idx_images.ENVIRONMENT_VARIABLE, str(_other_images(digits, tmp_path)))
    zoo = Zoo.open(tiny_mnist_zoo.folder)
    assert len(zoo.rnns(range(8))) == 8  # weights need no images
    with pytest.raises(DataError, match=r"the zoo was built on images with fingerprint .*\n.*RNN2VEC_MNIST"):
        zoo.family.rollout_inputs(zoo.rollouts([0]), zoo.tasks([0]))


def _other_images(digits: Path, tmp_path: Path) -> Path:
    others = Path(shutil.copytree(digits, tmp_path / "others"))
    path = others / f"{idx_images.IMAGES}.gz"
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[1000] ^= 1
    path.write_bytes(gzip.compress(bytes(content)))
    return others


def test_presets_are_the_familys() -> None:
    assert preset("laptop", "tiled-mnist").num_steps == 2000
    assert preset("laptop", "tiled-mnist").family == "tiled-mnist"
    assert preset("laptop").num_steps == 4000
    assert preset("laptop", "tiled-mnist").learning_rate(1000) == 0.01, "2000 steps are too few to slow down early"
    assert preset("paper", "tiled-mnist").learning_rates == preset("laptop").learning_rates == (0.01, 0.003, 0.0003)
    assert preset("paper", "tiled-mnist").num_steps == preset("paper").num_steps == 20_000


# -- a real `kill -9` ------------------------------------------------------------------------------

BUILD = [
    "--preset",
    "tiny",
    "--runs",
    "6",
    "--hidden-size",
    "8",
    "--family-options",
    "tile_size=14",
    "--runs-per-shard",
    "1",
]
OF_BACKEND = {
    name: [*BUILD, "--backend", name, "--steps", steps] for name, steps in (("numba", "3000"), ("torch", "100"))
}
"""Build options for each backend, with steps that take about the same time."""


@pytest.mark.slow
@pytest.mark.parametrize("backend", OF_BACKEND)
def test_a_killed_build_given_again_is_an_uninterrupted_one(
    backend: str, digits: Path, tmp_path: Path, digests: Digests
) -> None:
    out, whole = tmp_path / "killed", tmp_path / "whole"
    for shards in (0, 1, 3):
        process = _start(digits, out, backend)
        while _finished(out) < shards and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, "it ended by itself"
        assert shards <= _finished(out) < 6
    for folder in (out, whole):
        assert _start(digits, folder, backend).wait() == 0
    assert digests(out) == digests(whole)


def _start(digits: Path, out: Path, backend: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "rnn2vec", "zoo", "build", "tiled-mnist", "--out", str(out), *OF_BACKEND[backend]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", idx_images.ENVIRONMENT_VARIABLE: str(digits)}
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)


def _finished(out: Path) -> int:
    return len(Zoo.open(out).manifest.shards) if (out / "zoo.json").exists() else -1
