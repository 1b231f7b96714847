"""Checkpoints and zoos named on the command line, read piece by piece with what is known of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rnn2vec._errors import Rnn2VecError, UsageError
from rnn2vec.rnn.spec import CellName

if TYPE_CHECKING:
    import pyarrow as pa

    from rnn2vec.rnn.stack import RNNStack

_AT_ONCE = 1024
_ENDINGS = {".safetensors", ".pt", ".pth", ".ckpt"}


@dataclass
class Piece:
    """Some RNNs that were read together."""

    names: list[str] = field(default_factory=list)
    """One for each RNN."""
    stacks: list[RNNStack] = field(default_factory=list)
    """Their weights, in the same order."""
    properties: pa.Table | None = None
    """What a zoo knows of them."""


def expand(paths: Sequence[Path]) -> list[Path]:
    """Files and zoos as they are, and for any other folder the checkpoints below it, in the order of their names.

    Raises:
        UsageError: nothing was given, or a folder holds no checkpoint.
    """
    from rnn2vec.zoo.store import MANIFEST

    found: list[Path] = []
    for path in paths:
        if not path.is_dir() or (path / MANIFEST).is_file():
            found.append(path)
            continue
        below = sorted(file for file in path.rglob("*") if file.suffix in _ENDINGS and file.is_file())
        if not below:
            raise UsageError(f"{path} holds no checkpoint ({', '.join(sorted(_ENDINGS))})", remedy="give another.")
        found += below
    if not found:
        raise UsageError("no checkpoint was given", remedy="name at least one checkpoint file, folder or zoo.")
    return found


def read(
    paths: Sequence[Path], known: set[str], failures: list[Rnn2VecError], *, cell: CellName | None = None
) -> Iterator[Piece]:
    """Read RNNs, about a thousand at a time.

    Args:
        paths: as `expand` returns them.
        known: names that are not wanted again.
        failures: gets an error for each file that cannot be read; the others go on.
        cell: which cell the files hold, where shapes leave it open.
    """
    from rnn2vec.rnn.files import load_rnn
    from rnn2vec.zoo.store import MANIFEST

    piece = Piece()
    for path in paths:
        if (path / MANIFEST).is_file():
            yield from _read_zoo(path, known)
            continue
        if str(path) in known:
            continue
        try:
            stack = load_rnn(path, cell=cell)
        except Rnn2VecError as error:
            failures.append(_naming(path, error))
            continue
        piece.names.append(str(path))
        piece.stacks.append(stack)
        if len(piece.names) == _AT_ONCE:
            yield piece
            piece = Piece()
    if piece.names:
        yield piece


def _read_zoo(path: Path, known: set[str]) -> Iterator[Piece]:
    import numpy as np

    from rnn2vec.zoo.store import Zoo

    zoo = Zoo.open(path)
    names = [f"{path}#{row}" for row in range(len(zoo))]
    rows = np.array([row for row, name in enumerate(names) if name not in known], dtype=np.int64)
    for start in range(0, len(rows), _AT_ONCE):
        chosen = rows[start : start + _AT_ONCE]
        stack = zoo.rnns(chosen)
        stack.require_finite()
        described = [zoo.family.describe(task) for task in zoo.tasks(chosen)]
        yield Piece(
            [names[row] for row in chosen], [stack], zoo.properties.take(chosen).append_column("task", [described])
        )


def _naming(path: Path, error: Rnn2VecError) -> Rnn2VecError:
    problem = error.problem if str(path) in error.problem else f"{path}: {error.problem}"
    return type(error)(problem, remedy=error.remedy)


def count(paths: Sequence[Path]) -> int:
    """How many RNNs there are in files and zoos, as `expand` returns them."""
    from rnn2vec.zoo.store import MANIFEST, Zoo

    return sum(len(Zoo.open(path)) if (path / MANIFEST).is_file() else 1 for path in paths)


def tell(failures: Sequence[Rnn2VecError]) -> None:
    """Name on stderr what was left out."""
    for failure in failures:
        print(f"left out: {failure}", file=sys.stderr)  # noqa: T201
