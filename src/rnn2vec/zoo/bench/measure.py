"""Measure contenders against each other: in turns, several times, in one process.

Other programs slow a machine down for seconds at a time. In turns, that hits all alike, and what is compared is the
ratio within each turn. The share of the machine's peak is that of its bare 32x32 @ 32x128 product, the largest that an
RNN of 32 units consists of, measured in the same turns on as many threads: by BLAS, and by our own, which is faster.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from rnn2vec._progress import Progress, silent
from rnn2vec.execution.cores import torch_threads, usable_cores
from rnn2vec.zoo.backends.numba_backend import NumbaBackend
from rnn2vec.zoo.backends.torch_backend import TorchBackend
from rnn2vec.zoo.bench.contenders import BackendContender, Contender, OneModulePerProcess, StackedTorch
from rnn2vec.zoo.bench.workload import Workload, workload

NUM_RUNS = 32
"""RNNs that contenders train side by side where they can: a shard."""
PEAK_SHAPE = (32, 32, 128)
_PRODUCTS = 2000


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
    share_of_blas: float
    """Of the bare product's peak by BLAS, at the median."""
    share_of_peak: float
    """Of the higher of both peaks."""

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
    speeds: tuple[Speed, ...]
    """The contenders'."""
    peaks: dict[str, tuple[float, ...]]
    """GFLOP/s of the bare product in each turn, by `"blas"` and by `"ours"`."""
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
            "peak_gflops": {name: list(values) for name, values in self.peaks.items()},
            "best_alternative": self.best_alternative.name,
            "speedups": {name: float(np.median(values)) for name, values in ratios.items()},
            "speedups_by_turn": ratios,
            "speedup_over_best_alternative": float(np.median(ratios[ours[0]])),
            "skipped": list(self.skipped),
        }


def compare(family: str, *, turns: int, seconds: float, progress: Progress = silent) -> Comparison:
    """Let everybody train the same in turns.

    Args:
        family: whose RNNs, see `workload`.
        turns: times that each is measured.
        seconds: how long each trains per turn, about.
        progress: told of the turns.

    Raises:
        UsageError: no such family.
    """
    work, cores = workload(family, NUM_RUNS), usable_cores()
    contenders, skipped = _contenders(work, cores)
    peak = PeakProduct(cores)
    try:
        with torch_threads(cores):  # whatever the environment says: this is a comparison
            rates, peaks = _measure(contenders, peak, turns, seconds, progress)
    finally:
        for one in contenders:
            one.close()
    progress(turns, turns, "turns")
    by_blas, by_us = (float(np.median(peaks[name])) for name in ("blas", "ours"))
    speeds: list[Speed] = []
    for one, measured in zip(contenders, rates, strict=True):
        gflops = float(np.median(measured)) * work.flops(one.rows) / 1e9
        shares = gflops / by_blas, gflops / max(by_blas, by_us)
        speeds.append(Speed(one.name, one.is_ours, tuple(measured), gflops, *shares))
    return Comparison(
        family, cores, tuple(speeds), {name: tuple(values) for name, values in peaks.items()}, tuple(skipped)
    )


def _measure(
    contenders: Sequence[Contender], peak: PeakProduct, turns: int, seconds: float, progress: Progress
) -> tuple[list[list[float]], dict[str, list[float]]]:
    """Rates of each contender, and GFLOP/s of the bare products, turn by turn."""
    updates = [updates_for(one, seconds) for one in contenders]
    rates: list[list[float]] = [[] for _ in contenders]
    peaks: dict[str, list[float]] = {"blas": [], "ours": []}
    for turn in range(turns):
        progress(turn, turns, "turns")
        for name, measured in peaks.items():
            measured.append(peak.gflops(name))
        for place, one in enumerate(contenders):
            rates[place].append(_rate(one, updates[place]))
    return rates, peaks


def _contenders(work: Workload, cores: int) -> tuple[list[Contender], list[str]]:
    """Ours first; then what a user would take."""
    merges = work.most <= 32
    contenders: list[Contender] = [BackendContender("numba", NumbaBackend(), work, merged=True)]
    if merges:
        contenders.append(BackendContender("numba, 32 distinct rows", NumbaBackend(), work, merged=False))
    contenders.append(BackendContender("torch", TorchBackend(), work, merged=True))
    contenders.append(StackedTorch("stacked torch, 32 rows", TorchBackend(), work, merged=False))
    contenders.append(OneModulePerProcess(work, cores))
    if importlib.util.find_spec("jax") is None:
        return contenders, ["jax: the package is not installed (pip install 'rnn2vec[jax]')"]
    from rnn2vec.zoo.bench.jax_contender import JaxContender  # noqa: PLC0415 (an optional library)

    return [*contenders, JaxContender("vmap", work), JaxContender("lax.map", work)], []


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


class PeakProduct:
    """How fast the bare product is, on all cores at once.

    Args:
        cores: threads.
    """

    def __init__(self, cores: int) -> None:
        from rnn2vec.zoo.backends.product_kernels import repeated_products  # noqa: PLC0415

        ours, blas = repeated_products(*PEAK_SHAPE)
        self._functions = {"ours": ours, "blas": blas}
        rows, inner, columns = PEAK_SHAPE
        numbers = np.random.default_rng(0)
        shapes = ((rows, inner), (inner, columns), (rows, columns))
        self._matrices = [[1e-3 * numbers.random(shape, dtype=np.float32) for shape in shapes] for _ in range(cores)]
        for function in self._functions.values():
            function(*self._matrices[0], 1)

    def gflops(self, name: str) -> float:
        """Billions of operations per second over all threads, by `"ours"` or by `"blas"` on one thread each."""
        from threadpoolctl import threadpool_limits  # noqa: PLC0415

        def work(matrices: Sequence[np.ndarray]) -> None:
            self._functions[name](*matrices, _PRODUCTS)

        cores = len(self._matrices)
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(cores) as pool:
            started = time.perf_counter()
            list(pool.map(work, self._matrices))
            seconds = time.perf_counter() - started
        return 2 * np.prod(PEAK_SHAPE) * _PRODUCTS * cores / seconds / 1e9


def render(comparison: Comparison) -> str:
    """The comparison as a Markdown table, with a line for who did not take part."""
    head = "| | model-steps/s | spread | GFLOP/s | of BLAS's peak | of the best peak | to the best alternative |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for one in comparison.speeds:
        low, high = min(one.rates), max(one.rates)
        ratio = f"{np.median(comparison.ratios(one.name)):.2f}x"
        name = f"**{one.name}**" if one.is_ours else one.name
        lines.append(
            f"| {name} | {one.median:,.0f} | {low:,.0f}..{high:,.0f} | {one.gflops:.1f} | {one.share_of_blas:.0%} "
            f"| {one.share_of_peak:.0%} | {ratio} |"
        )
    peaks = ", ".join(f"{name} {np.median(values):.0f}" for name, values in comparison.peaks.items())
    shape = "{}x{} @ {}x{}".format(*PEAK_SHAPE[:2], *PEAK_SHAPE[1:])
    lines += ["", f"bare {shape} product on {comparison.cores} cores, GFLOP/s: {peaks}"]
    return "\n".join([*lines, *(f"left out: {one}" for one in comparison.skipped)])
