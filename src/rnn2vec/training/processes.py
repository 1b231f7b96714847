"""Pre-training in several processes that act as one, through `torch.distributed`.

Each process takes its share of every batch; gradients are averaged before they are clipped, so that an update is the
one that a single process would have made with the whole batch. The first process alone writes files.

    torchrun --nproc-per-node 2 -m rnn2vec pretrain ZOO --out RUN

Encoders and emulators have one or two million parameters: several seeds side by side, one process each, use the same
machines better. This is for the single run that has to be done soon.
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
    """The processes that train one model together; alone by default."""

    rank: int = 0
    """Which of them this is."""
    count: int = 1
    """How many there are."""

    @classmethod
    def current(cls) -> Processes:
        """The group that this process is in; alone where `torch.distributed` was not started."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @property
    def is_first(self) -> bool:
        """Whether this is the one that writes files and talks."""
        return self.rank == 0

    def share(self, num_items: int) -> slice:
        """Which items of a batch are this process's: every `count`-th.

        Raises:
            UsageError: there are fewer items than processes.
        """
        if num_items < self.count:
            raise UsageError(
                f"a batch of {num_items} RNNs for {self.count} processes",
                remedy="take fewer processes, a larger --batch-size, or a larger zoo.",
            )
        return slice(self.rank, num_items, self.count)

    def weight(self, num_mine: int, num_items: int) -> float:
        """What a mean over this process's items counts, so that the mean over processes is that over all items."""
        return self.count * num_mine / num_items

    def average(self, value: Float[Tensor, ""]) -> float:
        """The mean of a number over the processes."""
        if self.count == 1:
            return value.item()
        value = value.detach().clone()
        distributed.all_reduce(value)
        return value.item() / self.count

    def of_first(self, value: float, device: str) -> float:
        """The first process's number, for all: rounding must not make them decide differently."""
        if self.count == 1:
            return value
        shared = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.broadcast(shared, src=0)
        return shared.item()

    def wait(self) -> None:
        """Until all processes are here."""
        if self.count > 1:
            distributed.barrier()


@contextlib.contextmanager
def joined(device: str) -> Generator[str]:
    """While it lasts, this process is in the group that `torchrun` started it for; yields the device to train on.

    Without `torchrun` nothing happens. On GPUs each process of a machine gets one of its own.
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
