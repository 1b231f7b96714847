"""The number of usable cores, and of torch's threads."""

from __future__ import annotations

import os

import pytest
import torch

from rnn2vec.execution.cores import torch_threads, usable_cores


def test_cores_are_those_that_this_process_may_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 5, 7}, raising=False)
    assert usable_cores() == 3


@pytest.mark.parametrize(("counted", "usable"), [(6, 6), (None, 1)])
def test_where_a_process_cannot_be_bound_to_cores_all_count(
    monkeypatch: pytest.MonkeyPatch, counted: int | None, usable: int
) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: counted)
    assert usable_cores() == usable


def test_threads_are_as_before_afterwards_and_after_an_error_too() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    with pytest.raises(KeyError), torch_threads(before + 1):
        raise KeyError
    assert torch.get_num_threads() == before
