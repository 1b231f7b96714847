"""Products of any size, against NumPy."""

from __future__ import annotations

import numba
import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnn2vec.rnn import packing
from rnn2vec.rnn.kernels.panels import WIDTH, add_panels, add_transposed

SIZE = st.integers(1, 70)


@numba.njit
def multiply(start, a, b, out, sizes) -> None:  # noqa: ANN001
    """`out = start + a @ b` in panels; start is one row."""
    rows, inner, _ = sizes
    add_panels(start, (0, 0, WIDTH), a, (0, rows * WIDTH), b, (0, inner * WIDTH), out, (0, WIDTH, rows * WIDTH), sizes)


@numba.njit
def multiply_transposed(a, b, out, sizes) -> None:  # noqa: ANN001
    """`out += a.T @ b` in panels; a is one panel."""
    rows, inner, _ = sizes
    place = (0, WIDTH, rows * WIDTH)
    add_transposed(out, place, a, (0, 0), b, (0, inner * WIDTH), out, place, sizes)


def panels_of(matrix: np.ndarray) -> np.ndarray:
    """Return a matrix in panels, as one row of numbers."""
    return packing.as_panels(torch.from_numpy(matrix)).flatten().numpy()


def matrix_of(panels: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return a matrix from its panels."""
    return packing.of_panels(torch.from_numpy(panels).view(-1, rows, WIDTH), columns).numpy()


def draw(seed: int, *shape: int) -> np.ndarray:
    """Draw a matrix."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@given(rows=SIZE, inner=st.integers(1, 600), columns=SIZE, seed=st.integers(0, 99))
@settings(deadline=None)
def test_a_product_of_any_size_equals_numpys(rows: int, inner: int, columns: int, seed: int) -> None:
    a, b, bias = draw(seed, rows, inner), draw(seed + 1, inner, columns), draw(seed + 2, 1, columns)
    out = np.full(rows * packing.rounded(columns), np.nan, np.float32)

    multiply(panels_of(bias), panels_of(a), panels_of(b), out, (rows, inner, packing.rounded(columns) // WIDTH))

    expected = bias + a.astype(np.float64) @ b
    np.testing.assert_allclose(matrix_of(out, rows, columns), expected, atol=1e-6 * inner)


@given(rows=st.integers(1, WIDTH), inner=st.integers(1, 600), columns=SIZE)
@settings(deadline=None)
def test_a_transposed_product_adds_to_what_is_there(rows: int, inner: int, columns: int) -> None:
    a, b, before = draw(0, inner, rows), draw(1, inner, columns), draw(2, rows, columns)
    out = panels_of(before)

    multiply_transposed(panels_of(a), panels_of(b), out, (rows, inner, packing.rounded(columns) // WIDTH))

    np.testing.assert_allclose(matrix_of(out, rows, columns), before + a.T.astype(np.float64) @ b, atol=1e-6 * inner)


@given(rows=st.integers(2, 70), inner=st.integers(1, 300), row=st.integers(0, 69))
@settings(deadline=None)
def test_a_row_does_not_depend_on_its_company(rows: int, inner: int, row: int) -> None:
    a, b, bias = draw(0, rows, inner), draw(1, inner, 20), draw(2, 1, 20)
    row %= rows
    whole, alone = np.zeros(rows * 32, np.float32), np.zeros(32, np.float32)

    multiply(panels_of(bias), panels_of(a), panels_of(b), whole, (rows, inner, 2))
    multiply(panels_of(bias), panels_of(a[row : row + 1]), panels_of(b), alone, (1, inner, 2))

    np.testing.assert_array_equal(matrix_of(whole, rows, 20)[row], matrix_of(alone, 1, 20)[0])
