"""`python -m benchmarks.encoders`: a table, JSON, and files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from benchmarks.encoders.__main__ import BenchEncoders

from rnn2vec._errors import UsageError
from rnn2vec.cli.terminal import Terminal


@pytest.mark.slow
def test_a_table_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    verb = BenchEncoders(
        encoders=("layerwise-statistics",),
        workloads=("FL",),
        preset="tiny",
        rnns=2,
        rounds=1,
        threads=1,
        out=tmp_path / "speed",
    )
    result = verb.run(Terminal(quiet=False))
    said = capsys.readouterr().out
    assert "| layerwise-statistics | 1,248,016 |" in said
    assert (tmp_path / "speed.md").read_text().strip() in said
    assert json.loads((tmp_path / "speed.json").read_text())["speed"] == json.loads(json.dumps(result["speed"]))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"encoders": ("dwsnett",)}, "did you mean 'dwsnet'"),
        ({"workloads": ("fl",)}, "unknown workload 'fl'"),
        ({"threads": 0}, "--threads 0"),
    ],
)
def test_a_wrong_call_is_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        BenchEncoders(**wrong).run(Terminal(quiet=True))  # pyright: ignore[reportArgumentType]
