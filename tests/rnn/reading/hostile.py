"""Files that would do harm, and a program that reads them with little memory to spare.

    python tests/rnn/hostile.py FOLDER

prints for each file in the folder what came of it. The tests run it in a process of its own, where the address space
ends 400 MiB above what the libraries take.
"""

from __future__ import annotations

import builtins
import io
import json
import os
import pickle
import resource
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

SPARE = 400 * 2**20
RAN = "it-ran"


class Calls:
    """Pickled, it asks to call something."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.call


def safetensors_file(entries: Any, data: bytes = b"", length: int | None = None) -> bytes:
    """A header and what follows it; `length` is what the file says of the header."""
    header = entries if isinstance(entries, bytes) else json.dumps(entries).encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def saved(content: Any, *, is_zip: bool = True) -> bytes:
    """As `torch.save` writes it."""
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=is_zip)
    return buffer.getvalue()


def packed(name: str, megabytes: int) -> bytes:
    """An archive with an entry of zeros, a thousand times smaller than they."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(name, "w") as entry:
        for _ in range(megabytes):
            entry.write(bytes(2**20))
    return buffer.getvalue()


def overlapping() -> bytes:
    """An archive of plain entries whose directory claims 4 GB for one of them."""
    content = bytearray(saved({"a": torch.zeros(3)}))
    place = content.rindex(b"PK\x01\x02")
    content[place + 20 : place + 28] = struct.pack("<II", 2**32 - 16, 2**32 - 16)
    return bytes(content)


def old_storage() -> bytes:
    """In the old format, a storage that claims 8 GB."""
    content = saved({"rnn.weight_hh_l0": torch.zeros(1_193_046)}, is_zip=False)
    patched = content.replace(b"J" + struct.pack("<i", 1_193_046), b"J" + struct.pack("<i", 2**31 - 1))
    assert patched != content
    return patched[:5000]


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    """One tensor in a safetensors header."""
    return {"rnn.weight_hh_l0": {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}}


def plain_files(folder: Path) -> dict[str, tuple[bytes, str]]:
    """Contents by name, and what is said of each."""
    marker = str(folder / RAN)
    makes = "it asks to call posix.mkdir"
    whole = safetensors_file(entry([2, 2], 0, 16), bytes(16))
    return {
        "code.pt": (saved({"a": Calls(os.mkdir, marker)}), makes),
        "code-old.pt": (saved({"a": Calls(os.mkdir, marker)}, is_zip=False), makes),
        "code.pkl": (pickle.dumps({"a": Calls(os.mkdir, marker)}, protocol=2), makes),
        "code-new.pkl": (pickle.dumps({"a": Calls(os.mkdir, marker)}, protocol=4), "the instruction STACK_GLOBAL"),
        "code.safetensors": (pickle.dumps({"a": Calls(os.mkdir, marker)}, protocol=2), "its header claims"),
        "bytes.pt": (
            saved({"a": Calls(builtins.bytearray, 5 * 10**9)}),
            "bytearray, which a state dict has no need for",
        ),
        "tensor.pt": (saved({"a": Calls(torch.zeros, 10**10)}), "getattr, which a state dict has no need for"),
        "storage-old.pt": (old_storage(), "cannot be read"),
        "claims.pt": (saved({"a": torch.zeros(1).expand(4_000_000, 1_000_000)}), "as many numbers as it claims"),
        "bomb.pt": (packed("archive/data/0", 100), "is packed (1"),
        "directory.pt": (overlapping(), "its entries claim 4,294,9"),
        "bomb.keras": (packed("model.weights.h5", 100), "'model.weights.h5' is packed"),
        "header.safetensors": (safetensors_file({}, length=10**10), "its header claims 10,000,000,000 bytes"),
        "negative.safetensors": (safetensors_file(entry([-2, 2], 0, -16)), "claims shape (-2, 2)"),
        "cut.safetensors": (whole[:-1], "claims shape (2, 2), 16 bytes, at 0..16 of 15"),
        "cut-header.safetensors": (whole[:20], "its header claims 8"),
        "empty.safetensors": (b"", "the file is empty (0 bytes)"),
        "terabytes.safetensors": (
            safetensors_file(entry([10**6, 10**6], 0, 4 * 10**12), bytes(64)),
            "claims shape (1000000, 1000000), 4,000,000,000,000 bytes",
        ),
        "overflow.safetensors": (safetensors_file(entry([2**62, 4], 0, 0)), "claims shape (4611686018427387904, 4)"),
        "type.safetensors": (safetensors_file(entry([2], 0, 8, "F99")), "in a way that is not understood"),
        "nested.safetensors": (safetensors_file(b"{" + b'"a":[' * 500_000), "its description is not valid JSON"),
        "list.safetensors": (safetensors_file([1]), "its description is not a JSON object"),
        "noise.onnx": (b"\xff" * 1000, "it is no ONNX model"),
        "noise.h5": (b"\x89HDF\r\n\x1a\n" + b"\xff" * 1000, "it is not a readable HDF5 file"),
    }


def sparse_files() -> dict[str, tuple[int, bytes, str]]:
    """Files that take no place on the disk: size, how they begin, and what is said."""
    return {
        "10-gb-header.safetensors": (10**10 + 8, struct.pack("<Q", 10**10) + b"{", "it is of 9.3 GiB"),
        "2-gb-header.safetensors": (2 * 10**9 + 8, struct.pack("<Q", 2 * 10**9) + b"{", "its header has 2,000,000,000"),
        "10-gb.pt": (10**10, b"PK", "it is of 9.3 GiB"),
        "10-gb.onnx": (10**10, b"\x08", "it is of 9.3 GiB"),
        "10-gb.h5": (10**10, b"\x89HDF\r\n\x1a\n", "it is of 9.3 GiB"),
    }


def hdf5_files() -> dict[str, tuple[Callable[[Any], Any], str]]:
    """What is put into an HDF5 file, and what is said of it."""
    import h5py

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout((4, 4), "f4")
        layout[:] = h5py.VirtualSource("other.h5", "x", (4, 4))
        file.create_virtual_dataset("x", layout)

    def cycle(file: Any) -> None:
        file.create_group("a")["b"] = file["/"]

    return {
        "chunks.h5": (lambda file: file.create_dataset("x", (10**6, 10**6), "f4", chunks=(10**3, 10**3)), "only plain"),
        "packed.h5": (lambda file: file.create_dataset("x", (10**4, 10**3), "f4", compression=9), "only plain arrays"),
        "claims.h5": (lambda file: file.create_dataset("x", (10**6, 10**6), "f4"), "4,000,000,000,000 bytes, over 0"),
        "outside.h5": (
            lambda file: file.create_dataset("x", (4,), "f4", external=[("/etc/passwd", 0, 16)]),
            "another f",
        ),
        "link.h5": (lambda file: file.__setitem__("x", h5py.ExternalLink("/etc/passwd", "/x")), "x points elsewhere"),
        "soft.h5": (lambda file: file.__setitem__("x", h5py.SoftLink("/x")), "x points elsewhere"),
        "virtual.h5": (virtual, "x lies in another file"),
        "cycle.h5": (cycle, "entries that contain themselves"),
    }


def onnx_files() -> dict[str, tuple[Any, str]]:
    """ONNX models, and what is said of each."""
    import onnx
    from onnx import helper

    def model(readout: Any) -> Any:
        ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in ("x", "y")]
        node = helper.make_node("MatMul", ["x", "w"], ["y"])
        return helper.make_model(helper.make_graph([node], "g", ends[:1], ends[1:], [readout]))

    outside = onnx.TensorProto(name="w", dims=[4, 4], data_type=1, data_location=onnx.TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value="/etc/passwd")
    return {
        "outside.onnx": (model(outside), "'w' lies in '/etc/passwd'; only files beside the graph's are read"),
        "claims.onnx": (
            model(onnx.TensorProto(name="w", dims=[10**6, 10**6], data_type=1, raw_data=bytes(64))),
            "'w' claims shape (1000000, 1000000), 1,000,000,000,000 numbers, but has 16",
        ),
        "negative.onnx": (
            model(onnx.TensorProto(name="w", dims=[-4, -4], data_type=1, raw_data=bytes(64))),
            "(-4, -4)",
        ),
        "strings.onnx": (model(onnx.TensorProto(name="w", dims=[1], data_type=8, string_data=[b"a"])), "data type 8"),
    }


def write_all(folder: Path) -> dict[str, str]:
    """Write all files; what should be said of each by its name."""
    import h5py

    said: dict[str, str] = {}
    for name, (content, words) in plain_files(folder).items():
        (folder / name).write_bytes(content)
        said[name] = words
    for name, (size, begin, words) in sparse_files().items():
        (folder / name).write_bytes(begin)
        os.truncate(folder / name, size)
        said[name] = words
    for name, (fill, words) in hdf5_files().items():
        with h5py.File(folder / name, "w") as file:
            fill(file)
        said[name] = words
    for name, (model, words) in onnx_files().items():
        (folder / name).write_bytes(model.SerializeToString())
        said[name] = words
    return said


def main(folder: Path) -> None:
    """Read every file with little memory to spare; a line of JSON for each."""
    import h5py  # noqa: F401 (libraries first: their memory does not count)
    import onnx.reference  # noqa: F401

    from rnn2vec._errors import Rnn2VecError
    from rnn2vec.rnn.reading.files import load_rnn

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + SPARE,) * 2)
    for path in sorted(folder.iterdir()):
        began, error = time.process_time(), None
        try:
            load_rnn(path)
        except Rnn2VecError as raised:
            error = raised
        row = {"file": path.name, "kind": type(error).__name__, "problem": getattr(error, "problem", "")}
        print(json.dumps({**row, "seconds": time.process_time() - began}), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
