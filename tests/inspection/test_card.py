"""The card of one RNN: predictions keep what they promise, and an RNN of another kind is pointed out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rnn2vec._errors import UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.index.index import Index
from rnn2vec.inspection.card import inspect_rnn
from rnn2vec.inspection.property_prediction import PropertyPredictor
from rnn2vec.properties.scores import calibration_error
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.store import Zoo

NUMBER = 1500


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Vectors from which a choice can be guessed and a number be read, both with noise."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(NUMBER, 4)).astype(np.float32)
    chance = 1 / (1 + np.exp(-2 * vectors[:, 0]))
    index = Index.build(tmp_path_factory.mktemp("planted") / "index", 4)
    properties = {
        "kind": np.where(generator.random(NUMBER) < chance, "up", "down"),
        "size": vectors[:, 1] + 0.3 * generator.normal(size=NUMBER),
        "run": np.arange(NUMBER) // 2,
        "constant": np.ones(NUMBER),
        "split": np.where(np.arange(NUMBER) // 2 % 2 == 0, "train", "validation"),
    }
    index.add([f"rnn {row}" for row in range(NUMBER)], vectors, properties)
    return index


def test_probabilities_and_intervals_mean_what_they_say(planted: Index) -> None:
    predictor = PropertyPredictor(planted)
    generator = np.random.default_rng(1)
    new = generator.normal(size=(400, 4)).astype(np.float32)
    chance = 1 / (1 + np.exp(-2 * new[:, 0].astype(np.float64)))
    is_up = generator.random(400) < chance
    size = new[:, 1] + 0.3 * generator.normal(size=400)
    kinds, sizes = zip(*map(predictor.predict, new), strict=True)
    assert (kinds[0].name, sizes[0].name) == ("kind", "size")
    right = np.array([kind.value == ("up" if up else "down") for kind, up in zip(kinds, is_up, strict=True)])
    assert calibration_error(np.array([kind.probability for kind in kinds]), right) < 0.08
    assert right.mean() == pytest.approx(kinds[0].score, abs=0.06)
    held = [one.interval[0] <= value <= one.interval[1] for one, value in zip(sizes, size, strict=True)]
    assert np.mean(held) == pytest.approx(0.9, abs=0.04)
    assert sizes[0].coverage == pytest.approx(0.9, abs=0.03)
    assert sizes[0].score > 0.7


def test_the_calibration_error_is_measured_and_small(planted: Index) -> None:
    error = PropertyPredictor(planted).calibration_error
    assert error is not None
    assert 0 < error <= 0.05


def test_rnns_that_judge_have_no_part_in_what_is_judged(planted: Index, tmp_path: Path) -> None:
    properties = {name: np.array(planted.table.column(name).to_pylist()) for name in planted.property_names}
    judges = properties["split"] == "validation"
    properties["kind"][judges] = "sideways"
    properties["size"][judges] = 7.0
    other = Index.build(tmp_path / "index", 4)
    other.add(planted.names, planted.vectors, properties)
    for one, same in zip(*(PropertyPredictor(index).predict(np.ones(4)) for index in (planted, other)), strict=True):
        assert (one.value, one.probability, one.interval) == (same.value, same.probability, same.interval)
        assert one.score > 0.7 > same.score


def test_properties_without_enough_rnns_are_left_out(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "index", 2)
    index.add(["a", "b", "c", "d"], np.eye(4, 2), {"kind": ["x", "y", "x", "y"]})
    predictor = PropertyPredictor(index)
    assert predictor.predict(np.zeros(2)) == []
    assert predictor.calibration_error is None


# -- the card --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def indexed(tiny_run: Path, tiny_zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Index:
    rnn2vec = Rnn2Vec.from_pretrained(tiny_run)
    index = Index.build(tmp_path_factory.mktemp("card") / "index", rnn2vec)
    index.add([f"rnn {row}" for row in range(len(tiny_zoo))], rnn2vec.embed(tiny_zoo), tiny_zoo.properties)
    return index


def test_a_known_rnn_is_nearest_to_itself_and_its_dialogue_can_be_read(indexed: Index, tiny_zoo: Zoo) -> None:
    card = inspect_rnn(indexed.model, tiny_zoo.rnns([3]), indexed)
    assert card.neighbours[0].rnn == "rnn 3"
    assert card.neighbours[0].distance == pytest.approx(0, abs=1e-5)
    text = card.render(num_sequences=1)
    assert text.startswith("lstm 2x32, 6 inputs, 6 outputs, 13,766 parameters\n")
    assert "\nmost like\n  0.0000  rnn 3  (run 1, " in text
    assert f"(sequence 1 of {len(card.dialogue)})" in text
    assert "  ^ 100%" in text  # the first probe is BOS, by its name
    assert "sequence 2 of" not in text
    json.dumps(card.to_dict())


def test_without_an_index_there_are_the_rnn_and_the_dialogue(indexed: Index, tiny_zoo: Zoo) -> None:
    card = inspect_rnn(indexed.model, tiny_zoo.rnns([3]))
    assert (card.unusual, card.is_familiar, card.predictions, card.neighbours) == (None, None, (), ())
    assert "most like" not in card.render()
    with pytest.raises(UsageError, match="a card for 2 RNNs"):
        inspect_rnn(indexed.model, tiny_zoo.rnns([3, 4]))


def test_an_rnn_unlike_all_others_is_pointed_out(
    random_rnns: Callable[..., RNNStack], tiny_zoo: Zoo, tiny_run: Path, tmp_path: Path
) -> None:
    rnn2vec = Rnn2Vec.from_pretrained(tiny_run)
    index = Index.build(tmp_path / "index", rnn2vec)
    start = rnn2vec.embed(tiny_zoo.rnns([1]))
    index.add([f"rnn {row}" for row in range(100)], start + 1e-4 * np.random.default_rng(0).normal(size=(100, 16)))
    odd = random_rnns(RNNSpec(cell="gru", input_size=6, hidden_size=4, num_layers=1, output_size=6), 1)
    card = inspect_rnn(rnn2vec, odd, index)
    assert card.is_familiar is False
    text = card.render()
    assert "WARNING: unlike the RNNs of the index: " in text
    assert "; 1.0% of RNNs are as unusual or more.\n" in text
    assert card.to_dict()["unusual"]["p"] == pytest.approx(1 / 101)


def test_a_member_is_judged_as_the_list_of_outliers_judges_it(indexed: Index, tiny_zoo: Zoo) -> None:
    outliers = indexed.outliers()
    for row in (0, 3, int(outliers.ranking[0])):
        unusual = inspect_rnn(indexed.model, tiny_zoo.rnns([row]), indexed).unusual
        assert unusual is not None
        assert (unusual.distances[0], unusual.p_values[0]) == (outliers.distances[row], outliers.p_values[row])


def test_too_few_rnns_to_tell_an_unusual_one_are_said_to_be_too_few(
    tiny_run: Path, tiny_zoo: Zoo, tmp_path: Path
) -> None:
    rnn2vec = Rnn2Vec.from_pretrained(tiny_run)
    index = Index.build(tmp_path / "index", rnn2vec)
    index.add([f"rnn {row}" for row in range(8)], rnn2vec.embed(tiny_zoo.rnns(range(8))))
    card = inspect_rnn(rnn2vec, tiny_zoo.rnns([9]), index)
    assert card.is_familiar is None
    assert "at a rate of 0.05 it takes at least 20 RNNs to tell an unusual one from chance, and there are 9." in (
        card.render()
    )


def test_numbers_are_shown_as_numbers(random_rnns: Callable[..., RNNStack]) -> None:
    spec = RNNSpec(cell="gru", input_size=2, hidden_size=5, num_layers=1, output_size=1)
    config = PretrainConfig(encoder_options={"hidden_size": 8, "sequence_length": 3}, num_steps=1)
    stack = random_rnns(spec, 5)
    rnn2vec = Rnn2Vec.fit(stack, np.random.default_rng(0).normal(size=(4, 5, 2)), config=config)
    ((asked, answered), *_), *_ = inspect_rnn(rnn2vec, stack.select([0])).dialogue
    assert len(asked.split()) == 2
    centre, spread = rnn2vec.encoder.interface.output_scale
    assert abs(float(answered) - centre) <= 10 * spread + 0.01
