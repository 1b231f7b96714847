"""Views of the collection and of one RNN say what the library says."""

from __future__ import annotations

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from pyarrow import csv
from starlette.testclient import TestClient
from tests.explorer.conftest import ready, unpack

from rnn2vec.explorer.collection import Collection
from rnn2vec.inspection.maps import project


def test_the_collection_is_described(client: TestClient, mnist_client: TestClient) -> None:
    languages, digits = (one.get("/api/collection").json() for one in (client, mnist_client))
    assert languages["rnns"] == 24
    assert languages["asks"]
    assert languages["encoder"] == "interactive-probing"
    assert languages["family"] == "formal-languages"
    constant = {one["name"]: one["is_constant"] for one in languages["columns"]}
    assert constant["seed"]
    assert not constant["performance"]
    assert not digits["asks"]
    assert "random-probing" in digits["model"]
    assert digits["tile_size"] == 7


def test_the_map_is_pca(client: TestClient, collection: Collection) -> None:
    found = unpack(client.get("/api/map").content)
    expected = project(collection.index.vectors)
    np.testing.assert_allclose(np.stack([found["x"], found["y"]], axis=1), expected.coordinates, atol=1e-5)
    assert found["explained"] == pytest.approx(expected.explained)
    assert found["laid_out"] == 24


def test_tsne_is_computed_in_the_background(client: TestClient, collection: Collection) -> None:
    found = unpack(ready(client, "/api/map?method=tsne").content)
    expected = project(collection.index.vectors, method="tsne").coordinates
    np.testing.assert_allclose(np.stack([found["x"], found["y"]], axis=1), expected, rtol=1e-4)


def test_columns_are_numbers_or_categories(client: TestClient, collection: Collection) -> None:
    performance = unpack(client.get("/api/column?name=performance").content)
    assert performance["kind"] == "number"
    expected = collection.table.column("performance").to_numpy().astype(np.float32)
    np.testing.assert_array_equal(performance["values"], expected)

    split = unpack(client.get("/api/column?name=split").content)
    names = [split["categories"][code]["name"] for code in split["values"]]
    assert names == collection.table.column("split").to_pylist()

    task = unpack(client.get("/api/column?name=task").content)
    shown = [one["name"] for one in task["categories"]]
    assert shown[-1] == "1 others" or len(shown) <= 12
    assert sum(one["count"] for one in task["categories"]) == 24


def test_derived_columns_follow_the_index(client: TestClient, collection: Collection) -> None:
    cluster = unpack(ready(client, "/api/column?name=cluster").content)
    groups = collection.index.clusters()
    counts = sorted((one["count"] for one in cluster["categories"]), reverse=True)
    assert counts == [len(one.rows) for one in groups]
    distance = unpack(ready(client, "/api/column?name=outlier distance").content)
    np.testing.assert_allclose(distance["values"], collection.index.outliers().distances, rtol=1e-5)
    matched = unpack(client.get("/api/matches", params={"where": "cluster = 1"}).content)
    np.testing.assert_array_equal(np.flatnonzero(matched["mask"]), np.sort(groups[0].rows))


@pytest.mark.parametrize("where", [["step = 60"], ["performance >= 0", "split = train,ood"], []])
def test_filters_are_the_librarys_conditions(client: TestClient, collection: Collection, where: list[str]) -> None:
    found = unpack(client.get("/api/matches", params={"where": where}).content)
    expected = collection.index.where(*where)
    np.testing.assert_array_equal(found["mask"].astype(bool), expected)
    assert found["count"] == expected.sum()


@pytest.mark.parametrize(
    ("where", "said"), [("perform > 1", "did you mean 'performance'"), ("x", "PROPERTY"), ("step = 7", "there are: 0")]
)
def test_a_wrong_filter_is_explained(client: TestClient, where: str, said: str) -> None:
    response = client.get("/api/matches", params={"where": where})
    assert response.status_code == 400
    assert said in response.json()["remedy"]


def test_runs_join_the_snapshots_of_one_run(client: TestClient, collection: Collection) -> None:
    found = unpack(client.get("/api/runs").content)
    runs = collection.table.column("run").to_numpy()
    same = found["run"][:, None] == found["run"]
    np.testing.assert_array_equal(same, runs[:, None] == runs)
    np.testing.assert_array_equal(found["step"], collection.table.column("step").to_numpy())


def test_a_card_says_what_the_index_says(client: TestClient, collection: Collection) -> None:
    ready(client, "/api/column?name=outlier distance")
    card = client.get("/api/card?id=3").json()
    known = collection.index.neighbour(3)
    assert card["path"] == known.rnn
    assert {one["name"]: one["value"] for one in card["properties"]}["task"] == known.properties["task"]
    (nearest,) = collection.index.query(collection.index.vectors[3:4], 7)
    expected = [one.rnn.rpartition("#")[2] for one in nearest if one.rnn != known.rnn][:6]
    assert [one["id"] for one in card["neighbours"]] == expected
    assert [one["step"] for one in card["run"]] == [0, 60]
    assert card["unusual"]["p"] == pytest.approx(float(collection.index.outliers().p_values[3]))
    assert card["neighbours"][0]["verdict"]["kind"] in {"identical", "symmetric", "same function", "near", "different"}
    assert card["architecture"].startswith("lstm")


def test_predictions_are_the_predictors(client: TestClient, collection: Collection) -> None:
    found = ready(client, "/api/predictions?id=0").json()["predictions"]
    expected = collection.predictors().predict(collection.index.vectors[0])
    assert [one["name"] for one in found] == [one.name for one in expected]


def test_the_table_shows_rows_in_the_order_asked(client: TestClient, collection: Collection) -> None:
    found = client.get("/api/rows?rows=7,2").json()
    assert found["columns"][0] == "task"
    assert [row["values"][0] for row in found["rows"]] == collection.table.column("task").take([7, 2]).to_pylist()


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_selection_is_exported(client: TestClient, collection: Collection, kind: str) -> None:
    rows = np.array([5, 1], dtype="<u4")
    response = client.post(f"/api/export?format={kind}", content=rows.tobytes())
    assert response.status_code == 200
    source = io.BytesIO(response.content)
    table = csv.read_csv(source) if kind == "csv" else pq.read_table(source, use_threads=False)
    assert table.column("rnn").to_pylist() == [collection.index.names[row] for row in rows]
    assert table.column("task").to_pylist() == collection.table.column("task").take([5, 1]).to_pylist()
    vectors = np.stack([table.column(f"z{at}").to_numpy() for at in range(16)], axis=1)
    np.testing.assert_allclose(vectors, collection.index.vectors[rows], rtol=1e-5)
