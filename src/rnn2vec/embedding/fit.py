"""Pre-train on RNNs of one's own: the one call that takes rnn2vec to a new domain.

No labels and no task family are needed, only the RNNs and inputs like those that they were made for. A share of the
RNNs is kept apart; on these it is measured how well an emulator imitates an RNN that it knows by nothing but its
vector, and, for comparison, with the vector of another RNN: what the vector says is the difference.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec.embedding.collect import OneRNN, collected
from rnn2vec.emulation import losses
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import Behaviour, Source, ZooSource
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.emulation.recorded import Recorded, split_by_run
from rnn2vec.emulation.sequences import Sequences, read
from rnn2vec.rnn.interface import Kind
from rnn2vec.rnn.spec import CellName
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.training.tracking import best_line
from rnn2vec.zoo.store import Zoo

CONFIG = PretrainConfig(encoder_options={"hidden_size": 128}, num_steps=2000, rollouts_per_rnn=2)
"""What is recommended for RNNs of one's own; `fit` sets the loss by the kind of their outputs."""


@dataclass(frozen=True)
class FitReport:
    """How pre-training on RNNs of one's own went."""

    architectures: tuple[str, ...]
    """Of the RNNs."""
    num_train: int
    """RNNs that were trained on."""
    num_validation: int
    """RNNs that were kept apart."""
    loss: str
    """What was minimized."""
    validation_loss: float
    """How far emulations are from RNNs that were kept apart."""
    mistaken_loss: float | None
    """The same when each gets the vector of another RNN; None when only one was kept apart."""
    best_step: int
    """Updates until the best model."""
    num_steps: int
    """Updates in all."""

    def __str__(self) -> str:
        unit = "of the outputs' variance" if self.loss == "mse" else self.loss
        lines = [
            f"{self.num_train:,} RNNs trained on, {self.num_validation:,} kept apart ({'; '.join(self.architectures)})",
            f"an RNN is imitated from its vector alone with an error of {self.validation_loss:.3f} ({unit})",
        ]
        if self.mistaken_loss is not None:
            lines.append(f"with the vector of another RNN it would be {self.mistaken_loss:.3f}: {self._verdict()}")
        if self.best_step == self.num_steps:
            lines.append("it was best at the end: more updates (config num_steps) may help")
        return "\n".join(lines)

    def _verdict(self) -> str:
        assert self.mistaken_loss is not None
        share = self.validation_loss / self.mistaken_loss if self.mistaken_loss else 1.0
        if share > 0.9:
            return "the vectors say next to nothing; give more RNNs, other inputs or more updates"
        return "the vectors say what the RNNs do" if share < 0.5 else "the vectors say something of what the RNNs do"


def fit(
    rnns: Zoo | RNNStack | Sequence[RNNStack | OneRNN],
    inputs: np.ndarray | Tensor | str | Path | None,
    *,
    out: str | Path | None = None,
    runs: Sequence[Any] | np.ndarray | None = None,
    output_kind: Kind | None = None,
    validation_share: float = 0.2,
    config: PretrainConfig = CONFIG,
    cell: CellName | None = None,
    verify: bool = True,
    device: str = "cpu",
    progress: Progress = silent,
) -> tuple[Model, FitReport]:
    """Pre-train; the arguments are those of `Rnn2Vec.fit`."""
    if isinstance(rnns, Zoo) and inputs is None:
        source: Source = ZooSource(rnns)
        counts = len(rnns.split("train")), len(rnns.split("validation"))
        architectures = (str(rnns.spec),)
    else:
        if inputs is None:
            raise UsageError("no input sequences", remedy="give inputs: an array, or a .npy or .parquet file.")
        stacks, order = _by_architecture(rnns, cell, verify=verify)
        num_rnns = sum(len(stack) for stack in stacks)
        validation = split_by_run(np.arange(num_rnns) if runs is None else runs, validation_share, config.seed)
        if len(validation) != num_rnns:
            raise UsageError(f"{len(validation)} runs for {num_rnns} RNNs", remedy="name the run of each RNN.")
        sequences = Sequences(read(inputs), stacks[0].spec.input_size, num_rnns)
        if not sequences.is_shared:
            sequences = dataclasses.replace(sequences, values=sequences.values[order])
        source = Recorded(stacks, sequences, validation[order], output_kind=output_kind)
        counts = int((~validation).sum()), int(validation.sum())
        architectures = tuple(str(stack.spec) for stack in stacks)
    config = _with_loss(config, source.interface.output_kind)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run" if out is None else Path(out)
        model = pretrain(source, config, folder, device=device, progress=progress)
        best = best_line(folder, f"validation/{config.loss}")
    unseen = source.part("validation", device="cpu").all(config.validation_rollouts)
    report = FitReport(
        architectures=architectures,
        num_train=counts[0],
        num_validation=counts[1],
        loss=config.loss,
        validation_loss=_loss(model, unseen, config.loss, shift=0),
        mistaken_loss=_loss(model, unseen, config.loss, shift=1) if counts[1] > 1 else None,
        best_step=best["step"],
        num_steps=config.num_steps,
    )
    return model, report


def _by_architecture(
    rnns: Zoo | RNNStack | Sequence[RNNStack | OneRNN], cell: CellName | None, *, verify: bool
) -> tuple[list[RNNStack], np.ndarray]:
    """A stack for each architecture, and the numbers that their RNNs, one after the other, had as given."""
    if isinstance(rnns, Zoo):
        rnns = rnns.rnns(range(len(rnns)))
    if isinstance(rnns, RNNStack):
        rnns = [rnns]
    if isinstance(rnns, (nn.Module, Mapping, str, Path)) or not rnns:
        raise UsageError("fewer than 2 RNNs", remedy="give a list of RNNs; hundreds work better than tens.")
    collection = collected(rnns, {"cell": cell}, verify=verify)
    stacks = [batch for batch in collection.batches if isinstance(batch, RNNStack)]
    if len(stacks) < len(collection.batches):
        raise UsageError("a black box among the RNNs", remedy="train on RNNs; black boxes can be embedded then.")
    return stacks, collection.places.numpy()


def _with_loss(config: PretrainConfig, kind: Kind) -> PretrainConfig:
    """The config, with a loss that fits the outputs."""
    known = losses.distances(kind)
    return config if config.loss in known else dataclasses.replace(config, loss=next(iter(known)))


@torch.no_grad()
def _loss(model: Model, behaviours: Sequence[Behaviour], name: str, *, shift: int) -> float:
    """The mean distance of emulations from RNNs; with `shift`, each gets the vector of another."""
    distance = losses.distance(name, model.encoder.interface.output_kind)
    vectors = torch.cat([model.encoder(behaviour.rnns) for behaviour in behaviours]).roll(shift, dims=0)
    parts = vectors.split([len(behaviour.rnns) for behaviour in behaviours])
    errors = [
        distance(behaviour.outputs, model.emulator(part, behaviour.inputs)).mean(dim=(1, 2))
        for part, behaviour in zip(parts, behaviours, strict=True)
    ]
    return float(torch.cat(errors).mean())
