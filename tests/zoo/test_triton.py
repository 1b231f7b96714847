"""Triton's kernels on a GPU that is not here: they compile for it and fit, and what does not fit goes to torch.

What they compute is tested with the other backends (`test_backends`), in Triton's interpreter.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnn2vec._errors import UsageError
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.zoo import backends
from rnn2vec.zoo.backends.triton_backend import RECURRENT_BYTES, block_size

SHARED_BYTES = 227 * 1024
"""Of one program on an H100."""

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


def test_what_does_not_fit_or_run_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET")
    assert 4 * 4 * block_size(64) ** 2 <= RECURRENT_BYTES < 4 * 4 * block_size(128) ** 2  # an LSTM of 64, of 128
    with pytest.raises(UsageError, match="backend 'triton' does not train") as caught:
        backends.pick("triton", _spec("lstm"))
    assert "--backend torch" in caught.value.remedy


@pytest.mark.usefixtures("triton")
def test_it_is_picked_by_name_where_it_runs() -> None:
    assert backends.pick("triton", _spec("lstm")).name == "triton"
    with pytest.raises(UsageError, match="does not train"):
        backends.pick("triton", _spec("lstm", hidden_size=128))


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
