"""Work on one thing while the next is fetched, and on several at a time, without ever holding many.

Threads, because what they run is arithmetic of torch and numpy, which lets other threads go on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_order(function: Callable[[Item], Result], items: Iterable[Item], *, workers: int) -> Iterator[Result]:
    """What a function makes of items, in their order.

    Args:
        function: run in threads of its own.
        items: fetched in the caller's thread, at most `workers` ahead of what was yielded.
        workers: threads.

    Yields:
        A result for each item.

    Raises:
        Exception: what `function` or fetching raised; what was begun is finished first.
    """
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        for item in items:
            begun.append(pool.submit(function, item))
            if len(begun) > workers:
                yield begun.popleft().result()
        while begun:
            yield begun.popleft().result()
