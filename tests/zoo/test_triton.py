"""Triton's kernels on a GPU that is not here: they compile for it and fit, and what does not fit goes to torch.

What they compute is tested with the other backends (`test_backends`), in Triton's interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rnn2vec._errors import UsageError
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.zoo import backends
from rnn2vec.zoo.backends import triton_backend
from rnn2vec.zoo.backends.torch_backend import TorchBackend
from rnn2vec.zoo.backends.triton_backend import RECURRENT_BYTES, block_size

SHARED_BYTES = 227 * 1024
"""Shared memory of a program on an H100, in bytes."""

COMPILE = """
import sys
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from rnn2vec.zoo.backends import triton_backend, triton_kernels

cell, rows, hidden_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sizes = triton_backend._constants(cell, rows, hidden_size)
options = {name: sizes.pop(name) for name in ("num_warps", "num_stages")}
for kernel in (triton_kernels.forward, triton_kernels.backward):
    kinds = {"T": "i32", "R": "i32", "plane": "i32", **dict.fromkeys(sizes, "constexpr")}
    signature = {name: kinds.get(name, "*fp32") for name in kernel.arg_names}
    values = {(kernel.arg_names.index(name),): value for name, value in sizes.items()}
    compiled = triton.compile(ASTSource(kernel, signature, values), target=GPUTarget("cuda", 90, 32), options=options)
    assert compiled.asm["cubin"]
    print(compiled.metadata.shared)
"""
"""A program of its own, because a process that interprets kernels cannot compile them."""


def _spec(cell: CellName, hidden_size: int = 20, num_layers: int = 2) -> RNNSpec:
    return RNNSpec(cell=cell, input_size=4, hidden_size=hidden_size, num_layers=num_layers, output_size=4)


# -- choosing it -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("triton")
def test_it_is_picked_by_name_where_it_runs() -> None:
    assert backends.pick("triton", _spec("lstm")).name == "triton"
    assert backends.pick("auto", _spec("lstm")).name == "numba"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that a GPU and Triton are available."""

    def take(backend: TorchBackend, device: str) -> None:
        backend._device = torch.device(device)

    monkeypatch.setattr(TorchBackend, "__init__", take)
    monkeypatch.setattr(triton_backend.importlib.util, "find_spec", lambda name: name)
    monkeypatch.delenv("TRITON_INTERPRET")


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(("cell", "largest"), [("lstm", 64), ("gru", 64), ("rnn_tanh", 128), ("rnn_relu", 128)])
def test_auto_is_triton_on_a_gpu_and_torch_for_what_does_not_fit(cell: CellName, largest: int) -> None:
    assert backends.pick("auto", _spec(cell, largest), device="cuda").name == "triton"
    with pytest.warns(UserWarning, match=r"W_hh would take \d+ KB .* at most 64 fit; torch trains them, more slowly"):
        assert backends.pick("auto", _spec(cell, largest + 1), device="cuda").name == "torch"


@pytest.mark.usefixtures("gpu")
def test_that_triton_is_missing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton_backend.importlib.util, "find_spec", lambda _: None)
    reason = r"does not train .* on cuda: the package triton is not installed \(pip install 'rnn2vec\[triton\]'\)"
    with pytest.warns(UserWarning, match=rf"{reason}; torch trains them"):
        assert backends.pick("auto", _spec("lstm"), device="cuda").name == "torch"
    with pytest.raises(UsageError, match=rf"{reason}\n.*--backend torch"):
        backends.pick("triton", _spec("lstm"), device="cuda")


@pytest.mark.usefixtures("gpu")
def test_it_is_refused_on_a_cpu() -> None:
    with pytest.raises(UsageError, match=r"'triton' does not train lstm .* on cpu: it needs an NVIDIA GPU"):
        backends.pick("triton", _spec("lstm"))


# -- compiled for an H100 --------------------------------------------------------------------------


@pytest.mark.usefixtures("triton")
@pytest.mark.slow
@pytest.mark.parametrize("rows", [10, 32])
@pytest.mark.parametrize(("cell", "hidden_size"), [("lstm", 32), ("lstm", 64), ("gru", 64), ("rnn_tanh", 128)])
def test_the_kernels_compile_for_an_h100_and_fit(cell: CellName, hidden_size: int, rows: int, tmp_path: Path) -> None:
    assert 4 * _spec(cell, hidden_size).num_gates * block_size(hidden_size) ** 2 <= RECURRENT_BYTES
    forward, backward = _shared_bytes(cell, rows, hidden_size, tmp_path)
    assert forward <= SHARED_BYTES
    assert backward <= SHARED_BYTES


@pytest.mark.usefixtures("triton")
@pytest.mark.slow
def test_a_larger_recurrence_would_not_fit(tmp_path: Path) -> None:
    assert 4 * _spec("gru", 128).num_gates * block_size(128) ** 2 > RECURRENT_BYTES
    assert max(_shared_bytes("gru", 32, 128, tmp_path)) > SHARED_BYTES


def _shared_bytes(cell: CellName, rows: int, hidden_size: int, cache: Path) -> list[int]:
    """Shared memory of the kernels forward and back."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-c", COMPILE, cell, str(rows), str(hidden_size)]
    ran = subprocess.run(
        command, env={**environment, "TRITON_CACHE_DIR": str(cache)}, capture_output=True, text=True, check=True
    )
    return [int(line) for line in ran.stdout.split()]
