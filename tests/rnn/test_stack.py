"""A stack computes what `torch.nn` computes, however it is run, and says what it cannot take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack

CELLS = TORCH_CELLS
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}
PAPER = {"input_size": 6, "hidden_size": 32, "num_layers": 2, "output_size": 6}


def _spec(cell: CellName, **sizes: int) -> RNNSpec:
    return RNNSpec(cell=cell, **({"input_size": 4, "hidden_size": 6, "num_layers": 2, "output_size": 3} | sizes))


def _assert_like_torch(nets: list[nn.Module], inputs: Tensor, target: Tensor) -> None:
    """Outputs, states and the gradients of a loss that weighs every output differently."""
    tolerance = TOLERANCE[inputs.dtype]
    stack = RNNStack.from_modules(nets)
    leaves = {name: weight.requires_grad_() for name, weight in stack.weights.items()}
    ours, theirs = inputs.clone().requires_grad_(), inputs.clone().requires_grad_()

    outputs, state = stack(ours)
    answers = [net(one) for net, one in zip(nets, theirs, strict=True)]
    expected = torch.stack([answer for answer, _ in answers])
    torch.testing.assert_close(outputs, expected, rtol=tolerance, atol=tolerance)
    _assert_same_state(stack.spec, state, [last for _, last in answers], tolerance)

    (outputs * target).mean().backward()
    (expected * target).mean().backward()
    torch.testing.assert_close(ours.grad, theirs.grad, rtol=tolerance, atol=tolerance)
    for weight, *per_net in zip(leaves.values(), *(net.parameters() for net in nets), strict=True):
        torch.testing.assert_close(
            weight.grad, torch.stack([one.grad for one in per_net]), rtol=tolerance, atol=tolerance
        )


def _assert_same_state(spec: RNNSpec, state: Any, expected: list[Any], tolerance: float) -> None:
    for layer in range(spec.num_layers):
        for vector, values in enumerate(state[layer]):
            theirs = [(one if spec.cell == "lstm" else (one,))[vector][layer] for one in expected]
            torch.testing.assert_close(values, torch.stack(theirs), rtol=tolerance, atol=tolerance)


# -- equal to torch.nn -----------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("num_layers", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
def test_outputs_states_and_gradients_are_those_of_torch(
    make_nets: Callable[..., list[nn.Module]],
    draw: Callable[..., Tensor],
    cell: CellName,
    num_layers: int,
    dtype: torch.dtype,
) -> None:
    spec = _spec(cell, num_layers=num_layers)
    inputs, target = draw(3, 2, 8, spec.input_size, dtype=dtype), draw(3, 2, 8, spec.output_size, dtype=dtype)
    _assert_like_torch(make_nets(spec, 3, dtype), inputs, target)


@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sizes_are_like_torch(
    make_nets: Callable[..., list[nn.Module]], draw: Callable[..., Tensor], data: st.DataObject
) -> None:
    n, b, t, i, h, layers, o = (data.draw(st.integers(1, top)) for top in (3, 3, 5, 4, 5, 3, 4))
    cell = data.draw(st.sampled_from(CELLS))
    spec = RNNSpec(cell=cell, input_size=i, hidden_size=h, num_layers=layers, output_size=o)
    _assert_like_torch(make_nets(spec, n), draw(n, b, t, i), draw(n, b, t, o))


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS)
def test_a_batch_of_the_papers_size_is_like_torch(
    make_nets: Callable[..., list[nn.Module]], draw: Callable[..., Tensor], cell: CellName
) -> None:
    spec = RNNSpec(cell=cell, **PAPER)
    inputs, target = draw(64, 8, 42, 6, dtype=torch.float32), draw(64, 8, 42, 6, dtype=torch.float32)
    nets = make_nets(spec, 64, torch.float32)
    with torch.no_grad():
        for net in nets:
            for weight in net.parameters():
                weight.mul_(0.3)  # 32 hidden units: 0.6 / sqrt(32) keeps a ReLU RNN from exploding
    _assert_like_torch(nets, inputs, target)


# -- ways to run -----------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_step_by_step_is_the_whole_sequence(
    make_stack: Callable[..., RNNStack], draw: Callable[..., Tensor], cell: CellName
) -> None:
    stack = make_stack(_spec(cell))
    inputs = draw(3, 2, 7, 4)
    expected, last_state = stack(inputs)

    state, outputs = stack.initial_state(2), []
    for step in inputs.unbind(2):
        output, state = stack.step(step, state)
        outputs.append(output)
    torch.testing.assert_close(torch.stack(outputs, dim=2), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(state, last_state, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("cut", [1, 3, 6])
def test_a_run_continued_from_its_state_is_one_long_run(
    make_stack: Callable[..., RNNStack], draw: Callable[..., Tensor], cell: CellName, cut: int
) -> None:
    stack = make_stack(_spec(cell))
    inputs = draw(3, 2, 7, 4)
    expected, last_state = stack(inputs)
    first, state = stack(inputs[:, :, :cut])
    second, state = stack(inputs[:, :, cut:], state)

    torch.testing.assert_close(torch.cat([first, second], dim=2), expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(state, last_state, rtol=0, atol=1e-12)
    from_zero, _ = stack(inputs[:, :, cut:])
    assert not torch.allclose(from_zero, second), "the state must matter, or this test says nothing"


def test_rnns_and_sequences_do_not_see_each_other(
    make_stack: Callable[..., RNNStack], draw: Callable[..., Tensor]
) -> None:
    stack, inputs = make_stack(_spec("lstm")), draw(3, 2, 5, 4)
    expected, _ = stack(inputs)
    inputs[1, 0] += 1
    outputs, _ = stack(inputs)

    changed = (outputs != expected).flatten(2).any(dim=2)
    assert changed.tolist() == [[False, False], [True, False], [False, False]]


@pytest.mark.parametrize("cell", CELLS)
def test_the_first_state_is_zeros_of_the_weights_type(make_stack: Callable[..., RNNStack], cell: CellName) -> None:
    state = make_stack(_spec(cell), dtype=torch.float32).initial_state(5)

    assert len(state) == 2
    assert all(len(layer) == (2 if cell == "lstm" else 1) for layer in state)
    for vector in (vector for layer in state for vector in layer):
        assert vector.shape == (3, 5, 6)
        assert vector.dtype == torch.float32
        assert not vector.any()


def test_no_sequences_give_no_outputs(make_stack: Callable[..., RNNStack], draw: Callable[..., Tensor]) -> None:
    outputs, _ = make_stack(_spec("gru"))(draw(3, 0, 5, 4))
    assert outputs.shape == (3, 0, 5, 3)


# -- taking apart ----------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_flat_and_back_is_the_same_bits(make_stack: Callable[..., RNNStack], cell: CellName) -> None:
    stack = make_stack(_spec(cell))
    again = RNNStack.from_flat(stack.spec, stack.flatten())

    assert list(again.weights) == list(stack.spec.parameter_shapes)
    assert all(torch.equal(again.weights[name], weight) for name, weight in stack.weights.items())


def test_gradients_reach_the_flat_weights(make_stack: Callable[..., RNNStack], draw: Callable[..., Tensor]) -> None:
    spec = _spec("lstm")
    flat = make_stack(spec).flatten().requires_grad_()
    RNNStack.from_flat(spec, flat)(draw(3, 2, 5, 4))[0].sum().backward()
    assert flat.grad is not None
    assert flat.grad.ne(0).float().mean() > 0.99


@pytest.mark.parametrize(
    ("indices", "rows"),
    [([2, 0], [2, 0]), (torch.tensor([1, 1]), [1, 1]), (slice(1, None), [1, 2]), ([-1], [2]), ([], [])],
)
def test_select_takes_the_chosen_in_their_order(
    make_stack: Callable[..., RNNStack], indices: Any, rows: list[int]
) -> None:
    stack = make_stack(_spec("gru"))
    chosen = stack.select(indices)

    assert len(chosen) == len(rows)
    assert torch.equal(chosen.flatten(), stack.flatten()[rows])


def test_to_changes_the_float_type_and_leaves_the_original(make_stack: Callable[..., RNNStack]) -> None:
    stack = make_stack(_spec("gru"))
    single = stack.to(torch.float32)

    assert {weight.dtype for weight in single.weights.values()} == {torch.float32}
    assert {weight.dtype for weight in stack.weights.values()} == {torch.float64}
    assert single.spec == stack.spec


def test_a_stack_says_what_it_holds(make_stack: Callable[..., RNNStack]) -> None:
    assert repr(make_stack(_spec("gru"))) == "RNNStack(3 RNNs: gru 2x6, 4 inputs, 3 outputs)"


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["missing", "unknown"])
def test_weights_of_other_names_are_refused(make_stack: Callable[..., RNNStack], change: str) -> None:
    stack = make_stack(_spec("gru"))
    weights = dict(stack.weights)
    weights["rnn.extra"] = weights["readout.bias"]
    if change == "missing":
        del weights["rnn.extra"], weights["rnn.bias_hh_l1"]
    name = "rnn.bias_hh_l1" if change == "missing" else "rnn.extra"
    with pytest.raises(UsageError, match=rf"{name} missing or unknown(.|\n)*exactly these: rnn.weight_ih_l0, "):
        RNNStack(stack.spec, weights)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("rnn.weight_ih_l1", (3, 18, 5)), ("readout.weight", (3, 6)), ("rnn.bias_ih_l0", (2, 18))],
)
def test_a_weight_of_another_shape_is_refused(
    make_stack: Callable[..., RNNStack], name: str, shape: tuple[int, ...]
) -> None:
    stack = make_stack(_spec("gru"))
    with pytest.raises(UsageError, match=rf"{name} has shape .*, expected \(N, (.|\n)*gru 2x6") as caught:
        RNNStack(stack.spec, {**stack.weights, name: torch.zeros(shape)})
    assert str(shape) in caught.value.problem


def test_flat_weights_of_another_architecture_are_refused() -> None:
    spec = _spec("gru")
    with pytest.raises(UsageError, match=rf"7 parameters per RNN, but gru .* has {spec.num_parameters}\n.*\(N, P\)"):
        RNNStack.from_flat(spec, torch.zeros(2, 7))


@pytest.mark.parametrize("shape", [(2, 5, 7, 4), (3, 5, 7, 6), (3, 5, 0, 4), (1, 5, 7, 4)])
def test_inputs_for_other_rnns_are_refused(make_stack: Callable[..., RNNStack], shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match=r"inputs have shape .*, expected \(3, B, T, 4\)(.|\n)*at least one step"):
        make_stack(_spec("gru"))(torch.zeros(shape, dtype=torch.float64))


@pytest.mark.parametrize("layers", [1, 3])
def test_a_state_of_another_depth_is_refused(
    make_stack: Callable[..., RNNStack], draw: Callable[..., Tensor], layers: int
) -> None:
    stack = make_stack(_spec("gru"))
    state = make_stack(_spec("gru", num_layers=layers)).initial_state(2)
    with pytest.raises(ValueError, match="zip"):
        stack(draw(3, 2, 5, 4), state)
    with pytest.raises(ValueError, match="zip"):
        stack.step(draw(3, 2, 4), state)
