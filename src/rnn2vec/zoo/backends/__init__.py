"""Backends: the arithmetic of zoo training, behind one contract (`base`)."""

from __future__ import annotations

import warnings

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.tasks.examples import ExampleKind
from rnn2vec.zoo.backends.base import Backend
from rnn2vec.zoo.backends.numba_backend import NumbaBackend
from rnn2vec.zoo.backends.torch_backend import TorchBackend
from rnn2vec.zoo.backends.triton_backend import TritonBackend

BACKENDS = ("auto", "numba", "torch", "triton")


def pick(name: str, spec: RNNSpec, *, kind: ExampleKind | None = None, device: str = "cpu") -> Backend:
    """Return a backend by name; `"auto"` is the fastest that trains such RNNs on this device.

    Where `"auto"` has to take torch instead of a faster backend, a warning says why.

    Args:
        name: one of `BACKENDS`.
        spec: the architecture.
        kind: kind of the examples; tokens to classes by default.
        device: device to train on.

    Raises:
        UsageError: if the backend is unknown, or does not train such RNNs on the device.
    """
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    fast = _fast(name, device)
    if fast is None:
        return TorchBackend(device)
    obstacle = (
        "it runs on the CPU" if fast.name == "numba" and device != "cpu" else fast.obstacle(spec, kind or ExampleKind())
    )
    if obstacle is None:
        return fast
    problem = f"backend {fast.name!r} does not train {spec} on {device}: {obstacle}"
    if name == fast.name:
        raise UsageError(problem, remedy="remove the obstacle, or take --backend torch, which trains every cell.")
    warnings.warn(f"{problem}; torch trains them, more slowly", stacklevel=2)
    return TorchBackend(device)


def _fast(name: str, device: str) -> Backend | None:
    """Return the backend to try before torch, if any."""
    if name == "numba" or (name == "auto" and device == "cpu"):
        return NumbaBackend()
    if name == "triton" or (name == "auto" and device.startswith("cuda")):
        return TritonBackend(device)
    return None
