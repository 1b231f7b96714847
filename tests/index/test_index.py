"""An index: what is put in comes out, it grows without being rewritten, and answers are those of a slow search."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tests.seals import rewrite

from rnn2vec._errors import BusyError, DataError, UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.index.index import Index, Neighbour
from rnn2vec.zoo.store import Zoo

SIZE = 5


def vectors(number: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(number, SIZE)).astype(np.float32)


def names(number: int, start: int = 0) -> list[str]:
    return [f"rnn {place}" for place in range(start, start + number)]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    """60 RNNs, added in two parts; the second has a property more."""
    index = Index.build(tmp_path / "index", SIZE)
    index.add(names(40), vectors(60)[:40], {"skill": np.arange(40) / 40, "kind": ["a", "b"] * 20})
    index.add(names(20, 40), vectors(60)[40:], {"skill": np.ones(20), "kind": ["c"] * 20, "age": np.arange(20)})
    return index


# -- what is in it ---------------------------------------------------------------------------------


def test_what_was_added_is_there_when_it_is_opened_again(index: Index) -> None:
    again = Index.open(index.folder)
    assert len(again) == 60
    assert again.names == names(60)
    np.testing.assert_array_equal(again.vectors, vectors(60))
    assert again.property_names == ["skill", "kind", "age"]
    assert again.neighbour(1) == Neighbour("rnn 1", 0.0, {"skill": 1 / 40, "kind": "b", "age": None})
    assert again.neighbour(41).properties == {"skill": 1.0, "kind": "c", "age": 1}
    assert repr(again) == f"Index({str(index.folder)!r}: 60 RNNs, 5 numbers each)"


def test_adding_leaves_earlier_parts_as_they_are(index: Index) -> None:
    before = {path: path.read_bytes() for path in index.folder.glob("parts/*")}
    assert len(before) == 2
    index.add(names(3, 60), vectors(3, seed=1))
    assert {path: path.read_bytes() for path in before} == before
    assert len(index) == len(index.vectors) == 63


def test_adding_removes_what_a_killed_process_left(index: Index) -> None:
    dead = [index.folder / ".index.json.tmp", index.folder / "parts/.00002.parquet.tmp"]
    for path in dead:
        path.write_bytes(b"a part of a file")
    index.add(names(1), vectors(60)[:1])
    assert not any(path.exists() for path in dead)


def test_what_is_there_already_is_not_added_again(index: Index) -> None:
    both = np.concatenate([vectors(60)[:3] + 1e-6, vectors(1, seed=1)])
    assert index.add([*names(3), "new"], both) == 1
    assert index.add([*names(3), "new"], both) == 0
    assert index.names == [*names(60), "new"]
    with pytest.raises(UsageError, match=r"rnn 2 is in .* already, with another vector\n.*under another name"):
        index.add(["rnn 2"], vectors(1, seed=1))


def test_two_who_have_it_open_see_each_others_rnns(index: Index) -> None:
    other = Index.open(index.folder)
    assert other.add(["theirs"], vectors(1, seed=1)) == 1
    assert index.add(["mine"], vectors(1, seed=2)) == 1
    assert index.names == [*names(60), "theirs", "mine"]


def test_while_one_adds_another_is_told_to_wait(index: Index) -> None:
    other = Index.open(index.folder)
    with other.claimed():
        with pytest.raises(BusyError, match=r"is being written to by another process.*\n.*wait until it is done"):
            index.add(["new"], vectors(1, seed=1))
        assert other.add(["other"], vectors(1, seed=2)) == 1
    assert index.add(["new"], vectors(1, seed=1)) == 1


@pytest.mark.parametrize(
    ("given", "array", "properties", "words"),
    [
        (["a"], np.ones((1, 4)), {}, r"vectors of shape \(1, 4\) for 1 RNNs\n.*shape \(1, 5\)"),
        (["a", "b"], np.ones((1, 5)), {}, r"vectors of shape \(1, 5\) for 2 RNNs"),
        (["a"], np.full((1, 5), np.nan), {}, "the vector of a has NaN or infinite numbers"),
        (["a", "a"], np.ones((2, 5)), {}, "the name 'a' is given twice"),
        (["a"], np.ones((1, 5)), {"rnn": ["x"]}, "a property named 'rnn'"),
        (["a"], np.ones((1, 5)), {"kind": ["x", "y"]}, "2 values of 'kind' for 1 RNNs"),
        (["a"], np.ones((1, 5)), {"kind": [[1]]}, "a property has another type than in the index"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_added(
    index: Index, given: list[str], array: np.ndarray, properties: dict[str, list[object]], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        index.add(given, array, properties)
    assert len(Index.open(index.folder)) == 60


def test_a_table_of_properties_will_do(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "index", SIZE)
    index.add(names(2), vectors(2), pa.table({"kind": ["a", "b"]}))
    assert index.table.column("kind").to_pylist() == ["a", "b"]


# -- asking ----------------------------------------------------------------------------------------


def test_the_nearest_are_those_of_a_slow_search(index: Index) -> None:
    queries = vectors(7, seed=3)
    slow = np.linalg.norm(vectors(60)[None] - queries[:, None], axis=2)
    for found, distances in zip(index.query(queries, 4), slow, strict=True):
        order = np.argsort(distances)[:4]
        assert [one.rnn for one in found] == [f"rnn {place}" for place in order]
        np.testing.assert_allclose([one.distance for one in found], distances[order], rtol=1e-6)


def test_an_rnn_is_nearest_to_itself(index: Index) -> None:
    row = index.row_of("rnn 7")
    ((first, *_),) = index.query(index.vectors[row : row + 1])
    assert (first.rnn, first.distance) == ("rnn 7", 0.0)
    with pytest.raises(UsageError, match=r"no RNN 'nobody' in"):
        index.row_of("nobody")


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (["kind = a"], range(0, 40, 2)),
        (["kind != c", "skill >= 0.9"], range(36, 40)),
        (["skill<0.05"], [0, 1]),
        (["age > 17"], [58, 59]),
        (["age <= 0"], [40]),
        (["rnn == rnn 3"], [3]),
    ],
)
def test_conditions_choose_rows(index: Index, conditions: list[str], expected: list[int]) -> None:
    assert np.flatnonzero(index.where(*conditions)).tolist() == list(expected)
    (found,) = index.query(vectors(1), 60, where=conditions)
    assert sorted(int(one.rnn.split()[1]) for one in found) == list(expected)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ("skil > 1", "unknown property 'skil'\n.*did you mean 'skill'"),
        ("skill > much", "skill > much: skill is of type double\n.*of that type"),
        ("skill", "'skill' is not a condition\n.*step >= 1000"),
    ],
)
def test_a_condition_that_is_none_is_refused(index: Index, condition: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        index.where(condition)


def test_queries_that_do_not_fit_are_refused(index: Index, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"vectors of shape \(1, 3\)\n.*\(Q, 5\)"):
        index.query(np.ones((1, 3)))
    with pytest.raises(UsageError, match="number=0 neighbours"):
        index.query(vectors(1), 0)
    with pytest.raises(UsageError, match=r"is empty\n.*index add"):
        Index.build(tmp_path / "new", SIZE).query(vectors(1))
    with pytest.raises(UsageError, match=r"unknown search 'exactly'\n.*did you mean 'exact'"):
        Index.open(index.folder, search="exactly")


# -- the model -------------------------------------------------------------------------------------


def test_an_index_has_its_model_with_it(tiny_run: Path, tiny_zoo: Zoo, tmp_path: Path) -> None:
    rnn2vec = Rnn2Vec.from_pretrained(tiny_run)
    index = Index.build(tmp_path / "index", rnn2vec)
    index.add(names(len(tiny_zoo)), rnn2vec.embed(tiny_zoo), tiny_zoo.properties)
    moved = Index.open(shutil.move(index.folder, tmp_path / "elsewhere"))
    np.testing.assert_array_equal(moved.model.embed(tiny_zoo), moved.vectors)
    assert moved.where("split = validation").sum() == len(tiny_zoo.split("validation"))
    assert len(Index.build(moved.folder, rnn2vec)) == len(tiny_zoo)


def test_vectors_of_another_model_are_refused(tiny_run: Path, tmp_path: Path) -> None:
    rnn2vec, other = Rnn2Vec.from_pretrained(tiny_run), Rnn2Vec.from_pretrained(tiny_run)
    next(other.encoder.parameters()).data.add_(0.1)
    index = Index.build(tmp_path / "index", rnn2vec)
    with pytest.raises(UsageError, match=r"are from another model\n.*the index has its model with it"):
        Index.build(index.folder, other)
    with pytest.raises(UsageError, match="has vectors of 16 numbers, the model makes 5"):
        Index.build(index.folder, 5)
    plain = Index.build(tmp_path / "plain", 16)
    with pytest.raises(UsageError, match="has no model: it was made from vectors"):
        plain.model  # noqa: B018


# -- damage ----------------------------------------------------------------------------------------


def test_a_damaged_part_is_named(index: Index) -> None:
    part = index.folder / "parts" / "00001.parquet"
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(DataError, match=r"00001.parquet is truncated or altered"):
        Index.open(index.folder).query(vectors(1))
    part.unlink()
    with pytest.raises(DataError, match=r"00001.parquet is missing"):
        Index.open(index.folder).query(vectors(1))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 99}, "format version 99; this rnn2vec reads up to 2\n.*upgrade"),
        ({"parts": [{"file": "x"}]}, "does not have the entries of an index's manifest"),
        ({"vector_size": "many"}, "does not have the entries of an index's manifest"),
    ],
)
def test_a_damaged_manifest_is_told_apart(index: Index, change: dict[str, object], words: str) -> None:
    rewrite(index.folder / "index.json", lambda values: {**values, **change})
    with pytest.raises(DataError, match=words):
        Index.open(index.folder)


def test_a_folder_that_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"is not an index: it has no index.json\n.*index build --out"):
        Index.open(tmp_path)
    with pytest.raises(UsageError, match="is not an index: it does not exist"):
        Index.open(tmp_path / "nowhere")
    (tmp_path / "other").write_text("")
    with pytest.raises(UsageError, match="exists and is not an index"):
        Index.build(tmp_path, SIZE)
