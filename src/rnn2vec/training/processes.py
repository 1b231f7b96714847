"""Pre-training of one model in several processes, through `torch.distributed`.

Each process takes its share of every batch; gradients are averaged before they are clipped, so that an update equals
that of a single process with the whole batch. Only the first process writes files.

    torchrun --nproc-per-node 2 -m rnn2vec pretrain ZOO --out RUN

Encoders and emulators have one or two million parameters, so several seeds in parallel, one process each, make better
use of the same machines. This is for a single run that must be finished soon.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, distributed

from rnn2vec._errors import UsageError


@dataclass(frozen=True)
class Processes:
    """The processes that train one model together; by default a single one."""

    rank: int = 0
    """Number of this process, from 0."""
    count: int = 1
    """Number of processes."""

    @classmethod
    def current(cls) -> Processes:
        """Return the group of this process; a group of one if `torch.distributed` is not initialized."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def is_first(self) -> bool:
        """True for the process that writes files and reports progress."""
        return self.rank == 0

    def share(self, num_items: int) -> slice:
        """Return this process's items of a batch: every `count`-th.

        Raises:
            UsageError: if the batch has fewer items than there are processes.
        """
        if num_items < self.count:
            raise UsageError(
                f"a batch of {num_items} RNNs for {self.count} processes",
                remedy="use fewer processes, a larger --batch-size, or a larger zoo.",
            )
        return slice(self.rank, num_items, self.count)

    def weight(self, num_mine: int, num_items: int) -> float:
        """Return the weight of this process's mean, so that the mean over processes is that over all items."""
        return self.count * num_mine / num_items

    def average(self, values: Float[Tensor, " K"]) -> list[float]:
        """Average each of K numbers over the processes."""
        if self.count == 1:
            return values.tolist()
        values = values.detach().clone()
        distributed.all_reduce(values)
        return [value / self.count for value in values.tolist()]

    def of_first(self, value: float, device: str) -> float:
        """Return the first process's number in every process, so that rounding does not make their decisions differ."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.broadcast(shared, src=0)
        return shared.item()

    def wait(self) -> None:
        """Wait until all processes have called this."""
        if self.count > 1:
            distributed.barrier()


@contextlib.contextmanager
def joined(device: str) -> Generator[str]:
    """Join the process group that `torchrun` started, for the duration of the context; yield the device to train on.

    Without `torchrun` the given device is yielded. On GPUs, each process of a machine gets its own.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or Processes.current().count > 1:
        yield device
        return
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()
