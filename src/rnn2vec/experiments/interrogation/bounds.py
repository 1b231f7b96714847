"""What is printed about Proposition 3.3, and what is true. Proofs are in `docs/theory.md`.

For D_L with offsets in {1..M} over k letters, in the worst case over its M^(k-1) members:

|                                          | printed        | true                                     |
|------------------------------------------|----------------|------------------------------------------|
| the literal autoregressive strategy      | M (k-1)        | (M+1) (k-1)                              |
| the same without forced answers          | -              | (M-1) (k-1)                              |
| the best interactive strategy            | -              | (k-2) floor(log2 M) + ceil(log2 M)       |
| the best non-interactive one, at least   | M^(k-1) - M^2  | (M-1) M^(k-2)                            |
| the best non-interactive one, exactly    | -              | (M-1) M^(k-2) + floor(M^(k-2) / 2)       |

The last line equals |D| - ceil(|D| / 2M): the printed bound is false for M >= 3 from k = 5 on, for M = 2 from
k = 6 on, and true (though not for the printed reason) below.
"""

from __future__ import annotations


def printed_interactive(M: int, k: int) -> int:
    """The paper's count for the autoregressive strategy."""
    return M * (k - 1)


def literal_autoregressive(M: int, k: int) -> int:
    """What that strategy takes when it is followed to the letter."""
    return (M + 1) * (k - 1)


def skipping_autoregressive(M: int, k: int) -> int:
    """What it takes when no question is asked whose answer is known."""
    return (M - 1) * (k - 1)


def optimal_interactive(M: int, k: int) -> int:
    """The fewest calls of any interactive strategy: a ternary search for each offset, a binary one for the last."""
    floor_log = M.bit_length() - 1
    ceil_log = (M - 1).bit_length()
    return (k - 2) * floor_log + ceil_log


def printed_noninteractive(M: int, k: int) -> int:
    """The paper's lower bound for fixed probes; false where it exceeds `optimal_noninteractive`."""
    return M ** (k - 1) - M**2


def forced_probes(M: int, k: int) -> int:
    """Probes that every fixed set must contain: the corrected lower bound."""
    return (M - 1) * M ** (k - 2)


def optimal_noninteractive(M: int, k: int) -> int:
    """The fewest fixed probes that identify every member."""
    return forced_probes(M, k) + M ** (k - 2) // 2
