"""Results in order, a few ahead of the reader, and nothing that was begun is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from rnn2vec.execution.ahead import in_order


def test_results_keep_the_order_of_the_items_whichever_is_ready_first() -> None:
    second_is_done = threading.Event()

    def slow_first(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(10)  # so the second runs beside it
        else:
            second_is_done.set()
        return item * item

    assert list(in_order(slow_first, range(5), workers=2)) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("workers", [1, 3])
def test_no_more_is_fetched_than_workers_ahead(workers: int) -> None:
    fetched: list[int] = []

    def items() -> Iterator[int]:
        for item in range(10):
            fetched.append(item)
            yield item

    for number, _ in enumerate(in_order(str, items(), workers=workers)):
        assert len(fetched) == min(10, number + workers + 1)


def test_what_was_begun_is_finished_when_fetching_fails() -> None:
    finished: list[int] = []

    def items() -> Iterator[int]:
        yield from range(3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(in_order(finished.append, items(), workers=1))
    assert finished == [0, 1, 2]


def test_an_error_of_the_function_reaches_the_reader() -> None:
    got = in_order(lambda item: 1 / item, [1, 0, 2], workers=1)
    assert next(got) == 1
    with pytest.raises(ZeroDivisionError):
        next(got)
