"""Run a study: finished pieces are skipped, interrupted ones resumed, and failures do not stop the others."""

from __future__ import annotations

import contextlib
import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec._files import write_atomically
from rnn2vec._lock import claim
from rnn2vec.execution.devices import spread
from rnn2vec.execution.local import Piece, try_pieces
from rnn2vec.experiments.study.checked import checked
from rnn2vec.experiments.study.config import BASELINE, PRETRAIN, Study
from rnn2vec.experiments.study.expand import StudyPiece, changes, pieces_of, require_trainable
from rnn2vec.experiments.study.files import MARKER, study_before, write_marker
from rnn2vec.experiments.study.pieces import run_baselines, run_floor, run_prediction, run_pretraining
from rnn2vec.experiments.study.rows import CLOSED_FORM, Row, read_rows
from rnn2vec.properties.data import find_property
from rnn2vec.zoo.build import build_zoo
from rnn2vec.zoo.store import Zoo

ManyProgress = Callable[[str, float, float, str], None]
"""Callback that receives `(which, done, total, what)`; `which` is `zoo` or `pieces`."""

ZOO = "zoo"
"""Folder of the study's own zoo, below the study's folder."""
ERRORS = "errors"
"""Folder of the traceback of each piece that failed last time, below the study's folder."""


class StudyError(Rnn2VecError):
    """Raised at the end of a study if pieces failed; all others are done."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of a call of `run_study`."""

    skipped: tuple[str, ...]
    """Pieces that already had a row."""
    done: tuple[str, ...]
    """Pieces that were run."""
    failed: dict[str, str]
    """Reason of each failure, by piece."""

    def require_success(self, out: Path) -> None:
        """Raise an error if any piece failed.

        Raises:
            StudyError: if pieces failed.
        """
        if self.failed:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.failed.items())
            pieces = len(self.failed) + len(self.done) + len(self.skipped)
            raise StudyError(
                f"{len(self.failed)} of {pieces} pieces failed: {reasons}",
                remedy=f"rerun the command to try these again; all others are done. Tracebacks: {out / ERRORS}.",
            )


def run_study(
    study: Study,
    out: str | Path,
    *,
    zoo_folder: Path | None = None,
    workers: int | None = None,
    device: str = "cpu",
    progress: ManyProgress = lambda *_: None,
) -> Outcome:
    """Run every piece that has no row yet.

    Args:
        study: the study.
        out: folder of the study: new, empty, or of the same study, to which seeds, variants or sweeps may have been
            added.
        zoo_folder: folder of the zoo, which is built if it does not exist, so that studies can share it; by default
            `out/zoo`.
        workers: number of concurrent pieces; by default one for each usable core, or for each GPU.
        device: `cpu`, `cuda` for every GPU that torch sees, or one of them, such as `cuda:1`.
        progress: callback that receives the number of updates done: for the zoo, and over all pieces that are left.

    Returns:
        The pieces that were done, and those that failed.

    Raises:
        UsageError: if the folder holds something else, or rows of another config, or the device is not available.
        DataError: if the zoo or a row is damaged.
        BusyError: if another process runs a study in this folder.
    """
    folder = Path(out)
    devices = spread(device, workers)
    with claim(folder, marker=MARKER, kind="study"):
        return _run(study, folder, zoo_folder or folder / ZOO, devices, progress)


def _run(study: Study, folder: Path, zoo_folder: Path, devices: Sequence[str], progress: ManyProgress) -> Outcome:
    """Run the remaining pieces in the claimed folder."""
    pieces = pieces_of(study)
    rows = read_rows(folder)
    before = study_before(folder)
    _require_same(study, before, pieces, rows, folder)
    if not _asks_the_same(before, study):  # else the provenance of the first call is kept; rows have their own
        write_marker(folder, study)
    skipped = tuple(piece.name for piece in pieces if piece.name in rows)
    left = [piece for piece in pieces if piece.name not in rows]
    needs_floor = study.floor and PRETRAIN in study.settings and CLOSED_FORM not in rows
    if not left and not needs_floor:
        return Outcome(skipped, (), {})
    zoo = _zoo(study, zoo_folder, progress)
    require_trainable(pieces, zoo.spec, zoo.family.interface)
    for name in study.properties:
        find_property(zoo.family, name)
    _require_same_zoo(zoo, rows)
    zoo.verify_checksums()
    common = {"zoo": zoo.folder, "out": folder}
    jobs = [Piece(CLOSED_FORM, run_floor, {**common, "piece": pieces[0]})] if needs_floor else []
    jobs += [_job(piece, common) for piece in left]
    outcomes = try_pieces(
        jobs,
        devices=devices,
        progress=_Listener(left, progress).hear,
        after={piece.name: piece.pretraining for piece in left if piece.setting == "frozen"},
    )
    return _outcome(folder, skipped, outcomes)


def _job(piece: StudyPiece, common: dict[str, Any]) -> Piece:
    """Build the job of a worker for a piece."""
    if piece.setting == BASELINE:
        return Piece(piece.name, run_baselines, {**common, "piece": piece})
    function = run_pretraining if piece.setting == PRETRAIN else run_prediction
    return Piece(piece.name, function, {**common, "piece": piece}, takes_device=True)


def _asks_the_same(before: Study | None, study: Study) -> bool:
    """Return True if a study is unchanged, including the order of its variants."""
    return before is not None and json.dumps(before.to_dict()) == json.dumps(study.to_dict())


def _require_same(
    study: Study, before: Study | None, pieces: Sequence[StudyPiece], rows: dict[str, Row], folder: Path
) -> None:
    """Check that the rows in the folder belong to this study.

    Raises:
        UsageError: if they do not; the folder is unchanged.
    """
    if before is not None and before.name != study.name:
        raise UsageError(f"{folder} holds study {before.name}, not {study.name}", remedy="give another --out.")
    for piece in pieces:
        row = rows.get(piece.name)
        if row is None or piece.config is None:
            continue
        trained = checked(type(piece.config), row.config, where=f"{folder}, row {piece.name}")
        different = changes(piece.config, trained.to_dict())
        if different:
            raise UsageError(
                f"{folder} has a row of {piece.name} with another config: {', '.join(different)}",
                remedy="give another --out for the changed study, or delete that row (and its run) to train it again.",
            )


def _require_same_zoo(zoo: Zoo, rows: dict[str, Row]) -> None:
    config = zoo.manifest.config.to_dict()
    for row in rows.values():
        if row.zoo["config"] != config:
            raise UsageError(
                f"the row of {row.piece} is of another zoo than {zoo.folder}",
                remedy="give another --out for a study of this zoo.",
            )


def _zoo(study: Study, folder: Path, progress: ManyProgress) -> Zoo:
    """Open the study's zoo, or build it in the folder."""
    config = study.zoo.to_build()
    if config is not None:
        return build_zoo(config, folder, progress=lambda done, total, what: progress("zoo", done, total, what))
    zoo = Zoo.open(study.zoo.folder or "")
    if zoo.family.name != study.zoo.family:
        raise UsageError(
            f"{zoo.folder} has RNNs of {zoo.family.name}, the study is of {study.zoo.family}",
            remedy=f"give zoo: {{folder: {zoo.folder}, family: {zoo.family.name}}}.",
        )
    if not zoo.is_complete:
        raise DataError(f"{zoo.folder} is not complete", remedy="rerun `rnn2vec zoo build` to finish it first.")
    return zoo


class _Listener:
    """Sum of the progress of all pieces.

    Args:
        left: pieces to run.
        progress: callback that receives the number of updates over all pieces.
    """

    def __init__(self, left: Sequence[StudyPiece], progress: ManyProgress) -> None:
        self._steps = {piece.name: piece.num_steps for piece in left}
        self._done = dict.fromkeys(self._steps, 0.0)
        self._progress = progress

    def hear(self, name: str, done: float, total: float, what: str) -> None:  # noqa: ARG002
        """Record the progress of one piece."""
        if name not in self._done:
            return
        self._done[name] = done
        finished = sum(self._done[one] >= steps for one, steps in self._steps.items())
        text = f"{finished} of {len(self._steps)} pieces; {name}: {what}"
        self._progress("pieces", sum(self._done.values()), sum(self._steps.values()), text)


def _outcome(folder: Path, skipped: tuple[str, ...], outcomes: dict[str, object]) -> Outcome:
    """Separate successes from failures; write tracebacks of failures, and delete those of pieces that succeeded."""
    errors = {name: error for name, error in outcomes.items() if isinstance(error, Exception)}
    for name in outcomes:
        path = folder / ERRORS / f"{name}.txt"
        if name not in errors:
            path.unlink(missing_ok=True)
            continue
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, "".join(traceback.format_exception(errors[name])).encode())
    with contextlib.suppress(OSError):
        (folder / ERRORS).rmdir()  # when it is empty
    failed = {name: _reason(error) for name, error in errors.items()}
    return Outcome(skipped, tuple(name for name in outcomes if name not in errors), failed)


def _reason(error: Exception) -> str:
    if isinstance(error, Rnn2VecError):
        return f"{error.problem} -> {error.remedy}"
    return f"{type(error).__name__}: {error}"
