"""Study files: YAML, checked key by key before anything runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec.experiments.study.config import Study, Sweep, Variant, ZooSource

T = TypeVar("T")

_PARTS = {"zoo": ZooSource, "variants": Variant, "sweeps": Sweep}
"""The record below each of these keys."""


def read_study(path: str | Path) -> Study:
    """Read and check a study file.

    Args:
        path: a YAML file with the fields of `Study`.

    Raises:
        UsageError: there is no such file, it is not YAML, or a key or value in it is wrong.
    """
    import yaml  # noqa: PLC0415

    path = Path(path)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"{path} cannot be read: {error}", remedy="give a study file, such as studies/tiny.yaml."
        ) from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}", remedy="mend it there.") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path} holds no keys", remedy="give a study file, such as studies/tiny.yaml.")
    return checked(Study, content, where=str(path))


def checked(kind: type[T], content: Mapping[str, Any], *, where: str) -> T:
    """A dataclass from plain values, each brought to the type that its field has.

    Args:
        kind: the dataclass.
        content: values by field; `1e-3` may come as text, as YAML reads it.
        where: named in errors.

    Raises:
        UsageError: a key is unknown or missing, or a value does not fit.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    try:
        return TypeAdapter(kind).validate_python(dict(content))
    except ValidationError as error:
        raise _explained(error.errors()[0], where) from error


def _explained(wrong: Mapping[str, Any], where: str) -> UsageError:
    """The first thing that pydantic found, with the key, what came, and what would be right."""
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
