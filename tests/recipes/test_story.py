"""The story of 63 forecasters in docs/your-own-rnns.md: its commands, typed in order, find what was hidden.

By default in a reduced form: forecasters are trained less, and `fit` for a quarter of a minute. With
RNN2VEC_STORY=full the commands run as they stand, and their times are held to what the page promises.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from pathlib import Path
from typing import Any

import pytest

from rnn2vec.cli import main

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
IS_FULL = os.environ.get("RNN2VEC_STORY") == "full"
FITTED = ("fit", "runs/forecasters", "forecasters-index")


def commands() -> list[str]:
    page = (ROOT / "docs" / "your-own-rnns.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```bash\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    return block.splitlines()


def ranks(result: dict[str, Any]) -> dict[str, int]:
    return {Path(one["rnn"]).stem: place for place, one in enumerate(result["ranking"], 1)}


def test_the_story_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    first, *rest = commands()
    assert first == "python examples/forecasters.py"
    import forecasters

    forecasters.main(400 if IS_FULL else 250)
    capsys.readouterr()
    outputs: list[dict[str, Any]] = []
    seconds = {"without training": 0.0, "with fit": 0.0}
    for command in rest:
        given = command if IS_FULL else command.replace("--time-budget 4", "--time-budget 0.25")
        started = time.perf_counter()
        assert main([*shlex.split(given)[1:], "--json"]) == 0, command
        part = "with fit" if any(word in command for word in FITTED) else "without training"
        seconds[part] += time.perf_counter() - started
        outputs.append(json.loads(capsys.readouterr().out))
    untrained, duplicates, difference, _, _, fitted, card = outputs
    for ranking in (untrained, fitted):
        place = ranks(ranking)
        assert {place["forecaster_07"], place["forecaster_41"]} == {1, 2}
        assert place["forecaster_22"] <= 5
        assert {Path(one["rnn"]).stem for one in ranking["ranking"] if one["is_flagged"]} >= {
            "forecaster_07",
            "forecaster_41",
        }
    verdicts = {Path(name).stem: verdict["kind"] for name, verdict in duplicates["verdicts"].items()}
    assert verdicts == {"forecaster_03": "identical", "forecaster_18": "symmetric", "forecaster_50": "near"}
    assert difference["verdict"]["kind"] == "near"
    assert 0 < difference["verdict"]["mean_distance"] < difference["verdict"]["largest_distance"] < 0.1
    assert card["unusual"]["p"] <= 5 / 63
    if IS_FULL:
        assert seconds["without training"] < 20
        assert seconds["with fit"] < 300
