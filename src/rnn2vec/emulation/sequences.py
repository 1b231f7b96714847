"""Input sequences that people bring: arrays and files, tokens and numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int
from torch import Tensor

from rnn2vec._errors import DataError, UsageError
from rnn2vec._parquet import read_table
from rnn2vec._shapes import InputSequences
from rnn2vec.rnn.interface import Kind
from rnn2vec.tasks.base import one_hot

_COLUMN = "inputs"


@dataclass(frozen=True)
class Sequences:
    """Input sequences for N RNNs: the same for all of them, or some for each.

    Raises:
        UsageError: shapes or values are not those of sequences for these RNNs.
    """

    values: Any
    """Whole numbers are tokens, `(S, T)` or `(N, S, T)`; other numbers are features, `(S, T, I)` or `(N, S, T, I)`."""
    input_size: int
    """Input features of the RNNs, I."""
    num_rnns: int
    """N."""

    def __post_init__(self) -> None:
        values = np.asarray(self.values)
        if self.kind == "continuous" and self.input_size == 1 and values.shape[-1] != 1:
            values = values[..., None]
        object.__setattr__(self, "values", values)
        own_axes = 2 if self.kind == "categorical" else 3
        per_rnn = values.ndim == own_axes + 1
        fits = values.ndim in {own_axes, own_axes + 1} and values.size > 0
        fits = fits and not (per_rnn and values.shape[0] != self.num_rnns)
        if not fits or (self.kind == "continuous" and values.shape[-1] != self.input_size):
            form = "(S, T) or (N, S, T)" if self.kind == "categorical" else "(S, T, I) or (N, S, T, I)"
            raise UsageError(
                f"input sequences of shape {np.shape(self.values)}, {values.dtype}, for {self.num_rnns} RNNs with "
                f"{self.input_size} inputs",
                remedy=f"give whole numbers (tokens) of shape (S, T) or (N, S, T), or other numbers of shape "
                f"(S, T, I) or (N, S, T, I); these would have to be {form}.",
            )
        self._require_values(values)

    def _require_values(self, values: np.ndarray) -> None:
        if self.kind == "categorical" and not (values.min() >= 0 and values.max() < self.input_size):
            raise UsageError(
                f"tokens from {values.min()} to {values.max()} for RNNs with {self.input_size} inputs",
                remedy=f"give tokens 0 to {self.input_size - 1}, or numbers that are not whole as floats.",
            )
        if self.kind == "continuous" and not np.isfinite(values).all():
            raise UsageError("input sequences have NaN or infinite numbers", remedy="leave those sequences out.")

    @property
    def kind(self) -> Kind:
        """What the numbers are."""
        return "categorical" if np.asarray(self.values).dtype.kind in "iu" else "continuous"

    @property
    def is_shared(self) -> bool:
        """Whether all RNNs have the same sequences."""
        return self.values.ndim == (2 if self.kind == "categorical" else 3)

    @property
    def number(self) -> int:
        """Sequences of each RNN, S."""
        return self.values.shape[0 if self.is_shared else 1]

    def take(self, rnns: Int[np.ndarray, " M"], numbers: Int[np.ndarray, "M B"]) -> InputSequences:
        """Some sequences of some RNNs, as the RNNs read them: `(M, B, T, I)`."""
        chosen = self.values[numbers] if self.is_shared else self.values[rnns[:, None], numbers]
        tensor = torch.from_numpy(np.ascontiguousarray(chosen))
        return one_hot(tensor, self.input_size) if self.kind == "categorical" else tensor.float()

    @property
    def first_input(self) -> tuple[float, ...] | None:
        """The input with which every sequence begins, where there is one."""
        starts = self.values[..., 0] if self.kind == "categorical" else self.values[..., 0, :]
        one = starts.reshape(-1, *starts.shape[2 - self.is_shared :])
        if not (one == one[0]).all():
            return None
        first: Tensor = torch.as_tensor(one[0])
        return tuple((one_hot(first, self.input_size) if self.kind == "categorical" else first.float()).tolist())

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest number; widened where all are the same."""
        if self.kind == "categorical":
            return 0.0, 1.0
        low, high = float(self.values.min()), float(self.values.max())
        return (low, high) if low < high else (low - 1, high + 1)


def read(inputs: np.ndarray | Tensor | str | Path) -> np.ndarray:
    """Input sequences from memory, a NumPy file, or a Parquet file with a row for each sequence.

    Args:
        inputs: an array, or the path of a `.npy` file, or of a `.parquet` file with a column `inputs` of lists: of
            tokens, of numbers, or of lists of features.

    Raises:
        UsageError: there is no such file, or it has no such column.
        DataError: the file cannot be read, or its sequences differ in length.
    """
    if isinstance(inputs, Tensor):
        return inputs.detach().cpu().numpy()
    if isinstance(inputs, np.ndarray):
        return inputs
    path = Path(inputs)
    if not path.is_file():
        raise UsageError(f"{path} is not a file", remedy="give a .npy or a .parquet file of input sequences.")
    if path.suffix == ".parquet":
        return _from_parquet(path)
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an array: {error}", remedy="write it with np.save.") from error


def _from_parquet(path: Path) -> np.ndarray:
    try:
        table = read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {error}", remedy="give a Parquet file.") from error
    if _COLUMN not in table.column_names:
        raise UsageError(
            f"{path} has no column {_COLUMN!r}, but {', '.join(table.column_names)}",
            remedy="give each sequence a row, as a list in the column `inputs`.",
        )
    try:
        return np.array(table.column(_COLUMN).to_pylist())
    except ValueError as error:
        raise DataError(f"{path}: its sequences differ in length", remedy="cut or pad them to one length.") from error
