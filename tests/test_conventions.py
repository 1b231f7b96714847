"""What people try: len, indexes, slices and loops; a path in the constructor; a device; a misspelt argument."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

import rnn2vec
from rnn2vec import Rnn2Vec, RNNSpec, RNNStack, Zoo, encoders
from rnn2vec._errors import UsageError
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


def test_a_model_is_a_name_or_a_folder_and_moves(random_rnns: Callable[..., RNNStack], tmp_path: Path) -> None:
    from rnn2vec.embedding.rnn2vec import shipped_names

    name = shipped_names()[0]
    model = Rnn2Vec(name)
    model.save(tmp_path / "model")
    stack = random_rnns(model.spec, 2)
    expected = model.embed(stack)
    assert np.array_equal(Rnn2Vec(tmp_path / "model").to("cpu").embed(stack, device="cpu"), expected)
    with pytest.raises(UsageError, match="torch cannot use device 'gpu'"):
        model.to("gpu")
    with pytest.raises(UsageError, match="torch cannot use device 'gpu'"):
        Rnn2Vec(name, device="gpu")


def test_a_misspelt_argument_is_refused(random_rnns: Callable[..., RNNStack]) -> None:
    from rnn2vec.embedding.rnn2vec import shipped_names

    model = Rnn2Vec(shipped_names()[0])
    with pytest.raises(UsageError, match=r"unknown argument of embed 'batch_size'\n.*Known: "):
        model.embed(random_rnns(model.spec, 1), batch_size=1)
    with pytest.raises(UsageError, match="'hidden_sise'"):
        encoders.build("interactive-probing", SPEC, hidden_sise=3)
    for call in (rnn2vec.load_rnn, Zoo.open, Rnn2Vec.from_pretrained):
        with pytest.raises(TypeError, match="unexpected keyword argument 'batch_size'"):
            call("nothing", batch_size=1)


def test_the_package_is_typed_and_its_page_complete() -> None:
    assert resources.files("rnn2vec").joinpath("py.typed").is_file()
    for name in rnn2vec.__all__:
        assert getattr(rnn2vec, name) is not None
