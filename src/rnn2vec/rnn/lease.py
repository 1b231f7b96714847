"""Memory that passes over RNNs borrow again and again.

What a forward pass leaves for the way back is tens of megabytes. Fresh from the operating system, every page of it
costs a fault, which together took as long as the arithmetic. Here it goes back to a pool as soon as torch frees the
graph that holds it, so that a second way back through a graph that was kept works too.
"""

from __future__ import annotations

import math
import threading

import torch
from jaxtyping import Float
from torch import Tensor

_MOST_KEPT = 16
"""Pieces of memory in the pool: both ways of encoder and emulator with a batch of 64 RNNs borrow ten."""
_MOST_NUMBERS = 1 << 27
"""Numbers in all of them together: half a gigabyte."""
_pool: list[Tensor] = []
_lock = threading.Lock()


class Lease:
    """Uninitialized float32 memory on the CPU, which returns to the pool when the lease is freed.

    Args:
        sizes: numbers in each part.
    """

    def __init__(self, *sizes: int) -> None:
        lengths = [math.ceil(size / 16) * 16 for size in sizes]  # every part begins with a line of the cache
        self._memory = _taken(sum(lengths))
        begins = [sum(lengths[:place]) for place in range(len(lengths))]
        self.parts: tuple[Float[Tensor, " size"], ...] = tuple(
            self._memory[begin : begin + size] for begin, size in zip(begins, sizes, strict=True)
        )
        """A tensor for each size."""

    def __del__(self) -> None:
        with _lock:
            is_room = sum(map(len, _pool)) + len(self._memory) <= _MOST_NUMBERS
            if len(_pool) < _MOST_KEPT and len(self._memory) and is_room:
                _pool.append(self._memory)


def _taken(size: int) -> Tensor:
    """Take the smallest memory of the pool that suffices, or else new memory."""
    with _lock:
        fitting = [place for place, memory in enumerate(_pool) if size <= len(memory) <= 4 * size + 4096]
        if fitting:
            return _pool.pop(min(fitting, key=lambda place: len(_pool[place])))
        if len(_pool) == _MOST_KEPT:
            _pool.pop(0)  # none of them fits what is asked for now
    return torch.empty(size)
