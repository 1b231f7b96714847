"""The devices available for computation, and the distribution of work over them."""

from __future__ import annotations

import itertools

from rnn2vec._errors import UsageError
from rnn2vec.execution.cores import usable_cores


def require_device(device: str) -> None:
    """Check that torch can compute on a device.

    Args:
        device: torch's name of the device, such as `cpu`, `cuda` or `cuda:1`.

    Raises:
        UsageError: if this machine or this build of torch lacks the device.
    """
    import torch  # noqa: PLC0415 (naming devices needs no torch)

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # the class depends on the build of torch
        reason = str(error).splitlines()[0]
        raise UsageError(f"torch cannot use device {device!r} here: {reason}", remedy="use cpu.") from error


def spread(device: str, workers: int | None = None) -> tuple[str, ...]:
    """Assign a device to each of the pieces that run concurrently.

    Args:
        device: `cpu`, `cuda` for all visible GPUs (see `CUDA_VISIBLE_DEVICES`), or a single GPU such as `cuda:1`.
        workers: number of concurrent pieces, assigned to the devices in turn; by default one per usable core or GPU.

    Returns:
        The device of each concurrent piece.

    Raises:
        UsageError: if the device is not available, or `workers` is below 1.
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
