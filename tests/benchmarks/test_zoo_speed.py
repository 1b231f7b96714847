"""The benchmark and the estimate of a build: that they measure what they say. No test here looks at a clock."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from benchmarks.zoo import contenders, measure, peaks
from benchmarks.zoo.contenders import BackendContender, OneModulePerProcess, module_trainer
from benchmarks.zoo.measure import Comparison, Speed, render
from benchmarks.zoo.memory import peak_bytes
from benchmarks.zoo.peaks import LargeProduct
from benchmarks.zoo.workload import FAMILIES, as_arrays, workload

from rnn2vec._errors import UsageError
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo import estimate
from rnn2vec.zoo.backends.base import Batches, TrainingState
from rnn2vec.zoo.backends.torch_backend import TorchBackend
from rnn2vec.zoo.backends.triton_backend import TritonBackend
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.estimate import estimate_build

every_family = pytest.mark.parametrize("family", FAMILIES)


# -- workloads -------------------------------------------------------------------------------------


def test_workloads_are_of_the_papers_shapes() -> None:
    languages, digits = (workload(family, 2) for family in FAMILIES)
    assert (languages.num_steps, str(languages.spec)) == (41, "lstm 2x32, 6 inputs, 6 outputs")
    assert (digits.num_steps, str(digits.spec)) == (50, "lstm 2x32, 16 inputs, 10 outputs")


def test_nine_products_of_an_lstm_and_three_of_its_readout() -> None:
    bare = 2 * 32 * 32 * 128
    assert workload("formal-languages", 1).flops(32) == 41 * (9 * bare + 3 * 2 * 32 * 32 * 6)
    pixels = 2 * 2 * 32 * 16 * 128  # forward, and for the gradient of the weights
    assert workload("tiled-mnist", 1).flops(32) == 50 * (9 * bare + pixels + 3 * 2 * 32 * 32 * 10)


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(UsageError, match=r"unknown family 'tiled-mnits'\n.*did you mean 'tiled-mnist'\?"):
        workload("tiled-mnits", 1)


def test_batches_are_merged_where_that_saves_work() -> None:
    work = workload("formal-languages", 2)
    generators = [np.random.default_rng(run) for run in range(2)]
    assert work.batches(3, generators, merged=True).rows.shape == (2, 3, 10)
    assert work.batches(3, generators, merged=False).rows.shape == (2, 3, 32)


@every_family
def test_arrays_by_hand_are_what_backends_read(family: str) -> None:
    """Compare the gradients of one update of the torch backend and one of plain torch on the same rows."""
    work = workload(family, 1)
    inputs, targets = as_arrays(work.examples[0], work.spec.input_size)
    rows = np.arange(5, dtype=np.int32)
    backend = BackendContender("torch", TorchBackend(), work, merged=True)
    state = TrainingState.start(contenders.initial_weights(work.spec, 1))
    batches = Batches(rows[None, None], np.full((1, 1, 5), 0.2, dtype=np.float32))
    TorchBackend().train(work.spec, backend._padded, state, batches, np.array([0.1]), np.zeros(1))
    (net,) = RNNStack.from_flat(work.spec, torch.from_numpy(contenders.initial_weights(work.spec, 1))).to_modules()
    outputs, _ = net(torch.from_numpy(inputs[rows]))
    torch.nn.functional.cross_entropy(outputs.flatten(0, 1), torch.from_numpy(targets[rows]).flatten()).backward()
    gradient = np.concatenate([np.asarray(one.grad).ravel() for one in net.parameters()])
    np.testing.assert_allclose(state.first_moments[0] / 0.1, gradient, atol=1e-6)


# -- contenders ------------------------------------------------------------------------------------


def test_a_backend_makes_as_many_updates_as_asked() -> None:
    contender = BackendContender("torch", TorchBackend(), workload("formal-languages", 2), merged=True)
    assert contender.run(3) == 6
    assert contender._state.step == 3
    assert contender.rows == 10


def test_the_loop_by_hand_learns() -> None:
    work = workload("formal-languages", 1)
    inputs, targets = as_arrays(work.examples[0], work.spec.input_size)
    train = module_trainer(work.spec, inputs, targets)

    @torch.no_grad()
    def loss() -> float:
        outputs, _ = train(0)(torch.from_numpy(inputs))
        return float(torch.nn.functional.cross_entropy(outputs.flatten(0, 1), torch.from_numpy(targets).flatten()))

    before = loss()
    train(60)
    assert loss() < before / 1.5


@pytest.fixture
def processes() -> Iterator[OneModulePerProcess]:
    contender = OneModulePerProcess(workload("formal-languages", 1), 1)
    yield contender
    contender.close()


@pytest.mark.slow
def test_a_process_trains_until_it_is_told_to_end(processes: OneModulePerProcess) -> None:
    assert processes.run(2) == 2
    assert processes.run(3) == 3
    (process,) = processes._processes
    assert process.is_alive()


# -- comparing -------------------------------------------------------------------------------------


@pytest.fixture
def comparison() -> Comparison:
    ours = Speed("numba", True, (400.0, 800.0, 300.0), 50.0, {"blas": 0.9, "ours": 0.5})
    better = Speed("stacked", False, (100.0, 200.0, 100.0), 10.0, {"blas": 0.2, "ours": 0.1})
    worse = Speed("alone", False, (90.0, 90.0, 90.0), 9.0, {"blas": 0.2, "ours": 0.1})
    peaks = {"blas": (55.0,), "ours": (100.0,)}
    return Comparison("formal-languages", 2, "a product", (ours, worse, better), peaks, ("jax: no",))


def test_the_speedup_is_over_the_best_alternative_turn_by_turn(comparison: Comparison) -> None:
    found = comparison.to_dict()
    assert comparison.best_alternative.name == found["best_alternative"] == "stacked"
    assert found["speedups_by_turn"] == {"numba": [4.0, 4.0, 3.0]}
    assert found["speedup_over_best_alternative"] == 4.0


def test_the_table_names_every_contender(comparison: Comparison) -> None:
    text = render(comparison)
    assert "| GFLOP/s | of the product by blas | of the product by ours |" in text
    assert "| **numba** | 400 | 300..800 | 50.0 | 90% | 50% | 4.00x |" in text
    assert "a product, GFLOP/s: blas 55, ours 100\nskipped: jax: no" in text


@pytest.mark.slow
def test_a_comparison_measures_every_contender(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "NUM_RUNS", 2)
    found = measure.compare("formal-languages", turns=2, seconds=0.01).to_dict()
    names = [one["name"] for one in found["contenders"]]
    assert names[:2] == ["numba", "numba, 32 distinct rows"]
    assert all(len(one["rates"]) == 2 for one in found["contenders"])
    assert found["speedup_over_best_alternative"] > 0
    assert len(found["peak_gflops"]["blas"]) == 2


# -- on a GPU --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("triton")
@pytest.mark.parametrize(
    ("family", "distinct"), [("formal-languages", ["triton, 32 distinct rows"]), ("tiled-mnist", [])]
)
def test_triton_and_torch_take_part_on_a_gpu(family: str, distinct: list[str]) -> None:
    """Here Triton's interpreter stands for the GPU."""
    found, skipped = measure._contenders_on_gpu(workload(family, 1), "cpu")
    assert [one.name for one in found if one.is_ours] == ["triton", *distinct, "torch"]
    assert [one.name for one in found if not one.is_ours] == ["stacked torch, 32 rows"]
    assert skipped == []


def test_triton_is_left_out_for_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TritonBackend, "obstacle", lambda *_: "it is not installed")
    found, skipped = measure._contenders_on_gpu(workload("formal-languages", 1), "cpu")
    assert [one.name for one in found] == ["torch", "stacked torch, 32 rows"]
    assert skipped == ["triton: it is not installed"]


class MadeUpProduct(LargeProduct):
    """A product that needs no GPU, with 4000 and 16,000 GFLOP/s."""

    def __init__(self, device: str) -> None:
        self.what = f"product on {device}"

    def gflops(self, name: str) -> float:
        return {"float32": 4000.0, "TF32": 16_000.0}[name]


def test_shares_are_of_the_large_product_with_and_without_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    work, backend = workload("formal-languages", 1), TorchBackend()
    ours = BackendContender("triton", backend, work, merged=True)
    alternative = contenders.StackedTorch("stacked torch", backend, work, merged=False)
    rates = {"triton": 1e12 / work.flops(10), "stacked torch": 0.5e12 / work.flops(10)}
    monkeypatch.setattr(measure, "LargeProduct", MadeUpProduct)
    monkeypatch.setattr(measure, "_contenders_on_gpu", lambda *_: ([ours, alternative], []))
    monkeypatch.setattr(measure, "updates_for", lambda *_: 1)
    monkeypatch.setattr(measure, "_rate", lambda one, _: rates[one.name])
    found = measure.compare("formal-languages", turns=3, seconds=1, device="cuda").to_dict()
    assert found["peak"] == "product on cuda"
    assert found["peak_gflops"] == {"float32": [4000] * 3, "TF32": [16_000] * 3}
    assert found["contenders"][0]["gflops"] == pytest.approx(1000)
    assert found["contenders"][0]["shares"] == pytest.approx({"float32": 1 / 4, "TF32": 1 / 16})
    assert found["speedup_over_best_alternative"] == 2


def test_the_large_product_is_counted_right_in_each_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """2 products of 2 * 64^3 operations between two looks at a clock, a second apart."""
    monkeypatch.setattr(LargeProduct, "SIZE", 64)
    monkeypatch.setattr(LargeProduct, "TIMES", 2)
    precisions: list[str] = []

    def clock() -> float:
        precisions.append(torch.get_float32_matmul_precision())
        return float(len(precisions))

    monkeypatch.setattr(peaks.time, "perf_counter", clock)
    before, product = torch.get_float32_matmul_precision(), LargeProduct("cpu")
    assert product.what == "64x64 product on cpu"
    assert [product.gflops(name) for name in product.names] == [pytest.approx(2 * 2 * 64**3 / 1e9)] * 2
    assert precisions == ["highest", "highest", "high", "high"]
    assert torch.get_float32_matmul_precision() == before


# -- the estimate ----------------------------------------------------------------------------------


@pytest.mark.parametrize("num_runs", [2, 20, 100])
def test_where_time_and_disk_are_linear_the_estimate_is_what_they_are(
    num_runs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a second once, 1 ms an update, 0.1 ms an episode of a snapshot; 7 kB a shard and 60 bytes a snapshot."""

    def cost(config: ZooConfig, runs: int, steps: int, device: str = "cpu") -> estimate._Sample:
        assert device == "cpu"
        built = dataclasses.replace(config, num_runs=runs, num_steps=steps)
        shards = -(-runs // config.runs_per_shard)
        seconds = 0.5 + 1e-3 * runs * steps + 1e-4 * config.num_episodes * built.num_rnns
        return estimate._Sample(seconds, built.num_rnns, 7000 * shards + 60 * built.num_rnns)

    monkeypatch.setattr(estimate, "_build", cost)
    config = ZooConfig(num_runs=num_runs)
    estimated, truth = estimate_build(config), cost(config, num_runs, config.num_steps)
    assert estimated.seconds == pytest.approx(truth.seconds, rel=0.01)
    assert estimated.disk_bytes == pytest.approx(truth.shard_bytes, rel=1e-6)


@pytest.mark.slow
def test_memory_is_that_of_this_process() -> None:
    before = peak_bytes()
    block = np.ones(before // 8 + 1)
    assert peak_bytes() >= block.nbytes


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples of hardly any time: their size is what is looked at."""
    monkeypatch.setattr(estimate, "_SECONDS_OF_UPDATES", 0.1)


@pytest.mark.usefixtures("hasty")
@pytest.mark.slow
def test_the_estimate_knows_the_size_of_the_zoo(tmp_path: Path) -> None:
    config = ZooConfig(
        num_runs=4, num_steps=150, hidden_size=8, num_rollouts=10, num_episodes=10, runs_per_shard=2, backend="torch"
    )
    estimated = estimate_build(config)
    build_zoo(config, tmp_path / "zoo")
    size = sum(path.stat().st_size for path in (tmp_path / "zoo" / "shards").iterdir())
    assert estimated.disk_bytes == pytest.approx(size, rel=0.1)
    assert estimated.seconds > 0
    assert estimated.peak_bytes > 50e6


@pytest.mark.usefixtures("hasty")
@pytest.mark.slow
def test_more_steps_are_estimated_to_take_longer() -> None:
    config = ZooConfig(
        num_runs=2, num_steps=100, hidden_size=4, num_rollouts=5, num_episodes=5, runs_per_shard=2, backend="torch"
    )
    longer = dataclasses.replace(config, num_steps=10_000)
    assert estimate_build(longer).seconds > 10 * estimate_build(config).seconds
