"""Study files in YAML, checked key by key before anything runs, and `study.json`, their copy in a study's folder."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import read_bytes, read_json, write_atomically
from rnn2vec._provenance import provenance
from rnn2vec.experiments.study.checked import checked
from rnn2vec.experiments.study.config import Study

MARKER = "study.json"
"""File with a copy of the study, which marks a folder as that of a study."""

_LARGEST_STUDY = 2**20  # bytes
_MOST_NODES = 10_000  # keys and values
_DEEPEST = 20  # levels


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
