"""The arrays of an HDF5 file from elsewhere: only those that lie in it as they are.

HDF5 can point to other files, compute one array from others, pack arrays, and claim any shape without a byte behind it.
Keras does none of this. So each link must be a hard one, and each array contiguous with as many bytes as it claims.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from rnn2vec._errors import UsageError
from rnn2vec.rnn.reading.untrusted import Refused, require_moderate

_MOST_NODES = 2_000


def arrays(file: str | BinaryIO | Any, size: int) -> dict[str, np.ndarray]:
    """All arrays of numbers by their paths in the file.

    Args:
        file: a path, or an open file.
        size: bytes of the file.

    Raises:
        UsageError: if h5py is not installed.
        Refused: if something is not an array of numbers that lies in the file.
    """
    require_moderate(size)
    try:
        import h5py
    except ImportError as error:
        raise UsageError("Keras files need h5py", remedy="pip install 'rnn2vec[keras]'.") from error
    try:
        with h5py.File(file, "r") as opened:
            found = dict(_datasets(opened, h5py))
            if sum(_bytes(dataset) for dataset in found.values()) > size:
                raise Refused("its arrays overlap or claim more than the file")
            return {name: np.asarray(dataset[()]) for name, dataset in found.items()}
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        raise Refused(f"it is not a readable HDF5 file: {error}") from error


def _datasets(opened: Any, h5py: Any) -> Iterator[tuple[str, Any]]:
    waiting: list[tuple[str, Any]] = [("", opened)]
    seen = 0
    while waiting:
        place, group = waiting.pop()
        for name in group:
            seen += 1
            if seen > _MOST_NODES:
                raise Refused(f"it has more than {_MOST_NODES:,} entries, or entries that contain themselves")
            full = f"{place}/{name}".removeprefix("/")
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise Refused(f"{full} points elsewhere: such links are not followed")
            item = group[name]
            if isinstance(item, h5py.Group):
                waiting.append((full, item))
            elif isinstance(item, h5py.Dataset) and item.dtype.kind in "fiub":
                _require_plain(full, item)
                yield full, item


def _require_plain(name: str, dataset: Any) -> None:
    if dataset.external is not None or dataset.is_virtual:
        raise Refused(f"{name} lies in another file: it is not read")
    if dataset.chunks is not None or dataset.id.get_storage_size() != _bytes(dataset):
        raise Refused(
            f"{name} claims shape {dataset.shape}, {_bytes(dataset):,} bytes, "
            f"over {dataset.id.get_storage_size():,} in the file; only plain arrays are read"
        )


def _bytes(dataset: Any) -> int:
    return math.prod(dataset.shape or ()) * dataset.dtype.itemsize
