"""Options of a verb that are the fields of a config, with the help that the config's own documentation gives.

A config decides once which options there are: a new field has an option, with the values of the presets beside it.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import tyro

from rnn2vec._errors import UsageError
from rnn2vec._registry import Registry

_PRESET = "preset"
"""Value of an option that is not given."""

Config = TypeVar("Config")
VerbType = TypeVar("VerbType", bound=type[Any])


def config_options(
    config: type[Any],
    presets: Mapping[str, Any],
    *,
    without: Sequence[str] = (),
    known: Mapping[str, Registry[Any]] = MappingProxyType({}),
) -> Callable[[VerbType], VerbType]:
    """Give a verb an option for each field of a config; an option that is not given leaves the preset's value.

    Fields such as `num_steps` have options such as `--steps`; dictionaries take `NAME=VALUE` pairs.

    Args:
        config: the dataclass.
        presets: configs by name, whose values the help shows.
        without: fields that the verb has itself.
        known: registries whose names fields take; the help lists them.
    """
    documentation = field_documentation(config)
    types = get_type_hints(config)
    fields: list[tuple[str, Any, Any]] = []
    for one in dataclasses.fields(config):
        if one.name in without:
            continue
        is_table = isinstance(_default(one), dict)
        argument = tyro.conf.arg(
            name=one.name.removeprefix("num_").replace("_", "-"),
            help=documentation[one.name] + (f" Known: {known[one.name].names()}." if one.name in known else ""),
            help_behavior_hint="(NAME=VALUE ...)" if is_table else _in_presets(one.name, presets),
        )
        kind: Any = tuple[str, ...] if is_table else types[one.name] | Literal["preset"]
        fields.append((one.name, Annotated[kind, argument], dataclasses.field(default=() if is_table else _PRESET)))

    def extend(verb: VerbType) -> VerbType:
        extended: Any = dataclasses.make_dataclass(
            verb.__name__, fields, bases=(verb,), frozen=True, kw_only=True, namespace={"__doc__": verb.__doc__}
        )
        extended.__module__ = verb.__module__
        extended.config_fields = tuple(name for name, _, _ in fields)
        return extended

    return extend


def with_options(config: Config, verb: Any) -> Config:
    """Return a config with the options that were given to a verb of `config_options`.

    Raises:
        UsageError: if a value is out of range, or a pair is not of the form NAME=VALUE.
    """
    changes: dict[str, Any] = {}
    for name in given_options(verb):
        value, before = getattr(verb, name), getattr(config, name)
        changes[name] = {**before, **_pairs(name, value)} if isinstance(before, dict) else value
    return dataclasses.replace(config, **changes)  # pyright: ignore[reportArgumentType]


def given_options(verb: Any) -> list[str]:
    """Return the names of the config's fields that were given to a verb of `config_options`."""
    return [name for name in verb.config_fields if getattr(verb, name) not in (_PRESET, ())]


def field_documentation(config: type[Any]) -> dict[str, str]:
    """Return the string below each field of a dataclass and of its bases, on one line."""
    found: dict[str, str] = {}
    for base in reversed(config.__mro__[:-1]):
        (body,) = (node for node in ast.parse(textwrap.dedent(inspect.getsource(base))).body)
        assert isinstance(body, ast.ClassDef)
        for field, text in zip(body.body, body.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                found[ast.unparse(field.target)] = " ".join(str(text.value.value).split())
    return found


def _in_presets(name: str, presets: Mapping[str, Any]) -> str:
    """Return the value in each preset, those of equal values together."""
    by_value: dict[str, list[str]] = {}
    for preset, config in presets.items():
        by_value.setdefault(_text(getattr(config, name)), []).append(preset)
    if len(by_value) == 1:
        return f"(every preset: {next(iter(by_value))})"
    parts = [f"{', '.join(names)}: {value}" for value, names in by_value.items()]
    return f"({'; '.join(parts)})"


def _text(value: Any) -> str:
    if value in (None, {}):
        return "none"
    return " ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default


def _pairs(name: str, pairs: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not (key and equals and text):
            raise UsageError(
                f"--{name.replace('_', '-')} {pair}", remedy="give NAME=VALUE pairs, such as hidden_size=64."
            )
        try:
            values[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError):  # a word
            values[key] = text
    return values
