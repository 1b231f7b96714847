"""What people try: len, indexes, slices and loops; a path in the constructor; a device; a misspelt argument."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import rnn2vec
from rnn2vec import Emulator, Interface, Rnn2Vec, RNNSpec, RNNStack, Zoo, encoders
from rnn2vec._errors import UsageError
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig

SPEC = RNNSpec(cell="gru", input_size=4, hidden_size=5, num_layers=1, output_size=4)
MASK = [True, False, False, False, True]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Zoo:
    """Five runs in three shards, two snapshots each."""
    sizes = {"num_runs": 5, "num_steps": 1, "hidden_size": 4, "num_rollouts": 1, "num_episodes": 1, "batch_size": 1}
    return build_zoo(ZooConfig(backend="torch", runs_per_shard=2, **sizes), tmp_path_factory.mktemp("zoo") / "zoo")


@pytest.mark.parametrize(
    ("index", "expected"),
    [(2, [2]), (-1, [4]), (slice(1, 3), [1, 2]), (slice(None, None, -2), [4, 2, 0]), ([3, 0], [3, 0]), (MASK, [0, 4])],
)
def test_a_stack_is_indexed_like_an_array(
    random_rnns: Callable[..., RNNStack], index: int | slice | list[int] | list[bool], expected: list[int]
) -> None:
    stack = random_rnns(SPEC, 5)
    for one in (index, torch.tensor(index) if isinstance(index, list) else index):
        assert torch.equal(stack[one].flatten(), stack.flatten()[expected])


def test_a_stack_is_a_loop_over_stacks_of_one(random_rnns: Callable[..., RNNStack]) -> None:
    stack = random_rnns(SPEC, 5)
    assert torch.equal(torch.cat([one.flatten() for one in stack]), stack.flatten())
    assert len(stack[[]]) == 0
    for bad in (5, -6):
        with pytest.raises(IndexError, match=f"number {bad} of 5 RNNs"):
            _ = stack[bad]


@pytest.mark.parametrize("index", [3, -1, slice(2, 8, 3), [9, 0], [True] + [False] * 9])
def test_a_zoo_is_indexed_like_an_array(zoo: Zoo, index: int | slice | list[int] | list[bool]) -> None:
    everything = zoo.rnns(range(len(zoo)))
    assert torch.equal(zoo[index].flatten(), everything[index].flatten())
    assert torch.equal(zoo[zoo.where(step=1)].flatten(), everything.flatten()[zoo.where(step=1)])


def test_a_zoo_is_a_path_a_loop_and_a_table(zoo: Zoo) -> None:
    again = Zoo(str(zoo.folder))
    assert len(again) == len(list(again)) == 10
    assert torch.equal(torch.cat([one.flatten() for one in again]), zoo.rnns(range(10)).flatten())
    with pytest.raises(IndexError, match="number 10 of 10 RNNs"):
        _ = zoo[10]
    pytest.importorskip("pandas", reason="pandas is not installed (pip install 'rnn2vec[pandas]')")
    frame = zoo.properties.to_pandas()
    assert list(frame["step"]) == [0, 1] * 5


@pytest.fixture
def model() -> Rnn2Vec:
    """An encoder as it is before training."""
    options = {"hidden_size": 8, "mlp_size": 8, "num_sequences": 2, "sequence_length": 3}
    emulator: dict[str, Any] = {"hidden_size": 8, "num_layers": 1}
    return Rnn2Vec(
        Model(
            encoders.build("interactive-probing", SPEC, representation_size=4, **options),
            Emulator.build(SPEC, representation_size=4, seed=0, **emulator),
            checkpoints.model_config("interactive-probing", options, emulator, SPEC, Interface(), 4, {}),
        )
    )


def test_a_model_is_a_folder_and_moves(model: Rnn2Vec, random_rnns: Callable[..., RNNStack], tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    stack = random_rnns(SPEC, 2)
    again = Rnn2Vec(tmp_path / "model", device="cpu")
    assert np.array_equal(again.to("cpu").embed(stack, device="cpu"), model.embed(stack))
    with pytest.raises(UsageError, match="torch cannot use device 'gpu'"):
        model.to("gpu")
    with pytest.raises(UsageError, match="torch cannot use device 'gpu'"):
        Rnn2Vec(tmp_path / "model", device="gpu")
    with pytest.raises(UsageError, match="unknown model or folder 'nothing'"):
        Rnn2Vec("nothing")


def test_a_misspelt_argument_is_refused(model: Rnn2Vec, random_rnns: Callable[..., RNNStack]) -> None:
    with pytest.raises(UsageError, match=r"unknown argument of embed 'batch_size'\n.*Known: "):
        model.embed(random_rnns(SPEC, 1), batch_size=1)
    with pytest.raises(UsageError, match="'hidden_sise'"):
        encoders.build("interactive-probing", SPEC, hidden_sise=3)
    for call in (Zoo.open, Rnn2Vec.from_pretrained):
        with pytest.raises(TypeError, match="unexpected keyword argument 'batch_size'"):
            call("nothing", batch_size=1)


def test_the_package_is_typed_and_its_page_complete() -> None:
    assert resources.files("rnn2vec").joinpath("py.typed").is_file()
    for name in rnn2vec.__all__:
        assert getattr(rnn2vec, name) is not None
