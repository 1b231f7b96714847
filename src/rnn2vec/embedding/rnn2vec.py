"""A pre-trained encoder, ready for any RNNs that fit it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn

from rnn2vec._errors import Rnn2VecError, UsageError, unknown_name
from rnn2vec._files import claim_folder
from rnn2vec._shapes import Representation
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.rnn import files
from rnn2vec.rnn.collection import RNNCollection, RNNs
from rnn2vec.rnn.spec import CellName, RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.store import Zoo

OneRNN = nn.Module | Mapping[str, Tensor] | str | Path
"""A module, a state dict, or the path of a checkpoint file."""

_SHIPPED = Path(__file__).parent / "pretrained"
_RNNS_AT_ONCE = 256


class Rnn2Vec:
    """Turns RNNs into vectors.

    Args:
        model: an encoder with its emulator.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self.encoder = model.encoder.eval()
        self.emulator = model.emulator.eval()

    @property
    def spec(self) -> RNNSpec:
        """The architecture that the encoder was trained on."""
        return self.encoder.spec

    @classmethod
    def from_pretrained(cls, name_or_folder: str | Path) -> Rnn2Vec:
        """Load an encoder.

        Args:
            name_or_folder: the name of one that comes with the package, or a folder that `save` or
                `rnn2vec pretrain` wrote.

        Raises:
            UsageError: there is no such name or folder, or the folder holds no model.
            DataError: its files are damaged.
        """
        folder = Path(name_or_folder)
        if not folder.is_dir():
            shipped = shipped_names()
            if str(name_or_folder) not in shipped:
                error = unknown_name("pre-trained encoder or folder", str(name_or_folder), shipped or ["none yet"])
                remedy = f"{error.remedy} Or give a folder that `rnn2vec pretrain --out` or `Rnn2Vec.save` made."
                raise UsageError(error.problem, remedy=remedy)
            folder = _SHIPPED / str(name_or_folder)
        return cls(checkpoints.load_model(folder))

    def save(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` to a new or empty folder, or over another model.

        Raises:
            UsageError: the folder holds something else.
        """
        folder = Path(folder)
        claim_folder(folder, marker=checkpoints.CONFIG, kind="model")
        checkpoints.save_model(folder, self._model)

    @torch.no_grad()
    def embed(
        self, rnns: RNNStack | Zoo | OneRNN | Sequence[RNNStack | OneRNN], *, cell: CellName | None = None
    ) -> Float32[np.ndarray, "N Z"]:
        """One vector for each RNN, in the order given.

        Args:
            rnns: a stack, a zoo (all its snapshots), or one or more stacks, modules, state dicts or paths of
                checkpoint files. Probing encoders take RNNs of different cells and sizes together.
            cell: which cell state dicts and files hold, where shapes leave it open (tanh or ReLU).

        Raises:
            UsageError: an RNN does not fit the encoder, or a checkpoint is none.
            DataError: weights are NaN or infinite, or a file is damaged.
        """
        if isinstance(rnns, Zoo):
            rnns = rnns.rnns(range(len(rnns)))
        if isinstance(rnns, RNNStack):
            rnns.require_finite()
            return self._embed_stack(rnns).numpy()
        if isinstance(rnns, (nn.Module, Mapping, str, Path)):
            rnns = [rnns]
        stacks = [_as_stack(rnn, cell, number) for number, rnn in enumerate(rnns)]
        return RNNCollection(stacks).map(self._embed_stack).numpy()

    def _embed_stack(self, rnns: RNNs) -> Representation:
        assert isinstance(rnns, RNNStack)
        reference = next(self.encoder.parameters())
        starts = range(0, max(1, len(rnns)), _RNNS_AT_ONCE)  # the encoder refuses an empty stack
        parts = [self.encoder(rnns.select(slice(at, at + _RNNS_AT_ONCE)).to(reference)) for at in starts]
        return torch.cat(parts).cpu().float()

    def __repr__(self) -> str:
        return f"Rnn2Vec({self.encoder.name}: {self.spec} -> {self.encoder.representation_size} numbers)"


def shipped_names() -> list[str]:
    """The pre-trained encoders that come with the package."""
    return sorted(path.name for path in _SHIPPED.iterdir() if path.is_dir()) if _SHIPPED.is_dir() else []


def _as_stack(rnn: RNNStack | OneRNN, cell: CellName | None, number: int) -> RNNStack:
    if isinstance(rnn, (str, Path)):
        return files.load_rnn(Path(rnn), cell=cell)
    try:
        if isinstance(rnn, RNNStack):
            rnn.require_finite()
            return rnn
        if isinstance(rnn, nn.Module):
            return RNNStack.from_modules([rnn])
        return RNNStack.from_state_dicts([rnn], cell=cell)
    except Rnn2VecError as error:  # the error counts within what was read: one module, one state dict, one stack
        raise type(error)(f"item {number}: {error.problem.removeprefix('RNN 0: ')}", remedy=error.remedy) from error
