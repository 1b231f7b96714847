"""Plain values, as files hold them, as the dataclasses that they should be; errors name the key and its value."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from rnn2vec._errors import UsageError, unknown_name

T = TypeVar("T")


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
        raise _explained(error.errors()[0], kind, where) from error


def _explained(wrong: Mapping[str, Any], kind: type[Any], where: str) -> UsageError:
    """Convert the first error that pydantic found: the key, its value, and the expected type."""
    *above, last = wrong["loc"] or ("",)
    key = ".".join(map(str, wrong["loc"]))
    if wrong["type"] == "unexpected_keyword_argument":
        unknown = unknown_name("key", str(last), (one.name for one in dataclasses.fields(_kind_at(kind, above))))
        place = f"{where}, below {'.'.join(map(str, above))}" if above else where
        return UsageError(f"{place}: {unknown.problem}", remedy=unknown.remedy)
    at = f"{where}: {key}" if key else where
    if wrong["type"] == "missing":
        return UsageError(f"{at} is missing", remedy="give it.")
    cause = wrong.get("ctx", {}).get("error")
    if isinstance(cause, UsageError):
        return UsageError(f"{at}: {cause.problem}", remedy=cause.remedy)
    return UsageError(f"{at} is {wrong['input']!r}", remedy=f"{wrong['msg']}.")


def _kind_at(kind: type[Any], above: Sequence[Any]) -> type[Any]:
    """Return the dataclass below a key of a dataclass; that of the entries where the key holds a table of such."""
    if not above:
        return kind
    below = typing.get_type_hints(kind)[above[0]]
    return typing.get_args(below)[-1] if typing.get_args(below) else below
