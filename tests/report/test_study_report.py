"""A study's report: what its tables say, that its figures hold it, and that the same rows give the same files."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from rnn2vec.experiments.statistics import estimate
from rnn2vec.experiments.study.checked import checked
from rnn2vec.experiments.study.config import Study
from rnn2vec.experiments.study.expand import pieces_of
from rnn2vec.experiments.study.files import write_marker
from rnn2vec.experiments.study.rows import CLOSED_FORM, Row, write_row
from rnn2vec.report.study_report import write_study_report
from rnn2vec.report.study_tables import estimate_text

LENGTHS = {"over": "encoder_options.sequence_length", "values": [4, 8], "encoders": ["interactive-probing"]}


def _row(name: str, losses: list[float], **names: Any) -> Row:
    distances = {"validation/total-variation": losses, "last/total-variation": losses}
    steps = [100.0 * (place + 1) for place in range(len(losses))]
    values: dict[str, Any] = {
        "piece": name,
        "setting": "pretrain",
        "variant": "floor",
        "seed": 0,
        "config": {"loss": "total-variation", "num_steps": 300},
        "zoo": {"weights": "0" * 64, "config": {"family": "formal-languages", "num_runs": 16, "num_steps": 200}},
        "provenance": {"commit": "abc123"},
        "hardware": {"processor": "an abacus", "device": "cpu"},
        "seconds": 3600.0,
        "curve": {"step": steps, **distances},
        "best": {"step": steps[-1], **{metric: numbers[-1] for metric, numbers in distances.items()}},
        "unseen": {"task": [[float(one)] for one in range(9)], "total-variation": [losses[-1]] * 9},
        **names,
    }
    return Row(**values)


def _study(folder: Path, *, seeds: int, **changes: Any) -> Path:
    content = {
        "name": "made-up",
        "question": "Who is lower?",
        "zoo": {"preset": "tiny"},
        "encoders": ["interactive-probing", "noninteractive-probing"],
        "seeds": list(range(seeds)),
        "preset": "tiny",
        **changes,
    }
    study = checked(Study, content, where="here")
    folder.mkdir()
    write_marker(folder, study)
    for piece in pieces_of(study):
        low = {"interactive-probing": 0.02, "noninteractive-probing": 0.04}.get(piece.encoder, 0.065)
        names = {"encoder": piece.encoder, "variant": piece.variant, "seed": piece.seed}
        write_row(folder, _row(piece.name, [0.07, 0.062, low + 0.001 * piece.seed], **names))
    write_row(folder, _row(CLOSED_FORM, [0.06], encoder=CLOSED_FORM, setting="floor", seconds=None))
    return folder


def _texts(path: Path) -> set[str]:
    return {"".join(node.itertext()) for node in ET.parse(path).iter() if node.tag.endswith("text")}


@pytest.fixture
def reported(tmp_path: Path) -> Path:
    folder = _study(tmp_path / "study", seeds=3, sweeps={"length": LENGTHS})
    write_study_report(folder)
    return folder


def test_the_report_answers_the_question_beside_the_paper(reported: Path) -> None:
    text = (reported / "report" / "report.md").read_text()
    assert "Who is lower?" in text
    assert "Task-blind floor: **0.0600** (closed form 0.0600, an emulator that sees no RNN 0.0650)" in text
    row = next(line for line in text.splitlines() if line.startswith("| interactive-probing | default"))
    assert "| 0.0200 0.0210 0.0220 |" in row
    assert "| 3 of 3 | 300 | 3 of 3 |  | 0.015 (0.008, 0.022) |" in row
    assert "| noninteractive-probing, default | 0.0200 0.0200 0.0200 | +0.0200 | 0 of 3 |" in text
    assert "| length (`encoder_options.sequence_length`) | 4 | 8 |" in text
    assert "| RNNs trained | 16 | 1,000 |" in text
    assert "| pieces done | 10 of 10 |" in text
    assert "| commits | abc123 |" in text
    for name in ("curves", "losses", "sweeps"):
        assert f"({name}.svg)" in text


def test_figures_name_what_they_show(reported: Path) -> None:
    folder = reported / "report"
    both = {"interactive-probing", "noninteractive-probing", "task-blind floor"}
    assert both <= _texts(folder / "curves.svg")
    assert both <= _texts(folder / "losses.svg")
    assert {"length", "4", "8", "interactive-probing"} <= _texts(folder / "sweeps.svg")


def test_the_same_rows_give_the_same_files(reported: Path) -> None:
    def files() -> dict[str, bytes]:
        made = [*(reported / "report").iterdir(), reported / "results.json", reported / "results.parquet"]
        return {path.name: path.read_bytes() for path in made}

    before = files()
    write_study_report(reported)
    assert files() == before
    assert sum(map(len, before.values())) < 200_000


def test_variants_are_named_without_their_encoder_and_with_intervals(tmp_path: Path) -> None:
    variants = {f"way-{number}": {} for number in range(9)}
    folder = _study(tmp_path / "study", seeds=8, variants=variants, encoders=["interactive-probing"])
    summary = write_study_report(folder)
    assert {"way-0", "way-8"} <= _texts(folder / "report" / "losses.svg")
    text = (folder / "report" / "report.md").read_text()
    assert f"| interactive-probing | way-0 | 8 | {estimate_text(summary.groups[0].loss)} |" in text
    assert not (folder / "report" / "sweeps.svg").exists()


def test_without_floor_the_report_says_so(tmp_path: Path) -> None:
    folder = _study(tmp_path / "study", seeds=1, floor=False, encoders=["interactive-probing"])
    (folder / "rows" / f"{CLOSED_FORM}.json").unlink()
    write_study_report(folder)
    text = (folder / "report" / "report.md").read_text()
    assert "The task-blind floor was not measured." in text
    assert "0 of 1 | never | 0 of 1" in text


def test_an_estimate_claims_an_interval_only_where_there_is_one() -> None:
    assert estimate_text(estimate([0.1, 0.2])) == "0.1000 0.2000"
    assert estimate_text(estimate([0.1] * 8)) == "0.1000 (0.1000, 0.1000)"
