"""The contract of a checkpoint format from another package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rnn2vec.rnn.stack import RNNStack


@dataclass(frozen=True)
class CheckpointFormat:
    """A file format of checkpoints, recognized by how file names end."""

    suffixes: tuple[str, ...]
    """File name endings with their dots, such as `(".npz",)`; those of built-in formats stay theirs."""
    read: Callable[[Path], RNNStack]
    """Reads the one RNN in a file, as a stack of one. Files come from elsewhere: never unpickle or evaluate them, and
    raise `rnn2vec.DataError` for a damaged one."""
