"""Usage examples in the docstrings of public names run as written."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import rnn2vec
from rnn2vec import Emulator, Interface, Rnn2Vec, RNNSpec, RNNStack, ZooConfig, build_zoo, encoders
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.checkpoints import Model


def _count(stack: Any) -> Tensor:
    return torch.full((len(stack),), stack.spec.num_parameters)


@pytest.fixture
def surroundings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, random_rnns: Callable[..., RNNStack]
) -> dict[str, Any]:
    """What the examples take for granted: public names, two stacks, a zoo and a model in the current folder."""
    monkeypatch.chdir(tmp_path)
    spec = RNNSpec(cell="gru", input_size=4, hidden_size=8, num_layers=1, output_size=4)
    sizes = {"num_runs": 2, "num_steps": 3, "hidden_size": 4, "num_episodes": 5, "num_rollouts": 5}
    build_zoo(ZooConfig(backend="torch", **sizes), "zoo")
    options = {"hidden_size": 8, "mlp_size": 8, "num_sequences": 2, "sequence_length": 3}
    model = Model(
        encoders.build("interactive-probing", spec, **options),
        Emulator.build(spec, representation_size=16, seed=0, hidden_size=8),
        checkpoints.model_config("interactive-probing", options, {"hidden_size": 8}, spec, Interface(), 16, {}),
    )
    Rnn2Vec(model).save("model")
    stacks = {
        "gru_stack": random_rnns(spec),
        "lstm_stack": random_rnns(RNNSpec(cell="lstm", input_size=4, hidden_size=5, num_layers=2, output_size=4)),
    }
    public = {name: getattr(rnn2vec, name) for name in rnn2vec.__all__}
    return {**public, **stacks, "spec": spec, "np": np, "torch": torch, "count_parameters": _count}


def test_every_public_name_has_an_example_that_runs_as_written(surroundings: dict[str, Any]) -> None:
    problems: list[str] = []
    for name in rnn2vec.__all__:
        lines = getattr(rnn2vec, name).__doc__
        (example,) = [doctest.DocTestParser().get_doctest(lines, dict(surroundings), name, None, 0)]
        if len(example.examples) < 3:
            problems.append(f"{name} has {len(example.examples)} lines of an example")
        doctest.DocTestRunner(verbose=False).run(example, out=problems.append)
    assert not problems, "".join(problems)
