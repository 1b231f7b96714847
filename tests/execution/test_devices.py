"""Assignment of pieces of work to devices."""

from __future__ import annotations

import pytest
import torch

from rnn2vec._errors import UsageError
from rnn2vec.execution import devices
from rnn2vec.execution.devices import require_device, spread


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "require_device", lambda _: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)


def test_a_piece_for_each_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "usable_cores", lambda: 3)
    assert spread("cpu") == ("cpu",) * 3
    assert spread("cpu", 1) == ("cpu",)
    assert spread("cpu", 5) == ("cpu",) * 5


@pytest.mark.usefixtures("two_gpus")
def test_a_piece_for_each_gpu() -> None:
    assert spread("cuda") == ("cuda:0", "cuda:1")
    assert spread("cuda", 3) == ("cuda:0", "cuda:1", "cuda:0")
    assert spread("cuda:1") == ("cuda:1",)
    assert spread("cuda:1", 2) == ("cuda:1", "cuda:1")


@pytest.mark.parametrize("device", ["cuda:99", "tpu9", "xla"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(UsageError, match=rf"torch cannot use device '{device}' here: .*\n  -> use cpu"):
        require_device(device)
    with pytest.raises(UsageError, match="torch cannot use device"):
        spread(device)


@pytest.mark.parametrize("workers", [0, -1])
def test_some_workers_are_needed(workers: int) -> None:
    with pytest.raises(UsageError, match=rf"workers={workers}\n.*at least 1"):
        spread("cpu", workers)
