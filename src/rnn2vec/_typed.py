"""Values from JSON as the dataclasses that they should be, with the place of what does not fit.

The folders that a bare GPU machine runs must not need pydantic, so this is the small part of it that our own manifests
take: dataclasses, tuples, dicts, unions, literals and plain values, nothing converted but lists to tuples. Study files,
which people write by hand, go through pydantic itself (`experiments.study.files`).
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin

from rnn2vec._errors import unknown_name


def typed(kind: Any, value: Any) -> Any:
    """Return a JSON value as `kind`.

    Args:
        kind: a dataclass, or any type that its fields may have.
        value: what `read_json` returned.

    Raises:
        ValueError: if an entry is missing, unknown or of another type; the text names its place.
        UsageError: if the dataclass itself refuses the values.
    """
    return _convert(kind, value, "")


def typed_fields(kind: type[Any], value: Any, names: Iterable[str]) -> dict[str, Any]:
    """Return some fields of a dataclass from a JSON object, by name; errors as for `typed`."""
    hints = typing.get_type_hints(kind)
    values = _object(value, "")
    return {name: _convert(hints[name], _entry(values, name, ""), name) for name in names}


def _convert(kind: Any, value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(kind, value, place)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in {Union, types.UnionType}:
        return _first_of(kind, value, place)
    if origin is dict and isinstance(value, dict):
        return {name: _convert(arguments[1], one, _below(place, name)) for name, one in value.items()}
    if origin in {tuple, list} and isinstance(value, list):
        return _sequence(origin, arguments, value, place)
    if kind is float and type(value) is int:
        return float(value)
    if origin is Literal and isinstance(value, str) and value not in arguments:
        raise unknown_name(place.rpartition(".")[2], value, map(str, arguments))
    if not _is_plain(kind, value):
        raise _misfit(kind, value, place)
    return value


def _is_plain(kind: Any, value: Any) -> bool:
    """Return True if a value is of a kind that holds no others."""
    if get_origin(kind) is Literal:
        return any(value == one and type(value) is type(one) for one in get_args(kind))
    return kind is Any or (kind in {int, float, bool, str, types.NoneType} and type(value) is kind)


def _dataclass(kind: type[Any], value: Any, place: str) -> Any:
    values, hints = _object(value, place), typing.get_type_hints(kind)
    fields = {one.name: one for one in dataclasses.fields(kind)}
    for name in values:
        if name not in fields:
            raise ValueError(f"{_below(place, name)} is unknown")
    for name, one in fields.items():
        if one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            _entry(values, name, place)
    return kind(**{name: _convert(hints[name], one, _below(place, name)) for name, one in values.items()})


def _first_of(union: Any, value: Any, place: str) -> Any:
    for kind in get_args(union):
        try:
            return _convert(kind, value, place)
        except ValueError:
            continue
    raise _misfit(union, value, place)


def _sequence(origin: Any, arguments: tuple[Any, ...], value: list[Any], place: str) -> Any:
    if origin is list or arguments[1:] == (...,):
        return origin(_convert(arguments[0], one, _below(place, at)) for at, one in enumerate(value))
    if len(arguments) != len(value):
        raise ValueError(f"{place or 'it'} has {len(value)} entries, expected {len(arguments)}")
    pairs = zip(arguments, value, strict=True)
    return tuple(_convert(kind, one, _below(place, at)) for at, (kind, one) in enumerate(pairs))


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _misfit(dict, value, place)
    return value


def _entry(values: dict[str, Any], name: str, place: str) -> Any:
    if name not in values:
        raise ValueError(f"{_below(place, name)} is missing")
    return values[name]


def _below(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _misfit(kind: Any, value: Any, place: str) -> ValueError:
    shown = repr(value) if len(repr(value)) <= 60 else f"{repr(value)[:60]}..."
    expected = kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")
    return ValueError(f"{place or 'it'} is {shown}, expected {expected}")
