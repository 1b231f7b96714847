"""Comparison of contenders, measured several times in turns in one process.

Other programs slow a machine down for seconds at a time. Measuring in turns spreads this over all contenders, and
ratios are taken within each turn. The machine's peak for matrix products is measured in the same turns (`peaks`).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from benchmarks.zoo.contenders import BackendContender, Contender, OneModulePerProcess, StackedTorch
from benchmarks.zoo.peaks import LargeProduct, Peak, SmallProduct
from benchmarks.zoo.workload import BATCH_SIZE, Workload, workload
from rnn2vec._progress import Progress, silent
from rnn2vec.execution.cores import torch_threads, usable_cores
from rnn2vec.zoo.backends.base import Backend
from rnn2vec.zoo.backends.numba_backend import NumbaBackend
from rnn2vec.zoo.backends.torch_backend import TorchBackend
from rnn2vec.zoo.backends.triton_backend import TritonBackend

NUM_RUNS = 32
"""Number of RNNs that contenders train in parallel if they can: a shard."""
NUM_RUNS_ON_GPU = 1000
"""Number of RNNs on a GPU, where a shard is a whole zoo: hundreds of programs, one per RNN, run at once."""


@dataclass(frozen=True)
class Speed:
    """The speed of one contender over all turns."""

    name: str
    """Name of the contender."""
    is_ours: bool
    """True for a backend of this library."""
    rates: tuple[float, ...]
    """Model-steps per second in each turn."""
    gflops: float
    """Median speed of its matrix products, in billions of floating-point operations per second."""
    shares: dict[str, float]
    """Share of each peak that the median speed reaches, by the peak's name."""

    @property
    def median(self) -> float:
        """Median of the rates, in model-steps per second."""
        return float(np.median(self.rates))


@dataclass(frozen=True)
class Comparison:
    """The speeds of all contenders on one workload."""

    family: str
    """Task family of the RNNs."""
    cores: int
    """Number of cores used."""
    peak: str
    """Description of the product whose peaks were measured."""
    speeds: tuple[Speed, ...]
    """Speeds of the contenders."""
    peaks: dict[str, tuple[float, ...]]
    """Speed of that product in each turn, in GFLOP/s, by its implementation or precision."""
    skipped: tuple[str, ...]
    """Contenders that could not be measured, with reasons."""

    @property
    def best_alternative(self) -> Speed:
        """The contender with the largest median rate that is not a backend of this library."""
        return max((one for one in self.speeds if not one.is_ours), key=lambda one: one.median)

    def ratios(self, name: str) -> Float[np.ndarray, " R"]:
        """Compute a contender's speed relative to the best alternative in each turn."""
        (ours,) = (one for one in self.speeds if one.name == name)
        return np.array(ours.rates) / np.array(self.best_alternative.rates)

    def to_dict(self) -> dict[str, Any]:
        """Return the comparison as JSON-ready values."""
        ours = [one.name for one in self.speeds if one.is_ours]
        ratios = {name: [round(float(ratio), 3) for ratio in self.ratios(name)] for name in ours}
        return {
            "family": self.family,
            "cores": self.cores,
            "contenders": [{**dataclasses.asdict(one), "median": one.median} for one in self.speeds],
            "peak": self.peak,
            "peak_gflops": {name: list(values) for name, values in self.peaks.items()},
            "best_alternative": self.best_alternative.name,
            "speedups": {name: float(np.median(values)) for name, values in ratios.items()},
            "speedups_by_turn": ratios,
            "speedup_over_best_alternative": float(np.median(ratios[ours[0]])),
            "skipped": list(self.skipped),
        }


def compare(family: str, *, turns: int, seconds: float, device: str = "cpu", progress: Progress = silent) -> Comparison:
    """Let all contenders train the same runs in turns.

    Args:
        family: task family of the RNNs, see `workload`.
        turns: number of measurements of each contender.
        seconds: approximate training time of each contender per turn, in seconds.
        device: `"cpu"`, or a GPU such as `"cuda"`, which has its own contenders and peak.
        progress: callback that receives the number of turns done.

    Raises:
        UsageError: if the family or the device is not available.
    """
    on_cpu, cores = device == "cpu", usable_cores()
    work = workload(family, NUM_RUNS if on_cpu else NUM_RUNS_ON_GPU)
    contenders, skipped = _contenders(work, cores) if on_cpu else _contenders_on_gpu(work, device)
    peak = SmallProduct(cores) if on_cpu else LargeProduct(device)
    try:
        with torch_threads(cores):  # overrides the environment, for a fair comparison
            rates, peaks = _measure(contenders, peak, turns, seconds, progress)
    finally:
        for one in contenders:
            one.close()
    progress(turns, turns, "turns")
    speeds = [_speed(one, work, measured, peaks) for one, measured in zip(contenders, rates, strict=True)]
    measured_peaks = {name: tuple(values) for name, values in peaks.items()}
    return Comparison(family, cores, peak.what, tuple(speeds), measured_peaks, tuple(skipped))


def _speed(one: Contender, work: Workload, rates: Sequence[float], peaks: dict[str, list[float]]) -> Speed:
    gflops = float(np.median(rates)) * work.flops(one.rows) / 1e9
    shares = {name: gflops / float(np.median(values)) for name, values in peaks.items()}
    return Speed(one.name, one.is_ours, tuple(rates), gflops, shares)


def _measure(
    contenders: Sequence[Contender], peak: Peak, turns: int, seconds: float, progress: Progress
) -> tuple[list[list[float]], dict[str, list[float]]]:
    """Measure the rates of each contender and the GFLOP/s of the bare product in each turn."""
    updates = [updates_for(one, seconds) for one in contenders]
    rates: list[list[float]] = [[] for _ in contenders]
    peaks: dict[str, list[float]] = {name: [] for name in peak.names}
    for turn in range(turns):
        progress(turn, turns, "turns")
        for name, measured in peaks.items():
            measured.append(peak.gflops(name))
        for place, one in enumerate(contenders):
            rates[place].append(_rate(one, updates[place]))
    return rates, peaks


def _contenders(work: Workload, cores: int) -> tuple[list[Contender], list[str]]:
    """Build the contenders on a CPU, our backends first; return them with reasons for missing ones."""
    contenders: list[Contender] = [
        *_merged_and_not("numba", NumbaBackend(), work),
        BackendContender("torch", TorchBackend(), work, merged=True),
        StackedTorch("stacked torch, 32 rows", TorchBackend(), work, merged=False),
        OneModulePerProcess(work, cores),
    ]
    if importlib.util.find_spec("jax") is None:
        return contenders, ["jax: the package is not installed (pip install 'rnn2vec[jax]')"]
    from benchmarks.zoo.jax_contender import JaxContender

    return [*contenders, JaxContender("vmap", work), JaxContender("lax.map", work)], []


def _contenders_on_gpu(work: Workload, device: str) -> tuple[list[Contender], list[str]]:
    """Build the contenders on a GPU, our backends first; return them with reasons for missing ones."""
    torch_backend, kernels = TorchBackend(device), TritonBackend(device)
    contenders: list[Contender] = [
        BackendContender("torch", torch_backend, work, merged=True),
        StackedTorch("stacked torch, 32 rows", torch_backend, work, merged=False),
    ]
    obstacle = kernels.obstacle(work.spec, work.examples[0].kind)
    if obstacle is not None:
        return contenders, [f"triton: {obstacle}"]
    return [*_merged_and_not("triton", kernels, work), *contenders], []


def _merged_and_not(name: str, backend: Backend, work: Workload) -> list[Contender]:
    """Build a contender with a backend as in a build, and one with as many rows as the alternatives if these differ."""
    contenders: list[Contender] = [BackendContender(name, backend, work, merged=True)]
    if work.most <= BATCH_SIZE:
        contenders.append(BackendContender(f"{name}, {BATCH_SIZE} distinct rows", backend, work, merged=False))
    return contenders


def _rate(contender: Contender, updates: int) -> float:
    started = time.perf_counter()
    model_steps = contender.run(updates)
    return model_steps / (time.perf_counter() - started)


def updates_for(contender: Contender, seconds: float) -> int:
    """Choose a number of updates that takes about `seconds`; this also compiles and warms up the contender."""
    contender.run(10)
    started = time.perf_counter()
    contender.run(10)
    return max(10, round(10 * seconds / (time.perf_counter() - started)))


def render(comparison: Comparison) -> str:
    """Format the comparison as a Markdown table, with a line for each contender that was not measured."""
    of_peaks = " | ".join(f"of the product by {name}" for name in comparison.peaks)
    lines = [f"| | model-steps/s | spread | GFLOP/s | {of_peaks} | to the best alternative |"]
    lines.append("|---" * (5 + len(comparison.peaks)) + "|")
    for one in comparison.speeds:
        low, high = min(one.rates), max(one.rates)
        shares = " | ".join(f"{one.shares[name]:.0%}" for name in comparison.peaks)
        ratio = f"{np.median(comparison.ratios(one.name)):.2f}x"
        name = f"**{one.name}**" if one.is_ours else one.name
        lines.append(
            f"| {name} | {one.median:,.0f} | {low:,.0f}..{high:,.0f} | {one.gflops:,.1f} | {shares} | {ratio} |"
        )
    peaks = ", ".join(f"{name} {np.median(values):,.0f}" for name, values in comparison.peaks.items())
    lines += ["", f"{comparison.peak}, GFLOP/s: {peaks}"]
    return "\n".join([*lines, *(f"skipped: {one}" for one in comparison.skipped)])
