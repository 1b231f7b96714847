"""bfloat16 in the forward pass: what it changes, what it leaves, and where it is refused."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import safetensors.torch
import torch

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec.cli import main
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.training.tracking import read_metrics
from rnn2vec.zoo.store import Zoo

EXACT = ("checkpoint.safetensors", "model.safetensors", "metrics.jsonl")


class Interruption(BaseException):
    """What stands in for `kill -9`."""


@pytest.fixture(autouse=True)
def processor_with_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers are the same on one without, only slower."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


@pytest.fixture
def reduced(small_config: PretrainConfig) -> PretrainConfig:
    """The small config in bfloat16."""
    return dataclasses.replace(small_config, precision="bfloat16")


@pytest.mark.parametrize("encoder", encoders.ENCODERS)
def test_every_encoder_trains_to_nearly_the_same_loss(
    small_zoo: Zoo, small_config: PretrainConfig, tmp_path: Path, encoder: str
) -> None:
    options = small_config.encoder_options if encoder in {"interactive-probing", "noninteractive-probing"} else {}
    lines: list[dict[str, float]] = []
    for precision in ("float32", "bfloat16"):
        config = dataclasses.replace(small_config, encoder=encoder, encoder_options=options, precision=precision)
        pretrain(small_zoo, config, tmp_path / precision)
        lines.append(read_metrics(tmp_path / precision)[-1])
    full, half = lines
    for name in ("train/loss", "validation/total-variation"):
        assert half[name] != full[name], name  # or the option does nothing
        assert half[name] == pytest.approx(full[name], rel=0.03), name


def test_weights_stay_float32(small_zoo: Zoo, reduced: PretrainConfig, tmp_path: Path) -> None:
    pretrain(small_zoo, reduced, tmp_path / "run")
    saved = safetensors.torch.load_file(tmp_path / "run" / "model.safetensors")
    assert {tensor.dtype for tensor in saved.values()} == {torch.float32}


def test_an_interrupted_run_ends_with_the_bytes_of_one_that_was_not(
    small_zoo: Zoo, reduced: PretrainConfig, tmp_path: Path
) -> None:
    made = 0

    def interrupt(done: float, total: float, what: str) -> None:  # noqa: ARG001
        nonlocal made
        made += 1
        if made == 5:
            raise Interruption

    with pytest.raises(Interruption):
        pretrain(small_zoo, reduced, tmp_path / "cut", progress=interrupt)
    for name in ("cut", "whole"):
        pretrain(small_zoo, reduced, tmp_path / name)
    for name in EXACT:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_it_is_refused_where_it_would_be_slow(
    small_zoo: Zoo, reduced: PretrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_f": True, "avx512_bf16": False})
    with pytest.raises(UsageError, match=r"bfloat16 .*10 times slower") as caught:
        pretrain(small_zoo, reduced, tmp_path / "run")
    assert "float32" in caught.value.remedy
    assert not (tmp_path / "run").exists()


def test_the_command_takes_it(small_zoo: Zoo, tmp_path: Path) -> None:
    command = ["pretrain", str(small_zoo.folder), "--out", str(tmp_path / "run"), "--preset", "tiny", "--steps", "2"]
    options = ["--encoder", "layerwise-statistics", "--batch-size", "3", "--precision", "bfloat16"]
    assert main([*command, *options]) == 0
    assert '"precision": "bfloat16"' in (tmp_path / "run" / "run.json").read_text()
