"""Every cell: its declared shapes and symmetries hold; the new ones equal a slow, obvious implementation."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec._registry import CELLS
from rnn2vec.rnn.convert import RecurrentModule
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.symmetry import flip_signs, permute_neurons, reading, rows_of, scale_units

MakeStack = Callable[..., RNNStack]
Draw = Callable[..., Tensor]
OWN = ("leaky", "leaky_shared", "mingru")
LAYER = 1
FACTORS = {
    "signs": [1.0, -1, 1, -1, -1],
    "positive": [0.5, 2, 3, 0.1, 1.5],
    "negative": [-0.5, 2, -3, 0.1, 1.5],
}
ALLOWED = {"none": set(), "signs": {"signs"}, "positive": {"positive"}, "nonzero": {"signs", "positive", "negative"}}


def _spec(cell: str, num_layers: int = 3) -> RNNSpec:
    return RNNSpec(cell=cell, input_size=4, hidden_size=5, num_layers=num_layers, output_size=3)


def _moved(stack: RNNStack, weights: dict[str, Tensor], inputs: Tensor) -> float:
    return (stack(inputs)[0] - RNNStack(stack.spec, weights)(inputs)[0]).abs().max().item()


# -- equal to a slow, obvious implementation -------------------------------------------------------


def _slow(spec: RNNSpec, w: dict[str, Tensor], inputs: Tensor) -> Tensor:
    """One RNN on one sequence, number by number, as the docstrings of the cells state the equations."""
    units, outputs = range(spec.hidden_size), []
    state = [[torch.zeros((), dtype=torch.float64) for _ in units] for _ in range(spec.num_layers)]
    for inputs_now in inputs:
        below = list(inputs_now)
        for layer in range(spec.num_layers):
            ih, bias = w[f"rnn.weight_ih_l{layer}"], w[f"rnn.bias_ih_l{layer}"]
            old = state[layer]

            def reads(row: int) -> Tensor:
                return bias[row] + sum(ih[row, i] * x for i, x in enumerate(below))  # noqa: B023

            if spec.cell == "mingru":
                gates = [1 / (1 + torch.exp(-reads(j))) for j in units]
                taken = [reads(spec.hidden_size + j) for j in units]
            else:
                hh, leak = w[f"rnn.weight_hh_l{layer}"], w[f"rnn.leak_l{layer}"]
                gates = [1 / (1 + torch.exp(-leak[j if len(leak) > 1 else 0])) for j in units]
                taken = [torch.tanh(reads(j) + sum(hh[j, k] * h for k, h in enumerate(old))) for j in units]
            state[layer] = [(1 - a) * h + a * n for a, h, n in zip(gates, old, taken, strict=True)]
            below = state[layer]
        readout, bias = w["readout.weight"], w["readout.bias"]
        outputs.append(
            torch.stack([bias[o] + sum(readout[o, j] * h for j, h in enumerate(below)) for o in range(len(bias))])
        )
    return torch.stack(outputs)


@pytest.mark.parametrize("cell", OWN)
@pytest.mark.parametrize("num_layers", [1, 2])
def test_outputs_and_gradients_are_those_of_the_equations(
    make_stack: MakeStack, draw: Draw, cell: str, num_layers: int
) -> None:
    spec = _spec(cell, num_layers)
    flat = make_stack(spec, 2).flatten()
    inputs, target = draw(2, 1, 5, 4), draw(2, 1, 5, 3)
    ours, theirs = flat.clone().requires_grad_(), flat.clone().requires_grad_()
    outputs, state = RNNStack.from_flat(spec, ours)(inputs)
    stack = RNNStack.from_flat(spec, theirs)
    expected = torch.stack(
        [_slow(spec, {name: one[n] for name, one in stack.weights.items()}, inputs[n, 0]) for n in range(2)]
    )[:, None]
    (outputs * target).sum().backward()
    (expected * target).sum().backward()
    torch.testing.assert_close(outputs, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-6, atol=1e-6)
    assert state[0][0].shape == (2, 1, 5)


@pytest.mark.parametrize("cell", OWN)
def test_the_gradient_is_the_slope(make_stack: MakeStack, draw: Draw, cell: str) -> None:
    spec, inputs = _spec(cell, 2), draw(1, 1, 4, 4)
    flat = make_stack(spec, 1).flatten().requires_grad_()
    assert torch.autograd.gradcheck(lambda weights: RNNStack.from_flat(spec, weights)(inputs)[0], (flat,))


@pytest.mark.parametrize("cell", CELLS)
def test_steps_are_the_whole_sequence(make_stack: MakeStack, draw: Draw, cell: str) -> None:
    stack, inputs = make_stack(_spec(cell)), draw(3, 2, 6, 4)
    state, outputs = stack.initial_state(2), []
    for step in range(6):
        output, state = stack.step(inputs[:, :, step], state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, dim=2), stack(inputs)[0], rtol=0, atol=1e-12)


# -- parameters ------------------------------------------------------------------------------------


def test_the_leak_is_a_parameter_per_unit_or_per_layer() -> None:
    assert _spec("leaky").parameter_shapes["rnn.leak_l2"] == (5,)
    assert _spec("leaky_shared").parameter_shapes["rnn.leak_l2"] == (1,)
    assert list(_spec("mingru", 1).parameter_shapes) == [
        "rnn.weight_ih_l0",
        "rnn.bias_ih_l0",
        "readout.weight",
        "readout.bias",
    ]


@pytest.mark.parametrize("cell", CELLS)
def test_initial_weights_are_within_pytorchs_bound(cell: str) -> None:
    spec = _spec(cell)
    for name, shape in spec.cell_type.shapes(4, 5).items():
        drawn = spec.cell_type.initial(name, shape, 5, np.random.default_rng(0))
        assert drawn.shape == shape
        assert 0 < np.abs(drawn).max() <= 1 / math.sqrt(5)


@pytest.mark.parametrize("cell", CELLS)
def test_a_spec_travels_to_a_worker(cell: str) -> None:
    spec = _spec(cell)
    assert spec.num_parameters
    assert pickle.loads(pickle.dumps(spec)) == copy.deepcopy(spec) == spec
    assert pickle.loads(pickle.dumps(spec)).parameter_shapes == spec.parameter_shapes


@pytest.mark.parametrize("cell", OWN)
def test_what_torch_has_no_module_for_is_refused(make_stack: MakeStack, cell: str) -> None:
    for convert in (lambda: RecurrentModule(_spec(cell)), make_stack(_spec(cell)).to_modules):
        with pytest.raises(UsageError, match=rf"torch.nn has no module for the cell '{cell}'\n.*RNNStack"):
            convert()


# -- symmetries: unmoved by what is declared, moved by the rest ------------------------------------


@pytest.mark.parametrize("cell", OWN)
def test_a_permutation_leaves_the_function_and_each_part_of_it_alone_does_not(
    make_stack: MakeStack, draw: Draw, cell: str
) -> None:
    stack, inputs = make_stack(_spec(cell)), draw(3, 2, 12, 4)
    permuted = permute_neurons(stack.spec, stack.weights, LAYER, torch.tensor([2, 0, 1, 4, 3]))
    assert _moved(stack, permuted, inputs) < 1e-12
    changed = {*rows_of(stack.spec, LAYER), *reading(stack.spec, LAYER)}
    assert changed == {name for name in stack.weights if not torch.equal(stack.weights[name], permuted[name])}
    for name in changed:
        assert _moved(stack, {**permuted, name: stack.weights[name]}, inputs) > 1e-4


@pytest.mark.parametrize("kind", FACTORS)
@pytest.mark.parametrize("cell", CELLS)
def test_exactly_the_declared_factors_leave_the_function(
    make_stack: MakeStack, draw: Draw, cell: str, kind: str
) -> None:
    stack, inputs = make_stack(_spec(cell)), draw(3, 2, 12, 4)
    factors = torch.tensor(FACTORS[kind], dtype=torch.float64)
    change = flip_signs if kind == "signs" else scale_units
    if kind in ALLOWED[stack.spec.cell_type.rescaling]:
        changed = change(stack.spec, stack.weights, LAYER, factors)
        assert _moved(stack, changed, inputs) < 1e-10
        for name in (*rows_of(stack.spec, LAYER), *reading(stack.spec, LAYER)):
            if not torch.equal(changed[name], stack.weights[name]):
                assert _moved(stack, {**changed, name: stack.weights[name]}, inputs) > 1e-4
        return
    with pytest.raises(UsageError, match=f"in an {cell}\n"):
        change(stack.spec, stack.weights, LAYER, factors)
    assert _moved(stack, _forced(stack, factors), inputs) > 1e-4


def _forced(stack: RNNStack, factors: Tensor) -> dict[str, Tensor]:
    """Do what is refused: multiply the candidate's rows, divide the columns."""
    weights, cell = dict(stack.weights), stack.spec.cell_type
    for name, gates in rows_of(stack.spec, LAYER).items():
        rows = torch.cat([factors if gate == cell.candidate else torch.ones(5, dtype=torch.float64) for gate in gates])
        weights[name] = weights[name] * rows.view(-1, *[1] * (weights[name].dim() - 2))
    for name in reading(stack.spec, LAYER):
        weights[name] = weights[name] / factors
    return weights


@pytest.mark.parametrize("bad", [0.0, math.inf, math.nan])
def test_a_factor_without_an_inverse_is_refused(make_stack: MakeStack, bad: float) -> None:
    stack = make_stack(_spec("mingru"))
    with pytest.raises(UsageError, match="scales that are 0 or not finite"):
        scale_units(stack.spec, stack.weights, 0, torch.tensor([1.0, 1, bad, 1, 1]))
