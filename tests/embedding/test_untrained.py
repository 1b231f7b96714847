"""Random probing of one's own RNNs: from modules and from files, with one's own inputs and without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from rnn2vec._errors import DataError, UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.encoders.random_probing import RandomProbing
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.store import Zoo

MakeRNNs = Callable[..., RNNStack]
GRU = RNNSpec(cell="gru", input_size=2, hidden_size=5, num_layers=1, output_size=1)
LSTM = RNNSpec(cell="lstm", input_size=2, hidden_size=7, num_layers=1, output_size=1)


@pytest.fixture
def series() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 90, 2)) * 30 + 100


def test_probes_are_some_of_the_given_inputs(random_rnns: MakeRNNs, series: np.ndarray) -> None:
    rnn2vec = Rnn2Vec.untrained([random_rnns(GRU, 6), random_rnns(LSTM, 3)], series)
    encoder = rnn2vec.encoder
    assert isinstance(encoder, RandomProbing)
    assert encoder.probes.shape == (16, 64, 2)
    assert torch.equal(encoder.probes[0], torch.from_numpy(series[0, :64]).float())
    assert torch.equal(encoder.probes[-1], torch.from_numpy(series[-1, :64]).float())
    assert encoder.interface.input_range == (series.min(), series.max())
    assert rnn2vec.embed([random_rnns(GRU, 2), random_rnns(LSTM, 1)]).shape == (3, 64)
    with pytest.raises(
        UsageError, match=r"the random-probing encoder was not trained and has no emulator\n.*rnn2vec fit"
    ):
        _ = rnn2vec.emulator


def test_it_survives_saving(random_rnns: MakeRNNs, series: np.ndarray, tmp_path: Path) -> None:
    stack = random_rnns(GRU, 6)
    rnn2vec = Rnn2Vec.untrained(stack, list(series[:5]), representation_size=8)
    rnn2vec.save(tmp_path / "model")
    np.testing.assert_array_equal(Rnn2Vec.from_pretrained(tmp_path / "model").embed(stack), rnn2vec.embed(stack))


def test_a_zoo_says_what_its_inputs_are(tiny_zoo: Zoo) -> None:
    for rnn2vec in (Rnn2Vec.untrained(tiny_zoo), Rnn2Vec.untrained_for_files([tiny_zoo.folder])):
        assert rnn2vec.encoder.interface == tiny_zoo.family.interface
        assert rnn2vec.embed(tiny_zoo).shape == (len(tiny_zoo), 64)


def test_files_that_cannot_be_read_do_not_matter_unless_all_are(random_rnns: MakeRNNs, tmp_path: Path) -> None:
    for number, module in enumerate(random_rnns(GRU, 5).to_modules()):
        torch.save(module.state_dict(), tmp_path / f"{number}.pt")
    (tmp_path / "torn.pt").write_bytes(b"no")
    files = sorted(tmp_path.glob("*.pt"))
    rnn2vec = Rnn2Vec.untrained_for_files(files)
    assert rnn2vec.spec == GRU
    _, spread = rnn2vec.encoder.interface.output_scale
    assert spread != 1
    with pytest.raises(DataError, match=r"torn\.pt"):
        Rnn2Vec.untrained_for_files([tmp_path / "torn.pt"])
