"""The tour, small: everything that the real one does, with numbers that say nothing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from rnn2vec.cli import main

pytestmark = pytest.mark.slow


def tour(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict:
    """Run a small tour; return what it prints as JSON."""
    code = main(["tour", "--out", str(folder), "--runs", "6", "--zoo-steps", "20", "--pretrain-steps", "4", "--json"])
    assert code == 0
    return json.loads(capsys.readouterr().out)


def test_a_tour_ends_with_a_report_and_three_numbers_and_goes_on_when_given_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = tour(tmp_path / "tour", capsys)
    page = (tmp_path / "tour" / "report.html").read_text(encoding="utf-8")
    assert first["report"] == str(tmp_path / "tour" / "report.html")
    for heading in ("Learning", "A map of what networks do", "What the encoder asked"):
        assert heading in page
    numbers = first["all_snapshots"]
    assert 0 < numbers["interactive"]["total_variation"] < 1

    checkpoint = (tmp_path / "tour" / "interactive-probing" / "checkpoint.safetensors").read_bytes()
    started = time.monotonic()
    again = tour(tmp_path / "tour", capsys)
    assert again == first
    assert (tmp_path / "tour" / "interactive-probing" / "checkpoint.safetensors").read_bytes() == checkpoint
    assert time.monotonic() - started < 60, "nothing was left to do"


def test_a_folder_with_other_things_is_refused_untouched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    assert main(["tour", "--out", str(tmp_path)]) == 2
    message = capsys.readouterr().err
    assert str(tmp_path) in message
    assert "--out" in message
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_another_seed_in_the_same_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tour(tmp_path / "tour", capsys)
    assert main(["tour", "--out", str(tmp_path / "tour"), "--runs", "6", "--zoo-steps", "20", "--seed", "1"]) == 2
    assert "seed is 0, asked for 1" in capsys.readouterr().err
