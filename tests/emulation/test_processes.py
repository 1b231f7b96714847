"""Several processes that train one model: what each does, and that together they are one."""

from __future__ import annotations

import dataclasses
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from rnn2vec._errors import UsageError
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.training.processes import Processes
from rnn2vec.training.tracking import read_metrics
from rnn2vec.zoo.store import Zoo

# A process of the group: rank, number of processes, port, zoo, folder, config.
_MEMBER = """
import json, sys
import torch
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.zoo.store import Zoo
rank, count, port, zoo, out, config = sys.argv[1:]
torch.set_num_threads(1)
address = f"tcp://127.0.0.1:{port}"
torch.distributed.init_process_group("gloo", init_method=address, rank=int(rank), world_size=int(count))
pretrain(Zoo.open(zoo), PretrainConfig(**json.loads(config)), out)
torch.distributed.destroy_process_group()
"""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def _together(count: int, zoo: Zoo, config: PretrainConfig, out: Path) -> None:
    """Pre-train in so many processes, each on one thread."""
    port = str(_free_port())
    arguments = [str(count), port, str(zoo.folder), str(out), json.dumps(config.to_dict())]
    members = [
        subprocess.Popen(
            [sys.executable, "-c", _MEMBER, str(rank), *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        for rank in range(count)
    ]
    for member in members:
        _, said = member.communicate(timeout=300)
        assert member.returncode == 0, said


# -- alone -----------------------------------------------------------------------------------------


def test_alone_everything_is_ones_own() -> None:
    alone = Processes.current()
    assert alone == Processes(rank=0, count=1)
    assert alone.is_first
    assert range(7)[alone.share(7)] == range(7)
    assert alone.weight(7, 7) == 1
    assert alone.average(torch.tensor([0.5, 0.25])) == [0.5, 0.25]
    assert alone.of_first(0.25, "cpu") == 0.25
    alone.wait()


@pytest.mark.parametrize(("items", "count"), [(8, 2), (7, 2), (64, 3), (5, 5)])
def test_shares_make_up_the_batch_and_weighted_means_its_mean(items: int, count: int) -> None:
    values = np.arange(items, dtype=float) ** 2
    members = [Processes(rank, count) for rank in range(count)]
    shares = [values[one.share(items)] for one in members]
    assert sorted(np.concatenate(shares)) == sorted(values)
    means = [one.weight(len(mine), items) * mine.mean() for one, mine in zip(members, shares, strict=True)]
    assert np.mean(means) == pytest.approx(values.mean())


def test_more_processes_than_rnns_are_refused() -> None:
    with pytest.raises(UsageError, match=r"a batch of 3 RNNs for 4 processes\n.*--batch-size"):
        Processes(rank=3, count=4).share(3)


# -- together --------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["interactive-probing", "flattened-weights"])
def test_two_processes_train_as_one(tiny_zoo: Zoo, tmp_path: Path, encoder: str) -> None:
    """An odd batch, clipping that bites, augmentation, and a moving average: the same losses and weights."""
    sizes = {"hidden_size": 16} if encoder == "flattened-weights" else {"hidden_size": 16, "sequence_length": 5}
    config = PretrainConfig(
        encoder=encoder,
        encoder_options=sizes,
        emulator_hidden_size=16,
        num_steps=40,
        batch_size=7,
        warm_up_steps=5,
        gradient_clip=0.05,
        validate_every=10,
        ema=0.9,
    )
    pretrain(tiny_zoo, config, tmp_path / "one")
    _together(2, tiny_zoo, config, tmp_path / "two")
    one, two = (read_metrics(tmp_path / name) for name in ("one", "two"))
    assert [line["step"] for line in two] == [10, 20, 30, 40]
    for alone, together in zip(one, two, strict=True):
        assert together == pytest.approx(alone, abs=1e-5)
    models = [safetensors.torch.load_file(tmp_path / name / "model.safetensors") for name in ("one", "two")]
    for name, weight in models[0].items():
        assert torch.allclose(weight, models[1][name], atol=1e-3), name

    wider = dataclasses.replace(config, gradient_clip=1e6, num_steps=10)
    pretrain(tiny_zoo, wider, tmp_path / "wider")
    assert read_metrics(tmp_path / "wider")[0]["train/loss"] != pytest.approx(one[0]["train/loss"], abs=1e-5)


@pytest.mark.slow
def test_two_processes_go_on_where_one_was(tiny_zoo: Zoo, tmp_path: Path) -> None:
    config = PretrainConfig(
        encoder="layerwise-statistics",
        encoder_options={"hidden_size": 8},
        emulator_hidden_size=8,
        num_steps=20,
        batch_size=4,
        validate_every=5,
    )

    class Stop(BaseException):
        pass

    def stop(done: float, total: float, what: str) -> None:  # noqa: ARG001
        if done == 12:
            raise Stop

    pretrain(tiny_zoo, config, tmp_path / "whole")
    with pytest.raises(Stop):
        pretrain(tiny_zoo, config, tmp_path / "cut", progress=stop)
    _together(2, tiny_zoo, config, tmp_path / "cut")
    whole, cut = (read_metrics(tmp_path / name) for name in ("whole", "cut"))
    assert [line["step"] for line in cut] == [5, 10, 15, 20]
    for one, other in zip(whole, cut, strict=True):
        assert other == pytest.approx(one, abs=1e-5)


@pytest.mark.slow
def test_torchrun_starts_them(tiny_zoo: Zoo, tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(_free_port()),
        "-m", "rnn2vec", "pretrain", str(tiny_zoo.folder), "--preset", "tiny", "--steps", "4", "--batch-size", "4",
        "--encoder", "noninteractive-probing", "--out", str(tmp_path / "run"), "--json",
    ]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["best"]["step"] == 4, "one process alone talks"
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [4]
