"""The numbers of calls that Proposition 3.3 states, and the true ones. Proofs are in `docs/theory.md`.

For D_L with offsets in {1..M} over k letters, in the worst case over its M^(k-1) members:

|                                          | stated         | true                                     |
|------------------------------------------|----------------|------------------------------------------|
| the literal autoregressive strategy      | M (k-1)        | (M+1) (k-1)                              |
| the same without forced answers          | -              | (M-1) (k-1)                              |
| the best interactive strategy            | -              | (k-2) floor(log2 M) + ceil(log2 M)       |
| the best non-interactive one, at least   | M^(k-1) - M^2  | (M-1) M^(k-2)                            |
| the best non-interactive one, exactly    | -              | (M-1) M^(k-2) + floor(M^(k-2) / 2)       |

The last line equals |D| - ceil(|D| / 2M). The bound in the paper is false for M >= 3 and k >= 5, and for M = 2 and
k >= 6. It is true for smaller k, though not for the reason given there.

In all functions below, M is the number of possible offsets and k the number of letters.
"""

from __future__ import annotations


def printed_interactive(M: int, k: int) -> int:
    """Return the number of calls that the paper states for the autoregressive strategy."""
    return M * (k - 1)


def literal_autoregressive(M: int, k: int) -> int:
    """Return the number of calls that the autoregressive strategy makes when it is taken literally."""
    return (M + 1) * (k - 1)


def skipping_autoregressive(M: int, k: int) -> int:
    """Return the number of calls of the autoregressive strategy without questions whose answer is known."""
    return (M - 1) * (k - 1)


def optimal_interactive(M: int, k: int) -> int:
    """Return the fewest calls of any interactive strategy: a ternary search per offset, a binary one for the last."""
    floor_log = M.bit_length() - 1
    ceil_log = (M - 1).bit_length()
    return (k - 2) * floor_log + ceil_log


def printed_noninteractive(M: int, k: int) -> int:
    """Return the paper's lower bound for fixed probes; false where it exceeds `optimal_noninteractive`."""
    return M ** (k - 1) - M**2


def forced_probes(M: int, k: int) -> int:
    """Return the number of probes that every fixed set must contain: the corrected lower bound."""
    return (M - 1) * M ** (k - 2)


def optimal_noninteractive(M: int, k: int) -> int:
    """Return the size of the smallest fixed set of probes that identifies every member."""
    return forced_probes(M, k) + M ** (k - 2) // 2
