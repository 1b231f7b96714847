"""Which devices there are to compute on, and how pieces of work are spread over them."""

from __future__ import annotations

import itertools

from rnn2vec._errors import UsageError
from rnn2vec.execution.cores import usable_cores


def require_device(device: str) -> None:
    """Check that torch can compute on a device.

    Args:
        device: as torch names it, such as `cpu`, `cuda` or `cuda:1`.

    Raises:
        UsageError: this machine, or this build of torch, has no such device.
    """
    import torch  # noqa: PLC0415 (naming devices takes no torch)

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # which of them depends on how torch was built
        reason = str(error).splitlines()[0]
        raise UsageError(f"torch cannot use device {device!r} here: {reason}", remedy="take cpu.") from error


def spread(device: str, workers: int | None = None) -> tuple[str, ...]:
    """The device of each of the pieces that run at the same time.

    Args:
        device: `cpu`; `cuda` for every GPU that torch sees (`CUDA_VISIBLE_DEVICES` says which), `cuda:1` for that one.
        workers: pieces at the same time, in turn on each device; by default one for each usable core, or for each GPU.

    Raises:
        UsageError: there is no such device, or no workers.
    """
    import torch  # noqa: PLC0415

    require_device(device)
    if workers is not None and workers < 1:
        raise UsageError(f"workers={workers}", remedy="give at least 1.")
    places = (device,)
    if device == "cpu":
        places *= usable_cores()
    if device == "cuda":
        places = tuple(f"cuda:{number}" for number in range(torch.cuda.device_count()))
    return tuple(itertools.islice(itertools.cycle(places), workers or len(places)))
