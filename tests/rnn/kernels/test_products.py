"""Our own products beside NumPy's in float64, of every shape of tile and from everything that they can start from."""

from __future__ import annotations

from collections.abc import Callable

import numba
import numpy as np
import pytest

from rnn2vec.rnn.kernels import functions
from rnn2vec.rnn.kernels.products import INNER_BLOCK, add_product, vector_columns

LONG = 2 * INNER_BLOCK + 7
"""An inner dimension of more than one block."""


@pytest.mark.parametrize(("rows", "columns"), [(32, 128), (10, 32), (25, 17), (1, 5)])
def test_a_product_is_numpys_whatever_it_starts_from(rows: int, columns: int) -> None:
    @numba.njit
    def multiply(start: np.ndarray, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        add_product(start, a, b, out, rows, a.shape[1], columns)

    @numba.njit
    def from_one_row(row: np.ndarray, a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
        add_product(np.broadcast_to(row, (rows, columns)), a, b, out, rows, a.shape[1], columns)

    numbers = np.random.default_rng(0)
    for inner in (3, INNER_BLOCK, LONG):
        a, b, first = (
            numbers.standard_normal(shape).astype(np.float32)
            for shape in ((rows, inner), (inner, columns), (rows, columns))
        )
        product, bound = a.astype(np.float64) @ b.astype(np.float64), 1e-6 * inner
        out = first.copy()
        multiply(out, a, b, out)
        assert np.abs(out - (first + product)).max() < bound, "it adds to what is there"
        multiply(first, np.asfortranarray(a), b, out)
        assert np.abs(out - (first + product)).max() < bound, "what was there is forgotten"
        from_one_row(first[0], a, b, out)
        assert np.abs(out - (first[0] + product)).max() < bound


def test_results_have_columns_for_whole_vectors() -> None:
    for columns in range(1, 70):
        given = vector_columns(columns)
        assert columns <= given < 2 * max(columns, 4)
        assert given % 4 == 0


@pytest.mark.parametrize(
    ("name", "reference", "bound"),
    [
        ("fast_exp", np.exp, 1e-7),
        ("fast_sigmoid", lambda x: 1 / (1 + np.exp(-x)), 2e-7),
        ("fast_tanh", np.tanh, 4e-7),
    ],
)
def test_functions_of_one_number_are_exact_to_the_last_digits(
    name: str, reference: Callable[[np.ndarray], np.ndarray], bound: float
) -> None:
    """Relative errors, small and large numbers alike; measured: 8e-8, 1.5e-7, 3.2e-7."""
    function = getattr(functions, name)

    @numba.njit(fastmath={"contract", "nsz"}, error_model="numpy")
    def of_each(x: np.ndarray, out: np.ndarray) -> None:
        for k in range(x.size):
            out[k] = function(x[k])

    small = np.geomspace(1e-20, 1, 20_001)
    x = np.concatenate([np.linspace(-60, 60, 200_001), small, -small]).astype(np.float32)
    out, exact = np.empty_like(x), reference(x.astype(np.float64))
    of_each(x, out)
    assert (np.abs(out - exact) <= bound * np.abs(exact)).all()
    unusual, out = np.float32([np.nan, np.inf, -np.inf]), np.empty(3, np.float32)
    of_each(unusual, out)
    assert np.isnan(out[0]), "a diverging run must be seen"
    assert np.isfinite(out[1:]).all()
