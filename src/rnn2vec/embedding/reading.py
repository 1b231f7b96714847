"""Lists of checkpoints, read portion by portion; `embed`, `index` and `track` share this.

A list names files, folders of files and zoos. The work is first divided into portions that fit into memory for any size
of RNNs. Every RNN has a name in advance (a file holds one), so known ones are left out of the portions; files that
cannot be read, or do not fit, are left out with the reason, without affecting the others.

Folders of training runs hold more than models: optimizers, schedulers and random states beside each. Files of these
names are companions, and are not taken for checkpoints where a folder is searched.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Unpack

import numpy as np
import pyarrow as pa
from jaxtyping import Int64

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec.rnn.parts import warn_of
from rnn2vec.rnn.reading.files import read_rnn, suffixes
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints
from rnn2vec.zoo.manifest import MANIFEST
from rnn2vec.zoo.store import Zoo

_RNNS_AT_ONCE = 1024
_BYTES_AT_ONCE = 32 * 2**20
_COMPANIONS = re.compile(
    r"(optimizer|optim|scheduler|scaler|grad_scaler|training_args|trainer_state|rng_state|random_states?)(_\d+)*"
    r"\.(pt|pth|bin|safetensors|ckpt)|.*\.optimizer\.pth|pytorch_variables\.pth"
)
"""Names of files that Hugging Face, Accelerate and others write beside a model."""


@dataclass(frozen=True)
class LeftOut:
    """Something that could not be read or embedded."""

    path: Path
    """A file, a zoo or a folder."""
    problem: str
    """Reason, with the path in it."""
    remedy: str
    """Advice."""
    is_usage: bool
    """True for a wrong file, False for a damaged one."""

    @classmethod
    def of(cls, path: Path, error: Rnn2VecError | OSError, *, names_path: bool = True) -> LeftOut:
        """Return the record of an error.

        Args:
            path: the file, zoo or folder.
            error: the error.
            names_path: whether the error's text names the path.
        """
        if not isinstance(error, Rnn2VecError):
            return cls(path, f"{path}: {error.strerror}", "make it readable, or leave it out.", is_usage=False)
        problem = error.problem if names_path else f"{path}: {error.problem}"
        return cls(path, problem, error.remedy, isinstance(error, UsageError))

    @property
    def error(self) -> Rnn2VecError:
        """The error to raise."""
        return (UsageError if self.is_usage else DataError)(self.problem, remedy=self.remedy)


@dataclass(frozen=True)
class Portion:
    """RNNs that are read together: some files, or some rows of a zoo."""

    paths: tuple[Path, ...]
    """The files, or the zoo's folder."""
    zoo: Zoo | None = None
    """Zoo of the RNNs; None for files."""
    rows: Int64[np.ndarray, " N"] | None = None
    """Snapshots of the zoo; None for files."""

    @property
    def names(self) -> list[str]:
        """The RNNs' names: their paths, or `PATH#NUMBER` in a zoo."""
        if self.rows is None:
            return [str(path) for path in self.paths]
        return [f"{self.paths[0]}#{row}" for row in self.rows]

    def choose(self, places: Sequence[int]) -> Portion:
        """Return some of the RNNs, by their places in the portion."""
        if self.rows is None:
            return Portion(tuple(self.paths[place] for place in places))
        return Portion(self.paths, self.zoo, self.rows[list(places)])

    def __len__(self) -> int:
        return len(self.paths if self.rows is None else self.rows)


@dataclass(frozen=True)
class Opened:
    """Contents of a portion."""

    names: list[str] = field(default_factory=list[str])
    """RNNs that could be read, in order."""
    stacks: list[RNNStack] = field(default_factory=list[RNNStack])
    """Weights of the RNNs, in the same order."""
    properties: pa.Table | None = None
    """Properties that a zoo knows of them, a row for each."""
    left_out: list[LeftOut] = field(default_factory=list[LeftOut])
    """Files that could not be read, with reasons."""
    assumed: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    """Assumptions about what files leave open, with the names of the RNNs."""


class Files(list[Path]):
    """Checkpoint files, folders without any, and zoos.

    Args:
        paths: the files.
        companions: number of other files of training runs that were found beside them and skipped.
    """

    def __init__(self, paths: Iterable[Path] = (), companions: int = 0) -> None:
        super().__init__(paths)
        self.companions = companions


def checkpoint_files(paths: Iterable[Path]) -> Files:
    """Return all checkpoint files below folders, sorted; files, zoos and folders without any stay as they are.

    Raises:
        UsageError: if nothing was given.
    """
    files = Files()
    endings = suffixes()
    for path in paths:
        below = [] if not path.is_dir() or _is_zoo(path) else path.rglob("*")
        found = sorted(file for file in below if file.suffix in endings and file.is_file())
        kept = [file for file in found if not _COMPANIONS.fullmatch(file.name)]
        files.companions += len(found) - len(kept)
        files += kept or [path]
    if not files:
        raise UsageError("no checkpoint was given", remedy="name at least one checkpoint file, folder or zoo.")
    return files


def portions(files: Sequence[Path], *, known: Container[str] = ()) -> list[Portion]:
    """Divide the work, in order.

    Args:
        files: as `checkpoint_files` returns them.
        known: names of RNNs that are not wanted again.

    Returns:
        Portions of at most 1024 RNNs, and of files of at most 32 MiB together (or one that is larger).
    """
    found: list[Portion] = []
    for are_zoos, group in itertools.groupby(files, _is_zoo):
        if are_zoos:
            found += [portion for path in group for portion in _of_zoo(path, known)]
        else:
            found += _of_files([path for path in group if str(path) not in known])
    return found


def _is_zoo(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def _of_files(files: Sequence[Path]) -> Iterator[Portion]:
    together: list[Path] = []
    size = 0
    for path in files:
        its = path.stat().st_size if path.is_file() else 0
        if together and (len(together) == _RNNS_AT_ONCE or size + its > _BYTES_AT_ONCE):
            yield Portion(tuple(together))
            together, size = [], 0
        together.append(path)
        size += its
    if together:
        yield Portion(tuple(together))


def _of_zoo(path: Path, known: Container[str]) -> list[Portion]:
    try:
        zoo = Zoo.open(path)
    except Rnn2VecError:
        return [Portion((path,))]  # reading it says what is wrong with it
    if not len(zoo):
        return [Portion((path,))]
    rows = np.array([row for row in range(len(zoo)) if f"{path}#{row}" not in known], dtype=np.int64)
    at_once = max(1, min(_RNNS_AT_ONCE, _BYTES_AT_ONCE // (4 * zoo.spec.num_parameters)))
    return [Portion((path,), zoo, rows[at : at + at_once]) for at in range(0, len(rows), at_once)]


def read(portion: Portion, require_fit: Callable[[RNNStack], None], **hints: Unpack[Hints]) -> Opened:
    """Read a portion.

    Args:
        portion: what to read.
        require_fit: raises a `UsageError` where RNNs do not fit their purpose, as `WeightEncoder.check` does.
        **hints: what files leave open, see `rnn2vec.rnn.state_dicts.Hints`.
    """
    if portion.zoo is not None:
        return _read_zoo(portion, require_fit)
    opened = Opened()
    for path, name in zip(portion.paths, portion.names, strict=True):
        try:
            stack = _read_file(path, hints)
        except (Rnn2VecError, OSError) as error:
            opened.left_out.append(LeftOut.of(path, error))
            continue
        try:
            require_fit(stack)
        except Rnn2VecError as error:
            opened.left_out.append(LeftOut.of(path, error, names_path=False))
            continue
        opened.names.append(name)
        opened.stacks.append(stack)
        for one in stack.assumed:
            opened.assumed.setdefault(one, []).append(name)
    return opened


def read_all(paths: Iterable[Path], **hints: Unpack[Hints]) -> list[RNNStack]:
    """Return everything below some paths at once, in order.

    Raises:
        UsageError: if something is no checkpoint.
        DataError: if something is damaged.
    """
    stacks: list[RNNStack] = []
    for portion in portions(checkpoint_files(paths)):
        opened = read(portion, lambda _: None, **hints)
        if opened.left_out:
            raise opened.left_out[0].error
        stacks += opened.stacks
        warn_of(said(opened.assumed))
    return stacks


def said(assumed: Mapping[str, Sequence[str]]) -> list[str]:
    """Return assumptions for people, each once with the first RNN and the number of others."""
    return [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {one}" for one, names in assumed.items()
    ]


def _read_file(path: Path, hints: Hints) -> RNNStack:
    if _is_zoo(path):
        _ = Zoo.open(path).properties  # says why it could not be divided
    if path.is_dir():
        raise UsageError(
            f"{path} holds no checkpoint files ({', '.join(suffixes())}) and is no zoo",
            remedy="give a folder of checkpoints, or the files themselves.",
        )
    return read_rnn(path, **hints)


def described_properties(zoo: Zoo, rows: Int64[np.ndarray, " M"]) -> pa.Table:
    """Return the properties of snapshots of a zoo, with a column `task` that describes their tasks."""
    described = [zoo.family.describe(task) for task in zoo.tasks(rows)]
    return zoo.properties.take(rows).append_column("task", [described])


def _read_zoo(portion: Portion, require_fit: Callable[[RNNStack], None]) -> Opened:
    zoo, rows = portion.zoo, portion.rows
    assert zoo is not None
    assert rows is not None
    try:
        stack = zoo.rnns(rows)
        stack.require_finite(portion.names)
        properties = described_properties(zoo, rows)
    except (Rnn2VecError, OSError) as error:
        return Opened(left_out=[LeftOut.of(portion.paths[0], error)])
    try:
        require_fit(stack)
    except Rnn2VecError as error:
        return Opened(left_out=[LeftOut.of(portion.paths[0], error, names_path=False)])
    return Opened(portion.names, [stack], properties)
