"""What does the arithmetic of zoo training, behind one contract (`base`)."""

from __future__ import annotations

from rnn2vec._errors import UsageError, unknown_name
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.zoo.backends.base import Backend
from rnn2vec.zoo.backends.numba_backend import NumbaBackend
from rnn2vec.zoo.backends.torch_backend import TorchBackend

BACKENDS = ("auto", "numba", "torch")


def pick(name: str, spec: RNNSpec, *, device: str = "cpu") -> Backend:
    """The backend by name; `"auto"` is the fastest that trains RNNs of this architecture on this device.

    Raises:
        UsageError: no such backend, or it does not train such RNNs there.
    """
    if name not in BACKENDS:
        raise unknown_name("backend", name, BACKENDS)
    fast = NumbaBackend()
    fits = device == "cpu" and fast.supports(spec)
    if name == "numba" and not fits:
        raise UsageError(
            f"backend 'numba' does not train {spec} on {device}",
            remedy="it needs the numba package, an LSTM and the CPU; take --backend torch.",
        )
    return fast if name != "torch" and fits else TorchBackend(device)
