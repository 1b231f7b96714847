"""`python -m benchmarks.zoo` and `benchmarks.product`: a table, JSON, and how time grows.

Nothing here is measured for long enough to be true.
"""

from __future__ import annotations

import json
import multiprocessing
from typing import Any

import numpy as np
import pytest
from benchmarks.zoo import measure, memory, peaks, scale
from benchmarks.zoo.__main__ import main
from benchmarks.zoo.contenders import Contender, module_trainer
from benchmarks.zoo.memory import peak_memory as real_peak_memory
from benchmarks.zoo.peaks import LargeProduct, SmallProduct
from benchmarks.zoo.workload import Workload, as_arrays

from benchmarks import product
from rnn2vec.execution.memory import peak_bytes

HASTY = ("--turns", "2", "--seconds", "0.001")


class OneModuleHere(Contender):
    """The usual training loop, without the start of a process."""

    def __init__(self, work: Workload, number: int) -> None:
        super().__init__("torch.nn, a process per core")
        self._train = module_trainer(work.spec, *as_arrays(work.examples[0], work.spec.input_size))
        self._number = number

    def run(self, updates: int) -> int:
        self._train(updates)
        return self._number * updates


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reduce the benchmark to two RNNs on one core, without other processes and optional libraries."""
    monkeypatch.setattr(measure, "OneModulePerProcess", OneModuleHere)
    for module in (measure, scale):
        monkeypatch.setattr(module, "NUM_RUNS", 2)
        monkeypatch.setattr(module, "usable_cores", lambda: 1)
    monkeypatch.setattr(memory, "peak_memory", lambda family, runs: len(family) * runs)
    find = measure.importlib.util.find_spec
    monkeypatch.setattr(measure.importlib.util, "find_spec", lambda name: None if name == "jax" else find(name))


def test_the_table_names_every_contender(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*HASTY]) == 0
    said = capsys.readouterr().out
    rows = [line.split("|")[1].strip() for line in said.splitlines() if line.startswith("| ")]
    assert rows == [
        "",
        "**numba**",
        "**numba, 32 distinct rows**",
        "**torch**",
        "stacked torch, 32 rows",
        "torch.nn, a process per core",
    ]
    assert "bare 32x32 @ 32x128 product on 1 cores, GFLOP/s: blas " in said
    assert "skipped: jax: the package is not installed (pip install 'rnn2vec[jax]')" in said
    assert "peak memory of a process that trains 64 runs: 0 MB" in said


def test_json_has_every_turn_and_how_time_grows(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiled-mnist", *HASTY, "--scale", "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["family"] == "tiled-mnist"
    assert [len(one["rates"]) for one in found["contenders"]] == [2] * 4
    assert len(found["peak_gflops"]["ours"]) == 2
    alternatives = {one["name"]: one["median"] for one in found["contenders"] if not one["is_ours"]}
    assert found["best_alternative"] == max(alternatives, key=lambda name: alternatives[name])
    assert found["speedup_over_best_alternative"] == found["speedups"]["numba"] > 0
    assert found["peak_bytes_of_64_runs"] == 64 * len("tiled-mnist")
    scaling = found["scaling"]
    assert scaling["cores"] == 1
    for name, turns in scaling["by_turn"].items():
        assert len(turns) == 2
        assert scaling[name] == np.median(turns) > 0


def test_twice_the_work_is_twice_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that shows the model-steps made and runs twice as fast on all cores."""

    def work(contender: Any, updates: int) -> float:
        return updates * len(contender._workload.examples) * (1 if contender is singles[-1] else 0.5)

    singles: list[Any] = []
    contender = scale.BackendContender

    def note(*args: Any, **kwargs: Any) -> Any:
        singles.append(contender(*args, **kwargs))
        return singles[-1]

    monkeypatch.setattr(scale, "BackendContender", note)
    monkeypatch.setattr(scale, "updates_for", lambda *_: 10)
    monkeypatch.setattr(scale, "_seconds", work)
    found = scale.scaling("formal-languages", turns=3, seconds=1).to_dict()
    assert (found["twice_the_runs"], found["twice_the_steps"], found["all_cores"]) == (2, 2, 2)


def test_memory_is_told_by_the_process_that_trained() -> None:
    here, there = multiprocessing.Pipe()
    memory._train_and_report(there, "formal-languages", 1)
    assert here.recv() == peak_bytes()


@pytest.mark.slow
def test_memory_is_that_of_a_process_of_its_own() -> None:
    """The libraries take more than 50 MB, and what this process holds does not count."""
    block = np.ones(50_000_000)
    assert 50e6 < real_peak_memory("formal-languages", 1) < peak_bytes()
    assert block.nbytes == 400_000_000


def test_the_bare_product_is_counted_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """1000 products of 2 * 32 * 32 * 128 operations in a second of a clock that stands still otherwise."""
    peak = SmallProduct(1)
    seconds = iter([0.0, 1.0])
    monkeypatch.setattr(peaks.time, "perf_counter", lambda: next(seconds))
    monkeypatch.setattr(SmallProduct, "TIMES", 1000)
    assert peak.gflops("ours") == pytest.approx(2 * 32 * 32 * 128 * 1000 / 1e9)


def test_the_products_of_the_verb(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SmallProduct, "TIMES", 10)
    assert product.main(["--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"blas", "ours"}


@pytest.mark.parametrize("wrong", [("--turns", "0"), ("--seconds", "0")])
def test_no_turns_are_a_wrong_call(wrong: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*wrong]) == 2
    assert "give at least 1 turn of some length" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--device", "cuda:99"), "torch cannot use device 'cuda:99' here"),
        (("--device", "cuda", "--scale"), "--scale --device cuda\n  -> omit one: --scale measures numba."),
    ],
)
def test_a_gpu_that_is_not_there_and_scaling_on_one_are_refused(
    asked: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*HASTY, *asked]) == 2
    assert said in capsys.readouterr().err


def test_on_a_gpu_the_table_is_of_the_gpu(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Here a second name of the CPU stands for it, as where Triton is missing."""
    monkeypatch.setattr(measure, "NUM_RUNS_ON_GPU", 1)
    monkeypatch.setattr(LargeProduct, "SIZE", 16)
    monkeypatch.setattr(measure.TritonBackend, "obstacle", lambda *_: "it is missing")
    assert main([*HASTY, "--device", "cpu:0"]) == 0
    said = capsys.readouterr().out
    assert "| of the product by float32 | of the product by TF32 |" in said
    assert "16x16 product on cpu:0, GFLOP/s: float32 " in said
    assert "skipped: triton: it is missing" in said
    assert "peak memory" not in said
