"""Weights that are stored in pieces, put together as they act in evaluation mode.

- weight normalization, `w_g` and `w_v` or `parametrizations.w.original0` and `original1`: `g v / |v|`;
- spectral normalization, `w_orig`, `w_u` and `w_v`, or `parametrizations.w.original`, `.0._u` and `.0._v`:
  `orig / (u' orig v)`;
- pruning, `w_orig` and `w_mask`: `orig * mask`;
- weight drop, `w_raw`, and `w` as the last training step dropped it: `raw`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from rnn2vec._errors import UsageError

_PARAMETRIZED = re.compile(r"(?P<place>(.*\.)?)parametrizations\.(?P<name>\w+)\.(?P<piece>original[01]?|0\._[uv])")
_HOOKED = re.compile(r"(?P<name>(.*\.)?(weight|bias)\w*?)_(?P<piece>g|v|u|orig|mask|raw)")
_PIECES = {"original0": "g", "original1": "v", "original": "orig", "0._u": "u", "0._v": "v"}


def as_they_act(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors by name, with the pieces of each weight replaced by the weight.

    Raises:
        UsageError: if the pieces of a weight are not those of a known method, or do not fit each other.
    """
    pieces: dict[str, dict[str, Tensor]] = {}
    whole: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if match := _PARAMETRIZED.fullmatch(name):
            pieces.setdefault(match["place"] + match["name"], {})[_PIECES[match["piece"]]] = tensor
        elif match := _HOOKED.fullmatch(name):
            pieces.setdefault(match["name"], {})[match["piece"]] = tensor
        else:
            whole[name] = tensor
    for name, found in pieces.items():
        target = name
        if set(found) == {"raw"}:
            place, _, last = name.rpartition(".")
            target = next((near for near in (name, f"{place}.module.{last}") if near in whole), name)
        whole[target] = _put_together(name, found)
    return whole


def _put_together(name: str, pieces: Mapping[str, Tensor]) -> Tensor:
    names = set(pieces)
    try:
        if names == {"raw"}:
            return pieces["raw"]
        if names == {"g", "v"}:
            return _normalized(pieces["g"], pieces["v"])
        if names == {"orig", "mask"} and pieces["orig"].shape == pieces["mask"].shape:
            return pieces["orig"] * pieces["mask"].to(pieces["orig"])
        if names == {"orig", "u", "v"}:
            matrix = pieces["orig"].flatten(1)
            return pieces["orig"] / (pieces["u"] @ (matrix @ pieces["v"]))
    except (RuntimeError, IndexError):
        pass  # their shapes do not fit: named below
    shown = ", ".join(f"{piece} {tuple(tensor.shape)}" for piece, tensor in pieces.items())
    raise UsageError(
        f"{name} is stored in pieces ({shown}) of no known method",
        remedy="save the weights as they act: remove the parametrization, then torch.save(module.state_dict(), path).",
    )


def _normalized(g: Tensor, v: Tensor) -> Tensor:
    """Return `g v / |v|`; the norm runs over the axes in which `g` has one entry."""
    axes = [axis for axis in range(v.dim()) if g.dim() != v.dim() or g.shape[axis] == 1 != v.shape[axis]]
    return v * (g / v.norm(dim=axes, keepdim=g.dim() == v.dim())) if axes else v.sign() * g
