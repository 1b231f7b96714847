"""Users' input sequences: arrays, lists and files, tokens and numbers, of equal or different lengths.

Sequences of different lengths are divided into at most eight groups of similar length, and cut to the shortest of their
group. Padding was rejected: an RNN has outputs for padding too, and an emulator would learn them. Batches of a group
need no mask in any loss.

The content of a file is examined before it is used. NaN at the end of a sequence is padding and is cut off; numbers
that look like tokens, and tokens that look like numbers, are refused, with advice.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnn2vec._errors import DataError, UsageError
from rnn2vec._parquet import read_table
from rnn2vec._shapes import InputSequences
from rnn2vec.rnn.interface import Kind
from rnn2vec.tasks.base import one_hot

Inputs = np.ndarray | Tensor | Sequence[Any] | str | Path
"""An array, a list of arrays of different lengths, or the path of a `.npy` or `.parquet` file."""

_COLUMN = "inputs"
_MOST_GROUPS = 8


@dataclass(frozen=True)
class Sequences:
    """Input sequences for N RNNs, in groups of equal length: the same for all RNNs, or separate ones for each."""

    groups: tuple[np.ndarray, ...]
    """Tokens `(S, T)` or `(N, S, T)`, or features `(S, T, I)` or `(N, S, T, I)`; several groups are always shared."""
    input_size: int
    """Number of input features of the RNNs, I."""
    kind: Kind
    """Kind of the inputs: tokens or numbers."""
    notes: tuple[str, ...] = ()
    """Unusual properties of the data, such as padding that was cut off or constant features."""

    @classmethod
    def read(cls, inputs: Inputs, input_size: int, num_rnns: int) -> Sequences:
        """Read and examine sequences.

        Args:
            inputs: whole numbers are tokens, `(S, T)` or `(N, S, T)`; other numbers are features, `(S, T, I)` or
                `(N, S, T, I)`. A list contains an array for each sequence.
            input_size: number of input features of the RNNs, I.
            num_rnns: number of RNNs, N.

        Raises:
            UsageError: if the file does not exist, or shapes or values do not suit these RNNs.
            DataError: if the file cannot be read.
        """
        given = _loaded(inputs)
        if isinstance(given, np.ndarray):
            whole, notes = _without_padding(_with_features(given, input_size))
        else:
            whole, notes = [_with_features(np.asarray(one), input_size, axes=1) for one in given], []
        if isinstance(whole, np.ndarray):
            _require_shape(whole, np.shape(given), input_size, num_rnns)
            groups = (whole,)
        else:
            groups, cut = _in_groups(whole, input_size)
            notes += cut
        kind: Kind = "categorical" if groups[0].dtype.kind in "iu" else "continuous"
        _require_values(groups, kind, input_size)
        return cls(groups, input_size, kind, (*notes, *_surprises(groups, kind)))

    @property
    def is_shared(self) -> bool:
        """True if all RNNs have the same sequences."""
        return self.groups[0].ndim == (2 if self.kind == "categorical" else 3)

    @property
    def numbers(self) -> tuple[int, ...]:
        """Number of sequences of each RNN in each group."""
        return tuple(group.shape[0 if self.is_shared else 1] for group in self.groups)

    def reordered(self, order: np.ndarray) -> Sequences:
        """Return the sequences of the RNNs in another order."""
        if self.is_shared:
            return self
        return Sequences(tuple(group[order] for group in self.groups), self.input_size, self.kind, self.notes)

    def take(self, rnns: Int[np.ndarray, " M"], numbers: Int[np.ndarray, "M B"], group: int = 0) -> InputSequences:
        """Return some sequences of a group for some RNNs, in the form that RNNs read: `(M, B, T, I)`."""
        values = self.groups[group]
        return self._as_inputs(values[numbers] if self.is_shared else values[rnns[:, None], numbers])

    def pooled(self) -> list[Float[Tensor, "T I"]]:
        """Return the sequences of all RNNs together."""
        axes = 2 if self.kind == "categorical" else 3
        flat = [group.reshape(-1, *group.shape[group.ndim - axes + 1 :]) for group in self.groups]
        return [sequence for group in flat for sequence in self._as_inputs(group)]

    def probes(self, most: int, longest: int) -> Float[Tensor, "M L I"]:
        """Return `most` of the sequences, or all of fewer, spread evenly.

        Args:
            most: sequences.
            longest: steps; the sequences are cut to the length that all of them have, and to this one.
        """
        whole = self.pooled()
        some = [whole[row] for row in np.linspace(0, len(whole) - 1, min(most, len(whole))).astype(int)]
        length = min(longest, *map(len, some))
        return torch.stack([sequence[:length] for sequence in some])

    def examples(self) -> Float[Tensor, "S T I"] | Int[Tensor, "S T"]:
        """Return the sequences of the group of the longest ones, those of the first RNN, as they were given."""
        group = self.groups[-1]
        return torch.from_numpy(np.ascontiguousarray(group if self.is_shared else group[0]))

    def longest_group(self) -> Float[Tensor, "S T I"]:
        """Return the first RNN's sequences of the group with the longest ones."""
        number = self.numbers[-1]
        return self.take(np.zeros(1, dtype=np.int64), np.arange(number)[None], len(self.groups) - 1)[0]

    def _as_inputs(self, chosen: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(np.ascontiguousarray(chosen))
        return one_hot(tensor, self.input_size) if self.kind == "categorical" else tensor.float()

    @property
    def first_input(self) -> tuple[float, ...] | None:
        """First input of every sequence; None if they differ."""
        starts = torch.cat([self._as_inputs(group).flatten(0, -3)[:, 0] for group in self.groups])
        return tuple(starts[0].tolist()) if (starts == starts[0]).all() else None

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest number, widened if they are equal."""
        if self.kind == "categorical":
            return 0.0, 1.0
        low = min(float(group.min()) for group in self.groups)
        high = max(float(group.max()) for group in self.groups)
        return (low, high) if low < high else (low - 1, high + 1)


def _loaded(inputs: Inputs) -> np.ndarray | list[Any]:
    if isinstance(inputs, Tensor):
        return inputs.detach().cpu().numpy()
    if isinstance(inputs, np.ndarray):
        return inputs
    if not isinstance(inputs, (str, Path)):
        return list(inputs)
    path = Path(inputs)
    if not path.is_file():
        raise UsageError(f"{path} is not a file", remedy="give a .npy or a .parquet file of input sequences.")
    if path.suffix == ".parquet":
        return _from_parquet(path)
    try:
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as an array: {error}", remedy="write it with np.save.") from error


def _from_parquet(path: Path) -> np.ndarray | list[Any]:
    table = read_table(path)
    if _COLUMN not in table.column_names:
        raise UsageError(
            f"{path} has no column {_COLUMN!r}, but {', '.join(table.column_names)}",
            remedy="give each sequence a row, as a list in the column `inputs`.",
        )
    rows = table.column(_COLUMN).to_pylist()
    try:
        return np.array(rows) if len({len(row) for row in rows}) == 1 else [np.array(row) for row in rows]
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path}: a sequence of the column {_COLUMN!r} has steps of different sizes, or none",
            remedy="give each step the same number of features.",
        ) from error


def _with_features(values: np.ndarray, input_size: int, axes: int = 2) -> np.ndarray:
    """Add the axis of features if RNNs read a single one and the axis was omitted."""
    if values.dtype.kind not in "iuf":
        raise UsageError(f"input sequences of {values.dtype}", remedy="give whole numbers (tokens), or floats.")
    is_left_out = values.dtype.kind == "f" and input_size == 1 and values.ndim >= axes and values.shape[-1:] != (1,)
    return values[..., None] if is_left_out else values


def _without_padding(values: np.ndarray) -> tuple[np.ndarray | list[np.ndarray], list[str]]:
    """Cut NaN off the ends of features `(S, T, I)`; return a list if lengths then differ."""
    if values.dtype.kind != "f" or values.ndim != 3 or not np.isnan(values).any():
        return values, []
    is_there: Any = ~np.isnan(values).all(axis=2)
    lengths = np.where(is_there.any(axis=1), values.shape[1] - is_there[:, ::-1].argmax(axis=1), 0)
    whole = [sequence[:length] for sequence, length in zip(values, lengths, strict=True) if length]
    if not whole or any(np.isnan(sequence).any() for sequence in whole):
        return values, []  # not padding; refused later
    empty = f", and {len(values) - len(whole)} empty ones left out" if len(whole) < len(values) else ""
    return whole, [f"NaN at the end of {int((lengths < values.shape[1]).sum())} sequences is padding: cut off{empty}"]


def _in_groups(whole: list[np.ndarray], input_size: int) -> tuple[tuple[np.ndarray, ...], list[str]]:
    """Group sequences of similar length, each cut to the shortest of its group."""
    kinds = {one.dtype.kind in "iu" for one in whole}
    shapes = {one.shape[1:] for one in whole}
    wanted = {()} if kinds == {True} else {(input_size,)}
    if not whole or len(kinds) > 1 or shapes != wanted or not all(len(one) for one in whole):
        raise UsageError(
            f"a list of {len(whole)} sequences with steps of shapes {sorted(shapes)} for RNNs with {input_size} inputs",
            remedy=f"give each sequence as an array of tokens (T,), or of numbers (T, {input_size}), not empty.",
        )
    ordered = sorted(whole, key=len)
    lengths = np.array([len(one) for one in ordered])
    bounds = np.linspace(0, len(ordered), _MOST_GROUPS + 1).astype(int)
    if len(np.unique(lengths)) <= _MOST_GROUPS:
        bounds = np.searchsorted(lengths, [*np.unique(lengths), np.inf])
    groups = [ordered[start:end] for start, end in itertools.pairwise(bounds.tolist()) if start < end]
    cut = [np.stack([one[: len(group[0])] for one in group]) for group in groups]
    lost = 1 - sum(group.shape[0] * group.shape[1] for group in cut) / sum(map(len, whole))
    lengths = f"{len(ordered[0])} to {len(ordered[-1])} steps"
    return tuple(cut), [
        f"sequences of {lengths} in {len(cut)} groups of one length each: {lost:.0%} of the steps are cut"
    ]


def _require_shape(values: np.ndarray, given: tuple[int, ...], input_size: int, num_rnns: int) -> None:
    is_tokens = values.dtype.kind in "iu"
    own_axes = 2 if is_tokens else 3
    per_rnn = values.ndim == own_axes + 1
    if is_tokens and values.shape[-1] == input_size and values.ndim == 3 and input_size > 1:
        raise UsageError(
            f"whole numbers of shape {given}: tokens of {len(values)} RNNs, or {input_size} features each?",
            remedy="give features as floats (inputs.astype(float)); give tokens that all RNNs read as (S, T).",
        )
    fits = values.ndim in {own_axes, own_axes + 1} and values.size > 0
    fits = fits and not (per_rnn and values.shape[0] != num_rnns)
    if not fits or (not is_tokens and values.shape[-1] != input_size):
        form = "(S, T) or (N, S, T)" if is_tokens else "(S, T, I) or (N, S, T, I)"
        looks_like_tokens = not is_tokens and values.ndim == 2 and (values == np.round(values)).all()
        raise UsageError(
            f"input sequences of shape {given}, {values.dtype}, for {num_rnns} RNNs with {input_size} inputs",
            remedy="these look like tokens: give whole numbers (inputs.astype(int))."
            if looks_like_tokens
            else f"give whole numbers (tokens) of shape (S, T) or (N, S, T), or other numbers of shape "
            f"(S, T, I) or (N, S, T, I); these would have to be {form}.",
        )


def _require_values(groups: Sequence[np.ndarray], kind: Kind, input_size: int) -> None:
    low, high = min(group.min() for group in groups), max(group.max() for group in groups)
    if kind == "categorical" and not (low >= 0 and high < input_size):
        raise UsageError(
            f"tokens from {low} to {high} for RNNs with {input_size} inputs",
            remedy=f"give tokens 0 to {input_size - 1}; numbers that are not tokens as floats (inputs.astype(float)).",
        )
    if kind == "continuous" and not all(np.isfinite(group).all() for group in groups):
        raise UsageError(
            "input sequences have NaN or infinite numbers",
            remedy="leave those sequences out; only NaN after the end of a sequence counts as padding.",
        )


def _surprises(groups: Sequence[np.ndarray], kind: Kind) -> list[str]:
    """Describe properties that are valid but probably a mistake."""
    if kind == "categorical":
        tokens = np.unique(np.concatenate([group.reshape(-1) for group in groups]))
        return [f"every token is {tokens[0]}: RNNs can differ only in how long they run"] if len(tokens) == 1 else []
    steps = np.concatenate([group.reshape(-1, group.shape[-1]) for group in groups])
    if not steps.any():
        return ["all inputs are zero: RNNs can differ only in how they run by themselves"]
    constant = np.flatnonzero((steps == steps[0]).all(axis=0)).tolist()
    notes = [f"features {constant} never change"] if constant else []
    if steps.shape[1] > 1 and (steps.sum(axis=1) == 1).all() and np.isin(steps, (0, 1)).all():
        notes.append("inputs are one-hot: give token numbers (inputs.argmax(-1)) to have them read as tokens")
    spread = steps.std(axis=0)
    if len(spread) > 1 and spread.min() > 0 and spread.max() > 1000 * spread.min():
        notes.append(f"features differ in spread by a factor of {spread.max() / spread.min():.0f}")
    return notes
