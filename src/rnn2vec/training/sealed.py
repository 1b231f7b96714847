"""Safetensors files that contain their checksum, so that a changed bit in a model or a checkpoint is detected.

The checksum covers the whole file, header included, with the checksum's own digits as zeros. A second file beside the
weights was rejected: an interruption between the two writes would leave a model that looks damaged.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from torch import Tensor

from rnn2vec._errors import DataError
from rnn2vec._files import canonical_json, parse_json, require_regular, sha256_of, write_atomically
from rnn2vec.rnn.reading.untrusted import LARGEST_FILE, Refused, safetensors_bytes

_OPEN = b"0" * 64
_KEY = "rnn2vec"


def save_sealed(path: Path, tensors: Mapping[str, Tensor], note: Mapping[str, Any]) -> None:
    """Write tensors and a note of JSON-ready values to one sealed file, atomically.

    Raises:
        StorageError: if the file cannot be written; an existing one stays unchanged.
    """
    metadata = {_KEY: canonical_json({**note, "checksum": _OPEN.decode()})}
    plain = {name: tensor.contiguous() for name, tensor in tensors.items()}
    data = bytearray(safetensors.torch.save(plain, metadata=metadata))
    at = data.index(_OPEN)
    data[at : at + len(_OPEN)] = sha256_of(bytes(data)).encode()
    write_atomically(path, bytes(data))


def load_sealed(path: Path, *, needs_seal: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the note of a sealed file after verifying its checksum.

    Args:
        path: file to read.
        needs_seal: refuse a file that has no checksum.

    Raises:
        UsageError: if the path is not a regular file.
        DataError: if the file is damaged, or was changed since it was written.
    """
    require_regular(path, largest=LARGEST_FILE)
    try:
        data = safetensors_bytes(path)
        note = _note(data, path)
        if note is not None or needs_seal:
            _require_sealed(data, note, path)
        return safetensors.torch.load(data), note or {}
    except (Refused, safetensors.SafetensorError, OSError, ValueError, KeyError) as error:
        raise DataError(f"{path} is damaged: {error}", remedy="restore it, or make it again.") from error


def _note(data: bytes, path: Path) -> dict[str, Any] | None:
    length = int.from_bytes(data[:8], "little")
    text = json.loads(data[8 : 8 + length]).get("__metadata__", {}).get(_KEY)
    note = None if text is None else parse_json(text.encode(), where=f"{path}, its metadata")
    return note if isinstance(note, dict) and "checksum" in note else None


def _require_sealed(data: bytes, note: dict[str, Any] | None, path: Path) -> None:
    stated = str((note or {}).pop("checksum", "")).encode()
    at = data.find(stated) if len(stated) == len(_OPEN) else -1
    opened = data[:at] + _OPEN + data[at + len(_OPEN) :]
    if at < 0 or sha256_of(opened).encode() != stated:
        raise DataError(
            f"{path} was changed since it was written: its checksum does not fit its contents",
            remedy="restore it, or make it again.",
        )
