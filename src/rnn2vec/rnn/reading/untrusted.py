"""Checks of files from elsewhere, before they are parsed: nothing is run, and no memory is taken on their word.

A file says in a few bytes how large its contents are, and a library that believes it takes the memory: a header of
10 GB, a tensor of terabytes over four bytes, a zip entry that unpacks to a thousand times its size. So the sizes are
read first, and must be covered by bytes that are really there: a tensor by its share of the file, an entry of an
archive by itself (PyTorch and Keras store theirs unpacked). A file may not hold more than `LARGEST_FILE` either, since
a sparse file has any size for free.

A pickle is read as a list of instructions, without following them: those of a state dict ask for tensors, storages and
a few containers. Objects that training scripts save beside them (options, numbers of NumPy, optimizers) are replaced by
inert ones; anything else is refused with its name. `torch.load(weights_only=True)` holds a second list, but some of its
entries take any amount of memory.
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

_OF_STATE_DICTS = re.compile(
    r"collections (OrderedDict|defaultdict|Counter)"
    r"|torch\._utils _rebuild_\w+|torch\._tensor _rebuild_from_type_v2|torch\.serialization _get_layout"
    r"|torch (\w+Storage|Size|device|dtype|b?float\w*|int\w*|uint\w*|complex\w*|bool|half|double|long|short)"
    r"|torch\.storage (UntypedStorage|TypedStorage)|torch\.nn\.parameter Parameter"
    r"|builtins (dict|list|set|tuple|int|float|str|bool|complex)|__builtin__ (dict|list|set|tuple|int|float|str|bool)"
)
_INERT = re.compile(
    r"(numpy|argparse|pathlib|datetime|uuid|enum|decimal|fractions|types|functools|collections|copyreg|copy_reg|_codecs"
    r"|torch\.optim|omegaconf|pytorch_lightning|lightning|lightning_fabric|transformers)(\.\w+)* \w+"
    r"|typing Any|(builtins|__builtin__) (object|slice|range|frozenset)"
)
"""Modules of objects that people save beside their weights. The objects are not made: see `torch_files`."""


class Refused(Exception):  # noqa: N818 (says what was done, and is caught where the file's name is known)
    """Reason why a file is not read further."""


def require_moderate(size: int) -> None:
    """Check that a file of `size` bytes can be one RNN."""
    if size > LARGEST_FILE:
        raise Refused(f"it is of {size / 2**30:,.1f} GiB; a checkpoint of more than {LARGEST_FILE >> 30} is not read")


# -- safetensors -----------------------------------------------------------------------------------


def safetensors_bytes(path: Path) -> bytes:
    """Return the contents of a safetensors file, once its header covers every tensor with bytes of the file.

    Raises:
        Refused: if it is not.
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
        Refused: if entries are packed, or claim more than there is.
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
    """Return a JSON object in an archive that was checked.

    Raises:
        Refused: if it is too large, or none.
    """
    if archive.getinfo(name).file_size > LARGEST_HEADER:
        raise Refused(f"its entry {name!r} is too large")
    return _json(archive.read(name))


# -- PyTorch files ---------------------------------------------------------------------------------


def check_torch_file(file: io.BufferedReader | io.BytesIO, size: int) -> set[str]:
    """Check a file that `torch.save` may have written, in its format of today or that before 1.6.

    Args:
        file: the file, at its beginning.
        size: bytes of the file.

    Returns:
        Names of harmless objects that it asks for and a state dict has no need for.

    Raises:
        Refused: if its archive or its pickle asks for anything else.
    """
    require_moderate(size)
    if not zipfile.is_zipfile(file):
        file.seek(0)
        instructions = io.BytesIO(file.read(_LARGEST_PICKLE))
        # the old format is five pickles (magic number, version, system, contents, keys) and then the numbers
        return {name for _ in range(5) for name in _names_in_pickle(instructions)}
    extras = set[str]()
    with zipfile.ZipFile(file) as archive:
        check_archive(archive, size)
        for entry in archive.infolist():
            if entry.filename.endswith(".pkl"):
                if entry.file_size > _LARGEST_PICKLE:
                    raise Refused(f"its entry {entry.filename!r} has {entry.file_size:,} bytes of instructions")
                extras |= _names_in_pickle(io.BytesIO(archive.read(entry)))
    return extras


def _names_in_pickle(file: io.BytesIO) -> set[str]:
    """Read the instructions of a pickle without following them; return the harmless names beyond a state dict's."""
    extras = set[str]()
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(file)):
            if number > _MOST_INSTRUCTIONS:
                raise Refused(f"it is a pickle of more than {_MOST_INSTRUCTIONS:,} instructions")
            if opcode.name in {"STACK_GLOBAL", "EXT1", "EXT2", "EXT4", "BYTEARRAY8"}:
                raise Refused(f"its pickle has the instruction {opcode.name}, which PyTorch does not write")
            if opcode.name not in {"GLOBAL", "INST"} or _OF_STATE_DICTS.fullmatch(str(argument)):
                continue
            name = str(argument).replace(" ", ".")
            if not _INERT.fullmatch(str(argument)):
                raise Refused(f"it asks to call {name}, which a state dict has no need for")
            extras.add(name)
    except (ValueError, MemoryError, IndexError) as error:
        raise Refused(f"it is not what torch.save writes ({str(error) or 'a damaged pickle'})") from error
    return extras
