"""Simulate how often ordinary RNNs are flagged as outliers, and how often planted ones are found.

    python -m benchmarks.outliers [OUT.json]

Ordinary vectors are normal, heavy-tailed (multivariate t with 1.5 degrees of freedom) or in clusters of different
width. Outliers are planted 100 times farther out than the median ordinary vector: scattered, each in a direction of its
own, or together as one cluster, where they hide each other as soon as there are more of them than neighbours (10).
Prints a Markdown table; with OUT.json, writes the same numbers with versions and commit.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from rnn2vec._files import write_json
from rnn2vec._provenance import provenance
from rnn2vec.index.outliers import judge_members

SIZE = 8
NUMBERS = {30: 400, 60: 400, 500: 60, 5000: 6}
"""Trials for each number of RNNs, planted ones included."""
PLANTED = (0, 1, 2, 5, 10, 20)
RATES = (0.01, 0.05, 0.1)
FARTHER = 100.0


def ordinary(generator: np.random.Generator, kind: str, number: int) -> np.ndarray:
    """Return ordinary vectors `(number, SIZE)`."""
    normal = generator.normal(size=(number, SIZE))
    if kind == "heavy tails":
        return normal / np.sqrt(generator.chisquare(1.5, size=(number, 1)) / 1.5)
    if kind == "clusters":
        return (
            normal * generator.choice([0.1, 1.0], size=(number, 1))
            + 5 * np.eye(SIZE)[generator.integers(3, size=number)]
        )
    return normal


def planted(generator: np.random.Generator, radius: float, number: int, *, together: bool) -> np.ndarray:
    """Return outliers at a distance from the origin: scattered, or close together."""
    directions = generator.normal(size=(1 if together else number, SIZE))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    return radius * directions + 0.01 * generator.normal(size=(number, SIZE))


def trial(seed: int, kind: str, total: int, number: int, *, together: bool) -> dict[float, tuple[float, float]]:
    """Return for each rate the share of ordinary RNNs that is flagged, and the share of planted ones."""
    generator = np.random.default_rng([seed, total, number, together, len(kind)])
    vectors = ordinary(generator, kind, total)
    rows = generator.choice(total, size=number, replace=False)
    radius = FARTHER * float(np.median(np.linalg.norm(vectors - np.median(vectors, axis=0), axis=1)))
    vectors[rows] = planted(generator, radius, number, together=together)
    is_planted = np.isin(np.arange(total), rows)
    outliers = judge_members(vectors.astype(np.float32), seed=seed)
    shares: dict[float, tuple[float, float]] = {}
    for rate in RATES:
        is_flagged = np.isin(np.arange(total), outliers.flagged(rate))
        found = float(is_flagged[is_planted].mean()) if number else float("nan")
        shares[rate] = (float(is_flagged[~is_planted].mean()), found)
    return shares


def rows() -> Iterator[dict[str, Any]]:
    """Yield a row for each setting: mean false alarms with their standard error, and power."""
    for kind, (total, trials), number in itertools.product(
        ("normal", "heavy tails", "clusters"), NUMBERS.items(), PLANTED
    ):
        for together in (False, True) if number > 1 else (False,):
            if number >= total / 2:
                continue
            results = [trial(seed, kind, total, number, together=together) for seed in range(trials)]
            for rate in RATES:
                alarms, found = np.array([result[rate] for result in results]).T
                yield {
                    "vectors": kind,
                    "rnns": total,
                    "planted": number,
                    "together": together,
                    "rate": rate,
                    "trials": trials,
                    "false_alarms": float(alarms.mean()),
                    "error": float(alarms.std() / np.sqrt(trials)),
                    "found": None if number == 0 else float(found.mean()),
                    "most_that_can_be_found": None if number == 0 else min(1.0, int(rate * total + 1e-9) / number),
                }


def table(measured: list[dict[str, Any]]) -> str:
    """Return the rows as a Markdown table with a column for each rate."""
    lines = ["| vectors | RNNs | planted | " + " | ".join(f"{rate:g}" for rate in RATES) + " |", "|---" * 6 + "|"]
    for start in range(0, len(measured), len(RATES)):
        group = measured[start : start + len(RATES)]
        first = group[0]
        number = f"{first['planted']}{' together' if first['together'] else ''}"
        cells = [
            f"{one['false_alarms']:.4f}"
            + (f", {one['found']:.0%} of {one['most_that_can_be_found']:.0%}" if number != "0" else "")
            for one in group
        ]
        lines.append(f"| {first['vectors']} | {first['rnns']:,} | {number} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(out: str | None = None) -> None:
    """Simulate, print the table, and write the numbers."""
    measured = list(rows())
    print(table(measured))
    if out is not None:
        write_json(Path(out), {"rows": measured, "provenance": provenance()})


if __name__ == "__main__":
    main(*sys.argv[1:2])
