"""Checkpoints on disk: safetensors, and PyTorch files that hold nothing but tensors.

Files come from elsewhere and are not trusted: `torch.load` runs with `weights_only=True`, which cannot run code.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec.rnn.spec import CellName
from rnn2vec.rnn.stack import RNNStack


def load_rnn(path: Path, *, cell: CellName | None = None) -> RNNStack:
    """The RNN in a checkpoint file, as a stack of one.

    Args:
        path: a `.safetensors`, `.pt` or `.pth` file.
        cell: which cell it is, where the shapes leave it open (tanh or ReLU).

    Raises:
        UsageError: there is no such file, or it holds no RNN that fits a cell.
        DataError: the file is damaged, or weights are NaN or infinite.
    """
    state_dict = load_state_dict(path)
    try:
        return RNNStack.from_state_dicts([state_dict], cell=cell)
    except Rnn2VecError as error:
        raise type(error)(f"{path}: {error.problem.removeprefix('RNN 0: ')}", remedy=error.remedy) from error


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint file, by name.

    A PyTorch file may hold the state dict itself or, as training scripts write it, under `state_dict` or `model`.

    Raises:
        UsageError: there is no such file, or it holds no state dict.
        DataError: the file is damaged, or holds more than tensors and plain values.
    """
    if not path.is_file():
        raise UsageError(f"{path} is not a file", remedy="give the path of a .safetensors, .pt or .pth checkpoint.")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file can make the unpickler fail in any way: IndexError, AssertionError, ...
        raise _damaged(path, error) from error
    state_dict = _state_dict_in(content, path)
    _require_real_tensors(state_dict, path)
    return state_dict


def _damaged(path: Path, error: Exception) -> DataError:
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return DataError(
        f"{path} cannot be read as a checkpoint: {reason}",
        remedy="give a .safetensors file, or a PyTorch file with a state dict and nothing else "
        "(torch.save(module.state_dict(), path)).",
    )


def _state_dict_in(content: Any, path: Path) -> dict[str, Tensor]:
    nested = [content.get(key) for key in ("state_dict", "model")] if isinstance(content, dict) else []
    for candidate in (content, *nested):
        if isinstance(candidate, dict) and candidate and all(isinstance(value, Tensor) for value in candidate.values()):
            return {str(name): tensor for name, tensor in candidate.items()}
    entries = f" with {', '.join(map(repr, list(content)[:8])) or 'no entries'}" if isinstance(content, dict) else ""
    raise UsageError(
        f"{path} holds no state dict but a {type(content).__name__}{entries}",
        remedy="save one: torch.save(module.state_dict(), path).",
    )


def _require_real_tensors(state_dict: dict[str, Tensor], path: Path) -> None:
    """A tensor may claim any size over a storage of a few bytes; copying it would take the memory that it claims."""
    for name, tensor in state_dict.items():
        is_plain = tensor.layout is torch.strided and not tensor.is_meta and not tensor.is_quantized
        if not is_plain or tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise DataError(
                f"{path}: {name} {tuple(tensor.shape)} is not a plain tensor with as many numbers as it claims",
                remedy="save plain tensors: {name: tensor.contiguous() for name, tensor in state_dict.items()}.",
            )
