"""Pre-training: the same seed gives the same bytes, interrupted or not."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from rnn2vec._errors import StorageError
from rnn2vec._progress import Progress
from rnn2vec.cli import main
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.config import PretrainConfig, preset
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.training import loop
from rnn2vec.training.tracking import read_metrics
from rnn2vec.zoo.store import Zoo

EXACT = ("checkpoint.safetensors", "model.safetensors", "metrics.jsonl")
SOME_WORK = ["--preset", "tiny", "--steps", "60", "--batch-size", "8", "--validate-every", "10"]


class Interruption(BaseException):
    """What stands in for `kill -9` in the unit tier; the recipe tier does it for real."""


def _files(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in EXACT}


def _stopping_after(updates: int) -> Progress:
    """A listener that interrupts after so many updates of this start."""
    made = 0

    def report(done: float, total: float, what: str) -> None:  # noqa: ARG001
        nonlocal made
        made += 1
        if made == updates:
            raise Interruption

    return report


def _failing(call: Callable[..., Any], at: int, error: BaseException) -> Callable[..., Any]:
    """`call` that raises instead of doing its work the time `at`, counted from 1."""
    calls = 0

    def failing(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == at:
            raise error
        return call(*arguments)

    return failing


# -- one seed, one run -----------------------------------------------------------------------------


def test_one_seed_gives_one_run_and_another_seed_another(
    small_zoo: Zoo, small_config: PretrainConfig, small_run: Path, tmp_path: Path
) -> None:
    torch.manual_seed(7)  # the global generator is no part of it
    before = torch.get_rng_state()
    pretrain(small_zoo, small_config, tmp_path / "same")
    assert torch.equal(torch.get_rng_state(), before)
    assert _files(tmp_path / "same") == _files(small_run)

    pretrain(small_zoo, dataclasses.replace(small_config, seed=1), tmp_path / "other")
    for name, content in _files(tmp_path / "other").items():
        assert content != (small_run / name).read_bytes(), name


def test_the_loss_falls(tiny_run: Path) -> None:
    lines = read_metrics(tiny_run)
    assert [line["step"] for line in lines] == [20, 40, 60]
    assert lines[-1]["validation/total-variation"] < lines[0]["validation/total-variation"]
    assert lines[-1]["train/loss"] < lines[0]["train/loss"]


def test_run_json_says_what_made_it(tiny_run: Path, tiny_zoo: Zoo) -> None:
    run = json.loads((tiny_run / "run.json").read_text())
    assert run["config"]["encoder"] == "interactive-probing"
    assert run["zoo"]["folder"] == tiny_zoo.folder.name
    assert run["provenance"]["torch"] == torch.__version__


# -- interrupted -----------------------------------------------------------------------------------


@pytest.mark.parametrize("updates", range(1, 8))
def test_an_interrupted_run_ends_with_the_bytes_of_one_that_was_not(
    small_zoo: Zoo, small_config: PretrainConfig, small_run: Path, tmp_path: Path, updates: int
) -> None:
    """At every update: before the first validation, at one, between two, at the last."""
    with pytest.raises(Interruption):
        pretrain(small_zoo, small_config, tmp_path / "run", progress=_stopping_after(updates))
    pretrain(small_zoo, small_config, tmp_path / "run")
    assert _files(tmp_path / "run") == _files(small_run)


@pytest.mark.parametrize("encoder", ["flattened-weights", "layerwise-statistics", "task-blind"])
def test_so_does_one_of_another_encoder(
    small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path, encoder: str
) -> None:
    config = dataclasses.replace(small_config, encoder=encoder, encoder_options={})
    pretrain(small_zoo, config, tmp_path / "whole")
    with pytest.raises(Interruption):
        pretrain(small_zoo, config, tmp_path / "cut", progress=_stopping_after(5))
    pretrain(small_zoo, config, tmp_path / "cut")
    assert _files(tmp_path / "cut") == _files(tmp_path / "whole")


def test_interrupted_again_and_again_it_ends_the_same(
    small_zoo: Zoo, small_config: PretrainConfig, small_run: Path, tmp_path: Path
) -> None:
    """Every start gets a little further; one that reaches no validation begins again at the last one."""
    for updates in (1, 2, 4, 1, 4):
        with pytest.raises(Interruption):
            pretrain(small_zoo, small_config, tmp_path / "run", progress=_stopping_after(updates))
    pretrain(small_zoo, small_config, tmp_path / "run")
    assert _files(tmp_path / "run") == _files(small_run)


@pytest.mark.parametrize(("module", "write"), [(checkpoints, "save_model"), (loop, "save_state")])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_whatever_write_was_the_last_it_ends_the_same(
    small_zoo: Zoo,
    small_config: PretrainConfig,
    small_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    write: str,
    at: int,
) -> None:
    """Killed within the writes of one validation: before the model, or between model and checkpoint."""
    with monkeypatch.context() as patch:
        patch.setattr(module, write, _failing(getattr(module, write), at, Interruption()))
        with pytest.raises(Interruption):
            pretrain(small_zoo, small_config, tmp_path / "run")
    pretrain(small_zoo, small_config, tmp_path / "run")
    assert _files(tmp_path / "run") == _files(small_run)


def test_a_metrics_line_that_was_cut_is_written_again(
    small_zoo: Zoo, small_config: PretrainConfig, small_run: Path, tmp_path: Path
) -> None:
    with pytest.raises(Interruption):
        pretrain(small_zoo, small_config, tmp_path / "run", progress=_stopping_after(5))
    with (tmp_path / "run" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "tra')
    pretrain(small_zoo, small_config, tmp_path / "run")
    assert _files(tmp_path / "run") == _files(small_run)


# -- early stopping --------------------------------------------------------------------------------


def test_training_stops_when_patience_is_out(small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path) -> None:
    """Without learning every validation is the same, so the first one stays the best."""
    config = dataclasses.replace(small_config, num_steps=30, validate_every=2, learning_rate=0.0, patience=3)
    pretrain(small_zoo, config, tmp_path / "run")
    assert [line["step"] for line in read_metrics(tmp_path / "run")] == [2, 4, 6, 8]

    whole = _files(tmp_path / "run")
    pretrain(small_zoo, config, tmp_path / "run")
    assert _files(tmp_path / "run") == whole, "a finished run stays finished"
    with pytest.raises(Interruption):
        pretrain(small_zoo, config, tmp_path / "cut", progress=_stopping_after(5))
    pretrain(small_zoo, config, tmp_path / "cut")
    assert _files(tmp_path / "cut") == whole, "patience counts on over an interruption"


# -- a full disk -----------------------------------------------------------------------------------


@pytest.mark.parametrize("at", range(2, 16))
def test_a_full_disk_leaves_a_run_that_can_be_gone_on_with(
    small_zoo: Zoo,
    small_config: PretrainConfig,
    small_run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    at: int,
) -> None:
    """Whichever write is the first that the disk refuses."""
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", _failing(os.fsync, at, full))
        with pytest.raises(StorageError, match=r"could not be written .*: no space left\n.*free some space.*is kept"):
            pretrain(small_zoo, small_config, tmp_path / "run")
    assert not [path for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]
    pretrain(small_zoo, small_config, tmp_path / "run")
    assert _files(tmp_path / "run") == _files(small_run)


# No file of this process may grow beyond so many bytes: a real refusal by the operating system.
_UNDER_A_SIZE_LIMIT = """
import resource, sys
from rnn2vec.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_a_limit_of_the_operating_system_keeps_the_last_checkpoint(
    tiny_zoo: Zoo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["pretrain", str(tiny_zoo.folder), *SOME_WORK, "--json", "--out"]
    assert main([*command, str(tmp_path / "whole")]) == 0
    changes = {"num_steps": 60, "batch_size": 8, "validate_every": 10}
    config = dataclasses.replace(preset("tiny"), **changes)
    with pytest.raises(Interruption):
        pretrain(tiny_zoo, config, tmp_path / "run", progress=_stopping_after(15))
    checkpoint = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()

    limited = [sys.executable, "-c", _UNDER_A_SIZE_LIMIT, str(len(checkpoint) - 1), *command, str(tmp_path / "run")]
    refused = subprocess.run(limited, capture_output=True, text=True, check=False)
    assert refused.returncode == 1, refused.stderr
    assert "checkpoint.safetensors could not be written" in refused.stderr
    assert "a file-size limit\n  -> free some space" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == checkpoint

    assert main([*command, str(tmp_path / "run")]) == 0
    assert _files(tmp_path / "run") == _files(tmp_path / "whole")
    capsys.readouterr()


# -- killed ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_for_real_it_ends_the_same(tiny_zoo: Zoo, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnn2vec", "pretrain", str(tiny_zoo.folder), *SOME_WORK, "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    killed = [*command, str(tmp_path / "run")]
    for validations in (1, 3):
        _kill_after(killed, tmp_path / "run" / "metrics.jsonl", validations)
        assert len(read_metrics(tmp_path / "run")) < 6, "killed too late to show anything"
    subprocess.run(killed, check=True, capture_output=True)
    assert _files(tmp_path / "run") == _files(tmp_path / "whole")


def _kill_after(command: list[str], metrics: Path, validations: int) -> None:
    """Start a command; `kill -9` it as soon as its metrics have so many lines."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            give_up = time.monotonic() + 120
            while not metrics.exists() or metrics.read_bytes().count(b"\n") < validations:
                assert process.poll() is None, "it ended before it could be killed"
                assert time.monotonic() < give_up, "it did not get there"
                time.sleep(0.002)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
