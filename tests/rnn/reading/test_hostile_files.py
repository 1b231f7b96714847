"""Hostile files: refused by name and reason at once, nothing run, and no memory taken on their word."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("h5py")
pytest.importorskip("onnx")
PROGRAM = Path(__file__).with_name("hostile.py")


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str], dict[str, dict[str, Any]]]:
    """The folder, what should be said of each file, and what was, in a process with 400 MiB to spare."""
    specification = importlib.util.spec_from_file_location("hostile", PROGRAM)
    assert specification is not None
    assert specification.loader is not None
    hostile = importlib.util.module_from_spec(specification)
    sys.modules["hostile"] = hostile
    specification.loader.exec_module(hostile)
    folder = tmp_path_factory.mktemp("hostile")
    said = hostile.write_all(folder)
    result = subprocess.run([sys.executable, str(PROGRAM), str(folder)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    return folder, said, {row["file"]: row for row in rows}


def test_every_file_is_refused_with_its_reason(refusals: Any) -> None:
    folder, said, rows = refusals
    assert rows.keys() == said.keys()
    for name, words in said.items():
        assert rows[name]["kind"] == "DataError", name
        assert words in rows[name]["problem"], name
        assert str(folder / name) in rows[name]["problem"]


def test_nothing_was_run(refusals: Any) -> None:
    folder, said, _ = refusals
    assert {path.name for path in folder.iterdir()} == said.keys()


def test_each_is_refused_within_a_second_of_the_processor(refusals: Any) -> None:
    _, _, rows = refusals
    assert {name: row["seconds"] for name, row in rows.items() if row["seconds"] > 1} == {}
