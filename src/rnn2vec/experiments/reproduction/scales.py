"""Scales: how large a reproduction is, as a folder of study files that run in the order of their names."""

from __future__ import annotations

from pathlib import Path

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec.experiments.study.config import Study
from rnn2vec.experiments.study.files import read_study

STUDIES = Path("studies/reproduction")
"""Folder of the scales in this project's repository."""


def studies_of(scale: str, folder: Path = STUDIES) -> tuple[Study, ...]:
    """Return the studies of a scale, in the order in which they run.

    Args:
        scale: name of a folder of study files.
        folder: folder of the scales.

    Raises:
        UsageError: if there is no such folder or scale, two studies have one name, or a file is wrong.
    """
    if not folder.is_dir():
        raise UsageError(
            f"{folder} is not a folder", remedy="run the command in the project's repository, or give --studies."
        )
    scales = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if scale not in scales:
        raise unknown_name("scale", scale, scales)
    studies = tuple(read_study(path) for path in sorted((folder / scale).glob("*.yaml")))
    names = [study.name for study in studies]
    if not names or len(set(names)) < len(names):
        raise UsageError(
            f"{folder / scale} holds the studies {names}", remedy="give at least one, each by its own name."
        )
    return studies
