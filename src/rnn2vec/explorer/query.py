"""Parameters of a request, checked: what is wrong with one is said in an error that becomes an answer with code 400."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks.base import one_hot

MOST_STEPS = 2000
"""Steps of an input sequence that a page may send."""
_MOST_ROWS = 5_000_000


@dataclass(frozen=True)
class Query:
    """Parameters of a request."""

    values: Sequence[tuple[str, str]] = ()
    """Names and values, in order; a name may be there several times."""
    body: Any = None
    """JSON value, or bytes, that was sent; None for a request without a body."""

    def text(self, name: str, default: str | None = None) -> str:
        """Return a parameter.

        Raises:
            UsageError: if it is missing and has no default.
        """
        found = next((value for key, value in self.values if key == name), default)
        if found is None:
            raise UsageError(f"the request has no {name}", remedy=f"give {name}=...")
        return found

    def all(self, name: str) -> list[str]:
        """Return every value of a parameter."""
        return [value for key, value in self.values if key == name]

    def integers(self, name: str, *, below: int, most: int) -> list[int]:
        """Return a parameter such as `0,3,2`.

        Args:
            name: name of the parameter.
            below: number that all must be below; none is negative.
            most: how many there may be.

        Raises:
            UsageError: if it is something else.
        """
        parts = [part for part in self.text(name, "").split(",") if part]
        if len(parts) > most or not all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts):
            raise UsageError(f"{name} is not a list of at most {most} whole numbers", remedy="separate them by commas.")
        numbers = [int(part) for part in parts]
        if max(numbers, default=0) >= below:
            raise UsageError(f"{name} has {max(numbers)}", remedy=f"give numbers from 0 to {below - 1}.")
        return numbers

    def rows(self, number: int) -> Int[np.ndarray, " M"]:
        """Return the rows in the body: unsigned 32-bit integers, little-endian, each below `number`.

        Raises:
            UsageError: if the body is something else.
        """
        body = self.body
        if not isinstance(body, bytes) or not body or len(body) % 4 or len(body) > 4 * _MOST_ROWS:
            raise UsageError("the body does not hold rows", remedy="send 32-bit numbers of at least one row.")
        rows = np.frombuffer(body, dtype="<u4").astype(np.int64)
        if rows.max() >= number:
            raise UsageError(f"row {rows.max()} of {number}", remedy=f"give rows from 0 to {number - 1}.")
        return rows

    def entry(self, name: str) -> Any:
        """Return an entry of the JSON object in the body.

        Raises:
            UsageError: if the body is no object, or has no such entry.
        """
        if not isinstance(self.body, dict) or name not in self.body:
            raise UsageError(f"the body has no {name}", remedy="send a JSON object with it.")
        return self.body[name]

    def numbers(self, name: str, *, width: int, most: int = MOST_STEPS) -> Float[np.ndarray, "T width"]:
        """Return an entry of the body that is a list of steps, each a list of `width` finite numbers.

        Raises:
            UsageError: if it is something else.
        """
        wrong = UsageError(
            f"{name} is not a list of 1 to {most} steps of {width} numbers each", remedy="send it in that form."
        )
        given = self.entry(name)
        if not isinstance(given, list) or not 1 <= len(given) <= most:
            raise wrong
        for step in given:
            if not isinstance(step, list) or len(step) != width or not all(type(one) in {int, float} for one in step):
                raise wrong
        array = np.array(given, dtype=np.float64)
        if not np.isfinite(array).all() or np.abs(array).max() > 1e30:
            raise wrong
        return array


def tokens_as_inputs(tokens: Sequence[int], spec: RNNSpec, interface: Interface) -> Float[Tensor, "1 1 T I"]:
    """Return tokens as inputs of an RNN, after the input with which sequences begin, where there is one."""
    inputs = one_hot(torch.tensor(list(tokens), dtype=torch.long), spec.input_size)
    if interface.first_input is not None:
        inputs = torch.cat([torch.tensor([interface.first_input], dtype=torch.float32), inputs])
    return inputs[None, None]
