"""JSON as dataclasses: right, or refused with the place."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from rnn2vec._typed import typed, typed_fields


@dataclass(frozen=True)
class Part:
    number: int
    name: str | None = None


@dataclass(frozen=True)
class Whole:
    rate: float
    kind: Literal["a", "b"]
    parts: tuple[Part, ...] = ()
    pair: tuple[int, str] = (0, "")
    sums: dict[str, float] = field(default_factory=dict)
    anything: Any = None


def test_values_become_what_they_should_be() -> None:
    value = {"rate": 1, "kind": "b", "parts": [{"number": 3}], "pair": [1, "x"], "sums": {"y": 2}, "anything": [[]]}
    assert typed(Whole, value) == Whole(1.0, "b", (Part(3),), (1, "x"), {"y": 2.0}, [[]])
    assert type(typed(Whole, value).rate) is float


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rate": "1"}, "rate is '1', expected float"),
        ({"rate": True}, "rate is True, expected float"),
        ({"kind": "c"}, "unknown kind 'c'"),
        ({"kind": 1}, "kind is 1, expected"),
        ({"parts": [{"number": 1.5}]}, r"parts\.0\.number is 1\.5, expected int"),
        ({"parts": [{"number": 1, "other": 2}]}, r"parts\.0\.other is unknown"),
        ({"parts": [{}]}, r"parts\.0\.number is missing"),
        ({"parts": {"number": 1}}, "parts is"),
        ({"parts": [{"number": 1, "name": 2}]}, r"parts\.0\.name is 2, expected str | None"),
        ({"pair": [1]}, "pair has 1 entries, expected 2"),
        ({"sums": {"x": None}}, r"sums\.x is None, expected float"),
        ({"more": 1}, "more is unknown"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        typed(Whole, {"rate": 1.0, "kind": "a", **change})


def test_a_long_value_is_cut_in_the_error() -> None:
    with pytest.raises(ValueError, match=r"^rate is '9{59}\.\.\., expected float$"):
        typed(Whole, {"rate": "9" * 5000, "kind": "a"})


def test_some_fields_can_be_read_alone() -> None:
    assert typed_fields(Whole, {"rate": 2, "other": 1}, ["rate"]) == {"rate": 2.0}
    with pytest.raises(ValueError, match=r"^kind is missing"):
        typed_fields(Whole, {"rate": 2}, ["kind"])
    with pytest.raises(ValueError, match=r"^it is None, expected dict"):
        typed_fields(Whole, None, ["kind"])
