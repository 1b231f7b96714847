"""Time of pre-training steps and of embedding, compared with a lower bound and with a straightforward implementation.

The time that matters to a user is that of a pre-training step: outputs of a batch of RNNs on their rollouts,
representations, emulation, loss, gradients, clipping, AdamW. It is measured on RNNs with random weights (the arithmetic
is the same) of the paper's two kinds, and compared with

- the *floor*: the time of the step's matrix products at the machine's peak, measured in the same round. The products
  are those of PyTorch's path, so that kernels that need fewer do not lower their own floor. The peak is
  that of one large product or of one wide fused LSTM layer, whichever is faster (PyTorch computes the two with
  different libraries, and on some processors one is twice as fast as the other). No implementation of the same
  products can be faster;
- the *emulator alone* on constant vectors, which is part of every encoder's step;
- *per module*: the same probing encoder with the probed RNNs as `torch.nn` modules under `torch.func.vmap` and
  `functional_call`, the obvious implementation without stacked weights.

Candidates are measured in turns, round by round, so that fluctuations of the machine affect all of them.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rnn2vec import encoders
from rnn2vec._errors import UsageError, unknown_name
from rnn2vec._progress import Progress, silent
from rnn2vec._seeding import seeded_modules, torch_generator
from rnn2vec._shapes import InputSequences, InputStep, OutputStep
from rnn2vec.emulation import losses
from rnn2vec.emulation.config import PRESETS, preset
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.encoders.base import WeightEncoder, count_parameters
from rnn2vec.rnn import fused
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.interface import Interface, Kind
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

PER_MODULE = "per module"
"""Suffix of an encoder's name if the probed RNNs are modules under `vmap`."""
_PEAK_SIZE = 1024
_PROBING = ("noninteractive-probing", "interactive-probing")


@dataclass(frozen=True)
class Workload:
    """The RNNs of one of the paper's zoos, and their rollouts."""

    spec: RNNSpec
    interface: Interface
    num_steps: int
    """Number of steps of a rollout."""
    num_probes: int
    """Number of probes of a probing sequence."""


WORKLOADS: dict[str, Workload] = {
    "FL": Workload(
        RNNSpec(cell="lstm", input_size=6, hidden_size=32, num_layers=2, output_size=6),
        Interface(input_kind="categorical", output_kind="categorical", first_input=(0, 0, 0, 0, 1, 0)),
        num_steps=41,
        num_probes=22,
    ),
    "SM": Workload(
        RNNSpec(cell="lstm", input_size=16, hidden_size=32, num_layers=2, output_size=10),
        Interface(first_input=(0.0,) * 16, input_range=(-0.42, 2.82)),
        num_steps=50,
        num_probes=50,
    ),
}
"""Formal languages and tiled sequential MNIST, by short name."""


@dataclass(frozen=True)
class Spread:
    """Median, smallest and largest of repeated measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """Summarize measurements."""
        return cls(float(np.median(values)), min(values), max(values))


@dataclass(frozen=True)
class Speed:
    """The speed of an encoder on one workload."""

    parameters: int
    """Number of parameters of the encoder."""
    step_ms: Spread
    """Time of a pre-training step, in milliseconds."""
    floor_ms: float
    """Time of its matrix products at the machine's peak, in milliseconds."""
    embedded_per_second: Spread | None
    """Number of RNNs embedded per second; None for the emulator alone."""


@dataclass(frozen=True)
class SpeedTable:
    """The speed of all encoders on one workload, measured in turns."""

    rnns: int
    """Number of RNNs in a batch."""
    threads: int
    """Number of PyTorch's threads."""
    peak_gflops: Spread
    """Peak of the machine, in billions of floating-point operations per second, from which floors are computed."""
    rows: Mapping[str, Speed]
    """Speeds by encoder, with `emulator alone` and `<encoder>, per module`."""


def measure_speed(
    workload: str,
    names: tuple[str, ...],
    *,
    size: str = "paper",
    rnns: int = 64,
    rounds: int = 7,
    device: str = "cpu",
    seed: int = 0,
    kernels: bool = False,
    progress: Progress = silent,
) -> SpeedTable:
    """Time pre-training steps and embedding.

    Args:
        workload: `FL` or `SM`.
        names: names of encoders.
        size: preset that determines the sizes of encoders and emulator.
        rnns: number of RNNs in a batch.
        rounds: number of measurements of each candidate, after a warm-up.
        device: device to compute on.
        seed: seed of weights and rollouts.
        kernels: whether to use compiled kernels where they fit, as long trainings do.
        progress: callback that receives the number of measurements done.

    Raises:
        UsageError: if the workload or an encoder is unknown, or there is less than one RNN or round.
    """
    if workload not in WORKLOADS:
        raise unknown_name("workload", workload, WORKLOADS)
    if min(rnns, rounds) < 1:
        raise UsageError(f"{rnns} RNNs, {rounds} rounds", remedy="give at least 1 of each.")
    bench = _Bench(WORKLOADS[workload], size, rnns, torch.device(device), seed, kernels=kernels)
    candidates = {"emulator alone": bench.candidate("task-blind", timed_embedding=False)}
    for name in names:
        candidates[name] = bench.candidate(name)
        if name in _PROBING:
            candidates[f"{name}, {PER_MODULE}"] = bench.candidate(name, per_module=True)
    return _in_turns(bench, candidates, rounds, progress)


def _in_turns(bench: _Bench, candidates: dict[str, _Candidate], rounds: int, progress: Progress) -> SpeedTable:
    peaks: list[float] = []
    for done in range(rounds + 1):
        peaks.append(bench.peak_gflops())
        for number, (name, candidate) in enumerate(candidates.items()):
            progress(done * len(candidates) + number, (rounds + 1) * len(candidates), name)
            candidate.measure()
    peak = Spread.of(peaks[1:])
    rows = {name: candidate.result(peak.median) for name, candidate in candidates.items()}
    return SpeedTable(bench.num_rnns, torch.get_num_threads(), peak, rows)


class _Bench:
    """A batch of RNNs with rollouts, from which candidates are built."""

    def __init__(
        self, workload: Workload, size: str, num_rnns: int, device: torch.device, seed: int, *, kernels: bool
    ) -> None:
        self.kernels = kernels
        self.workload, self.size, self.num_rnns, self.device, self.seed = workload, size, num_rnns, device, seed
        spec, generator = workload.spec, torch_generator(seed, "speed")
        flat = 0.4 * torch.randn(num_rnns, spec.num_parameters, generator=generator)
        self.stack = RNNStack.from_flat(spec, flat).to(device)
        self.inputs = _rollouts(workload, num_rnns, generator).to(device)
        self._matrix = torch.randn(_PEAK_SIZE, _PEAK_SIZE, generator=generator).to(device)
        with seeded_modules(seed, "speed"):
            self._layer = nn.LSTM(_PEAK_SIZE, _PEAK_SIZE).to(device)

    def candidate(self, name: str, *, per_module: bool = False, timed_embedding: bool = True) -> _Candidate:
        """Build an encoder with new weights, ready to be measured."""
        options: dict[str, Any] = {**preset(self.size, name).encoder_options}
        if name in _PROBING:
            options.setdefault("sequence_length", self.workload.num_probes)
        interface, spec = self.workload.interface, self.workload.spec
        encoder = encoders.build(name, spec, interface=interface, seed=self.seed, **options).to(self.device)
        hidden_size = PRESETS[self.size].emulator_hidden_size
        emulator = Emulator.build(spec, representation_size=16, seed=self.seed, hidden_size=hidden_size)
        return _Candidate(self, encoder, emulator.to(self.device), per_module, timed_embedding)

    @torch.no_grad()
    def peak_gflops(self) -> float:
        """Measure the speed of one large product or one wide LSTM layer, whichever is faster."""
        steps = self._matrix.expand(4, -1, -1)  # many sequences, since weights are repacked before the first step
        return max(self._gflops(lambda: self._matrix @ self._matrix), self._gflops(lambda: self._layer(steps)[0]))

    def _gflops(self, compute: Callable[[], Tensor]) -> float:
        with FlopCounterMode(display=False, custom_mapping=_FUSED_LSTM) as counter:
            compute()
        repeats = 10

        def work() -> None:
            results = [compute() for _ in range(repeats)]
            float(results[-1].flatten()[0])  # waits for the device

        return repeats * counter.get_total_flops() / 1e9 / _seconds(work)


class _Candidate:
    def __init__(
        self, bench: _Bench, encoder: WeightEncoder, emulator: Emulator, per_module: bool, timed_embedding: bool
    ) -> None:
        self._bench, self._encoder, self._emulator = bench, encoder, emulator
        self._parts = (encoder, emulator)
        parameters = [weight for part in self._parts for weight in part.parameters()]
        self._optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)
        self._loss = next(iter(losses.distances(bench.workload.interface.output_kind).values()))
        self._per_module = per_module
        self._timed_embedding = timed_embedding
        self._steps: list[float] = []
        self._embeddings: list[float] = []
        self._operations = 0

    def measure(self) -> None:
        """Time one step and one embedding of all RNNs; the first call only warms up and counts operations."""
        if not self._operations:
            with FlopCounterMode(display=False, custom_mapping=_FUSED_LSTM) as counter:
                self._step()
            self._operations = counter.get_total_flops()
            self._encoder.accelerated = self._emulator.accelerated = self._bench.kernels and not self._per_module
            self._step()
            self._embed()
            return
        self._steps.append(_seconds(self._step))
        self._embeddings.append(_seconds(self._embed))

    def result(self, peak_gflops: float) -> Speed:
        """Summarize all rounds."""
        speeds = [self._bench.num_rnns / seconds for seconds in self._embeddings]
        return Speed(
            count_parameters(self._encoder),
            Spread.of([1e3 * seconds for seconds in self._steps]),
            self._operations / peak_gflops / 1e6,
            Spread.of(speeds) if self._timed_embedding else None,
        )

    def _rnns(self) -> RNNs:
        bench = self._bench
        interface = bench.workload.interface
        if not self._per_module:
            return bench.stack
        return PerModuleBlackBox(bench.stack, input_kind=interface.input_kind, output_kind=interface.output_kind)

    def _step(self) -> None:
        with torch.no_grad():
            run = fused.run if self._emulator.accelerated and fused.suits(self._bench.stack) else RNNStack.__call__
            outputs, _ = run(self._bench.stack, self._bench.inputs)
        emulated = self._emulator(self._encoder(self._rnns()), self._bench.inputs)
        loss = self._loss(outputs, emulated).mean()
        self._optimizer.zero_grad()
        loss.backward()
        for part in self._parts:
            nn.utils.clip_grad_norm_(part.parameters(), 0.1)
        self._optimizer.step()
        loss.item()

    @torch.no_grad()
    def _embed(self) -> None:
        self._encoder(self._rnns()).cpu()


def _fused_lstm_operations(inputs: Any, weight_ih: Any, weight_hh: Any, *_: Any, **__: Any) -> int:
    """Count the operations of the products in an LSTM layer that PyTorch runs as one fused operation, from shapes."""
    rows = inputs[0] * inputs[1]
    return 2 * rows * (math.prod(weight_ih) + math.prod(weight_hh))


# PyTorch's counter does not support the fused layer used on CPUs; its backward pass has twice the products.
_FUSED_LSTM = {
    torch.ops.aten.mkldnn_rnn_layer: _fused_lstm_operations,
    torch.ops.aten.mkldnn_rnn_layer_backward: lambda *shapes, **options: 2 * _fused_lstm_operations(*shapes, **options),
}


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _rollouts(workload: Workload, num_rnns: int, generator: torch.Generator) -> InputSequences:
    spec, shape = workload.spec, (num_rnns, 1, workload.num_steps)
    if workload.interface.input_kind == "categorical":
        tokens = torch.randint(spec.input_size, shape, generator=generator)
        return nn.functional.one_hot(tokens, spec.input_size).float()
    return torch.randn(*shape, spec.input_size, generator=generator)


class PerModuleBlackBox:
    """LSTMs as `torch.nn` modules that step under `vmap` and `functional_call`, for comparison with the stack.

    Args:
        stack: the LSTMs.
        input_kind: kind of their inputs.
        output_kind: kind of their outputs.
    """

    def __init__(self, stack: RNNStack, *, input_kind: Kind, output_kind: Kind) -> None:
        self.input_kind: Kind = input_kind
        self.output_kind: Kind = output_kind
        self.num_rnns = len(stack)
        self.input_size = stack.spec.input_size
        self.output_size = stack.spec.output_size
        self.initial_state = stack.initial_state
        module = _LSTM(stack.spec)
        weights = {_LSTM.name_of(name): weight for name, weight in stack.weights.items()}

        def one(weights: dict[str, Tensor], inputs: Tensor, state: Any) -> Any:
            return torch.func.functional_call(module, weights, (inputs, state))

        self._all = torch.func.vmap(one)
        self._weights = weights

    def step(self, inputs: InputStep, state: Any) -> tuple[OutputStep, Any]:
        """Advance every sequence by one step: inputs `(N, B, I)` to outputs `(N, B, O)` and the next state."""
        return self._all(self._weights, inputs, state)


class _LSTM(nn.Module):
    """An LSTM that steps, built from linear layers, since `vmap` does not support PyTorch's own cell."""

    def __init__(self, spec: RNNSpec) -> None:
        super().__init__()
        with torch.device("meta"):
            rows, sizes = 4 * spec.hidden_size, [spec.input_size] + [spec.hidden_size] * (spec.num_layers - 1)
            self.ih = nn.ModuleList(nn.Linear(size, rows) for size in sizes)
            self.hh = nn.ModuleList(nn.Linear(spec.hidden_size, rows) for _ in sizes)
            self.readout = nn.Linear(spec.hidden_size, spec.output_size)

    @staticmethod
    def name_of(name: str) -> str:
        """Translate a parameter's name, such as `rnn.weight_ih_l0` to `ih.0.weight`."""
        return re.sub(r"rnn\.(weight|bias)_(ih|hh)_l(\d+)", r"\2.\3.\1", name)

    def forward(self, inputs: Tensor, state: Any) -> tuple[Tensor, Any]:
        below, after = inputs, []
        for read, recur, (hidden, cell) in zip(self.ih, self.hh, state, strict=True):
            i, f, g, o = (read(below) + recur(hidden)).chunk(4, dim=-1)
            cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()  # noqa: PLW2901
            below = o.sigmoid() * cell.tanh()
            after.append((below, cell))
        return self.readout(below), tuple(after)
