"""What a machine reaches at most: matrix products and nothing else, measured in the same turns as the contenders."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import torch


class Peak(ABC):
    """A product that can be measured in several ways."""

    what: str
    """The product and where it is computed."""
    names: ClassVar[tuple[str, ...]]
    """The ways."""

    @abstractmethod
    def gflops(self, name: str) -> float:
        """Billions of operations per second in one of the ways."""


class SmallProduct(Peak):
    """32x32 @ 32x128, the largest product that an RNN of 32 units consists of, on all cores at once.

    By BLAS on a thread per core, and by our own product, which is faster.

    Args:
        cores: threads.
    """

    names = ("blas", "ours")
    SHAPE = (32, 32, 128)
    TIMES = 2000
    """Products in a measurement, on each core."""

    def __init__(self, cores: int) -> None:
        from rnn2vec.rnn.kernels.products import repeated_products

        rows, inner, columns = self.SHAPE
        self.what = f"bare {rows}x{inner} @ {inner}x{columns} product on {cores} cores"
        ours, blas = repeated_products(*self.SHAPE)
        self._functions = {"ours": ours, "blas": blas}
        numbers = np.random.default_rng(0)
        shapes = ((rows, inner), (inner, columns), (rows, columns))
        self._matrices = [[1e-3 * numbers.random(shape, dtype=np.float32) for shape in shapes] for _ in range(cores)]
        for function in self._functions.values():
            function(*self._matrices[0], 1)

    def gflops(self, name: str) -> float:
        """See `Peak.gflops`."""
        from threadpoolctl import threadpool_limits

        def work(matrices: Sequence[np.ndarray]) -> None:
            self._functions[name](*matrices, self.TIMES)

        cores = len(self._matrices)
        with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(cores) as pool:
            started = time.perf_counter()
            list(pool.map(work, self._matrices))
            seconds = time.perf_counter() - started
        return 2 * np.prod(self.SHAPE) * self.TIMES * cores / seconds / 1e9


class LargeProduct(Peak):
    """A large float32 product on a GPU, by torch: in full precision, as our backends compute, and in TF32.

    A small one would measure how fast kernels start.

    Args:
        device: such as `"cuda"`.
    """

    names = ("float32", "TF32")
    SIZE = 8192
    """Rows and columns: 1.1 TFLOP a product."""
    TIMES = 20
    """Products in a measurement."""

    def __init__(self, device: str) -> None:
        self._matrix = torch.full((self.SIZE, self.SIZE), 1 / self.SIZE, device=device)
        where = torch.cuda.get_device_name(device) if self._matrix.is_cuda else device
        self.what = f"{self.SIZE}x{self.SIZE} product on {where}"

    def gflops(self, name: str) -> float:
        """See `Peak.gflops`."""
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision("high" if name == "TF32" else "highest")
        try:
            self._multiply(1)
            started = time.perf_counter()
            self._multiply(self.TIMES)
            seconds = time.perf_counter() - started
        finally:
            torch.set_float32_matmul_precision(before)
        return 2 * self.SIZE**3 * self.TIMES / seconds / 1e9

    def _multiply(self, times: int) -> None:
        product = self._matrix
        for _ in range(times):
            product = self._matrix @ product
        product[0, 0].item()  # waits for the GPU
