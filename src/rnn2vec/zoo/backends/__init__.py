"""What does the arithmetic of zoo training, behind one contract (`base`)."""

from __future__ import annotations

import warnings

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec.rnn.interface import Kind
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.zoo.backends.base import Backend
from rnn2vec.zoo.backends.numba_backend import NumbaBackend
from rnn2vec.zoo.backends.torch_backend import TorchBackend
from rnn2vec.zoo.backends.triton_backend import TritonBackend

BACKENDS = ("auto", "numba", "torch", "triton")


def pick(name: str, spec: RNNSpec, *, inputs: Kind = "categorical", device: str = "cpu") -> Backend:
    """The backend by name; `"auto"` is the fastest that trains such RNNs on this device.

    Args:
        name: one of `BACKENDS`.
        spec: the architecture.
        inputs: the kind of the examples, see `Backend.supports`.
        device: where.

    Raises:
        UsageError: no such backend, or it does not train such RNNs there.
    """
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    fast = NumbaBackend()
    fits = device == "cpu" and fast.supports(spec, inputs)
    if name == "numba" and not fits:
        raise UsageError(
            f"backend 'numba' does not train {spec} with {inputs} inputs on {device}",
            remedy="it needs the numba package and the CPU, and at most 3 layers of 128 units; take --backend torch.",
        )
    if name in {"auto", "numba"} and fits:
        return fast
    if name == "triton" or (name == "auto" and device.startswith("cuda")):
        kernels = TritonBackend(device)
        obstacle = kernels.obstacle(spec)
        if obstacle is None:
            return kernels
        problem = f"backend 'triton' does not train {spec} on {device}: {obstacle}"
        if name == "triton":
            raise UsageError(problem, remedy="mend that, or take --backend torch.")
        warnings.warn(f"{problem}; torch trains them, more slowly", stacklevel=2)
    return TorchBackend(device)
