"""Studies whose rows are made up, so that what tables must say is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnn2vec.experiments.study.checked import checked
from rnn2vec.experiments.study.config import Study
from rnn2vec.experiments.study.expand import StudyPiece, pieces_of
from rnn2vec.experiments.study.files import write_marker
from rnn2vec.experiments.study.rows import CLOSED_FORM, Row, write_row
from rnn2vec.experiments.study.run import Outcome, run_study

STEPS = [100, 200, 300]
TASKS = [[float(offset), 0.0, 0.0] for offset in range(10)]
FLOOR = 0.06

Losses = Callable[[StudyPiece], list[float]]
"""What a made-up training's validations were."""


def _study_of(**changes: Any) -> Study:
    """A study of two encoders and three seeds, with changes."""
    content = {
        "name": "made-up",
        "zoo": {"preset": "tiny"},
        "encoders": ["interactive-probing", "noninteractive-probing"],
        "seeds": [0, 1, 2],
        "preset": "tiny",
        **changes,
    }
    return checked(Study, content, where="here")


def _made_up_row(name: str, losses: list[float], **changes: Any) -> Row:
    """A row whose validation had these losses, the same for every unseen task."""
    best = min(range(len(losses)), key=losses.__getitem__)
    steps = STEPS[: len(losses)]
    values: dict[str, Any] = {
        "piece": name,
        "setting": "pretrain",
        "encoder": "interactive-probing",
        "variant": "default",
        "seed": 0,
        "config": {"loss": "total-variation", "num_steps": 300},
        "zoo": {"weights": "0" * 64, "config": {"family": "formal-languages", "num_runs": 16, "num_steps": 200}},
        "provenance": {"commit": "abc"},
        "hardware": {"processor": "an abacus", "device": "cpu"},
        "seconds": 60.0,
        "curve": {
            "step": steps,
            "validation/total-variation": losses,
            "last/total-variation": [one / 2 for one in losses],
        },
        "best": {
            "step": steps[best],
            "validation/total-variation": losses[best],
            "last/total-variation": losses[best] / 2,
        },
        "unseen": {"task": TASKS, "total-variation": [losses[best]] * len(TASKS)},
        **changes,
    }
    return Row(**values)


@pytest.fixture
def study_of() -> Callable[..., Study]:
    """`study_of(seeds=[0])`: a study of two encoders and three seeds, with changes."""
    return _study_of


@pytest.fixture
def made_up_row() -> Callable[..., Row]:
    """`made_up_row(name, losses)`: a row whose validations had these losses."""
    return _made_up_row


@pytest.fixture
def made_up(tmp_path: Path) -> Callable[[Study, Losses], Path]:
    """`made_up(study, losses)`: the folder of a study of which every piece is done."""

    def make(study: Study, losses: Losses) -> Path:
        folder = tmp_path / "study"
        folder.mkdir()
        write_marker(folder, study)
        for piece in pieces_of(study):
            names = {"encoder": piece.encoder, "variant": piece.variant, "seed": piece.seed}
            write_row(folder, _made_up_row(piece.name, losses(piece), config=piece.config.to_dict(), **names))
        if study.floor:
            write_row(folder, _made_up_row(CLOSED_FORM, [FLOOR], encoder=CLOSED_FORM, setting="floor", seconds=None))
        return folder

    return make


SMALL: dict[str, Any] = {
    "zoo": {
        "preset": "tiny",
        "options": {
            "num_runs": 3,
            "num_steps": 2,
            "hidden_size": 4,
            "num_rollouts": 3,
            "num_episodes": 3,
            "batch_size": 4,
            "backend": "torch",
        },
    },
    "encoders": ["interactive-probing"],
    "seeds": [0],
    "pretrain": {
        "representation_size": 4,
        "emulator_hidden_size": 8,
        "num_steps": 7,
        "batch_size": 3,
        "warm_up_steps": 2,
        "validation_rollouts": 2,
        "validate_every": 3,
    },
    "encoder_options": {
        "interactive-probing": {"hidden_size": 8, "mlp_size": 8, "num_sequences": 2, "sequence_length": 3}
    },
}
"""A study that a test can really run: two trainings of seven updates, one of them the floor's."""


@pytest.fixture
def small_study() -> Callable[..., Study]:
    """`small_study(seeds=[0, 1])`: a study that takes seconds, with changes."""
    return lambda **changes: _study_of(**{**SMALL, **changes})


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Outcome, list[tuple[str, float, float, str]]]:
    """The folder of a small study that has run, what came of it, and what was said. Read only."""
    folder = tmp_path_factory.mktemp("ran") / "study"
    heard: list[tuple[str, float, float, str]] = []
    outcome = run_study(_study_of(**SMALL), folder, workers=2, progress=lambda *said: heard.append(said))
    return folder, outcome, heard
