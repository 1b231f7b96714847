"""Pre-training on the user's RNNs: the one call that takes rnn2vec to a new domain.

No labels and no task family are needed, only the RNNs and inputs like those that they are made for. A share of the RNNs
is held out. On these the report measures how well an emulator imitates an RNN that it knows by its vector alone, and,
for comparison, with the vector of another RNN: the difference is what the vector says.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from rnn2vec._errors import UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec.embedding.collect import OneRNN, collected, require_verified
from rnn2vec.embedding.fit_report import FitReport, agreement, emulation_loss
from rnn2vec.embedding.plan import FEWEST_TO_LEARN_PROBES, config_of, recommended, with_loss, within
from rnn2vec.embedding.untrained import LONGEST_PROBE, MOST_PROBES
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import Source, ZooSource
from rnn2vec.emulation.pretrain import pretrain
from rnn2vec.emulation.recorded import Recorded, split_by_run
from rnn2vec.emulation.sequences import Inputs, Sequences
from rnn2vec.encoders.random_probing import RandomProbing
from rnn2vec.rnn.interface import Kind
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints
from rnn2vec.training.tracking import best_line, read_metrics
from rnn2vec.zoo.store import Zoo


def fit(
    rnns: Zoo | RNNStack | Sequence[RNNStack | OneRNN],
    inputs: Inputs | None,
    hints: Hints,
    *,
    out: str | Path | None = None,
    runs: Sequence[Any] | np.ndarray | None = None,
    output_kind: Kind | None = None,
    validation_share: float = 0.2,
    config: PretrainConfig | None = None,
    time_budget: float | None = None,
    seed: int = 0,
    verify: bool = True,
    device: str = "cpu",
    progress: Progress = silent,
) -> tuple[Model, FitReport]:
    """Pre-train; the arguments are those of `Rnn2Vec.fit`."""
    config_seed = config.seed if config else seed
    source, architectures, notes, is_comparable = _as_source(
        rnns, inputs, hints, runs, output_kind=output_kind, share=validation_share, seed=config_seed, verify=verify
    )
    probes = source.probes(MOST_PROBES, LONGEST_PROBE).shape[:2] if isinstance(source, Recorded) else None
    train, unseen = (source.part(split, device="cpu") for split in ("train", "validation"))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "run" if out is None else Path(out)
        begun = config_of(folder) if config is None and time_budget is not None else None
        if config is None:
            largest, length = max(spec.num_parameters for spec in architectures), unseen.all(1)[0].inputs.shape[2]
            config = dataclasses.replace(recommended(len(train.steps), largest, length, probes), seed=seed)
        config = with_loss(config, source)
        if begun is not None:
            config = begun
        elif time_budget is not None:
            config = within(time_budget, config, source, device)
        model = pretrain(source, config, folder, device=device, progress=progress)
        metrics = list(read_metrics(folder))
        best = best_line(folder, f"validation/{config.loss}")
    behaviours = unseen.all(config.validation_rollouts)
    seen = train.all(config.validation_rollouts)
    report = FitReport(
        architectures=tuple(map(str, architectures)),
        num_train=len(train.steps),
        num_validation=len(unseen.steps),
        loss=config.loss,
        validation_loss=emulation_loss(model, behaviours, config.loss, shift=0),
        mistaken_loss=emulation_loss(model, behaviours, config.loss, shift=1) if len(unseen.steps) > 1 else None,
        best_step=best["step"],
        num_steps=metrics[-1]["step"],
        agreement=agreement(model, [*behaviours, *seen], config.loss) if is_comparable else None,
        notes=(*_about(config, len(train.steps)), *notes),
    )
    return model, report


def _as_source(
    rnns: Zoo | RNNStack | Sequence[RNNStack | OneRNN],
    inputs: Inputs | None,
    hints: Hints,
    runs: Sequence[Any] | np.ndarray | None,
    *,
    output_kind: Kind | None,
    share: float,
    seed: int,
    verify: bool,
) -> tuple[Source, list[RNNSpec], tuple[str, ...], bool]:
    """Return the source of training data, its architectures, notes on its inputs, and True if all RNNs share these."""
    if isinstance(rnns, Zoo) and inputs is None:
        return ZooSource(rnns), [rnns.spec], (), False
    if inputs is None:
        raise UsageError("no input sequences", remedy="give inputs: an array, or a .npy or .parquet file.")
    stacks, order = by_architecture(rnns, hints, verify=verify)
    num_rnns = sum(len(stack) for stack in stacks)
    runs = np.arange(num_rnns) if runs is None else runs
    validation = split_by_run(runs, share, seed)
    if len(validation) != num_rnns:
        raise UsageError(f"{len(validation)} runs for {num_rnns} RNNs", remedy="name the run of each RNN.")
    read = Sequences.read(inputs, stacks[0].spec.input_size, num_rnns)
    if verify and not isinstance(rnns, (Zoo, RNNStack)):
        require_verified(rnns, hints, read.examples())
    sequences = read.reordered(order)
    source = Recorded(stacks, sequences, validation[order], output_kind=output_kind)
    return source, [stack.spec for stack in stacks], sequences.notes, sequences.is_shared


def _about(config: PretrainConfig, num_rnns: int) -> tuple[str, ...]:
    """Return what the report says of an encoder that has learned nothing."""
    if config.encoder != RandomProbing.name:
        return ()
    note = (
        "vectors are answers to {num_sequences} of the inputs, {sequence_length} steps of each, and the emulator alone "
        "was trained: {few} RNNs are too few to learn what to ask, which takes {fewest}"
    )
    return (note.format(**config.encoder_options, few=num_rnns, fewest=FEWEST_TO_LEARN_PROBES),)


def by_architecture(
    rnns: Zoo | RNNStack | Sequence[RNNStack | OneRNN], hints: Hints, *, verify: bool
) -> tuple[list[RNNStack], np.ndarray]:
    """Return a stack for each architecture, and the places that their RNNs, one after the other, had as given."""
    if isinstance(rnns, Zoo):
        rnns = rnns.rnns(range(len(rnns)))
    if isinstance(rnns, RNNStack):
        rnns = [rnns]
    if isinstance(rnns, (nn.Module, Mapping, str, Path)) or not rnns:
        raise UsageError("fewer than 2 RNNs", remedy="give a list of RNNs; hundreds work better than tens.")
    collection = collected(rnns, hints, verify=verify)
    stacks = [batch for batch in collection.batches if isinstance(batch, RNNStack)]
    if len(stacks) < len(collection.batches):
        raise UsageError("a black box among the RNNs", remedy="train on RNNs; black boxes can be embedded then.")
    return stacks, collection.places.numpy()
