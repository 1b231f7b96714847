"""The bench: what it measures is the real thing, and its baseline computes the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from benchmarks.encoders.speed import PER_MODULE, WORKLOADS, PerModuleBlackBox, Spread, measure_speed
from benchmarks.encoders.table import speed_markdown

from rnn2vec._errors import UsageError
from rnn2vec.emulation.config import PRESETS
from rnn2vec.rnn.stack import RNNStack


@pytest.mark.parametrize("workload", list(WORKLOADS))
def test_modules_under_vmap_do_what_the_stack_does(random_rnns: Callable[..., RNNStack], workload: str) -> None:
    spec, stack = WORKLOADS[workload].spec, random_rnns(WORKLOADS[workload].spec, 3)
    box = PerModuleBlackBox(stack, input_kind="continuous", output_kind="continuous")
    inputs = torch.randn(3, 2, spec.input_size, generator=torch.Generator().manual_seed(0))
    ours, theirs = stack.initial_state(2), box.initial_state(2)
    for _ in range(3):
        (expected, ours), (outputs, theirs) = stack.step(inputs, ours), box.step(inputs, theirs)
        torch.testing.assert_close(outputs, expected)


def test_every_candidate_is_measured_in_every_round() -> None:
    names = ("flattened-weights", "interactive-probing")
    heard: list[str] = []
    table = measure_speed(
        "FL", names, size="tiny", rnns=2, rounds=2, kernels=True, progress=lambda *said: heard.append(said[2])
    )
    probing = f"interactive-probing, {PER_MODULE}"
    assert list(table.rows) == ["emulator alone", "flattened-weights", "interactive-probing", probing]
    assert heard == list(table.rows) * 3  # the first round warms up
    assert table.rows["emulator alone"].embedded_per_second is None
    for speed in table.rows.values():
        assert speed.floor_ms > 0
        assert 0 < speed.step_ms.low <= speed.step_ms.median <= speed.step_ms.high

    text = speed_markdown({"FL": table})
    assert text.startswith("**FL**, batches of 2, ")
    assert "1,797,264" in text
    assert text.count("x the step of the stack") == 1


def test_a_spread_is_the_median_and_the_ends() -> None:
    assert Spread.of([3.0, 1.0, 8.0]) == Spread(3.0, 1.0, 8.0)


def test_a_wrong_call_is_refused() -> None:
    with pytest.raises(UsageError, match=r"unknown workload 'MNIST'\n.*Known: FL, SM"):
        measure_speed("MNIST", ())
    with pytest.raises(UsageError, match=r"64 RNNs, 0 rounds\n.*at least 1"):
        measure_speed("FL", (), rounds=0)


def test_the_floor_counts_every_product_of_the_emulator() -> None:
    steps, batch = 41, 2
    emulator = PRESETS["tour"].emulator_hidden_size
    table = measure_speed("FL", (), size="tour", rnns=batch, rounds=1)
    forward = 2 * steps * batch * (2 * 4 * 2 * emulator**2)  # two layers, four gates, inputs and state
    counted = table.rows["emulator alone"].floor_ms * table.peak_gflops.median * 1e6
    assert 3 * forward <= counted <= 1.1 * 3 * forward
