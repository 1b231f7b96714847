"""The reproduction's report on made-up data: every item is there, and the page stands alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest

from rnn2vec._files import write_json
from rnn2vec.experiments import paper
from rnn2vec.experiments.reproduction.claims import CLAIMS
from rnn2vec.experiments.reproduction.hyperparameters import hyperparameters
from rnn2vec.experiments.reproduction.measure import RAW_WEIGHTS
from rnn2vec.experiments.reproduction.rows import write_tables
from rnn2vec.report.files import colour_of
from rnn2vec.report.reproduction_items import ITEMS, missing
from rnn2vec.report.reproduction_report import write_reproduction

FAMILIES = ("formal-languages", "tiled-mnist")
PROPERTIES = {"formal-languages": ("task", "performance"), "tiled-mnist": ("task", "performance", "step")}
EXPECTED = [
    "table-2", *(f"table-{number}" for number in range(3, 12)), "figure-5", "figure-6", "figure-7", "figure-8",
    *(f"figure-{number}" for number in range(11, 16)), "figure-15-tiles",
    *(f"figure-{number}" for number in range(16, 23)),
]  # fmt: skip


def _losses(generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    for family, (place, name), seed in itertools.product(FAMILIES, enumerate(paper.ENCODERS), range(5)):
        loss = 0.06 - 0.008 * place + 0.001 * generator.standard_normal()
        yield _loss(family, name, "default", seed, loss)
    for family, (name, variant, loss) in itertools.product(
        FAMILIES, (("task-blind", "floor", 0.065), ("oracle", "ceiling", 0.01))
    ):
        yield _loss(family, name, variant, 0, loss)


def _loss(family: str, name: str, variant: str, seed: int, loss: float) -> dict[str, Any]:
    return {
        "family": family, "study": "made-up", "encoder": name, "variant": variant, "seed": seed,
        "total_variation": loss, "last_total_variation": loss / 2, "forward_kl": loss, "reverse_kl": 4 * loss,
        "js": loss, "papers_measure": 0.7 * loss, "best_step": 100, "updates": 200, "seconds": 1.0,
        "processor": "an abacus",
        "weights": "0123456789",
    }  # fmt: skip


def _sweeps(generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    for family, (sweep, points), name, seed in itertools.product(
        FAMILIES,
        {"number-of-sequences": (1, 2, 4, 8), "length-of-sequences": (7, 12, 22, 42)}.items(),
        ("interactive-probing", "noninteractive-probing"),
        range(3),
    ):
        for point in points:
            loss = 0.03 + 0.02 / point + 0.002 * generator.random()
            yield {
                "family": family, "encoder": name, "sweep": sweep, "value": float(point), "seed": seed,
                "total_variation": loss, "papers_measure": 0.7 * loss,
            }  # fmt: skip


def _predictions(generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    for family, part, seed in itertools.product(FAMILIES, ("validation", "ood"), range(3)):
        for name, setting in itertools.product(paper.ENCODERS, ("frozen", "supervised")):
            for prop in PROPERTIES[family]:
                yield _prediction(family, prop, setting, name, seed, part, generator.random())
        yield _prediction(family, "task", "baseline", "constant", seed, part, 1.0)


def _prediction(family: str, prop: str, setting: str, name: str, seed: int, part: str, value: float) -> dict[str, Any]:
    return {
        "family": family, "property": prop, "setting": setting, "encoder": name, "seed": seed, "part": part,
        "metric": "loss", "value": value,
    }  # fmt: skip


def _rnns(generator: np.random.Generator, name: str, family: str, split: str) -> Iterator[dict[str, Any]]:
    for run, (rank, step) in itertools.product(range(12), enumerate((0, 100, 1000))):
        performance = float(np.clip(0.45 * rank + 0.1 * generator.standard_normal(), 0, 1))
        task = [float(run % 6 - 3), 0.0, 1.0] if family == "formal-languages" else [30.0 * run]
        yield {
            "family": family, "encoder": name, "split": split, "step": step, "run": run, "task": task,
            "x": float(generator.standard_normal() + rank), "y": float(generator.standard_normal() + run % 6),
            "performance": performance, "gap": 0.1 * rank, "rnn": performance, "emulation": performance**2,
            "r_squared": 0.5, "low": 0.4, "high": 0.6,
        }  # fmt: skip


def _probes(generator: np.random.Generator) -> Iterator[dict[str, Any]]:
    for family, size, lengths in (("formal-languages", 6, (7, 12)), ("tiled-mnist", 16, (50,))):
        for length in lengths:
            for step in range(1, length + 1):
                yield {
                    "family": family, "encoder": f"length {length}", "task": "a^n b^n", "length": length, "step": step,
                    "probe": generator.dirichlet(np.full(size, 0.2)).tolist(),
                    "answer": generator.dirichlet(np.full(6, 0.2)).tolist(),
                }  # fmt: skip


def _invariance() -> Iterator[dict[str, Any]]:
    changes = ("complete", "without input rows", "signs")
    for family, state, name, change in itertools.product(
        FAMILIES, ("untrained", "trained"), ("RNN", *paper.ENCODERS), changes
    ):
        share = 0.0 if change == "complete" and "weights" not in name and "transformer" not in name else 0.6
        facts = dict.fromkeys(("median", "low", "high", "largest"), share)
        yield {"family": family, "state": state, "encoder": name, "change": change, **facts}


@pytest.fixture(scope="module")
def data() -> dict[str, pa.Table]:
    """Made-up tables of a whole reproduction."""
    generator = np.random.default_rng(3)
    names = (*paper.ENCODERS, RAW_WEIGHTS)
    rnns = [
        line
        for name, family, split in itertools.product(names, FAMILIES, ("validation", "ood"))
        for line in _rnns(generator, name, family, split)
    ]
    correlations = [
        {"family": family, "property": name, "part": part, "r": 0.9, "low": 0.8, "high": 0.99, "trainings": 30}
        for (family, name), parts in paper.CORRELATIONS.items()
        for part in parts
    ]
    lines = {
        "losses": _losses(generator),
        "sweeps": _sweeps(generator),
        "predictions": _predictions(generator),
        "correlations": correlations,
        "hyperparameters": hyperparameters(),
        "imitation": [line for line in rnns if line["encoder"] != RAW_WEIGHTS],
        "maps": rnns,
        "invariance": _invariance(),
        "probes": _probes(generator),
    }
    return {name: pa.Table.from_pylist(list(found)) for name, found in lines.items()}


@pytest.fixture(scope="module")
def folder(data: dict[str, pa.Table], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a reproduction with its report."""
    folder = tmp_path_factory.mktemp("reproduction")
    write_json(folder / "reproduction.json", {"scale": "made-up"})
    write_tables(folder / "data", data)
    assert write_reproduction(folder) == []
    return folder


def test_every_table_and_figure_of_the_paper_is_an_item() -> None:
    assert [item.key for item in ITEMS] == EXPECTED
    assert all((item.draw is None) <= (item.cells is not None) for item in ITEMS)


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item.key)
def test_no_item_is_missing_or_empty(folder: Path, item: Any) -> None:
    if item.draw is not None:
        picture = ET.parse(folder / "figures" / f"{item.key}.svg").getroot()
        marks = [one.tag.rpartition("}")[2] for one in picture.iter()]
        assert "image" in marks or marks.count("path") + marks.count("use") > 20
        assert any(one.tag.endswith("}text") and (one.text or "").strip() for one in picture.iter())
    if item.cells is not None:
        assert pyarrow.csv.read_csv(folder / "tables" / f"{item.key}.csv").num_rows > 0
    assert f'id="{item.key}"' in (folder / "index.html").read_text()
    assert item.key.replace("-", " ").capitalize() in (folder / "reproduction.md").read_text()


@pytest.mark.parametrize("name", ["losses", "sweeps", "predictions", "imitation", "maps", "probes", "invariance"])
def test_an_item_without_data_is_named(data: dict[str, pa.Table], name: str) -> None:
    expected = {item.key for item in ITEMS if item.data == name}
    assert set(missing({key: table for key, table in data.items() if key != name})) == expected
    assert set(missing({**data, name: data[name].slice(0, 0)})) == expected


def test_the_page_stands_alone_and_is_small(folder: Path) -> None:
    html = (folder / "index.html").read_text()
    assert len(html) < 8e6
    assert not re.search(r"""(src|href)=["'](?!data:|#)""", html)
    assert "<script" not in html
    assert html.count("<img ") == html.count('alt="') == sum(item.draw is not None for item in ITEMS)


def test_the_same_data_give_the_same_bytes(folder: Path, data: dict[str, pa.Table], tmp_path: Path) -> None:
    write_json(tmp_path / "reproduction.json", {"scale": "made-up"})
    write_tables(tmp_path / "data", data)
    write_reproduction(tmp_path)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert all((folder / file).read_bytes() == (tmp_path / file).read_bytes() for file in files)


def test_claims_get_the_verdict_that_the_data_ask_for(folder: Path) -> None:
    text = (folder / "reproduction.md").read_text()
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")]
    begin = next(place for place, row in enumerate(rows) if row[0] == "| where")
    verdicts = {row[1]: row[4] for row in rows[begin + 2 : begin + 2 + len(CLAIMS)]}
    assert verdicts.keys() == {claim.text for claim in CLAIMS}
    assert (
        verdicts[
            "On formal languages interactive probing is best, static probing next, every mechanistic encoder worse."
        ]
        == "reproduced"
    )
    assert verdicts["Interactive probing fails to train on some seeds."] == "not reproduced"
    assert verdicts["Complete permutations move flattened weights and the transformer only."] == "reproduced"


def test_encoders_have_colours_of_their_own() -> None:
    assert len({colour_of(name) for name in paper.ENCODERS}) == 6
    assert colour_of("oracle") == colour_of("constant")
