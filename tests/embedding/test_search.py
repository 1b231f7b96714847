"""Vectors decoded to RNNs, and searched for an RNN that does what is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rnn2vec._errors import DataError, UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.embedding.search import Method
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.store import Zoo


@pytest.fixture(scope="module")
def rnn2vec(tiny_run: Path) -> Rnn2Vec:
    return Rnn2Vec.from_pretrained(tiny_run)


@pytest.fixture(scope="module")
def vectors(rnn2vec: Rnn2Vec, tiny_zoo: Zoo) -> np.ndarray:
    return rnn2vec.embed(tiny_zoo)


@pytest.fixture(scope="module")
def inputs() -> Tensor:
    tokens = torch.randint(0, 6, (1, 8, 6), generator=torch.Generator().manual_seed(4))
    return torch.nn.functional.one_hot(tokens, 6).float()


@torch.no_grad()
def test_decoded_rnns_answer_as_the_emulator(rnn2vec: Rnn2Vec, vectors: np.ndarray, inputs: Tensor) -> None:
    decoded = rnn2vec.decode(vectors[:3])
    expected = rnn2vec.emulator(torch.from_numpy(vectors[:3]), inputs.expand(3, -1, -1, -1))
    torch.testing.assert_close(decoded(inputs.expand(3, -1, -1, -1))[0], expected, atol=1e-5, rtol=1e-5)
    assert rnn2vec.embed(decoded).shape == (3, 16)


def test_an_interpolation_stays_among_representations(rnn2vec: Rnn2Vec, vectors: np.ndarray) -> None:
    path = rnn2vec.interpolate(vectors[0], vectors[-1], 5)
    np.testing.assert_allclose(path[[0, -1]], vectors[[0, -1]], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("method", ["evolution", "gradient"])
def test_a_search_finds_the_rnn_that_it_is_asked_for(
    rnn2vec: Rnn2Vec, vectors: np.ndarray, inputs: Tensor, method: Method
) -> None:
    with torch.no_grad():
        wanted = rnn2vec.decode(vectors[-1:])(inputs)[0]

    def distance(rnns: RNNStack) -> Tensor:
        return (rnns(inputs.expand(len(rnns), -1, -1, -1))[0] - wanted).square().mean(dim=(1, 2, 3))

    first = float(distance(rnn2vec.decode(vectors[:1]))[0].detach())
    found = rnn2vec.search(distance, vectors[0], method=method, evaluations=800, population=8)
    again = rnn2vec.search(distance, vectors[0], method=method, evaluations=800, population=8)
    assert found.score < first / 10
    assert found.evaluations == 800
    assert list(found.history) == sorted(found.history, reverse=True)
    np.testing.assert_array_equal(found.representation, again.representation)
    assert float(distance(found.rnn)[0].detach()) == pytest.approx(found.score, rel=1e-3)


def test_a_search_ends_at_its_goal(rnn2vec: Rnn2Vec, vectors: np.ndarray) -> None:
    found = rnn2vec.search(lambda rnns: np.zeros(len(rnns)), vectors[0], goal=0.0, population=4)
    assert found.evaluations == 4


def test_what_a_search_cannot_do_is_refused(rnn2vec: Rnn2Vec, vectors: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"without a gradient\n.*evolution"):
        rnn2vec.search(lambda rnns: np.zeros(len(rnns)), vectors[0], method="gradient")
    with pytest.raises(UsageError, match=r"scores of shape \(1,\) for 16 RNNs"):
        rnn2vec.search(lambda _: np.zeros(1), vectors[0])
    with pytest.raises(DataError, match=r"NaN\n.*large number"):
        rnn2vec.search(lambda rnns: np.full(len(rnns), np.nan), vectors[0])
    with pytest.raises(UsageError, match="population=0"):
        rnn2vec.search(lambda rnns: np.zeros(len(rnns)), vectors[0], population=0)
    with pytest.raises(UsageError, match=r"shape \(2, 5\)\n.*\(N, 16\)"):
        rnn2vec.decode(np.zeros((2, 5), dtype=np.float32))
    with pytest.raises(UsageError, match="steps=1"):
        rnn2vec.interpolate(vectors[0], vectors[1], 1)
