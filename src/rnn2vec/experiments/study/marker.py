"""`study.json`, the file that marks a folder as that of a study."""

from __future__ import annotations

import json
from pathlib import Path

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import read_json, write_atomically
from rnn2vec._provenance import provenance
from rnn2vec.experiments.study.config import Study
from rnn2vec.experiments.study.files import checked

MARKER = "study.json"


def write_marker(folder: Path, study: Study) -> None:
    """Write `study.json`; its keys stay in order, since tables and comparisons follow the order of the variants."""
    content = {"study": study.to_dict(), "provenance": provenance()}
    write_atomically(folder / MARKER, (json.dumps(content, indent=1) + "\n").encode())


def read_study_of(folder: Path) -> Study:
    """Return the study that a folder holds.

    Raises:
        UsageError: it holds none.
        DataError: `study.json` is damaged, or lacks something that a study has.
    """
    path = folder / MARKER
    if not path.is_file():
        raise UsageError(f"{folder} holds no study", remedy="give a folder that `rnn2vec study run --out` made.")
    content = read_json(path)
    remedy = "rerun `rnn2vec study run`: it writes the file again."
    if not isinstance(content, dict) or not isinstance(content.get("study"), dict):
        raise DataError(f"{path} describes no study", remedy=remedy)
    try:
        return checked(Study, content["study"], where=str(path))
    except UsageError as error:
        raise DataError(f"{path} describes no study: {error.problem}", remedy=remedy) from error


def study_before(folder: Path) -> Study | None:
    """Return the study that a folder holds; None where there is none yet, or a damaged one, which is then replaced."""
    try:
        return read_study_of(folder) if (folder / MARKER).is_file() else None
    except DataError:
        return None
