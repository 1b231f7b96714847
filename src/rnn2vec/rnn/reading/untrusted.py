"""Files from elsewhere, before anything is made of them: nothing is run, and no memory is taken on their word.

A file says in a few bytes how large its contents are, and a library that believes it takes the memory: a header of
10 GB, a tensor of terabytes over four bytes, a zip entry that unpacks to a thousand times its size. So the sizes are
read first, and must be covered by bytes that are really there: a tensor by its share of the file, an entry of an
archive by itself (PyTorch and Keras store theirs unpacked). A file may not hold more than `LARGEST_FILE` either, since
a sparse file has any size for free.

A pickle is read as a list of instructions, without following them: those of a state dict ask for tensors, storages and
a few containers, and what asks for anything else is refused with its name. `torch.load(weights_only=True)` holds a
second list, but some of its entries take as much memory as they are told to.
"""

from __future__ import annotations

import io
import json
import math
import os
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

LARGEST_FILE = 4 * 2**30
"""Bytes of a checkpoint: an LSTM of 4 layers of 4096 units has 2 GiB."""
LARGEST_HEADER = 4 * 2**20
"""Bytes of a safetensors header or a JSON description: 40,000 tensors."""
_LARGEST_PICKLE = 8 * 2**20
_MOST_INSTRUCTIONS = 300_000
_MOST_ENTRIES = 20_000

# fmt: off
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16,
    "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}
# fmt: on

_HARMLESS = re.compile(
    r"collections (OrderedDict|defaultdict|Counter)"
    r"|torch\._utils _rebuild_\w+|torch\._tensor _rebuild_from_type_v2|torch\.serialization _get_layout"
    r"|torch (\w+Storage|Size|device|dtype|b?float\w*|int\w*|uint\w*|complex\w*|bool|half|double|long|short)"
    r"|torch\.storage (UntypedStorage|TypedStorage)|torch\.nn\.parameter Parameter"
    r"|builtins (dict|list|set|tuple|int|float|str|bool|complex)|__builtin__ (dict|list|set|tuple|int|float|str|bool)"
)


class Refused(Exception):  # noqa: N818 (says what was done, and is caught where the file's name is known)
    """Why a file is not read further; whoever knows its name says so."""


def require_moderate(size: int) -> None:
    """Check that a file of so many bytes can be one RNN."""
    if size > LARGEST_FILE:
        raise Refused(f"it is of {size / 2**30:,.1f} GiB; a checkpoint of more than {LARGEST_FILE >> 30} is not read")


# -- safetensors -----------------------------------------------------------------------------------


def safetensors_bytes(path: Path) -> bytes:
    """The contents of a safetensors file whose header is there, with every tensor covered by the file.

    Raises:
        Refused: it is not.
    """
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        require_moderate(size)
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise Refused(f"its header claims {length:,} bytes, but the file has {size:,}: it is cut off, or none")
        if length > LARGEST_HEADER:
            raise Refused(f"its header has {length:,} bytes, more than the {LARGEST_HEADER:,} that are read")
        for name, entry in _json(file.read(length)).items():
            if name != "__metadata__":
                _check_entry(name, entry, size - 8 - length)
        file.seek(0)
        return file.read(size)


def _check_entry(name: str, entry: Any, room: int) -> None:
    try:
        bits, shape, (begin, end) = _BITS[entry["dtype"]], entry["shape"], entry["data_offsets"]
        needed = math.prod(int(side) for side in shape) * bits // 8
        is_whole = min(begin, *shape, 0) == 0 and end - begin == needed
    except (KeyError, TypeError, ValueError) as error:
        raise Refused(f"its header describes {name!r} in a way that is not understood") from error
    if not is_whole or end > room:
        raise Refused(f"{name} claims shape {tuple(shape)}, {needed:,} bytes, at {begin:,}..{end:,} of {room:,}")


def _json(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Refused("its description is not valid JSON") from error
    if not isinstance(value, dict):
        raise Refused("its description is not a JSON object")
    return value


# -- zip archives: PyTorch files, Keras files ------------------------------------------------------


def check_archive(archive: zipfile.ZipFile, size: int) -> None:
    """Check that the entries are stored as they are, and all together no more than the file.

    Args:
        archive: only its directory is read.
        size: bytes of the file.

    Raises:
        Refused: entries are packed, or claim more than there is.
    """
    require_moderate(size)
    entries = archive.infolist()
    if len(entries) > _MOST_ENTRIES:
        raise Refused(f"it is an archive of {len(entries):,} entries")
    for entry in entries:
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise Refused(
                f"its entry {entry.filename!r} is packed ({entry.compress_size:,} bytes that claim to become "
                f"{entry.file_size:,}); PyTorch and Keras store entries unpacked"
            )
    claimed = sum(entry.file_size for entry in entries)
    if claimed > size:
        raise Refused(f"its entries claim {claimed:,} bytes, but the file has {size:,}")


def json_entry(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """A JSON object in an archive that was checked.

    Raises:
        Refused: it is too large, or none.
    """
    if archive.getinfo(name).file_size > LARGEST_HEADER:
        raise Refused(f"its entry {name!r} is too large")
    return _json(archive.read(name))


# -- PyTorch files ---------------------------------------------------------------------------------


def check_torch_file(path: Path) -> None:
    """Check a file that `torch.save` may have written, in its format of today or that before 1.6.

    Raises:
        Refused: its archive or its pickle asks for more than a state dict needs.
    """
    size = path.stat().st_size
    require_moderate(size)
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            _check_old(io.BytesIO(file.read(_LARGEST_PICKLE)))
        return
    with zipfile.ZipFile(path) as archive:
        check_archive(archive, size)
        pickles = [entry for entry in archive.infolist() if entry.filename.endswith(".pkl")]
        for entry in pickles:
            if entry.file_size > _LARGEST_PICKLE:
                raise Refused(f"its entry {entry.filename!r} has {entry.file_size:,} bytes of instructions")
            _check_pickle(io.BytesIO(archive.read(entry)))


def _check_old(instructions: io.BytesIO) -> None:
    """The old format is five pickles (magic number, version, system, contents, keys) and then the numbers."""
    for _ in range(5):
        _check_pickle(instructions)


def _check_pickle(file: io.BytesIO) -> None:
    """Read the instructions of a pickle, without following them."""
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if number > _MOST_INSTRUCTIONS:
                raise Refused(f"it is a pickle of more than {_MOST_INSTRUCTIONS:,} instructions")
            if opcode.name in {"GLOBAL", "INST"} and not _HARMLESS.fullmatch(str(argument)):
                raise Refused(f"it asks to call {str(argument).replace(' ', '.')}, which a state dict has no need for")
            if opcode.name in {"STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "BYTEARRAY8"}:
                raise Refused(f"its pickle has the instruction {opcode.name}, which PyTorch does not write")
    except (ValueError, MemoryError, IndexError) as error:
        raise Refused(f"it is not what torch.save writes ({str(error) or 'a damaged pickle'})") from error
