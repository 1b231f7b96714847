"""What is known of an RNN from outside: comes back from JSON as it was, and an empty range is refused."""

from __future__ import annotations

import json
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnn2vec._errors import UsageError
from rnn2vec.rnn.interface import Interface, Kind
from rnn2vec.tasks.formal_languages import FormalLanguages

numbers = st.floats(-1e6, 1e6)
kinds = st.sampled_from(get_args(Kind))


@given(
    input_kind=kinds,
    output_kind=kinds,
    first=st.none() | st.lists(numbers, min_size=1),
    ends=st.tuples(numbers, numbers),
)
def test_it_comes_back_from_json_as_it_was(
    input_kind: Kind, output_kind: Kind, first: list[float] | None, ends: tuple[float, float]
) -> None:
    if ends[0] == ends[1]:
        return
    interface = Interface(
        input_kind=input_kind,
        output_kind=output_kind,
        first_input=None if first is None else tuple(first),
        input_range=(min(ends), max(ends)),
    )
    assert Interface.from_dict(json.loads(json.dumps(interface.to_dict()))) == interface


@pytest.mark.parametrize("ends", [(1.0, 1.0), (2.0, -2.0)])
def test_an_empty_range_is_refused(ends: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match=r"input_range=\(.*\)\n.*smaller end first"):
        Interface(input_range=ends)


def test_formal_languages_begin_with_bos() -> None:
    interface = FormalLanguages().interface
    assert (interface.input_kind, interface.output_kind) == ("categorical", "categorical")
    assert interface.first_input == (0, 0, 0, 0, 1, 0)
