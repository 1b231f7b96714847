"""Peak speed of a machine: bare matrix products, measured in the same turns as the contenders."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import torch


class Peak(ABC):
    """A matrix product that can be computed in several ways."""

    what: str
    """Description of the product and the hardware."""
    names: ClassVar[tuple[str, ...]]
    """Names of the ways to compute it."""

    @abstractmethod
    def gflops(self, name: str) -> float:
        """Measure one way of computing the product, in billions of floating-point operations per second."""


class SmallProduct(Peak):
    """The product 32x32 @ 32x128, the largest in an RNN with 32 hidden units, on all cores at once.

    It is computed by BLAS with a thread per core, and by our own kernel, which is faster.

    Args:
        cores: number of threads.
    """

    names = ("blas", "ours")
    SHAPE = (32, 32, 128)
    TIMES = 2000
    """Number of products per measurement on each core."""

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
        """Measure; see `Peak.gflops`."""
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
    """A large float32 product by torch on a GPU: in full precision, as in our backends, and in TF32.

    A small product would measure the launch time of kernels.

    Args:
        device: device such as `"cuda"`.
    """

    names = ("float32", "TF32")
    SIZE = 8192
    """Number of rows and columns, 1.1 TFLOP per product."""
    TIMES = 20
    """Number of products per measurement."""

    def __init__(self, device: str) -> None:
        self._matrix = torch.full((self.SIZE, self.SIZE), 1 / self.SIZE, device=device)
        where = torch.cuda.get_device_name(device) if self._matrix.is_cuda else device
        self.what = f"{self.SIZE}x{self.SIZE} product on {where}"

    def gflops(self, name: str) -> float:
        """Measure; see `Peak.gflops`."""
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
