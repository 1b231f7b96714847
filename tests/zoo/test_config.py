"""The config of a zoo: what it refuses, its schedule and its snapshots."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec._errors import UsageError
from rnn2vec.zoo.config import PRESETS, ZooConfig, preset

NUM_STEPS = st.integers(1, 50_000)


def test_the_defaults_are_the_papers() -> None:
    config = ZooConfig()
    assert config == preset("paper")
    assert config.num_rnns == 9000
    assert config.snapshot_steps == (0, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000)
    assert [config.learning_rate(step) for step in (0, 10_000, 20_000)] == pytest.approx([0.01, 0.003, 0.0003])


@given(NUM_STEPS)
def test_snapshots_begin_with_the_untrained_and_end_with_the_last(num_steps: int) -> None:
    steps = ZooConfig(num_steps=num_steps).snapshot_steps
    assert steps[0] == 0
    assert steps[-1] == num_steps
    assert list(steps) == sorted(set(steps))
    assert set(steps[:-1]) <= set(ZooConfig().snapshot_steps)


@given(st.sampled_from([1, 4, 5, 20, 500, 10_000]), st.data())
def test_a_shorter_run_has_its_breakpoints_at_the_same_fractions(shorter: int, data: st.DataObject) -> None:
    short, paper = ZooConfig(num_steps=20_000 // shorter), ZooConfig()
    step = data.draw(st.integers(0, short.num_steps))
    assert short.learning_rate(step) == pytest.approx(paper.learning_rate(step * shorter))


@given(NUM_STEPS)
def test_the_learning_rate_falls_from_the_first_to_the_last(num_steps: int) -> None:
    config = ZooConfig(num_steps=num_steps)
    rates = [config.learning_rate(round(share * num_steps / 20)) for share in range(21)]
    assert rates == sorted(rates, reverse=True)
    assert (rates[0], rates[-1]) == (0.01, pytest.approx(0.0003))


def test_the_schedule_is_linear_between_three_numbers() -> None:
    config = ZooConfig(num_steps=100, learning_rates=(1.0, 0.5, 0.1))
    assert [config.learning_rate(step) for step in (0, 25, 50, 75)] == pytest.approx([1.0, 0.75, 0.5, 0.3])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        *[
            ({name: 0}, rf"^{name}=0\n.*at least 1")
            for name in ("num_runs", "num_steps", "batch_size", "num_rollouts", "num_episodes", "runs_per_shard")
        ],
        ({"num_runs": -3}, r"num_runs=-3"),
        ({"num_rollouts": 11, "num_episodes": 10}, r"num_rollouts=11 of num_episodes=10\n.*at least as many episodes"),
        ({"seed": -1}, r"seed=-1\n.*0 or more"),
        ({"weight_decay": -0.1}, r"weight_decay=-0.1\n.*0 or more"),
        ({"learning_rates": (0.1, 0.2)}, r"learning_rates=\(0.1, 0.2\)\n.*give three"),
    ],
)
@pytest.mark.usefixtures("without_type_checks")
def test_numbers_out_of_range_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        ZooConfig(**changes)


@pytest.mark.parametrize("name", PRESETS)
def test_a_config_comes_back_from_json_as_it_was(name: str) -> None:
    config = dataclasses.replace(PRESETS[name], family_options={"n_max": 5}, seed=2**40)
    assert ZooConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_the_presets_are_those_of_the_design() -> None:
    sizes = {name: (config.num_runs, config.num_steps) for name, config in PRESETS.items()}
    assert sizes["tiny"] == (16, 200)
    assert sizes["laptop"] == (512, 4000)
    assert sizes["paper"] == (1000, 20_000)
    assert set(sizes) == {"tiny", "tour", "laptop", "paper"}
    assert sizes["tour"][0] % 216 == 0, "the tour covers every language equally often"


def test_an_unknown_preset_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown preset 'labtop'\n.*did you mean 'laptop'\?"):
        preset("labtop")
