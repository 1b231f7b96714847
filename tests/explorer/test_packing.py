"""Binary messages: what is packed comes out again, aligned."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from tests.explorer.conftest import unpack

from rnn2vec.explorer.packing import packed

ARRAYS = st.sampled_from([np.float32, np.int32, np.uint16, np.uint8]).flatmap(
    lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5))
)


@given(values=st.dictionaries(st.sampled_from("abc"), st.text()), given_arrays=st.lists(ARRAYS, max_size=4))
def test_messages_come_out_as_they_went_in(values: dict[str, str], given_arrays: list[np.ndarray]) -> None:
    named = {f"array {at}": array for at, array in enumerate(given_arrays)}
    message = packed(values, named)
    found = unpack(message)
    assert {name: found[name] for name in values} == values
    for name, array in named.items():
        assert found[name].dtype == array.dtype
        np.testing.assert_array_equal(found[name], array)
    assert len(message) % 8 == 0  # a browser's typed arrays must begin at multiples of their size
