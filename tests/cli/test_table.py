"""Tables: columns that do not fit continue below, with the first column again."""

from __future__ import annotations

import sys

import pytest

from rnn2vec.cli.table import table

HEAD = ["RNN", "distance", "performance", "language"]
ROWS = [["models/1.pt", "0.1000", 0.98765, "a^n b^n"], ["models/2.pt\n\x1b[1m", "0.2000", None, "a^n"]]


def test_a_table_that_fits_has_one_line_a_row() -> None:
    assert table(HEAD, ROWS, width=100).splitlines() == [
        r"RNN                   distance  performance  language",
        r"models/1.pt           0.1000    0.9877       a^n b^n",
        r"models/2.pt\n\x1b[1m  0.2000    -            a^n",
    ]


@pytest.mark.parametrize("width", [33, 40, 45, 60])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    lines = table(HEAD, ROWS, width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert sum(line.startswith("models/1.pt") for line in lines) == len(lines) // 3 - (len(lines) // 3 - 1) // 4
    for name in HEAD:
        assert any(name in line for line in lines)


def test_a_column_wider_than_the_terminal_still_gets_its_own_block() -> None:
    assert table(["a", "b", "c"], [["1", "x" * 50, "3"]], width=20).count("\n\n") == 1


def test_a_text_longer_than_any_path_is_cut() -> None:
    lines = table(["RNN", "note"], [["a", "x" * 10_000_000], ["b", "short"]]).splitlines()
    assert max(map(len, lines)) < 5000
    assert lines[1].endswith("xxx...")


def test_only_a_terminal_limits_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    assert "\n\n" not in table(HEAD, ROWS)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert "\n\n" in table(HEAD, ROWS)
