"""Architectures: their names, shapes and numbers of parameters, and what they refuse."""

from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec._errors import UsageError
from rnn2vec.rnn.convert import RecurrentModule
from rnn2vec.rnn.spec import TORCH_CELLS, CellName, RNNSpec

SPECS = st.builds(
    RNNSpec,
    cell=st.sampled_from(TORCH_CELLS),
    input_size=st.integers(1, 7),
    hidden_size=st.integers(1, 7),
    num_layers=st.integers(1, 3),
    output_size=st.integers(1, 7),
)
FORMAL_LANGUAGES = RNNSpec(cell="lstm", input_size=6, hidden_size=32, num_layers=2, output_size=6)
TILED_MNIST = RNNSpec(cell="lstm", input_size=16, hidden_size=32, num_layers=2, output_size=10)


@given(SPECS)
def test_names_shapes_and_order_are_those_of_torch(spec: RNNSpec) -> None:
    with torch.device("meta"):
        parameters = dict(RecurrentModule(spec).named_parameters())
    assert list(spec.parameter_shapes.items()) == [(name, tuple(weight.shape)) for name, weight in parameters.items()]
    assert spec.num_parameters == sum(weight.numel() for weight in parameters.values())


@pytest.mark.parametrize(("spec", "parameters"), [(FORMAL_LANGUAGES, 13_766), (TILED_MNIST, 15_178)])
def test_the_papers_rnns_have_the_papers_size(spec: RNNSpec, parameters: int) -> None:
    assert spec.num_parameters == parameters


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3), ("rnn_tanh", 1), ("rnn_relu", 1)])
def test_gates(cell: CellName, gates: int) -> None:
    assert RNNSpec(cell=cell, input_size=1, hidden_size=5, num_layers=1, output_size=1).num_gates == gates


@given(SPECS)
def test_a_spec_survives_json(spec: RNNSpec) -> None:
    assert RNNSpec(**json.loads(json.dumps(spec.to_dict()))) == spec


@given(SPECS, SPECS)
def test_specs_are_equal_when_their_values_are(one: RNNSpec, other: RNNSpec) -> None:
    assert (one == other) is (one.to_dict() == other.to_dict())
    assert one != other or hash(one) == hash(other)


def test_a_spec_reads_as_one_line() -> None:
    assert str(FORMAL_LANGUAGES) == "lstm 2x32, 6 inputs, 6 outputs"


@pytest.mark.parametrize("field", ["input_size", "hidden_size", "num_layers", "output_size"])
@pytest.mark.parametrize("size", [0, -1])
def test_a_size_below_one_is_refused_by_name(field: str, size: int) -> None:
    with pytest.raises(UsageError, match=rf"{field}={size} (.|\n)*at least 1"):
        RNNSpec(**{**FORMAL_LANGUAGES.to_dict(), field: size})


@pytest.mark.usefixtures("without_type_checks")
def test_an_unknown_cell_is_refused_with_the_nearest() -> None:
    with pytest.raises(
        UsageError,
        match=r"unknown cell 'ltsm'(.|\n)*'lstm'.*Known: gru, leaky, leaky_shared, lstm, mingru, rnn_",
    ):
        RNNSpec(**{**FORMAL_LANGUAGES.to_dict(), "cell": "ltsm"})
