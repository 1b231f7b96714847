"""Encoders to test with, and the two kinds of RNNs that the paper has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rnn2vec import encoders
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec

TOKENS = Interface(input_kind="categorical", output_kind="categorical", first_input=(0.0, 0.0, 1.0, 0.0))
"""Four tokens, the third of which is BOS."""

SMALL: dict[str, dict[str, Any]] = {
    "layerwise-statistics": {"hidden_size": 8},
    "flattened-weights": {"hidden_size": 32},
    "parameter-transformer": {"hidden_size": 8, "mlp_size": 8, "num_layers": 2},
    "dwsnet": {"channels": 6, "num_layers": 2, "mlp_size": 8},
    "dwsnet-complete": {"channels": 4, "num_layers": 2, "mlp_size": 8},
    "noninteractive-probing": {"hidden_size": 10, "mlp_size": 8, "num_sequences": 3, "sequence_length": 5},
    "interactive-probing": {"hidden_size": 10, "mlp_size": 8, "num_sequences": 3, "sequence_length": 5},
    "random-probing": {"num_sequences": 3, "sequence_length": 5},
    "task-blind": {},
}


@pytest.fixture
def small_encoder() -> Callable[..., WeightEncoder]:
    """`small_encoder("interactive-probing", spec)`: an encoder of few parameters, for tokens unless told otherwise."""

    def make(name: str, spec: RNNSpec, **options: Any) -> WeightEncoder:
        return encoders.build(name, spec, **{"interface": TOKENS, **SMALL[name], **options})

    return make
