"""A model ready to be shared: with RNNs to compare with, and a card that says how good it is.

A packed model is an index, so that everything that takes an index takes it:

    model/        the encoder with its emulator
    index.json    names, vectors and properties of RNNs of the zoo (`parts/`): what neighbours and properties are
                  read off
    card.json     zoo, recipe, losses with intervals
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from rnn2vec._assets import shipped_folder, shipped_names
from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import read_sealed, sha256_of, write_sealed
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import processor, provenance
from rnn2vec._seeding import numpy_generator
from rnn2vec._typed import typed
from rnn2vec.embedding.hub import CARD, CARD_VERSION
from rnn2vec.embedding.reading import described_properties
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.data import SplitData
from rnn2vec.emulation.fidelity import emulation_fidelity
from rnn2vec.index import store
from rnn2vec.index.index import Index
from rnn2vec.tasks.base import Split
from rnn2vec.training import tracking
from rnn2vec.zoo.origin import made_to_dict
from rnn2vec.zoo.store import Zoo

_MOST_RNNS = 3000
_ROLLOUTS = 10
_CONFIDENCE = 0.95


@dataclass(frozen=True)
class Loss:
    """A distance between RNNs and emulations, averaged over RNNs, with its interval over tasks."""

    mean: float
    """Mean over RNNs."""
    low: float
    """Lower end of the 95 % bootstrap interval over tasks."""
    high: float
    """Upper end."""
    rnns: int
    """RNNs that were measured."""
    tasks: int
    """Tasks that they belong to."""


@dataclass(frozen=True)
class ModelCard:
    """Facts about a packed model."""

    family: str
    """Task family of its zoo."""
    encoder: str
    """Name of the encoder."""
    representation_size: int
    """Entries of a representation."""
    distance: str
    """Name of the distance of `losses`."""
    losses: dict[str, Loss]
    """Losses by part: `validation` and `ood`, and the last snapshots of each, `validation/last` and `ood/last`."""
    updates: int
    """Updates of pre-training at the best validation."""
    recipe: dict[str, Any]
    """Options of pre-training."""
    zoo: dict[str, Any]
    """Config of the zoo and checksum of its weights."""
    reference_rnns: int
    """RNNs to compare with."""
    limits: tuple[str, ...]
    """Uses that the model is not made for, a sentence each."""
    processor: str
    """Processor on which losses were measured."""
    provenance: dict[str, str | None]
    """Versions and commit."""
    files: dict[str, str]
    """SHA-256 of every file, by its name below the folder."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-ready values."""
        return {"format_version": CARD_VERSION, **dataclasses.asdict(self), "limits": list(self.limits)}

    @classmethod
    def read(cls, folder: str | Path) -> ModelCard:
        """Read the card of a packed model.

        Raises:
            UsageError: if the folder has no card.
            DataError: if the card is damaged, or newer than this library.
        """
        path = Path(folder) / CARD
        if not path.is_file():
            raise UsageError(f"{folder} has no {CARD}", remedy="give a model that `rnn2vec pack` made.")
        values = read_sealed(path, newest=CARD_VERSION)
        try:
            return typed(cls, {name: value for name, value in values.items() if name != "format_version"})
        except ValueError as error:
            raise DataError(f"{path}: {error}", remedy="restore the file, or pack the model again.") from error


def pack(
    run: str | Path,
    zoo: Zoo,
    out: str | Path,
    *,
    most_rnns: int = _MOST_RNNS,
    leave_out: Zoo | None = None,
    limits: Sequence[str] = (),
    seed: int = 0,
    progress: Progress = silent,
) -> ModelCard:
    """Pack the model of a pre-training run.

    Args:
        run: folder of the run.
        zoo: zoo that it was pre-trained on.
        out: folder of the packed model, new or empty.
        most_rnns: RNNs to compare with; more are drawn from the zoo at random, those of unseen and OOD tasks first.
        leave_out: sample of the zoo whose runs are left out of the RNNs to compare with.
        limits: uses that the model is not made for, a sentence each.
        seed: seed of the draw and of the intervals.
        progress: callback that receives the number of parts measured.

    Returns:
        The card.

    Raises:
        UsageError: if the run is on another zoo, or the folder holds something else.
        DataError: if a file is damaged.
        BusyError: another process writes there.
    """
    run, out = Path(run), Path(out)
    checkpoints.require_pretrained_on(zoo, run)
    rnn2vec = Rnn2Vec.from_pretrained(run)
    record = checkpoints.read_run(run)
    distance = record["config"]["loss"]
    losses: dict[str, Loss] = {}
    splits: tuple[Split, ...] = tuple(split for split in ("validation", "ood") if len(zoo.split(split)))
    for number, split in enumerate(splits):
        progress(number, len(splits) + 1, f"measure {split}")
        losses |= _losses(rnn2vec, zoo, split, distance, seed)
    progress(len(splits), len(splits) + 1, "embed RNNs to compare with")
    index = Index.build(out, rnn2vec)
    with index.claimed():
        rows = _reference(zoo, most_rnns, leave_out, seed)
        names = [f"{zoo.family.name}#{row}" for row in rows.tolist()]
        index.add(names, rnn2vec.embed(zoo.rnns(rows)), described_properties(zoo, rows))
        card = ModelCard(
            family=zoo.family.name,
            encoder=rnn2vec.encoder.name,
            representation_size=rnn2vec.encoder.representation_size,
            distance=distance,
            losses=losses,
            updates=int(tracking.best_line(run, f"validation/{distance}")["step"]),
            recipe=record["config"],
            zoo={**made_to_dict(zoo.manifest.made), "weights": zoo.manifest.weights_checksum},
            reference_rnns=len(index),
            limits=tuple(limits),
            processor=processor(),
            provenance=provenance(),
            files=_checksums(out),
        )
        write_sealed(out / CARD, card.to_dict())
    progress(1, 1, "done")
    return card


def _checksums(folder: Path) -> dict[str, str]:
    """Return the checksum of every file of a packed model."""
    model = [folder / checkpoints.MODEL_FOLDER / name for name in (checkpoints.CONFIG, checkpoints.MODEL)]
    files = [folder / store.MANIFEST, *model, *sorted((folder / store.PARTS).iterdir())]
    return {path.relative_to(folder).as_posix(): sha256_of(path.read_bytes()) for path in files}


def reference_of(name_or_folder: str | Path) -> Index | None:
    """Return the RNNs that a packed model compares others with; None for a model that was not packed."""
    folder = Path(name_or_folder)
    if not folder.is_dir() and str(name_or_folder) in shipped_names("models"):
        folder = shipped_folder("models", str(name_or_folder))
    return Index.open(folder) if (folder / store.MANIFEST).is_file() else None


def _reference(zoo: Zoo, most: int, leave_out: Zoo | None, seed: int) -> Int[np.ndarray, " R"]:
    """Return the rows of RNNs to compare with, sorted; up to half of them held-out ones, which measure predictions."""
    generator = numpy_generator(seed, "reference RNNs")
    runs = [] if leave_out is None else leave_out.properties.column("run").to_pylist()
    is_free = ~np.isin(zoo.column("run"), runs)
    held_out = np.concatenate([zoo.split("validation"), zoo.split("ood")])
    first, others = (generator.permutation(rows[is_free[rows]]) for rows in (held_out, zoo.split("train")))
    kept = first[: max(most // 2, most - len(others))]
    return np.sort(np.concatenate([kept, others[: most - len(kept)]]))


def _losses(rnn2vec: Rnn2Vec, zoo: Zoo, split: Split, distance: str, seed: int) -> dict[str, Loss]:
    data = SplitData(zoo, split)
    behaviour = data.first_rollouts(_ROLLOUTS)
    distances = emulation_fidelity(rnn2vec.encoder, rnn2vec.emulator, behaviour)[distance]
    groups = np.unique([str(task) for task in data.tasks], return_inverse=True)[1]
    last = data.steps == data.steps.max()
    return {
        split: _loss(distances, groups, seed),
        f"{split}/last": _loss(distances[last], groups[last], seed),
    }


def _loss(distances: Float[np.ndarray, " N"], groups: Int[np.ndarray, " N"], seed: int) -> Loss:
    """Return the mean over RNNs, with an interval by resampling tasks: snapshots of one task are alike."""
    from scipy.stats import bootstrap  # noqa: PLC0415

    present = np.unique(groups)
    sums = np.array([distances[groups == group].sum() for group in present])
    counts = np.array([(groups == group).sum() for group in present])
    low = high = float(distances.mean())
    if len(present) > 1:
        found = bootstrap(
            (sums, counts),
            lambda s, c, axis: s.sum(axis=axis) / c.sum(axis=axis),
            paired=True,
            vectorized=True,
            confidence_level=_CONFIDENCE,
            method="percentile",
            rng=numpy_generator(seed, "interval of a loss"),
        )
        low, high = map(float, found.confidence_interval)
    return Loss(float(distances.mean()), low, high, len(distances), len(present))
