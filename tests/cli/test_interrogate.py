"""`rnn2vec interrogate`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rnn2vec.cli import main

SMALL = ["--largest-offset", "2", "--letters", "4"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("interrogate") / "one"
    assert main(["interrogate", *SMALL, "--out", str(out), "--json"]) == 0
    return out


def test_it_writes_a_table_and_a_figure(results: Path) -> None:
    assert "| 2 | 4 | 8 | 9 | 3 | 3 | 3 | 6 | 6 | 6 | 6 | 4 | 4 | yes | 2.0 |" in (results / "theory.md").read_text()
    assert (results / "theory.svg").read_text().startswith("<?xml")
    assert json.loads((results / "interrogation.json").read_text())["theory"]["gap"][1]["solved_probes"] == 6


def test_the_same_command_writes_the_same_files(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["interrogate", *SMALL, "--out", str(tmp_path / "two")]) == 0
    assert "M=2, k=4: 3 calls with interaction, 6 without" in capsys.readouterr().out
    for file in ("theory.md", "theory.svg", "interrogation.json"):
        assert (results / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_the_rnns_of_a_zoo_are_interrogated(tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["interrogate", *SMALL, "--zoo", str(folder), "--budget", "5", "--out", str(tmp_path / "new"), "--json"]
    assert main(command) == 0
    results = json.loads(capsys.readouterr().out)["rnns"]
    assert results["learned"] is None
    assert results["tallies"][0]["what"] == "after 0 updates"
    assert "## Comparison with the learned interrogator" in (tmp_path / "new" / "rnns.md").read_text()
    assert (tmp_path / "new" / "rnns.svg").is_file()


def test_a_user_defined_function_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "functions.csv"
    table.write_text("name,x,y,z\nf,1,1,1\ng,1,2,1\nh,2,1,1\ni,2,1,2\n")
    assert main(["interrogate", "--table", str(table)]) == 0
    said = capsys.readouterr().out
    assert "with interaction: 2 calls (optimal)" in said
    assert "without: 3 calls (optimal)" in said
    assert "ratio: 1.50; fixed probes: x, y, z" in said


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("name,x\n", "has no functions"),
        ("name,x,y\nf,1,2\ng,1\n", "row 3 has 2 cells, the first row 3"),
        ("name,x\nf,1\nf,2\n", "2 functions with 1 identities"),
        ("name,x\nf,1\ng,1\n", "two functions give the same answers to all inputs"),
        (b"\xff\xfe\x00", "is not a CSV file"),
        (None, "functions.csv cannot be read: No such file or directory"),
    ],
)
def test_a_bad_table_is_named(
    tmp_path: Path, content: str | bytes | None, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "functions.csv"
    if content is not None:
        table.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert main(["interrogate", "--table", str(table)]) in {1, 2}
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--model", "x"], "--model without --zoo"),
        (["--letters", "2"], "--letters 2"),
        (["--largest-offset", "1"], "--largest-offset 1"),
        (["--budget", "0"], "--budget 0"),
    ],
)
def test_a_wrong_call_is_refused(
    tmp_path: Path, options: list[str], problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["interrogate", *options, "--out", str(tmp_path / "new")]) == 2
    assert problem in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_a_folder_of_someone_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    assert main(["interrogate", *SMALL, "--out", str(tmp_path)]) == 2
    assert "is not a result of `rnn2vec interrogate`" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
