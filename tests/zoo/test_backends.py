"""Common tests of all backends, which compute the same as `torch.nn.LSTM` and `torch.optim.AdamW`.

Bounds in float32 are measured values with a margin; see the constants. Triton's kernels run in its interpreter.
"""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rnn2vec._errors import UsageError
from rnn2vec.rnn.convert import RecurrentModule
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo import backends
from rnn2vec.zoo.backends.base import Batches, RunExamples, RunFrames, RunSequences, TrainingState
from rnn2vec.zoo.backends.numba_backend import NumbaBackend
from rnn2vec.zoo.backends.torch_backend import TorchBackend
from rnn2vec.zoo.backends.triton_backend import TritonBackend
from rnn2vec.zoo.train import draw_batches, pad_examples

SMALL = FormalLanguages(alphabet_size=2, smallest_offset=-1, largest_offset=1, n_max=3, sequence_length=9)
BACKENDS = {"torch": TorchBackend(), "numba": NumbaBackend(num_threads=1), "triton": TritonBackend("cpu")}
MANY = {"torch": 50, "numba": 50, "triton": 2}
"""Updates of a longer training. Triton's interpreter takes half a second for one; its AdamW is the torch backend's."""
CELLS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
BATCH_SIZE = 16

GRADIENT_BOUND = {True: 1e-9, False: 1e-6}
"""Bounds in float64 (True) and float32 (False). Measured in float32 (depths 1-3, 8-64 units): torch 1.4e-7, triton
1.5e-7, numba 8.7e-7."""
WEIGHT_BOUND = {False: 5e-6, True: 5e-5}
"""Bounds in float32 after one update (False) and after many (True). Measured: 1.1e-6 and 6.7e-6. Larger sizes reach
2.1e-3 after 50 updates (torch: 1.4e-4): Adam divides by the gradient's magnitude, so the rounding error of a gradient
near 0 moves the weight."""
FRAME_WEIGHT_BOUND = {False: 5e-6, True: 1e-3}

every_precision = pytest.mark.parametrize("double", [False, True], ids=["float32", "float64"])
once_and_often = pytest.mark.parametrize("often", [False, True], ids=["once", "often"])


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest) -> str:
    """Name each backend in turn."""
    if request.param == "triton":
        request.getfixturevalue("triton")
    return request.param


@dataclass
class Problem:
    """Runs to train, with the same arrays for all backends."""

    spec: RNNSpec
    examples: RunExamples
    batches: Batches
    weights: np.ndarray
    rates: np.ndarray
    decay: np.ndarray

    @classmethod
    def make(
        cls,
        *,
        family: FormalLanguages = SMALL,
        cell: CellName = "lstm",
        layers: int = 2,
        hidden: int = 8,
        steps: int = 1,
        runs: int = 3,
        merged: bool = True,
        batch_size: int = BATCH_SIZE,
        double: bool = True,
    ) -> Problem:
        sizes = {"input_size": family.input_size, "output_size": family.output_size}
        spec = RNNSpec(cell=cell, hidden_size=hidden, num_layers=layers, **sizes)
        numbers = np.random.default_rng(5)
        bound = hidden**-0.5
        weights = numbers.uniform(-bound, bound, (runs, spec.num_parameters)).astype(np.float32)
        examples = [family.examples(one.task) for one in family.deal(runs, 0)]
        most = family.most_examples
        # `draw_batches` merges equal draws where a batch is no smaller than the number of examples.
        generators = [np.random.default_rng(run) for run in range(runs)]
        batches = draw_batches(examples, most if merged else batch_size + 1, steps, batch_size, generators)
        return cls(
            spec,
            pad_examples(examples, most),
            batches,
            weights.astype(np.float64) if double else weights,
            np.linspace(0.01, 0.003, steps),
            np.linspace(0, 0.1, runs),
        )

    @classmethod
    def of_frames(cls, *, steps: int = 1, runs: int = 3, double: bool = True) -> Problem:
        """Images of 12 bytes in 4 classes, of which each run reads other bytes, 3 at each of 5 steps."""
        numbers = np.random.default_rng(7)
        examples = RunFrames(
            images=numbers.integers(0, 256, (40, 12), dtype=np.uint8),
            labels=numbers.integers(0, 4, 40, dtype=np.uint8),
            values=numbers.uniform(-0.4, 2.8, 256).astype(np.float32),
            pixel_map=numbers.integers(0, 12 + 2, (runs, 5, 3), dtype=np.int32),
        )
        assert {12, 13} < set(examples.pixel_map.ravel().tolist())
        rows = numbers.integers(0, 40, (runs, steps, BATCH_SIZE), dtype=np.int32)
        batches = Batches(rows, np.full(rows.shape, 1 / BATCH_SIZE, dtype=np.float32))
        problem = cls.make(steps=steps, runs=runs, double=double)
        spec = dataclasses.replace(problem.spec, input_size=3, output_size=4)
        weights = numbers.uniform(-0.35, 0.35, (runs, spec.num_parameters)).astype(problem.weights.dtype)
        return dataclasses.replace(problem, spec=spec, examples=examples, batches=batches, weights=weights)

    def read(self, run: int, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Inputs (R, T, I) and targets (R, T) of a run, in float64, slowly."""
        examples = self.examples
        if isinstance(examples, RunSequences):
            tokens, targets = (torch.from_numpy(part[run, rows]).long() for part in (examples.inputs, examples.targets))
            return nn.functional.one_hot(tokens, self.spec.input_size).double(), targets
        inputs = np.zeros((len(rows), *examples.pixel_map.shape[1:]))
        for row, image in enumerate(examples.images[rows]):
            for place, feeds in np.ndenumerate(examples.pixel_map[run]):
                byte = image[feeds] if feeds < len(image) else 0
                inputs[(row, *place)] = 0 if feeds > len(image) else examples.values[byte]
        labels = torch.from_numpy(examples.labels[rows]).long()
        return torch.from_numpy(inputs), labels[:, None].expand(-1, inputs.shape[1])

    def start(self) -> TrainingState:
        return TrainingState.start(self.weights)

    def trained(self, backend: str) -> TrainingState:
        state = self.start()
        BACKENDS[backend].train(self.spec, self.examples, state, self.batches, self.rates, self.decay)
        return state

    def steps(self, chosen: slice) -> Problem:
        batches = Batches(
            *(np.ascontiguousarray(part[:, chosen]) for part in (self.batches.rows, self.batches.weights))
        )
        return dataclasses.replace(self, batches=batches, rates=self.rates[chosen])

    def only(self, *runs: int) -> Problem:
        chosen = list(runs)
        if isinstance(self.examples, RunSequences):
            examples = RunSequences(self.examples.inputs[chosen], self.examples.targets[chosen])
        else:
            examples = dataclasses.replace(self.examples, pixel_map=self.examples.pixel_map[chosen])
        return dataclasses.replace(
            self,
            examples=examples,
            batches=Batches(self.batches.rows[chosen], self.batches.weights[chosen]),
            weights=self.weights[chosen],
            decay=self.decay[chosen],
        )


@dataclass
class Reference:
    """Results of plain PyTorch on a problem, in float64, one run at a time."""

    weights: np.ndarray
    first_gradient: np.ndarray
    losses: np.ndarray

    @classmethod
    def of(cls, problem: Problem) -> Reference:
        parts = [cls._run(problem, run) for run in range(len(problem.weights))]
        return cls(*(np.stack(values) for values in zip(*parts, strict=True)))

    @staticmethod
    def _run(problem: Problem, run: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        flat = torch.from_numpy(problem.weights[run : run + 1].astype(np.float64))
        (net,) = RNNStack.from_flat(problem.spec, flat).to_modules()
        assert isinstance(net, RecurrentModule)
        optimizer = torch.optim.AdamW(net.parameters(), lr=1.0, weight_decay=float(problem.decay[run]))
        gradient, loss = torch.zeros(1), torch.zeros(1)
        for step, rate in enumerate(problem.rates):
            optimizer.param_groups[0]["lr"] = float(rate)
            optimizer.zero_grad()
            loss = Reference._loss(net, problem, run, step)
            loss.backward()
            if step == 0:
                gradient = _flat([one.grad for one in net.parameters()])
            optimizer.step()
        return _flat(list(net.parameters())).numpy(), gradient.numpy(), np.array(loss.item())

    @staticmethod
    def _loss(net: nn.Module, problem: Problem, run: int, step: int) -> torch.Tensor:
        rows, row_weights = problem.batches.rows[run, step], problem.batches.weights[run, step]
        inputs, targets = problem.read(run, rows)
        logits, _ = net(inputs)
        losses = nn.functional.cross_entropy(logits.transpose(1, 2), targets, reduction="none").mean(dim=1)
        return losses @ torch.from_numpy(row_weights).double()


def _flat(tensors: list[Any]) -> torch.Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def _error(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, relative to the largest number."""
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def _gradient_error(problem: Problem, backend: str, reference: Reference) -> float:
    """Compute the error of the first update's gradient, of which Adam's first moment is a tenth."""
    return _error(problem.steps(slice(1)).trained(backend).first_moments / 0.1, reference.first_gradient)


def _same_bytes(first: TrainingState, second: TrainingState) -> bool:
    return all(
        getattr(first, name).tobytes() == getattr(second, name).tobytes()
        for name in ("weights", "first_moments", "second_moments", "losses")
    )


# -- equal to PyTorch ------------------------------------------------------------------------------


@every_precision
def test_gradients_are_those_of_torch(backend: str, double: bool) -> None:
    problem = Problem.make(double=double)
    assert _gradient_error(problem, backend, Reference.of(problem)) < GRADIENT_BOUND[double]


@every_precision
@once_and_often
def test_weights_and_losses_are_those_of_torch_and_its_adamw(backend: str, double: bool, often: bool) -> None:
    steps = MANY[backend] if often else 1
    problem = Problem.make(steps=steps, double=double)
    state, reference = problem.trained(backend), Reference.of(problem)
    bound = 1e-9 if double else WEIGHT_BOUND[often]
    assert _error(state.weights, reference.weights) < bound
    assert np.abs(state.losses - reference.losses).max() < bound
    assert state.step == steps


@pytest.mark.parametrize("backend", ["torch", "triton"], indirect=True)
@pytest.mark.parametrize("layers", [1, 3])
def test_other_depths_are_those_of_torch(backend: str, layers: int) -> None:
    """Numba's are in the recipe tier: each size is compiled for seconds."""
    problem = Problem.make(steps=MANY[backend], layers=layers)
    assert _error(problem.trained(backend).weights, Reference.of(problem).weights) < 1e-9


OTHER_CELLS = [*product(("torch", "triton"), CELLS[1:]), ("numba", "gru")]


@pytest.mark.parametrize(("backend", "cell"), OTHER_CELLS, indirect=["backend"])
def test_other_cells_are_those_of_torch(backend: str, cell: CellName) -> None:
    """Test the numba cell that differs most; the others are in the recipe tier."""
    problem = Problem.make(cell=cell, steps=MANY[backend], double=False)
    state, reference = problem.trained(backend), Reference.of(problem)
    assert _gradient_error(problem, backend, reference) < GRADIENT_BOUND[False]
    assert _error(state.weights, reference.weights) < WEIGHT_BOUND[True]


@pytest.mark.slow
@every_precision
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_and_depth_is_that_of_torch(backend: str, cell: CellName, layers: int, double: bool) -> None:
    problem = Problem.make(cell=cell, layers=layers, steps=MANY[backend], runs=2, double=double)
    state, reference = problem.trained(backend), Reference.of(problem)
    assert _gradient_error(problem, backend, reference) < GRADIENT_BOUND[double]
    assert _error(state.weights, reference.weights) < (1e-9 if double else 1e-3)


SIZES = [*product(BACKENDS, [(1, 8), (2, 32), (3, 64)]), *product(("torch", "numba"), [(2, 128)])]
"""Backends with numbers of layers and hidden units. Triton leaves LSTMs with 128 units to torch."""


@pytest.mark.slow
@every_precision
@pytest.mark.parametrize(("backend", "size"), SIZES, indirect=["backend"])
def test_the_papers_languages_at_other_sizes(backend: str, double: bool, size: tuple[int, int]) -> None:
    layers, hidden = size
    steps = MANY[backend]
    problem = Problem.make(family=FormalLanguages(), layers=layers, hidden=hidden, steps=steps, runs=2, double=double)
    state, reference = problem.trained(backend), Reference.of(problem)
    assert _gradient_error(problem, backend, reference) < GRADIENT_BOUND[double]
    assert _error(state.weights, reference.weights) < (1e-9 if double else 1e-2)
    assert np.abs(state.losses - reference.losses).max() < (1e-9 if double else 1e-3)


# -- frames ----------------------------------------------------------------------------------------


@every_precision
@once_and_often
def test_images_read_through_a_map_are_those_of_torch(backend: str, double: bool, often: bool) -> None:
    problem = Problem.of_frames(steps=MANY[backend] if often else 1, double=double)
    state, reference = problem.trained(backend), Reference.of(problem)
    assert _gradient_error(problem, backend, reference) < GRADIENT_BOUND[double]
    bound = 1e-9 if double else FRAME_WEIGHT_BOUND[often]
    assert _error(state.weights, reference.weights) < bound
    assert np.abs(state.losses - reference.losses).max() < bound


def test_a_run_of_images_becomes_the_same_in_any_company(backend: str) -> None:
    problem = Problem.of_frames(steps=MANY[backend], double=False)
    together = problem.trained(backend)
    for company in ((1,), (2, 1)):
        assert problem.only(*company).trained(backend).weights[-1].tobytes() == together.weights[1].tobytes()


def test_every_run_reads_through_its_own_map(backend: str) -> None:
    problem = Problem.of_frames(steps=2)
    others = copy.deepcopy(problem)
    assert isinstance(others.examples, RunFrames)
    others.examples.pixel_map[1, 2, 0] = (others.examples.pixel_map[1, 2, 0] + 5) % 12
    first, second = problem.trained(backend).weights, others.trained(backend).weights
    assert [bool((first[run] == second[run]).all()) for run in range(3)] == [True, False, True]


# -- batches ---------------------------------------------------------------------------------------


def test_merged_rows_are_the_same_batch(backend: str) -> None:
    """4 drawn rows of weight 1/4, or one row for each example with weights count/4."""
    merged, drawn = (Problem.make(steps=MANY[backend], batch_size=4, merged=is_merged) for is_merged in (True, False))
    assert (drawn.batches.weights == 1 / 4).all()
    assert (merged.batches.weights != 1 / 4).any()
    assert _error(merged.trained(backend).weights, drawn.trained(backend).weights) < 1e-9


@every_precision
def test_rows_of_weight_0_do_not_matter(backend: str, double: bool) -> None:
    """Padding: whatever stands in rows that no draw refers to."""
    problem = Problem.make(steps=MANY[backend], double=double)
    unused = problem.batches.weights.max(axis=1) == 0
    assert unused.any()
    assert not unused.all()
    others = copy.deepcopy(problem)
    assert isinstance(others.examples, RunSequences)
    others.examples.inputs[unused] = 1 - (others.examples.inputs[unused] == 1)
    others.examples.targets[unused] = 0
    assert _same_bytes(problem.trained(backend), others.trained(backend))


def test_used_rows_do_matter(backend: str) -> None:
    problem = Problem.make()
    others = copy.deepcopy(problem)
    assert isinstance(others.examples, RunSequences)
    others.examples.targets[:, 0] = 0
    assert not _same_bytes(problem.trained(backend), others.trained(backend))


# -- runs, steps and numbers -----------------------------------------------------------------------


def test_training_in_two_calls_is_training_in_one(backend: str) -> None:
    steps = MANY[backend]
    problem = Problem.make(steps=steps, double=False)
    state = problem.start()
    for part in (problem.steps(slice(steps // 2)), problem.steps(slice(steps // 2, None))):
        BACKENDS[backend].train(part.spec, part.examples, state, part.batches, part.rates, part.decay)
    assert state.step == steps
    assert _same_bytes(state, problem.trained(backend))


def test_a_run_becomes_the_same_in_any_company(backend: str) -> None:
    problem = Problem.make(steps=MANY[backend], double=False)
    together = problem.trained(backend)
    for company in ((1,), (2, 1)):
        state = problem.only(*company).trained(backend)
        assert state.weights[-1].tobytes() == together.weights[1].tobytes()


def test_a_run_that_diverges_is_seen_and_is_alone_with_it(backend: str) -> None:
    problem = Problem.make(steps=MANY[backend], double=False)
    sound = problem.trained(backend)
    problem.weights[1, 0] = np.nan
    state = problem.trained(backend)
    assert np.isnan(state.losses).tolist() == [False, True, False]
    assert np.isnan(state.weights[1]).any()
    assert state.weights[[0, 2]].tobytes() == sound.weights[[0, 2]].tobytes()


@every_precision
def test_the_type_of_the_numbers_stays(backend: str, double: bool) -> None:
    state = Problem.make(double=double).trained(backend)
    assert {state.weights.dtype, state.first_moments.dtype, state.second_moments.dtype} == {
        np.dtype(np.float64 if double else np.float32)
    }


def test_threads_change_nothing() -> None:
    problem = Problem.make(steps=5, double=False)
    state = problem.start()
    NumbaBackend(num_threads=3).train(
        problem.spec, problem.examples, state, problem.batches, problem.rates, problem.decay
    )
    assert _same_bytes(state, problem.trained("numba"))


# -- choosing one ----------------------------------------------------------------------------------


def _spec(cell: CellName) -> RNNSpec:
    return RNNSpec(cell=cell, input_size=4, hidden_size=8, num_layers=2, output_size=4)


@pytest.mark.parametrize("cell", CELLS)
def test_auto_is_the_fastest(cell: CellName) -> None:
    assert backends.pick("auto", _spec(cell)).name == "numba"
    assert backends.pick("numba", _spec(cell)).name == "numba"
    assert backends.pick("torch", _spec(cell)).name == "torch"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hidden_size": 129}, "it takes at most 3 layers of 128 units"),
        ({"num_layers": 4}, "it takes at most 3 layers of 128 units"),
        ({"cell": "leaky"}, "it has no kernel for the cell 'leaky'"),
        ({"cell": "mingru"}, "it has no kernel for the cell 'mingru'"),
    ],
)
def test_auto_is_torch_with_a_warning_for_what_numba_does_not_train(change: dict[str, Any], reason: str) -> None:
    spec = dataclasses.replace(_spec("lstm"), **change)
    with pytest.warns(UserWarning, match=rf"'numba' does not train .* on cpu: {reason}; torch trains them"):
        assert backends.pick("auto", spec).name == "torch"
    with pytest.raises(UsageError, match=rf"'numba' does not train .* on cpu: {reason}\n.*torch"):
        backends.pick("numba", spec)


def test_another_device_is_for_torch() -> None:
    assert backends.pick("auto", _spec("lstm"), device="meta").name == "torch"
    with pytest.raises(
        UsageError, match=r"'numba' does not train lstm .* on meta: it runs on the CPU\n.*--backend torch"
    ):
        backends.pick("numba", _spec("lstm"), device="meta")


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(UsageError, match=rf"torch cannot use device '{device}' here: .*\n.*use cpu"):
        backends.pick("auto", _spec("lstm"), device=device)


def test_an_unknown_backend_suggests_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"unknown backend 'nunba'\n.*did you mean 'numba'\?"):
        backends.pick("nunba", _spec("lstm"))
