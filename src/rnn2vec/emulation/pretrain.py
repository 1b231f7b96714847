"""Pre-training: an encoder and an emulator learn together, from nothing but RNNs and their rollouts (Objective 1)."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from rnn2vec import encoders
from rnn2vec._errors import DataError, UsageError, unknown_name
from rnn2vec._files import claim_folder, read_json, write_json
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec._seeding import numpy_generator, torch_generator
from rnn2vec.emulation import checkpoints, losses
from rnn2vec.emulation.checkpoints import Model, Standing
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import Behaviour, Source, ZooSource
from rnn2vec.emulation.fidelity import emulation_fidelity
from rnn2vec.emulation.tracking import JsonLines, Metrics, Tracker, append_line
from rnn2vec.rnn import symmetry
from rnn2vec.rnn.stack import RNNStack
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
    """Pre-train an encoder on a zoo, or go on with a run that was begun.

    The run's folder gets metrics, a checkpoint at every validation, and the model with the lowest validation loss.
    A run that was interrupted ends with the same bytes as one that was not.

    Args:
        zoo: RNNs and rollouts: a zoo, or another source of training data.
        config: how to train.
        out: the run's folder: new, empty, or a run of the same config on the same zoo.
        device: where to train.
        progress: told of the updates made.
        trackers: hear the metrics too, from this call on.

    Returns:
        The model with the lowest validation loss.

    Raises:
        UsageError: the folder holds something else, a name is unknown, or the zoo lacks a split.
        DataError: zoo or checkpoint are damaged, or the loss is no longer a number.
        StorageError: the disk is full; the last checkpoint is kept.
    """
    folder = Path(out)
    source = ZooSource(zoo) if isinstance(zoo, Zoo) else zoo
    losses.distance(config.loss, source.interface.output_kind)
    if config.encoder not in encoders.ENCODERS:
        raise unknown_name("encoder", config.encoder, encoders.ENCODERS)
    _require_device(device)
    trainer = _Trainer(source, config, folder, device)  # refuses what cannot be trained, before the folder is touched
    claim_folder(folder, marker=checkpoints.RUN, kind="run")
    _begin(folder, source, config)
    trainer.resume()
    log = JsonLines(folder, resume_at=trainer.standing.step)
    started = time.monotonic()
    while not trainer.finished:
        metrics = trainer.train_until_validation(progress)
        for tracker in (log, *trackers):
            tracker.log(trainer.standing.step, metrics)
        trainer.save()
        seconds = round(time.monotonic() - started, 3)
        append_line(folder / "log.jsonl", {"step": trainer.standing.step, "seconds": seconds})
    progress(config.num_steps, config.num_steps, "done")
    return checkpoints.load_model(folder)


def _begin(folder: Path, source: Source, config: PretrainConfig) -> None:
    """Write `run.json`, or check that the one there asks for the same."""
    identity = {
        "config": config.to_dict(),
        "zoo": source.identity(),
    }
    path = folder / checkpoints.RUN
    if not path.exists():
        write_json(path, {**identity, "provenance": provenance()})
        return
    run = read_json(path)
    if not isinstance(run, dict) or not all(isinstance(run.get(name), dict) for name in identity):
        raise DataError(
            f"{path} does not have the entries of a run", remedy="restore it, or give another --out for a new run."
        )
    if run["zoo"] != identity["zoo"]:
        raise UsageError(
            f"{folder} holds a run on another zoo ({run['zoo'].get('folder')}), or that zoo has changed since; "
            "it was not touched",
            remedy="give that zoo to go on with it, or another --out for a new run.",
        )
    old, new = run["config"], identity["config"]
    different = [
        f"{name} is {old.get(name)}, asked for {value}" for name, value in new.items() if old.get(name) != value
    ]
    if different:
        raise UsageError(
            f"{folder} holds a run of another config: {', '.join(different)}; it was not touched",
            remedy="give its options to go on with it, or another --out for a new run.",
        )


def _require_device(device: str) -> None:
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # which of them depends on how torch was built
        reason = str(error).splitlines()[0]
        raise UsageError(f"torch cannot use device {device!r} here: {reason}", remedy="take cpu.") from error


def _require_finite(numbers: Metrics, step: int) -> None:
    bad = [f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value)]
    if bad:
        raise DataError(
            f"after {step} updates {bad[0]}: training has diverged",
            remedy="pre-train again with a lower learning rate, into another folder; the last checkpoint was kept.",
        )


class _Trainer:
    """The state of one run between updates.

    Everything random about an update comes from the seed and the update's number, so that going on from a checkpoint
    needs no state of a generator.
    """

    def __init__(self, source: Source, config: PretrainConfig, folder: Path, device: str) -> None:
        self._config = config
        self._folder = folder
        self._train = source.part("train", device=device)
        unseen = source.part("validation", device=device)
        self._validation = unseen.all(config.validation_rollouts)
        self._last_snapshots = unseen.steps == unseen.steps.max()
        self._loss = losses.distance(config.loss, source.interface.output_kind)
        self._model = checkpoints.make_model(
            checkpoints.model_config(
                encoder=config.encoder,
                encoder_options=config.encoder_options,
                emulator_options={
                    "hidden_size": config.emulator_hidden_size,
                    "conditioning": config.conditioning,
                },
                spec=source.spec,
                interface=source.interface,
                representation_size=config.representation_size,
                provenance=provenance(),
            ),
            seed=config.seed,
        )
        self._parts: tuple[nn.Module, ...] = (self._model.encoder.to(device), self._model.emulator.to(device))
        parameters = [parameter for part in self._parts for parameter in part.parameters()]
        self._optimizer = torch.optim.AdamW(parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.standing = Standing()
        self._is_best = False

    def resume(self) -> None:
        """Go to where the folder's checkpoint is, if there is one."""
        self.standing = checkpoints.load_checkpoint(self._folder, self._model, self._optimizer)

    @property
    def finished(self) -> bool:
        """Whether all updates are made, or early stopping says so."""
        out_of_patience = self._config.patience is not None and self.standing.misses >= self._config.patience
        return self.standing.step >= self._config.num_steps or out_of_patience

    def train_until_validation(self, progress: Progress) -> Metrics:
        """Make updates up to the next validation, validate, and say how it went."""
        config, standing = self._config, self.standing
        until = min((standing.step // config.validate_every + 1) * config.validate_every, config.num_steps)
        train_losses: list[float] = []
        while standing.step < until:
            train_losses.append(self._update(standing.step))
            standing.step += 1
            _require_finite({"train/loss": train_losses[-1]}, standing.step)
            progress(standing.step, config.num_steps, f"loss {np.mean(train_losses):.4f}")
        metrics = {"train/loss": float(np.mean(train_losses)), **self._validate()}
        _require_finite(metrics, standing.step)
        loss = metrics[f"validation/{config.loss}"]
        self._is_best = standing.best is None or loss < standing.best
        if self._is_best:
            standing.best, standing.best_step, standing.misses = loss, standing.step, 0
        else:
            standing.misses += 1
        return metrics

    def save(self) -> None:
        """Write the model when it is the best so far, then the checkpoint."""
        if self._is_best:
            checkpoints.save_model(self._folder, self._model)
        checkpoints.save_checkpoint(self._folder, self._model, self._optimizer, self.standing)

    def _update(self, step: int) -> float:
        """Make update number `step`; return its loss."""
        behaviour = self._draw(step)
        rnns = self._augmented(behaviour.rnns, step)
        emulated = self._model.emulator(self._model.encoder(rnns), behaviour.inputs)
        loss = self._loss(behaviour.outputs, emulated).mean()
        objective = loss + self._warm_up(step, behaviour.outputs, emulated)
        self._optimizer.zero_grad()
        objective.backward()
        for part in self._parts:  # apart, so that a large gradient of one does not silence the other
            nn.utils.clip_grad_norm_(part.parameters(), self._config.gradient_clip)
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate_at(step)
        self._optimizer.step()
        return loss.item()

    def _warm_up(self, step: int, outputs: Tensor, emulated: Tensor) -> Tensor | float:
        weight = self._config.warm_up_loss
        is_over = step >= self._config.warm_up_share * self._config.num_steps
        if is_over or not weight or self._model.encoder.interface.output_kind != "categorical":
            return 0.0
        return weight * losses.forward_kl(outputs, emulated).mean()

    def _draw(self, step: int) -> Behaviour:
        """The RNNs and rollouts of one update."""
        generator = numpy_generator(self._config.seed, "batch", step)
        return self._train.draw(generator, self._config.batch_size, self._config.rollouts_per_rnn)

    def _augmented(self, rnns: RNNStack, step: int) -> RNNStack:
        """The same functions with other weights, for encoders to which that makes a difference."""
        config, encoder, weights = self._config, self._model.encoder, rnns.weights
        if config.augment and encoder.augmentable:
            generator = torch_generator(config.seed, "augment", step)
            weights = symmetry.permute_randomly(rnns.spec, weights, generator)
        if config.augment_signs and encoder.sign_augmentable:
            generator = torch_generator(config.seed, "augment signs", step)
            weights = symmetry.flip_randomly(rnns.spec, weights, generator)
        return RNNStack(rnns.spec, weights)

    def _validate(self) -> Metrics:
        """Mean fidelity on unseen tasks, over all snapshots and over the last ones alone."""
        parts = [emulation_fidelity(self._model.encoder, self._model.emulator, part) for part in self._validation]
        result = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        metrics = {f"validation/{name}": float(values.mean()) for name, values in result.items()}
        last = {f"last/{name}": float(values[self._last_snapshots].mean()) for name, values in result.items()}
        return metrics | last
