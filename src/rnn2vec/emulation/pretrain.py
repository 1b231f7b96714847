"""Pre-training: an encoder and an emulator learn together, from RNNs and their rollouts only (Objective 1)."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from rnn2vec import encoders
from rnn2vec._errors import UsageError
from rnn2vec._files import write_sealed
from rnn2vec._lock import claim
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec.emulation import checkpoints, losses
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import Source, ZooSource
from rnn2vec.emulation.learner import EmulationLearner
from rnn2vec.emulation.oracle import Oracle
from rnn2vec.execution.devices import require_device
from rnn2vec.training.loop import Loop
from rnn2vec.training.processes import Processes
from rnn2vec.training.tracking import JsonLines, Tracker, WallTimes
from rnn2vec.zoo.store import Zoo


def pretrain(
    zoo: Zoo | Source,
    config: PretrainConfig,
    out: str | Path,
    *,
    device: str = "cpu",
    progress: Progress = silent,
    trackers: Sequence[Tracker] = (),
) -> Model:
    """Pre-train an encoder on a zoo, or resume an unfinished run.

    Examples:
        >>> steps = {"num_steps": 4, "validate_every": 2, "validation_rollouts": 2}
        >>> config = PretrainConfig(encoder="layerwise-statistics", **steps)
        >>> model = pretrain(Zoo("zoo"), config, "run")
        >>> model.encoder(Zoo("zoo")[:3]).shape
        torch.Size([3, 16])

    The run's folder gets metrics, a checkpoint at every validation, and the model with the lowest validation loss.
    An interrupted and resumed run ends with the same bytes as an uninterrupted one. If called in each process of a
    `torch.distributed` group, all processes train the same model together (see `training.processes`).

    Args:
        zoo: RNNs and rollouts: a zoo, or another source of training data.
        config: options of the training.
        out: folder of the run: new, empty, or with a run of the same config on the same zoo.
        device: device to train on.
        progress: callback that receives the number of updates done.
        trackers: additional receivers of the metrics.

    Returns:
        The model with the lowest validation loss.

    Raises:
        UsageError: if the folder holds something else, a name is unknown, the zoo lacks a split, or the processor has
            no instructions for bfloat16.
        DataError: if the zoo or the checkpoint is damaged, or the loss is not finite.
        StorageError: if the disk is full; the last checkpoint is kept.
        BusyError: if another process pre-trains in this folder.
    """
    folder = Path(out)
    source = ZooSource(zoo) if isinstance(zoo, Zoo) else zoo
    losses.distance(config.loss, source.interface.output_kind)
    if config.encoder != Oracle.name:
        _ = encoders.ENCODERS[config.encoder]
    require_device(device)
    processes = Processes.current()
    # Refuse another run before a model is built, and what cannot be trained before the folder is touched.
    if (folder / checkpoints.RUN).exists():
        _require_same(folder, source, config)
    loop = Loop(
        EmulationLearner(source, config, folder, device, processes),
        config,
        device=device,
        checkpoint=folder / checkpoints.CHECKPOINT,
        remedy=f"delete {folder} and pre-train again; its zoo is not touched.",
        processes=processes,
    )
    with claim(folder, marker=checkpoints.RUN, kind="run") if processes.is_first else contextlib.nullcontext():
        if processes.is_first:
            _begin(folder, source, config)
        processes.wait()
        loop.resume()
        if processes.is_first:
            log = JsonLines(folder, resume_at=loop.standing.step)
            loop.run(trackers=(log, WallTimes(folder), *trackers), progress=progress)
        else:
            loop.run()
        processes.wait()
    progress(config.num_steps, config.num_steps, "done")
    return checkpoints.load_model(folder)


def _begin(folder: Path, source: Source, config: PretrainConfig) -> None:
    """Write `run.json`, or check that the existing one has the same config and zoo."""
    path = folder / checkpoints.RUN
    if path.exists():
        _require_same(folder, source, config)
        return
    identity = {"config": config.to_dict(), "zoo": source.identity()}
    write_sealed(path, {"format_version": checkpoints.FORMAT_VERSION, **identity, "provenance": provenance()})


def _require_same(folder: Path, source: Source, config: PretrainConfig) -> None:
    """Check that the run in a folder is of this source and config.

    Raises:
        UsageError: it is of another.
        DataError: its `run.json` is damaged.
    """
    run = checkpoints.read_run(folder)
    if run["zoo"]["checksum"] != source.identity()["checksum"]:
        raise UsageError(
            f"{folder} holds a run on another zoo ({run['zoo'].get('folder')}), or that zoo has changed since; "
            "it was not touched",
            remedy="give that zoo to resume it, or another --out for a new run.",
        )
    # A run of an earlier version lacks newer options, and was trained with their defaults.
    old, new = {**PretrainConfig().to_dict(), **run["config"]}, config.to_dict()
    different = [f"{name} is {old[name]}, asked for {value}" for name, value in new.items() if old[name] != value]
    if different:
        raise UsageError(
            f"{folder} holds a run of another config: {', '.join(different)}; it was not touched",
            remedy="give its options to resume it, or another --out for a new run.",
        )
