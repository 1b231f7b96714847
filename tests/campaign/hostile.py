"""Files that mean harm, and files that came to harm."""

from __future__ import annotations

import json
import os
import pickle
import random
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import safetensors.numpy
from tests.campaign.material import World

from rnn2vec._files import canonical_json, sha256_of

ESCAPE = "weight\x1b[2J\x07\u202egnp.\nrnn2vec: all is well"

# -- checkpoints -----------------------------------------------------------------------------------


class _Runs:
    """What runs code when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.canary),)


def _header(entries: dict[str, Any], body: bytes = b"") -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + body


def _tensor(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _weird_numbers(draw: random.Random) -> int:
    return draw.choice([-1, 0, 1, 2**31, 2**63 - 1, 2**63, 10**30, 10**18])


def _safetensors(draw: random.Random) -> bytes:  # noqa: PLR0911 (one case a line)
    number, kind = _weird_numbers(draw), draw.randrange(7)
    if kind == 0:
        return struct.pack("<Q", draw.choice([2**63, 10**12, 9, 0])) + b"{" * 20
    if kind == 1:
        return _header({"rnn.weight_ih_l0": _tensor([abs(number), 4], 0, 16)}, bytes(16))
    if kind == 2:
        return _header({"rnn.weight_ih_l0": _tensor([2, 2], number, number + 16)}, bytes(16))
    if kind == 3:
        text = b'{"a":' * draw.choice([50, 5000, 200_000])
        return struct.pack("<Q", len(text)) + text
    if kind == 4:
        return _header({f"t{n}": _tensor([0], 0, 0) for n in range(draw.choice([100, 20_000]))})
    if kind == 5:
        return _header({ESCAPE: _tensor([2, 2], 0, 16)}, bytes(16))
    return _header({"a": draw.choice([None, [], "x", 1, {"dtype": "F32"}, _tensor([2], 0, 8, "F99")])}, bytes(8))


def _pickle(draw: random.Random, canary: Path) -> bytes:
    kind = draw.randrange(5)
    if kind == 0:
        return pickle.dumps({"state_dict": _Runs(canary)}, protocol=draw.choice([0, 2, 4]))
    if kind == 1:
        return b"\x80\x02" + b"(" * draw.choice([10, 100_000]) + b"."
    if kind == 2:
        return b"\x80\x04\x96" + struct.pack("<Q", 2**40) + b"x."
    if kind == 3:
        return b"cos\nsystem\n(S'mkdir " + str(canary).encode() + b"'\ntR."
    return pickle.dumps([[]] * 100_000)


def _zip(draw: random.Random, place: Path, canary: Path) -> None:
    kind = draw.randrange(4)
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED if kind == 1 else zipfile.ZIP_STORED) as archive:
        archive.writestr("archive/data.pkl", _pickle(draw, canary))
        if kind == 1:
            archive.writestr("archive/data/0", bytes(50_000_000))
        elif kind == 2:
            for number in range(25_000):
                archive.writestr(f"archive/data/{number}", b"")
        elif kind == 3:
            archive.writestr("../../escape", b"x")
            archive.writestr("config.json", "{" * 100_000)


def checkpoint(draw: random.Random, number: int, folder: Path, canary: Path, world: World) -> tuple[str, Path]:
    """Write a hostile checkpoint; return its kind and path."""
    kinds = ("safetensors", "pickle", "zip", "special", "numbers", "prefix", "name")
    kind = kinds[number % len(kinds)]
    suffix = draw.choice([".safetensors", ".pt", ".ckpt", ".bin", ".h5", ".keras", ".onnx"])
    path = folder / f"model{suffix}"
    if kind == "safetensors":
        path = path.with_suffix(".safetensors")
        path.write_bytes(_safetensors(draw))
    elif kind == "pickle":
        path.write_bytes(_pickle(draw, canary))
    elif kind == "zip":
        _zip(draw, path, canary)
    elif kind == "special":
        kind, path = _special(draw, path)
    elif kind == "numbers":
        path = path.with_suffix(".safetensors")
        state = safetensors.numpy.load((world.checkpoints / "0.safetensors").read_bytes())
        value = draw.choice([np.nan, np.inf, 1e38, 3e38, -3e38])
        for name in draw.sample(sorted(state), draw.randint(1, len(state))):
            state[name] = np.full_like(state[name], value)
        path.write_bytes(safetensors.numpy.save(state))
        kind = f"weights of {value}"
    elif kind == "prefix":
        start = draw.choice([b"\x89HDF\r\n\x1a\n", b"PK\x03\x04", b"\x08\x07\x12", b"{", b"PAR1", b"\x93NUMPY"])
        path.write_bytes(start + draw.randbytes(draw.choice([0, 10, 1000, 100_000])))
    else:
        path = folder / f"a\x1b[31m\nrnn2vec: done\u202e{suffix}"
        path.write_bytes(draw.randbytes(100))
    return kind, path


def _special(draw: random.Random, path: Path) -> tuple[str, Path]:
    kind = draw.choice(["fifo", "zero", "folder", "loop", "sparse", "full", "empty"])
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "zero":
        path.symlink_to("/dev/zero")
    elif kind == "full":
        path.symlink_to("/dev/full")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    else:
        with path.open("wb") as file:
            file.truncate(draw.choice([2**33, 2**40]) if kind == "sparse" else 0)
    return kind, path


# -- manifests -------------------------------------------------------------------------------------

VALUES: list[Any] = [
    None, True, -1, 0, 1, 2.5, 10**9, 10**12, 10**18, 2**63, -(2**63), 10**40, 1e308, "", "x", "../../etc/passwd",
    "/etc/passwd", ESCAPE, [], {}, [None], [[[[]]]], {"a": {"b": {}}}, "9" * 5000, ["a"] * 1000,
]  # fmt: skip
RAW = [b"[" * 200_000, b"1" * 5000, b'{"a":NaN}', b"", b"\xff\xfe", b'{"a":1,"a":2}', b"null", b"{}", b"[]", b"1e999"]


def manifest(draw: random.Random, number: int, targets: dict[str, Path]) -> tuple[str, list[str]]:
    """Make one manifest of the copied world hostile; return what was done, and the verbs that read it."""
    kinds: list[Callable[[], tuple[str, list[str]]]] = [
        lambda: _json(draw, targets["ZOO"] / "zoo.json", ["zoo info", "zoo verify"]),
        lambda: _json(draw, targets["INDEX"] / "index.json", ["index query", "index info"]),
        lambda: _json(draw, targets["MODEL"] / "config.json", ["embed"]),
        lambda: _json(draw, targets["MODEL"] / "run.json", ["pretrain"]),
        lambda: _json(draw, next((targets["STUDY"] / "rows").glob("*.json")), ["study report"], indent=None),
        lambda: _json(draw, targets["STUDY"] / "study.json", ["study report"]),
        lambda: _part(draw, targets["INDEX"]),
        lambda: _lines(draw, targets["MODEL"] / "metrics.jsonl"),
        lambda: _place(draw, targets),
    ]
    return kinds[number % len(kinds)]()


def _json(draw: random.Random, path: Path, verbs: list[str], *, indent: int | None = 1) -> tuple[str, list[str]]:
    if draw.random() < 0.1:
        raw = draw.choice(RAW)
        path.write_bytes(raw)
        return f"{path.name} is {raw[:20]!r}", verbs
    content = json.loads(path.read_text())
    content.pop("checksum", None)
    places = list(_places(content))
    place = draw.choice(places)
    value = draw.choice(VALUES)
    holder = content
    for name in place[:-1]:
        holder = holder[name]
    if draw.random() < 0.15:
        del holder[place[-1]]
        value = "removed"
    else:
        holder[place[-1]] = value
    seal(path, content, indent=indent)
    return f"{path.name}: {'.'.join(map(str, place))} is {str(value)[:30]!r}", verbs


def seal(path: Path, content: dict[str, Any], *, indent: int | None = 1) -> None:
    """Write JSON with the right checksum, as an attacker would."""
    sealed = {**content, "checksum": sha256_of(canonical_json(content).encode())}
    path.write_text(canonical_json(sealed, indent=indent) + "\n")


def _places(value: Any, above: tuple[Any, ...] = ()) -> Any:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in items:
        yield (*above, name)
        yield from _places(one, (*above, name))


def _part(draw: random.Random, index: Path) -> tuple[str, list[str]]:
    """A part of an index with other contents, and a manifest that fits it."""
    content = json.loads((index / "index.json").read_text())
    content.pop("checksum")
    part = content["parts"][0]
    table = pq.ParquetFile(index / part["file"]).read(use_threads=False)
    size = content["vector_size"]
    rows = table.num_rows
    vectors = np.zeros((rows, size), np.float32)
    kind = draw.choice(["nan", "null", "width", "double", "missing", "rows", "names", "wide", "long", "same"])
    if kind == "nan":
        vectors[0, 0] = draw.choice([np.nan, np.inf])
    names: list[str | None] = [ESCAPE, *(["same"] * (rows - 1) if kind == "same" else map(str, range(rows - 1)))]
    width = size + 1 if kind == "width" else size
    column = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(rows * width, np.float32)), width)
    if kind in {"nan", "names", "same"}:
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), size)
    if kind == "null":
        column = pa.array([None, *vectors[1:].tolist()], type=pa.list_(pa.float32(), size))
    columns = [pa.array(names), column]
    made = pa.Table.from_arrays(columns, names=["rnn", "vector"])
    if kind == "double":
        made = made.append_column("rnn", pa.array(names))
    if kind == "missing":
        made = made.drop_columns(["vector"])
    if kind == "rows":
        part["num_rnns"] = draw.choice([0, 1, 10**9])
    if kind == "wide":
        made = made.append_column("x", pa.array(["y" * 10_000_000] * rows))
    if kind == "long":
        count = 100_000_000
        made = pa.table({"rnn": pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int8)), ["a"])})
        part["num_rnns"] = count
    path = index / part["file"]
    pq.write_table(made, path)
    part["checksum"] = sha256_of(path.read_bytes())
    if draw.random() < 0.3:
        part["file"] = draw.choice(["../../x.parquet", "/etc/passwd", "parts/../index.json", "parts/00000.parquet\0"])
    seal(index / "index.json", content)
    return f"a part of the index: {kind}", ["index query", "index info"]


def _lines(draw: random.Random, path: Path) -> tuple[str, list[str]]:
    line = draw.choice(
        [b"[" * 100_000, b'{"step": "x"}', b"{}", b'{"step": 1e400}', b'{"step": 3, "a": "b"}', b"\xff", b"7"]
    )
    path.write_bytes(line + b"\n")
    return f"metrics are {line[:20]!r}", ["pretrain"]


def _place(draw: random.Random, targets: dict[str, Path]) -> tuple[str, list[str]]:
    """Something else than a regular file in the place of one of ours."""
    name, verbs = draw.choice(
        [("ZOO/zoo.json", ["zoo info"]), ("MODEL/config.json", ["embed"]), ("MODEL/model.safetensors", ["embed"]),
         ("INDEX/index.json", ["index info"]), ("STUDY/study.json", ["study report"]), ("MODEL/run.json", ["pretrain"]),
         ("ZOO/shards/00000.parquet", ["zoo info"]), ("ZOO/shards/00000.safetensors", ["zoo info"])]
    )  # fmt: skip
    folder, _, rest = name.partition("/")
    path = targets[folder] / rest
    path.unlink()
    kind, _ = _special(draw, path)
    return f"{rest} is {kind}", verbs


# -- mutations -------------------------------------------------------------------------------------


SEALED = [
    ("ZOO", "zoo.json", "zoo verify"),
    ("ZOO", "shards/0000?.safetensors", "zoo verify"),
    ("ZOO", "shards/0000?.parquet", "zoo verify"),
    ("MODEL", "config.json", "embed"),
    ("MODEL", "model.safetensors", "embed"),
    ("MODEL", "run.json", "pretrain"),
    ("MODEL", "checkpoint.safetensors", "pretrain"),
    ("INDEX", "index.json", "index query"),
    ("INDEX", "parts/0000?.parquet", "index query"),
    ("INDEX", "model/model.safetensors", "index query"),
    ("STUDY", "rows/*.json", "study report"),
]
"""Own files in which every change must be noticed: folder, pattern, and the verb that reads them."""
NOT_SEALED = [
    ("MODEL", "metrics.jsonl", "pretrain"),
    ("STUDY", "study.json", "study report"),
    ("CHECKPOINTS", "*.*", "embed"),
    ("CHECKPOINTS", "*.*", "inspect"),
]
"""Logs, studies, and checkpoints of other frameworks."""


def mutation_target(draw: random.Random) -> tuple[tuple[str, str, str], bool]:
    """Return a folder, a pattern and a verb, and whether changes must be noticed."""
    is_sealed = draw.random() < 0.6
    return draw.choice(SEALED if is_sealed else NOT_SEALED), is_sealed


def mutate(draw: random.Random, path: Path) -> str:
    """Change a file in some bytes; return what was done, empty when nothing has changed."""
    before = path.read_bytes()
    data = bytearray(before)
    place = draw.randrange(max(1, len(data)))
    kind = draw.choice(["flip", "flip", "flip", "byte", "cut", "insert", "zeros", "swap"])
    if kind == "flip":
        data[place] ^= 1 << draw.randrange(8)
    elif kind == "byte":
        data[place] = draw.randrange(256)
    elif kind == "cut":
        del data[place:]
    elif kind == "insert":
        data[place:place] = draw.randbytes(draw.randint(1, 20))
    elif kind == "zeros":
        data[place : place + 64] = bytes(len(data[place : place + 64]))
    else:
        other = draw.randrange(len(data))
        data[place : place + 16], data[other : other + 16] = data[other : other + 16], data[place : place + 16]
    path.write_bytes(data)
    return "" if bytes(data) == before else f"{kind} at {place} of {len(before)}"
