"""Comparing: answers, distances and verdicts are the library's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from starlette.testclient import TestClient
from tests.explorer.conftest import unpack

from rnn2vec.embedding.untrained import probes_for
from rnn2vec.explorer.collection import Collection
from rnn2vec.inspection import difference
from rnn2vec.zoo.store import Zoo


@torch.no_grad()
def test_two_rnns_answer_the_same_input(client: TestClient, collection: Collection, tiny_zoo: Zoo) -> None:
    found = unpack(client.get("/api/compare?a=1&b=5").content)
    inputs = torch.from_numpy(found["inputs"].copy())
    for name, row in (("a", 1), ("b", 5)):
        outputs = tiny_zoo.rnns([row])(inputs[None, None])[0][0, 0].softmax(dim=-1)
        np.testing.assert_allclose(found[name], outputs, atol=1e-6)
    np.testing.assert_allclose(found["apart"], np.abs(found["a"] - found["b"]).sum(axis=1) / 2, atol=1e-6)
    vectors = collection.index.vectors
    assert found["representation_distance"] == pytest.approx(float(np.linalg.norm(vectors[1] - vectors[5])), rel=1e-5)
    first, second = tiny_zoo.rnns([1]).flatten(), tiny_zoo.rnns([5]).flatten()
    assert found["weight_distance"] == pytest.approx(float((first - second).norm() / first.norm()), rel=1e-5)
    expected = [float(np.linalg.norm(vectors[0] - vectors[4])), float(np.linalg.norm(vectors[1] - vectors[5]))]
    assert [one["step"] for one in found["parting"]] == [0, 60]
    assert [one["distance"] for one in found["parting"]] == pytest.approx(expected, rel=1e-5)


def test_an_rnn_is_identical_to_itself(client: TestClient) -> None:
    found = unpack(client.get("/api/compare?a=3&b=3").content)
    assert found["verdict"]["kind"] == "identical"
    assert found["parting"] is None
    assert client.get("/api/disagreement?a=3&b=3").json()["found"] is None


def test_the_shortest_disagreement_is_diffs(client: TestClient, collection: Collection, tiny_zoo: Zoo) -> None:
    found = client.get("/api/disagreement?a=0&b=1").json()
    interface = collection.require_model().encoder.interface
    expected = difference.shortest(tiny_zoo.rnns([0]), tiny_zoo.rnns([1]), interface)
    if expected is None:
        assert found["found"] is None
        return
    assert found["found"]["inputs"] == expected.inputs.tolist()
    assert found["found"]["distance"] == pytest.approx(expected.distance)


def test_digits_are_compared_on_an_image(mnist_client: TestClient, mnist_collection: Collection) -> None:
    found = unpack(mnist_client.get("/api/compare?a=1&b=3").content)
    assert found["input"] == "an image at the first RNN's angle"
    assert found["inputs"].shape == (17, 49)
    probes = probes_for(mnist_collection.require_model().encoder, mnist_collection.require_model().spec)
    assert f"{len(probes)} inputs" in found["verdict"]["text"]
