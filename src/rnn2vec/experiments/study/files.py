"""Study files in YAML, checked key by key before anything runs, and `study.json`, their copy in a study's folder."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from rnn2vec._errors import DataError, UsageError, unknown_name
from rnn2vec._files import read_bytes, read_json, write_atomically
from rnn2vec._provenance import provenance
from rnn2vec.experiments.study.config import Study, Sweep, Variant, ZooSource

T = TypeVar("T")

MARKER = "study.json"
"""File with a copy of the study, which marks a folder as that of a study."""

_LARGEST_STUDY = 2**20  # bytes
_MOST_NODES = 10_000  # keys and values
_DEEPEST = 20  # levels
_PARTS = {"zoo": ZooSource, "variants": Variant, "sweeps": Sweep}
"""The record below each of these keys."""


def read_study(path: str | Path) -> Study:
    """Read and check a study file.

    Args:
        path: a YAML file with the fields of `Study`.

    Raises:
        UsageError: if the file does not exist, is not YAML, or has a wrong key or value.
    """
    path = Path(path)
    data = read_bytes(path, largest=_LARGEST_STUDY)
    try:
        content = _load_yaml(data.decode("utf-8"))
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{path} is not a YAML file of a study: {reason}", remedy="correct it there.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no keys", remedy="give a study file, such as studies/tiny.yaml.")
    return checked(Study, content, where=str(path))


def _load_yaml(text: str) -> Any:
    """Parse YAML of bounded size after its anchors are expanded, without types beyond those of JSON.

    Raises:
        ValueError: if the text is not such YAML.
    """
    import yaml  # noqa: PLC0415

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            keys = [str(key.value) for key, _ in node.value if key.value != "<<"]
            if len(set(keys)) < len(keys):
                raise ValueError(f"a key is given twice below line {node.start_mark.line + 1}")
            return super().construct_mapping(node, deep)

    Loader.add_constructor("tag:yaml.org,2002:timestamp", Loader.construct_yaml_str)
    try:
        loader = Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        if sum(1 for _ in _expanded(node, 0)) > _MOST_NODES:
            raise ValueError(f"it holds more than {_MOST_NODES:,} values")
        return json.loads(json.dumps(loader.construct_document(node), allow_nan=False))
    except (yaml.YAMLError, RecursionError, TypeError) as error:
        raise ValueError(str(error) or "it is nested too deeply") from error


def _expanded(node: Any, depth: int) -> Iterator[Any]:
    """Yield the nodes below a node, those of anchors once per reference; at most one more than the limit."""
    if depth > _DEEPEST:
        raise ValueError(f"it is nested more than {_DEEPEST} levels deep, or refers to itself")
    yield node
    below = node.value if isinstance(node.value, list) else []
    nodes = itertools.chain.from_iterable(one if isinstance(one, tuple) else (one,) for one in below)
    each = itertools.chain.from_iterable(_expanded(one, depth + 1) for one in nodes)
    yield from itertools.islice(each, _MOST_NODES + 1)


def checked(kind: type[T], content: Mapping[str, Any], *, where: str) -> T:
    """Build a dataclass from plain values, each converted to the type of its field.

    Args:
        kind: the dataclass.
        content: values by field; YAML reads `1e-3` as text, which is converted.
        where: origin of the values, for error messages.

    Raises:
        UsageError: if a key is unknown or missing, or a value has the wrong type.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    try:
        return TypeAdapter(kind).validate_python(dict(content))
    except ValidationError as error:
        raise _explained(error.errors()[0], where) from error


def _explained(wrong: Mapping[str, Any], where: str) -> UsageError:
    """Convert the first error that pydantic found: the key, its value, and the expected type."""
    *above, last = wrong["loc"] or ("",)
    key = ".".join(map(str, wrong["loc"]))
    if wrong["type"] == "unexpected_keyword_argument":
        kind = _PARTS[str(above[0])] if above else Study
        unknown = unknown_name("key", str(last), (one.name for one in dataclasses.fields(kind)))
        place = f"{where}, below {'.'.join(map(str, above))}" if above else where
        return UsageError(f"{place}: {unknown.problem}", remedy=unknown.remedy)
    at = f"{where}: {key}" if key else where
    if wrong["type"] == "missing":
        return UsageError(f"{at} is missing", remedy="give it.")
    cause = wrong.get("ctx", {}).get("error")
    if isinstance(cause, UsageError):
        return UsageError(f"{at}: {cause.problem}", remedy=cause.remedy)
    return UsageError(f"{at} is {wrong['input']!r}", remedy=f"{wrong['msg']}.")


def write_marker(folder: Path, study: Study) -> None:
    """Write `study.json`; its keys keep their order, since tables and comparisons follow the order of the variants."""
    content = {"study": study.to_dict(), "provenance": provenance()}
    write_atomically(folder / MARKER, (json.dumps(content, indent=1) + "\n").encode())


def read_study_of(folder: Path) -> Study:
    """Return the study that a folder holds.

    Raises:
        UsageError: if it holds none.
        DataError: if `study.json` is damaged or incomplete.
    """
    path = folder / MARKER
    if not path.is_file():
        raise UsageError(f"{folder} holds no study", remedy="give a folder that `rnn2vec study run --out` made.")
    content = read_json(path)
    remedy = "rerun `rnn2vec study run`, which writes the file again."
    if not isinstance(content, dict) or not isinstance(content.get("study"), dict):
        raise DataError(f"{path} describes no study", remedy=remedy)
    try:
        return checked(Study, content["study"], where=str(path))
    except UsageError as error:
        raise DataError(f"{path} describes no study: {error.problem}", remedy=remedy) from error


def study_before(folder: Path) -> Study | None:
    """Return the study that a folder holds; None if `study.json` is missing, or damaged and to be replaced."""
    try:
        return read_study_of(folder) if (folder / MARKER).is_file() else None
    except DataError:
        return None
