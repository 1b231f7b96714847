"""Sample inputs and outputs in a file, for `check`."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from rnn2vec._errors import DataError, UsageError
from rnn2vec.rnn.reading import untrusted

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_samples(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the arrays `inputs` and `outputs` of a file that `numpy.savez` wrote.

    Raises:
        UsageError: if there is no such file, or it lacks one of them.
        DataError: if it is damaged, packed, or holds anything but numbers.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a file", remedy="give what numpy.savez(path, inputs=..., outputs=...) wrote.")
    try:
        with zipfile.ZipFile(path) as archive:
            untrusted.check_archive(archive, path.stat().st_size)
            _require_both(archive, path)
            inputs, outputs = (_array(archive, f"{name}.npy") for name in ("inputs", "outputs"))
    except UsageError:
        raise
    except (untrusted.Refused, zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise DataError(
            f"{path}: cannot be read as samples: {error}", remedy="write it with numpy.savez, not savez_compressed."
        ) from error
    return inputs, outputs


def _require_both(archive: zipfile.ZipFile, path: Path) -> None:
    missing = {"inputs.npy", "outputs.npy"} - set(archive.namelist())
    if missing:
        raise UsageError(
            f"{path} has no {' and no '.join(sorted(missing))}",
            remedy="write it with numpy.savez(path, inputs=..., outputs=...).",
        )


def _array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    """Return an array whose claimed size its entry covers."""
    size = archive.getinfo(name).file_size
    with archive.open(name) as file:
        version = npy.read_magic(file)
        if version not in _HEADERS:
            raise untrusted.Refused(f"{name} is of a version of NumPy's format that is not read")
        shape, _, dtype = _HEADERS[version](file)
    if dtype.kind not in "fiu" or math.prod(shape) * dtype.itemsize > size:
        raise untrusted.Refused(f"{name} claims shape {shape} of type {dtype} in {size:,} bytes")
    with archive.open(name) as file:
        return npy.read_array(file, allow_pickle=False)
