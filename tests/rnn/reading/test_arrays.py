"""Arrays with a stated order of gates: equal to PyTorch in any order, and to Flax and Equinox as they order theirs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from rnn2vec._errors import DataError, UsageError
from rnn2vec.rnn.reading.arrays import ArrayLayer, from_arrays

FIXTURES = Path(__file__).parents[1] / "fixtures"
ORDERS = {"lstm": ["ifgo", "i f c o", "i,o,f,c"], "gru": ["rzn", "z r h", "n u r"], "rnn_tanh": ["", "n"]}
TORCH_ORDERS = {"lstm": "ifgo", "gru": "rzn", "rnn_tanh": "n"}
SYNONYMS = {"c": "g", "h": "n", "u": "z"}
KINDS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU, "rnn_tanh": nn.RNN}


def _reordered(tensor: Tensor, cell: str, order: str, *, transposed: bool) -> np.ndarray:
    """A weight of a torch module with its gates in another order."""
    names = [SYNONYMS.get(name, name) if cell != "rnn_tanh" else name for name in order if name.isalpha()]
    gates = dict(zip(TORCH_ORDERS[cell], tensor.detach().chunk(len(TORCH_ORDERS[cell])), strict=True))
    array = torch.cat([gates[name] for name in names]).numpy() if names else tensor.detach().numpy()
    return array.T if transposed else array


@pytest.mark.parametrize(("cell", "order"), [(cell, order) for cell, orders in ORDERS.items() for order in orders])
@pytest.mark.parametrize("transposed", [False, True])
def test_any_order_of_gates_gives_the_same_rnn(
    draw: Callable[..., Tensor], cell: Any, order: str, transposed: bool
) -> None:
    core, head = KINDS[cell](3, 5, 2, batch_first=True).double(), nn.Linear(5, 2).double()
    layers = []
    for at in range(2):
        parts = [getattr(core, f"{name}_l{at}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        layers.append(ArrayLayer(**dict(zip(
            ("input_kernel", "recurrent_kernel", "bias", "recurrent_bias"),
            [_reordered(part, cell, order, transposed=transposed) for part in parts],
            strict=True,
        ))))  # fmt: skip
    kernel = head.weight.detach().numpy()
    bias = head.bias.detach().numpy()
    stack = from_arrays(cell, layers, kernel.T if transposed else kernel, bias, gate_order=order, transposed=transposed)
    inputs = draw(2, 6, 3)
    torch.testing.assert_close(stack(inputs[None])[0][0], head(core(inputs)[0]), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["flax_lstm", "flax_gru", "equinox_lstm", "equinox_gru"])
def test_flax_and_equinox_answer_the_same(name: str) -> None:
    with np.load(FIXTURES / f"{name}.npz") as arrays:
        found = dict(arrays)
    stack = from_arrays(
        "lstm" if "lstm" in name else "gru",
        [ArrayLayer(**{part: found[part] for part in ("input_kernel", "recurrent_kernel", "bias", "recurrent_bias")})],
        found["readout_kernel"],
        found["readout_bias"],
        gate_order="i f g o" if "lstm" in name else "r z n",
        transposed=name.startswith("flax"),
    )
    outputs = stack(torch.from_numpy(found["inputs"])[None, None])[0][0, 0]
    torch.testing.assert_close(outputs, torch.from_numpy(found["outputs"]), rtol=0, atol=1e-6)


def _layer(**changes: Any) -> ArrayLayer:
    return ArrayLayer(**{"input_kernel": np.ones((20, 3)), "recurrent_kernel": np.ones((20, 5))} | changes)


def test_embedding_and_scaling_are_folded_in() -> None:
    embedding = np.arange(21.0).reshape(7, 3)
    stack = from_arrays("lstm", [_layer()], np.ones((2, 5)), gate_order="ifgo", embedding=embedding)
    assert stack.spec.input_size == 7
    assert stack.weights["rnn.weight_ih_l0"][0, 0].tolist() == embedding.sum(axis=1).tolist()
    scaling = (np.array([1.0, 2, 3]), np.array(2.0))
    stack = from_arrays("lstm", [_layer()], np.ones((2, 5)), gate_order="ifgo", input_scaling=scaling)
    assert stack.weights["rnn.weight_ih_l0"].unique().tolist() == [0.5]
    assert stack.weights["rnn.bias_ih_l0"].unique().tolist() == [-3]


@pytest.mark.parametrize("order", ["", "ifg", "ifgg", "iofz", "rzn"])
def test_an_order_that_does_not_name_the_gates_is_refused(order: str) -> None:
    with pytest.raises(UsageError, match=rf"gate_order='{order}' for an lstm\n.*as PyTorch does: 'i f g o'"):
        from_arrays("lstm", [_layer()], np.ones((2, 5)), gate_order=order)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input_kernel": np.ones((3, 20))}, "3 rows for 4 gates\n.*transposed=True"),
        ({"input_kernel": np.array([["a"] * 3] * 20)}, "an array of type <U1"),
        ({"bias": np.ones(16)}, r"rnn\.bias_ih_l0 has shape \(16,\), expected \(20,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(changes: dict[str, np.ndarray], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        from_arrays("lstm", [_layer(**changes)], np.ones((2, 5)), gate_order="ifgo")


def test_integers_are_numbers_and_nan_is_none() -> None:
    whole = _layer(input_kernel=np.ones((20, 3), np.int64), recurrent_kernel=np.ones((20, 5), np.int32))
    stack = from_arrays("lstm", [whole], np.ones((2, 5), np.uint8), gate_order="ifgo")
    assert stack.flatten().dtype == torch.float32
    with pytest.raises(DataError, match=r"NaN or infinite numbers in rnn\.weight_ih_l0"):
        from_arrays("lstm", [_layer(input_kernel=np.full((20, 3), np.nan))], np.ones((2, 5)), gate_order="ifgo")
