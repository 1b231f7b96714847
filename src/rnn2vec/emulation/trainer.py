"""The updates of pre-training, and what is known between them."""

from __future__ import annotations

import copy
import dataclasses
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rnn2vec._errors import DataError
from rnn2vec._progress import Progress
from rnn2vec._provenance import provenance
from rnn2vec._seeding import numpy_generator, seeded_modules
from rnn2vec.emulation import checkpoints, losses
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import Behaviour, Source
from rnn2vec.emulation.fidelity import emulation_fidelity
from rnn2vec.emulation.model import EmulationModel
from rnn2vec.emulation.oracle import Oracle
from rnn2vec.encoders.augmentation import augmented
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.training.checkpoint import Standing
from rnn2vec.training.processes import Processes
from rnn2vec.training.tracking import Metrics


class Trainer:
    """The state of one run between updates.

    Everything random about an update comes from the seed and the update's number, so that going on from a checkpoint
    needs no state of a generator.

    Args:
        source: RNNs and rollouts.
        config: how to train.
        folder: the run's folder, which is not touched before `save`.
        device: where to train.
        processes: who trains together.

    Raises:
        UsageError: something cannot be trained as asked for.
    """

    def __init__(self, source: Source, config: PretrainConfig, folder: Path, device: str, processes: Processes) -> None:
        self._config = config
        self._folder = folder
        self._device = device
        self._processes = processes
        self._train = source.part("train", device=device, num_runs=config.train_runs)
        processes.share(min(config.batch_size, len(self._train.steps)))
        unseen = source.part("validation", device=device)
        self._validation = unseen.all(config.validation_rollouts)
        self._last_snapshots = unseen.steps == unseen.steps.max()
        self._loss = losses.distance(config.loss, source.interface.output_kind)
        self._model = checkpoints.make_model(
            checkpoints.model_config(
                encoder=config.encoder,
                encoder_options=config.encoder_options | self._label_options(),
                emulator_options={
                    "hidden_size": config.emulator_hidden_size,
                    "conditioning": config.conditioning,
                    "forget_bias": config.emulator_forget_bias,
                },
                spec=source.spec,
                interface=source.interface,
                representation_size=config.representation_size,
                provenance=provenance(),
            ),
            seed=config.seed,
        )
        self._parts: tuple[nn.Module, ...] = (self._model.encoder.to(device), self._model.emulator.to(device))
        self._imitate = EmulationModel(self._model.encoder, self._model.emulator).shared(processes)
        self._average = copy.deepcopy(self._model) if config.ema else None
        parameters = [parameter for part in self._parts for parameter in part.parameters()]
        self._optimizer = torch.optim.AdamW(
            parameters, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
        )
        self.standing = Standing()
        self._is_best = False

    def _label_options(self) -> dict[str, Any]:
        """Return the hyperparameter of the oracle that the zoo decides."""
        if self._config.encoder != Oracle.name:
            return {}
        labels = self._validation[0].labels
        return {"num_labels": 1 if labels is None else labels.shape[1]}  # without labels, `represent` refuses

    def resume(self) -> None:
        """Go to where the folder's checkpoint is, if there is one."""
        self.standing = checkpoints.load_checkpoint(self._folder, self._model, self._optimizer, self._average)

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
            require_finite({"train/loss": train_losses[-1]}, standing.step)
            progress(standing.step, config.num_steps, f"loss {np.mean(train_losses):.4f}")
        metrics = {"train/loss": float(np.mean(train_losses)), **self._validate()}
        require_finite(metrics, standing.step)
        loss = self._processes.of_first(metrics[f"validation/{config.loss}"], self._device)
        self._is_best = standing.take(loss)
        return metrics

    def save(self) -> None:
        """Write the model when it is the best so far, then the checkpoint."""
        if self._is_best:
            checkpoints.save_model(self._folder, self._kept)
        checkpoints.save_checkpoint(self._folder, self._model, self._optimizer, self.standing, self._average)

    @property
    def _kept(self) -> Model:
        """The model that is validated and kept: with averaged weights where there are any."""
        return self._model if self._average is None else self._average

    def _update(self, step: int) -> float:
        """Make update number `step`; return its loss over the whole batch."""
        batch = self._draw(step)
        mine = self._processes.share(len(batch.rnns))
        behaviour = batch.select(mine)
        seen = dataclasses.replace(behaviour, rnns=self._seen(batch.rnns, step).select(mine))
        reduced = self._config.precision == "bfloat16"
        autocast = torch.autocast(torch.device(self._device).type, dtype=torch.bfloat16, enabled=reduced)
        with autocast, seeded_modules(self._config.seed, "dropout", step):
            emulated = self._imitate(seen)
        emulated = emulated.float()  # small differences of probabilities are what the loss is about
        loss = self._loss(behaviour.outputs, emulated).mean()
        weight = self._processes.weight(len(behaviour.rnns), len(batch.rnns))
        objective = weight * (loss + self._warm_up(step, behaviour.outputs, emulated))
        self._optimizer.zero_grad()
        objective.backward()  # with several processes, gradients are those of the whole batch from here on
        for part in self._parts:  # apart, so that a large gradient of one does not silence the other
            nn.utils.clip_grad_norm_(part.parameters(), self._config.gradient_clip)
        for group in self._optimizer.param_groups:
            group["lr"] = self._config.learning_rate_at(step)
        self._optimizer.step()
        self._follow(step)
        return self._processes.average(weight * loss)

    @torch.no_grad()
    def _follow(self, step: int) -> None:
        """Move the averaged weights; faster at first, so that they soon forget where they began."""
        if self._average is None:
            return
        decay = min(self._config.ema, (1 + step) / (10 + step))
        averages = (self._average.encoder, self._average.emulator)
        for averaged, current in zip(averages, self._parts, strict=True):
            for slow, fast in zip(averaged.parameters(), current.parameters(), strict=True):
                slow.lerp_(fast, 1 - decay)

    def _warm_up(self, step: int, outputs: Tensor, emulated: Tensor) -> Tensor | float:
        weight = self._config.warm_up_loss
        is_over = step >= self._config.warm_up_share * self._config.num_steps
        if is_over or not weight or self._model.encoder.interface.output_kind != "categorical":
            return 0.0
        return weight * losses.forward_kl(outputs, emulated).mean()

    def _draw(self, step: int) -> Behaviour:
        """The RNNs and rollouts of one update: the whole batch, in every process."""
        generator = numpy_generator(self._config.seed, "batch", step)
        return self._train.draw(generator, self._config.batch_size, self._config.rollouts_per_rnn)

    def _seen(self, rnns: RNNStack, step: int) -> RNNStack:
        """What the encoder sees of a batch's RNNs: as they are, or other weights of the same functions."""
        return augmented(
            self._model.encoder,
            rnns,
            seed=self._config.seed,
            step=step,
            permutations=self._config.augment,
            signs=self._config.augment_signs,
        )

    def _validate(self) -> Metrics:
        """Mean fidelity on unseen tasks, over all snapshots and over the last ones alone."""
        encoder, emulator = self._kept.encoder.eval(), self._kept.emulator.eval()
        parts = [emulation_fidelity(encoder, emulator, part) for part in self._validation]
        encoder.train()
        emulator.train()
        result = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        metrics = {f"validation/{name}": float(values.mean()) for name, values in result.items()}
        last = {f"last/{name}": float(values[self._last_snapshots].mean()) for name, values in result.items()}
        return metrics | last


def require_finite(numbers: Metrics, step: int) -> None:
    """Check what an update or a validation gave.

    Raises:
        DataError: a number is NaN or infinite.
    """
    bad = [f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value)]
    if bad:
        raise DataError(
            f"after {step} updates {bad[0]}: training has diverged",
            remedy="pre-train again with a lower learning rate, into another folder; the last checkpoint was kept.",
        )
