"""Measure contenders against each other: in turns, several times, in one process.

Other programs slow a machine down for seconds at a time. In turns, that hits all alike, and what is compared is the
ratio within each turn. What the machine reaches in products alone is measured in the same turns (`peaks`).
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
"""RNNs that contenders train side by side where they can: a shard."""
NUM_RUNS_ON_GPU = 1000
"""The same on a GPU, where a shard is a whole zoo: a program for each RNN, and hundreds run at once."""


@dataclass(frozen=True)
class Speed:
    """Model-steps per second of one contender, over all turns."""

    name: str
    """Who."""
    is_ours: bool
    """Whether it is a backend of this library."""
    rates: tuple[float, ...]
    """Model-steps per second in each turn."""
    gflops: float
    """Arithmetic of its matrix products per second, at the median."""
    shares: dict[str, float]
    """Of each peak, by its name, at the medians."""

    @property
    def median(self) -> float:
        """The rate in the middle."""
        return float(np.median(self.rates))


@dataclass(frozen=True)
class Comparison:
    """All contenders on one workload."""

    family: str
    """Whose RNNs."""
    cores: int
    """Cores used."""
    peak: str
    """The product whose peaks these are, and where it was computed."""
    speeds: tuple[Speed, ...]
    """The contenders'."""
    peaks: dict[str, tuple[float, ...]]
    """GFLOP/s of that product in each turn, by the name of the way."""
    skipped: tuple[str, ...]
    """Who could not take part, and why."""

    @property
    def best_alternative(self) -> Speed:
        """The fastest that is not ours, at the median."""
        return max((one for one in self.speeds if not one.is_ours), key=lambda one: one.median)

    def ratios(self, name: str) -> Float[np.ndarray, " R"]:
        """How many times as fast as the best alternative a contender was, turn by turn."""
        (ours,) = (one for one in self.speeds if one.name == name)
        return np.array(ours.rates) / np.array(self.best_alternative.rates)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready values."""
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
    """Let everybody train the same in turns.

    Args:
        family: whose RNNs, see `workload`.
        turns: times that each is measured.
        seconds: how long each trains per turn, about.
        device: `"cpu"`, or a GPU such as `"cuda"`; each has contenders and a peak of its own.
        progress: told of the turns.

    Raises:
        UsageError: no such family, or no such device here.
    """
    on_cpu, cores = device == "cpu", usable_cores()
    work = workload(family, NUM_RUNS if on_cpu else NUM_RUNS_ON_GPU)
    contenders, skipped = _contenders(work, cores) if on_cpu else _contenders_on_gpu(work, device)
    peak = SmallProduct(cores) if on_cpu else LargeProduct(device)
    try:
        with torch_threads(cores):  # whatever the environment says: this is a comparison
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
    """Rates of each contender, and GFLOP/s of the bare product, turn by turn."""
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
    """Ours first; then what a user would take."""
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
    """Ours first; then batched products in torch."""
    torch_backend, kernels = TorchBackend(device), TritonBackend(device)
    contenders: list[Contender] = [
        BackendContender("torch", torch_backend, work, merged=True),
        StackedTorch("stacked torch, 32 rows", torch_backend, work, merged=False),
    ]
    obstacle = kernels.obstacle(work.spec)
    if obstacle is not None:
        return contenders, [f"triton: {obstacle}"]
    return [*_merged_and_not("triton", kernels, work), *contenders], []


def _merged_and_not(name: str, backend: Backend, work: Workload) -> list[Contender]:
    """A backend as in a build, and on as many rows as the alternatives where that is something else."""
    contenders: list[Contender] = [BackendContender(name, backend, work, merged=True)]
    if work.most <= BATCH_SIZE:
        contenders.append(BackendContender(f"{name}, {BATCH_SIZE} distinct rows", backend, work, merged=False))
    return contenders


def _rate(contender: Contender, updates: int) -> float:
    started = time.perf_counter()
    model_steps = contender.run(updates)
    return model_steps / (time.perf_counter() - started)


def updates_for(contender: Contender, seconds: float) -> int:
    """So many updates that they take about so long; it compiles and warms up on the way."""
    contender.run(10)
    started = time.perf_counter()
    contender.run(10)
    return max(10, round(10 * seconds / (time.perf_counter() - started)))


def render(comparison: Comparison) -> str:
    """The comparison as a Markdown table, with a line for who did not take part."""
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
    return "\n".join([*lines, *(f"left out: {one}" for one in comparison.skipped)])
