"""Tensors in safetensors and PyTorch files, and in the zip files of Stable-Baselines.

A training checkpoint has more in it than a state dict: an optimizer, options, numbers of NumPy. `torch.load` runs with
`weights_only=True`, which cannot run code; objects of such harmless kinds become `_Inert` ones, which have no content.
"""

from __future__ import annotations

import collections
import io
import re
import threading
import zipfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from rnn2vec._errors import DataError, Rnn2VecError, UsageError
from rnn2vec._text import visible
from rnn2vec.rnn.reading import untrusted

POLICY = "policy.pth"
"""Entry of a Stable-Baselines file that holds the state dict of the policy."""
_CRITIC = re.compile(r"(.*\.)?(lstm_critic|critic|value_net|vf_features_extractor)\..*|log_std")
_LOADING = threading.Lock()  # torch's list of allowed names is global

_RESAVE = (
    "load it where it was made and save the weights alone:\n"
    "     module = torch.load(path, weights_only=False)   # runs code in the file: only if you trust it\n"
    "     torch.save(module.state_dict(), 'weights.pt')   # of a checkpoint: checkpoint['state_dict'], say"
)
_OTHER_ARCHIVES = {
    "a TorchScript archive": ("constants.pkl", "torch.jit.load({path!r}).state_dict()"),
    "a torch.export archive": ("archive_format", "torch.export.load({path!r}).state_dict"),
    "a torch.export archive of an old version": (
        "serialized_exported_program.json",
        "torch.export.load({path!r}).state_dict",
    ),
}


class _Inert:
    """An object without content, in place of one that a state dict has no need for."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


def safetensors_in(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name.

    Raises:
        DataError: if the file is damaged.
    """
    try:
        tensors = safetensors.torch.load(untrusted.safetensors_bytes(path))
    except Exception as error:  # a damaged file can make a parser fail in any way
        raise damaged("a checkpoint", error) from error
    _require_real_tensors(tensors)
    return tensors


def torch_content(path: Path) -> Any:
    """Return the contents of a PyTorch file: tensors and plain values, other objects without content.

    Raises:
        UsageError: if it is an archive of another kind; the remedy shows how to save the weights.
        DataError: if it is damaged, or asks for more than tensors and harmless objects.
    """
    _require_torch_archive(path)
    with path.open("rb") as file:
        return _loaded(file, path.stat().st_size)


def policy_in(path: Path) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Return the actor in a Stable-Baselines file, and the assumption that is made about it.

    Raises:
        DataError: if the file is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            untrusted.check_archive(archive, path.stat().st_size)
            policy = archive.read(POLICY)
    except (untrusted.Refused, zipfile.BadZipFile, NotImplementedError) as error:
        raise damaged("a Stable-Baselines file", error) from error
    tensors = _loaded(io.BytesIO(policy), len(policy))
    critic = [name for name in tensors if _CRITIC.fullmatch(str(name))]
    owners = sorted({name.rpartition(".")[0] or name for name in critic})
    assumed = (f"the RNN is the actor of the policy; {', '.join(owners)} are left out",) if critic else ()
    return {name: one for name, one in tensors.items() if name not in critic}, assumed


def damaged(kind: str, error: Exception) -> DataError:
    """Return the error for a file that cannot be read, with the first line of the reason."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return DataError(f"cannot be read as {kind}: {reason}", remedy=f"copy it again if it was cut off; or {_RESAVE}.")


def _require_torch_archive(path: Path) -> None:
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise damaged("a checkpoint", error) from error
    for kind, (mark, loaded) in _OTHER_ARCHIVES.items():
        if mark in names:
            weights = loaded.format(path=visible(path.name))
            raise UsageError(
                f"{kind}, which holds code beside the weights",
                remedy=f"save the weights alone:\n     weights = {weights}\n"
                "     torch.save(dict(weights), 'weights.pt')",
            )


def _loaded(file: io.BufferedReader | io.BytesIO, size: int) -> Any:
    try:
        extras = untrusted.check_torch_file(file, size)
        file.seek(0)
        known = [dict, collections.defaultdict, *((_Inert, name) for name in sorted(extras))]
        with _LOADING, torch.serialization.safe_globals(known):  # type: ignore[arg-type]  # pairs are allowed
            content = torch.load(file, map_location="cpu", weights_only=True)
    except Rnn2VecError:
        raise
    except Exception as error:  # a damaged file can make the unpickler fail in any way
        raise damaged("a checkpoint", error) from error
    _require_real_tensors(content)
    return content


def _require_real_tensors(content: Any, place: str = "") -> None:
    """Refuse tensors that claim any size over a storage of a few bytes; copying one would take that memory."""
    if isinstance(content, dict):
        for name, one in content.items():
            _require_real_tensors(one, f"{place}.{name}".removeprefix("."))
    if not isinstance(content, Tensor):
        return
    is_plain = content.layout is torch.strided and not content.is_meta and not content.is_quantized
    if not is_plain or content.numel() * content.element_size() > content.untyped_storage().nbytes():
        raise DataError(
            f"{place} {tuple(content.shape)} is not a plain tensor with as many numbers as it claims",
            remedy="save plain tensors: {name: tensor.contiguous() for name, tensor in state_dict.items()}.",
        )
