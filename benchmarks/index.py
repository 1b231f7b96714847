"""Speed of an index: building, opening, exact and approximate queries, measured in one run.

python benchmarks/index.py [NUMBER]
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rnn2vec.index.index import Index
from rnn2vec.index.search import ExactSearch, FaissSearch

SIZE, QUERIES, NEIGHBOURS = 16, 200, 10


def seconds(work: Callable[[], object]) -> float:
    """Measure the seconds that a call takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main(number: int = 100_000) -> None:
    """Measure and print the times."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(number, SIZE)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries = vectors[generator.integers(number, size=QUERIES)] + 0.1 * generator.normal(size=(QUERIES, SIZE))
    names = [f"rnn {row}" for row in range(number)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "index"
        index = Index.build(folder, SIZE)
        performance = generator.random(number)
        built = seconds(lambda: index.add(names, vectors, {"performance": performance}))
        print(f"build {number:,} x {SIZE}: {built:.2f} s")
        again = Index.open(folder)
        print(f"open and first query: {seconds(lambda: again.query(queries[:1], NEIGHBOURS)):.3f} s")
        print(f"add 1000 more: {seconds(lambda: again.add([f'x{i}' for i in range(1000)], vectors[:1000])):.3f} s")
    exact, nearly = ExactSearch(vectors), FaissSearch(vectors)
    times: dict[str, list[float]] = {"exact": [], "exact, half of the rows allowed": [], "faiss": []}
    allowed = performance > 0.5
    hits = []
    for query in queries[:, None]:  # interleaved, one query at a time
        times["exact"].append(seconds(lambda query=query: exact.nearest(query, NEIGHBOURS)))
        times["exact, half of the rows allowed"].append(
            seconds(lambda query=query: exact.nearest(query, NEIGHBOURS, allowed))
        )
        times["faiss"].append(seconds(lambda query=query: nearly.nearest(query, NEIGHBOURS)))
        found = [set(search.nearest(query, NEIGHBOURS)[1][0]) for search in (exact, nearly)]
        hits.append(len(found[0] & found[1]) / NEIGHBOURS)
    for name, measured in times.items():
        low, median, high = np.quantile(measured, [0.25, 0.5, 0.75]) * 1000
        print(f"one query, {name}: {median:.2f} ms (quartiles {low:.2f} to {high:.2f})")
    print(f"faiss recall@{NEIGHBOURS}: {np.mean(hits):.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
