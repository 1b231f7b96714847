"""Digits in the IDX format: MNIST, and whatever else comes in the same files (Fashion-MNIST).

IDX (LeCun, Cortes, Burges): a big-endian header with a magic number and the sizes, then bytes, all of it usually in a
gzip stream. Where the images come from, first to last: a folder that is named, the folder in `RNN2VEC_MNIST`, a cache,
a public mirror. Only the 60,000 training images are ever read: the 10,000 test images stay unseen by every zoo.

Images are known by a fingerprint of their content. A zoo stores that, never a path; images that were read once are
found again by it as long as the program runs. torchvision's reader would do the same for MNIST alone, but brings
torchvision along.
"""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import io
import logging
import os
import struct
import urllib.error
import urllib.request
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import cache_folder, write_atomically
from rnn2vec._parquet import read_table

SIDE = 28
"""Rows and columns of an image."""
NUM_CLASSES = 10
ENVIRONMENT_VARIABLE = "RNN2VEC_MNIST"

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
CANONICAL = {
    IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
}
"""SHA-256 of MNIST's files, unpacked: gzip streams of the same content differ."""

MIRROR = "ylecun/mnist"
"""Dataset on the Hugging Face hub, as Parquet with a PNG an image."""
_MIRROR_FILE = "mnist/train-00000-of-00001.parquet"
_SECONDS_TO_ANSWER = 10.0

_MAGIC = {IMAGES: 0x00000803, LABELS: 0x00000801}
_MOST_IMAGES = 300_000  # bounds the memory that a header can ask for: 235 MB
_FEWEST_IMAGES = 5  # one of them is held out
_UNREADABLE = (EOFError, zlib.error, gzip.BadGzipFile)

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Images with their classes."""

    images: UInt8[np.ndarray, "E K"]
    """Pixels, one byte each, row by row; 0 is background."""
    labels: UInt8[np.ndarray, " E"]
    """The class of each, below `NUM_CLASSES`."""
    strange: tuple[str, ...] = ()
    """The files that they came from that are not MNIST's, by their checksums."""

    @functools.cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all pixels and labels."""
        return hashlib.sha256(self.images.tobytes() + self.labels.tobytes()).hexdigest()


_known: dict[str, LabelledImages] = {}
"""Images that were read, by fingerprint."""


def find(folder: Path | None = None, *, fingerprint: str | None = None) -> LabelledImages:
    """Find the training images: in a folder, in the cache, or on the mirror.

    Args:
        folder: folder of the images; by default `RNN2VEC_MNIST`, the cache, or the mirror.
        fingerprint: fingerprint that the images must have; None accepts any.

    Raises:
        UsageError: if the folder has no such files, or there is neither a folder nor a mirror.
        DataError: if a file is damaged, or the images have another fingerprint.
    """
    if fingerprint in _known:
        return _known[fingerprint]
    named = folder or os.environ.get(ENVIRONMENT_VARIABLE)
    found = read_folder(Path(named)) if named else _from_cache_or_mirror()
    if fingerprint is None and found.strange:
        _LOG.warning(
            "%s: not MNIST's by checksum: %s. Fine for other images in the same format.",
            named,
            ", ".join(found.strange),
        )
    if fingerprint not in {None, found.fingerprint}:
        raise DataError(
            f"the zoo was built on images with fingerprint {str(fingerprint)[:12]}, "
            f"but those {f'in {named}' if named else 'of MNIST'} have {found.fingerprint[:12]}",
            remedy=f"set {ENVIRONMENT_VARIABLE} to the folder of the images that the zoo was built on.",
        )
    return found


def at_hand(folder: Path | None = None, *, fingerprint: str | None = None) -> LabelledImages | None:
    """Return the images that `find` would return, if they are on this machine; None otherwise. Downloads nothing.

    Args:
        folder: as for `find`.
        fingerprint: as for `find`.
    """
    if fingerprint in _known:
        return _known[fingerprint]
    named = folder or os.environ.get(ENVIRONMENT_VARIABLE)
    with contextlib.suppress(UsageError, DataError, OSError):
        found = read_folder(Path(named) if named else cache_folder("mnist"))
        if fingerprint in {None, found.fingerprint}:
            return found
    return None


@functools.lru_cache(maxsize=4)
def read_folder(folder: Path) -> LabelledImages:
    """Read the training images and labels in a folder, packed or not.

    Raises:
        UsageError: if the folder lacks a file.
        DataError: if a file is damaged.
    """
    content = {name: _unpack(_path_in(folder, name), name) for name in (IMAGES, LABELS)}
    found = _parse(content, str(folder))
    return _known.setdefault(found.fingerprint, found)


def _path_in(folder: Path, name: str) -> Path:
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    raise UsageError(
        f"{folder} has neither {name}.gz nor {name}",
        remedy="give the folder of MNIST's IDX files, under the names that they are published under.",
    )


def _unpack(path: Path, name: str) -> bytes:
    """Return the whole IDX file; its header is checked before memory is allocated for the rest."""
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        stream: io.BufferedIOBase = gzip.GzipFile(fileobj=file) if packed else file
        try:
            return _read_idx(stream, name)
        except (*_UNREADABLE, ValueError) as error:
            raise DataError(
                f"{path} is not a whole IDX file of {SIDE} x {SIDE} images or their labels: {error}",
                remedy="get the file again.",
            ) from error


def _read_idx(stream: io.BufferedIOBase, name: str) -> bytes:
    header = stream.read(8)
    if len(header) < 8 or struct.unpack(">I", header[:4])[0] != _MAGIC[name]:
        raise ValueError(f"it begins with {header[:4].hex() or 'nothing'}, expected {_MAGIC[name]:08x}")
    (count,) = struct.unpack(">I", header[4:])
    if not _FEWEST_IMAGES <= count <= _MOST_IMAGES:
        raise ValueError(f"it announces {count:,} items, expected {_FEWEST_IMAGES} to {_MOST_IMAGES:,}")
    size = count
    if name == IMAGES:
        sides = stream.read(8)
        if sides != struct.pack(">II", SIDE, SIDE):
            raise ValueError(f"its images are not {SIDE} x {SIDE}")
        header, size = header + sides, count * SIDE * SIDE
    content = stream.read(size)
    if len(content) < size or stream.read(1):
        raise ValueError(f"it holds {'fewer' if len(content) < size else 'more'} than the {size:,} bytes it announces")
    return header + content


def _parse(content: dict[str, bytes], where: str) -> LabelledImages:
    images = np.frombuffer(content[IMAGES], dtype=np.uint8, offset=16).reshape(-1, SIDE * SIDE).copy()
    labels = np.frombuffer(content[LABELS], dtype=np.uint8, offset=8).copy()
    if len(images) != len(labels) or labels.max() >= NUM_CLASSES:
        raise DataError(
            f"{where} holds {len(images):,} images and {len(labels):,} labels up to {labels.max()}",
            remedy=f"give as many labels as images, from 0 to {NUM_CLASSES - 1}.",
        )
    return LabelledImages(images, labels, _strange(content))


def _strange(content: dict[str, bytes]) -> tuple[str, ...]:
    return tuple(name for name, data in content.items() if hashlib.sha256(data).hexdigest() != CANONICAL[name])


# -- cache and mirror ------------------------------------------------------------------------------


def _from_cache_or_mirror() -> LabelledImages:
    folder = cache_folder("mnist")
    with contextlib.suppress(UsageError, DataError):  # what is missing or damaged is fetched again
        cached = read_folder(folder)
        if not cached.strange:
            return cached
    content = _download()
    if _strange(content):
        raise DataError(
            f"the mirror {MIRROR} has another {' and '.join(_strange(content))} than MNIST, by checksum",
            remedy=f"try again later, or set {ENVIRONMENT_VARIABLE} to a folder with MNIST's IDX files.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        write_atomically(folder / f"{name}.gz", gzip.compress(data, compresslevel=6, mtime=0))
    read_folder.cache_clear()
    return read_folder(folder)


def _download() -> dict[str, bytes]:
    """Download the mirror's images and labels as unpacked IDX files."""
    advice = f"set {ENVIRONMENT_VARIABLE} (or --mnist) to a folder with {IMAGES}.gz and {LABELS}.gz"
    try:
        from huggingface_hub import constants, errors, hf_hub_download  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "MNIST is not on this machine, and huggingface_hub, which would get it, is not installed",
            remedy=f"{advice}, or: pip install 'rnn2vec[hub]'.",
        ) from error
    try:
        try:
            path = hf_hub_download(MIRROR, _MIRROR_FILE, repo_type="dataset", local_files_only=True)
        except errors.LocalEntryNotFoundError:
            _require_answer(constants.ENDPOINT)
            path = hf_hub_download(MIRROR, _MIRROR_FILE, repo_type="dataset")
    except Exception as error:
        raise DataError(
            f"MNIST is not on this machine, and the mirror {MIRROR} could not be reached: {_first_line(error)}",
            remedy=f"{advice}, or try again with a connection.",
        ) from error
    return _from_parquet(Path(path))


def _require_answer(endpoint: str) -> None:
    """Check that a server answers at all: the library retries for half a minute, with a warning each time.

    Raises:
        OSError: if it does not.
    """
    with contextlib.suppress(urllib.error.HTTPError):
        request = urllib.request.Request(endpoint, method="HEAD")  # noqa: S310 (the user's own setting)
        urllib.request.urlopen(request, timeout=_SECONDS_TO_ANSWER).close()  # noqa: S310


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _from_parquet(path: Path) -> dict[str, bytes]:
    table = read_table(path)
    pictures: Sequence[dict[str, bytes]] = table.column("image").to_pylist()
    labels = bytes(table.column("label").to_pylist())
    pixels = b"".join(_pixels(picture["bytes"]) for picture in pictures)
    return {
        IMAGES: struct.pack(">IIII", _MAGIC[IMAGES], len(pictures), SIDE, SIDE) + pixels,
        LABELS: struct.pack(">II", _MAGIC[LABELS], len(labels)) + labels,
    }


def _pixels(png: bytes) -> bytes:
    from PIL import Image  # noqa: PLC0415

    with Image.open(io.BytesIO(png), formats=["PNG"]) as picture:
        return picture.convert("L").tobytes()
