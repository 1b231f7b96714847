"""The state dict in what a file or a caller holds, and the hints that say what it leaves open.

A checkpoint of a training script has the state dict in one of its entries, of any name. Where several entries hold
recurrent weights (an actor and a critic, a model and its average), the caller says which.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict

from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.connections import Roles, from_named_tensors, is_recurrent_name
from rnn2vec.rnn.parts import Converted
from rnn2vec.rnn.spec import CellName

_COUNTERS = re.compile(r"(.*\.)?n_averaged")
_DEEPEST = 3


class Hints(TypedDict, total=False):
    """Information that a checkpoint leaves open."""

    cell: CellName | None
    """Cell of the layers, where shapes fit two (tanh or ReLU)."""
    ignore: Sequence[str]
    """Patterns of tensor names that the outputs do not depend on, such as `("critic.*",)`."""
    input_scaling: tuple[str, str] | None
    """Names of two tensors: the RNN is fed `(input - first) / second`. They are folded into its weights."""
    key: str | None
    """Entry of a checkpoint that is the state dict, such as `"actor_state_dict"` or `"agent.actor"`."""
    layers: Sequence[str]
    """Names of the recurrent modules that are the RNN's layers, lowest first; others are left out."""
    single: str | None
    """Name of the recurrent module that is the RNN; others are left out."""
    check: tuple[Any, Any] | None
    """Sample inputs `(B, T, I)` or tokens `(B, T)`, and the outputs to them, which what is read must reproduce."""


def readings(content: Any, **hints: Any) -> list[Converted]:
    """Return the ways in which a state dict can be read as one RNN: one, or several where `check` can choose.

    Args:
        content: tensors by name, with any prefix before PyTorch's own names; or a checkpoint that holds such.
        **hints: see `Hints`.

    Raises:
        UsageError: something is not a tensor, shapes fit no cell, a hint is missing or does not fit, or there is
            more than an RNN and its readout; the text gives the shapes.
    """
    tensors = without(chosen(content, hints.get("key")), hints.get("ignore", ()))
    return from_named_tensors(tensors, Roles(are_answers_known=hints.get("check") is not None), hints)


# -- the tensors -----------------------------------------------------------------------------------


def chosen(content: Any, key: str | None) -> dict[str, Tensor]:
    """Return the one state dict in what a file or a caller holds.

    Args:
        content: a state dict, or a checkpoint with state dicts in its entries.
        key: the entry, with dots between the names of nested ones.

    Raises:
        UsageError: there is none, or several and no key; the text names the entries.
    """
    found = dict(_state_dicts(content, ""))
    if key is not None and key in found:
        return found[key]
    recurrent = {place: one for place, one in found.items() if any(map(is_recurrent_name, one))}
    offered = recurrent or found
    if key is None and len(offered) == 1:
        return next(iter(offered.values()))
    if not found:
        entries = ""
        if isinstance(content, Mapping):
            entries = f" with {', '.join(map(repr, list(content)[:8])) or 'no entries'}"
        raise UsageError(
            f"holds no state dict but a {type(content).__name__}{entries}",
            remedy="save one: torch.save(module.state_dict(), path).",
        )
    if "" in offered:
        raise UsageError(f"key={key!r} for a state dict that is not in an entry", remedy="leave it out.")
    given = "several state dicts" if key is None else f"no state dict at {key!r}, but"
    raise UsageError(
        f"holds {given}: {', '.join(map(repr, offered))}",
        remedy=f"say which: key={next(iter(offered))!r} (on the command line --key).",
    )


def _state_dicts(content: Any, place: str, depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield dicts of tensors by their places."""
    if not isinstance(content, Mapping) or not content:
        return
    tensors = {str(name): one for name, one in content.items() if isinstance(one, Tensor)}
    others = [name for name, one in content.items() if not isinstance(one, Tensor) and not _is_extra(str(name))]
    if tensors and not others:
        yield place, {name: one for name, one in tensors.items() if not _is_counter(name, one)}
    elif depth < _DEEPEST:
        for name, one in content.items():
            yield from _state_dicts(one, f"{place}.{name}".removeprefix("."), depth + 1)


def _is_extra(name: str) -> bool:
    return name.endswith("_extra_state")


def _is_counter(name: str, tensor: Tensor) -> bool:
    """Return whether a tensor only counts updates, as that of `torch.optim.swa_utils.AveragedModel` does."""
    return tensor.dim() == 0 and not tensor.is_floating_point() and bool(_COUNTERS.fullmatch(name))


def without(tensors: Mapping[str, Any], ignore: Sequence[str]) -> dict[str, Any]:
    """Return the tensors whose names match none of the patterns.

    Raises:
        UsageError: a pattern matches nothing, which is a mistake.
    """
    for pattern in ignore:
        if not fnmatch.filter(tensors, pattern):
            raise UsageError(
                f"ignore={pattern!r} matches none of {', '.join(list(tensors)[:8])}",
                remedy="give names, or patterns with * in them.",
            )
    return {
        name: value
        for name, value in tensors.items()
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in ignore)
    }
