"""The story of 63 forecasters in docs/your-own-rnns.md: its commands, typed in order, find what was hidden.

By default in a reduced form: forecasters are trained less. With RNN2VEC_STORY=full the commands run as they stand.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import re
import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rnn2vec.cli import main

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
IS_FULL = os.environ.get("RNN2VEC_STORY") == "full"
FITTED = ("fit", "runs/forecasters", "forecasters-index")
Verb = dict[str, Any]


@dataclass(frozen=True)
class Story:
    """Results of the commands of the page, and the processor time that they took."""

    untrained: Verb
    duplicates: Verb
    difference: Verb
    fitted: Verb
    card: Verb
    seconds: dict[str, float]
    """Processor time of the commands without training and of those with `fit`, imports excluded."""


def commands() -> list[str]:
    page = (ROOT / "docs" / "your-own-rnns.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```bash\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    return block.splitlines()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """The page's commands, in order."""
    outputs: list[Verb] = []
    seconds = {"without training": 0.0, "with fit": 0.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("story"))
        patch.syspath_prepend(str(ROOT / "examples"))
        first, *rest = commands()
        assert first == "python examples/forecasters.py"
        importlib.import_module("forecasters").main(400 if IS_FULL else 250)
        for command in rest:
            started = time.process_time()
            with contextlib.redirect_stdout(io.StringIO()) as said:
                assert main([*shlex.split(command)[1:], "--json"]) == 0, command
            part = "with fit" if any(word in command for word in FITTED) else "without training"
            seconds[part] += time.process_time() - started
            outputs.append(json.loads(said.getvalue()))
    untrained, duplicates, difference, _, _, fitted, card = outputs
    return Story(untrained, duplicates, difference, fitted, card, seconds)


def ranks(result: Verb) -> dict[str, int]:
    return {Path(one["rnn"]).stem: place for place, one in enumerate(result["ranking"], 1)}


def flagged(result: Verb) -> set[str]:
    return {Path(one["rnn"]).stem for one in result["ranking"] if one["is_flagged"]}


def test_without_training_the_broken_ones_lead_the_ranking(story: Story) -> None:
    place = ranks(story.untrained)
    assert {place["forecaster_07"], place["forecaster_41"]} == {1, 2}
    assert place["forecaster_22"] <= 5
    assert flagged(story.untrained) >= {"forecaster_07", "forecaster_41"}


def test_without_training_the_copies_come_with_their_verdicts(story: Story) -> None:
    verdicts = {Path(name).stem: verdict["kind"] for name, verdict in story.duplicates["verdicts"].items()}
    assert verdicts == {"forecaster_03": "identical", "forecaster_18": "symmetric", "forecaster_50": "near"}
    assert story.difference["verdict"]["kind"] == "near"
    assert 0 < story.difference["verdict"]["mean_distance"] < story.difference["verdict"]["largest_distance"] < 0.1


def test_after_fit_the_broken_ones_lead_the_ranking(story: Story) -> None:
    place = ranks(story.fitted)
    assert {place["forecaster_07"], place["forecaster_41"]} == {1, 2}
    assert place["forecaster_22"] <= 5
    assert flagged(story.fitted) >= {"forecaster_07", "forecaster_41"}
    assert story.card["unusual"]["p"] <= 5 / 63


def test_it_takes_no_longer_than_the_page_says(story: Story) -> None:
    """Check processor time: other processes on the machine would count in wall time."""
    assert story.seconds["without training"] < 20
    assert story.seconds["with fit"] < 300
