"""Processing of a stream of items in threads, with bounded read-ahead.

The next item is fetched while others are processed. Threads suffice, because the arithmetic of torch and numpy releases
the interpreter lock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """Apply a function to items in threads, and yield the results in order.

    Args:
        function: function of one item; runs in worker threads.
        items: items, fetched in the caller's thread at most `workers` ahead of the last result.
        workers: number of threads.

    Yields:
        The result for each item.

    Raises:
        Exception: if `function` or fetching an item raises; running calls finish first.
    """
    started: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            started.append(pool.submit(function, item))
            if len(started) > workers:
                yield started.popleft().result()
        while started:
            yield started.popleft().result()
