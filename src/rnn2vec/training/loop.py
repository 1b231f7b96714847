"""The training loop: updates, validations, checkpoints, early stopping and averaging, for any learner.

Pre-training (`emulation`) and property prediction (`properties`) share it. Everything random about an update comes from
a seed and the update's number, so a resumed training needs no generator state: it ends with the same bytes as one that
was not interrupted.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnn2vec._errors import DataError, UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec._seeding import seeded_modules
from rnn2vec.training.checkpoint import Standing, load_state, save_state
from rnn2vec.training.processes import Processes
from rnn2vec.training.recipe import Recipe
from rnn2vec.training.tracking import Metrics, Tracker

Module = TypeVar("Module", bound=nn.Module)
Batch = TypeVar("Batch")

_LOOK_EVERY = 20
"""Updates between looks at their losses: each look waits for the device."""


class Learner(ABC, Generic[Module, Batch]):
    """A module to train, the batches of its updates, and its validation."""

    module: Module
    """The module; the gradient of each of its children is clipped separately, so that a large gradient of one does not
    shrink that of another."""
    metric: str
    """Name of the validation metric that selects the model; lower is better."""
    seed: int
    """Seed of all random numbers."""

    @abstractmethod
    def draw(self, step: int) -> Batch:
        """Draw the batch of update number `step`; the same number gives the same batch."""

    @abstractmethod
    def forward(self, batch: Batch) -> Tensor:
        """Return the module's outputs, computed in the recipe's precision."""

    @abstractmethod
    def losses(self, batch: Batch, outputs: Tensor, step: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return the objective to minimize and the loss to report, from outputs in float32."""

    @abstractmethod
    def validate(self, module: Module) -> Metrics:
        """Measure a module in evaluation mode, with the weights to validate: the current or the averaged ones."""

    @abstractmethod
    def keep(self, module: Module) -> None:
        """Keep a module's weights, which have the lowest validation loss so far."""

    @property
    def kept(self) -> Mapping[str, nn.Module]:
        """Modules that `keep` changes in memory, by name; part of a checkpoint."""
        return {}


class Loop(Generic[Module, Batch]):
    """Training of one learner.

    Args:
        learner: learner to train; its module is on `device`.
        recipe: options of the training.
        device: device to train on.
        checkpoint: file to resume from, written at every validation; None keeps no checkpoint. Nothing is written
            before `run`.
        remedy: advice about a damaged checkpoint.
        processes: processes that train together.
        fused: use a single kernel for AdamW's step; the results differ in the last digits.

    Raises:
        UsageError: if the processor has no instructions for the recipe's precision.
    """

    def __init__(
        self,
        learner: Learner[Module, Batch],
        recipe: Recipe,
        *,
        device: str,
        checkpoint: Path | None,
        remedy: str,
        processes: Processes | None = None,
        fused: bool = True,
    ) -> None:
        _require_precision(recipe, device)
        self._learner, self._recipe, self._device = learner, recipe, device
        self._checkpoint, self._remedy = checkpoint, remedy
        self._processes = processes or Processes()
        self._average = copy.deepcopy(learner.module) if recipe.ema else None
        self._optimizer = torch.optim.AdamW(
            learner.module.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused
        )
        self.standing = Standing()

    def resume(self) -> None:
        """Continue from the checkpoint, if there is one.

        Raises:
            DataError: if the checkpoint is damaged.
        """
        if self._checkpoint is not None:
            self.standing = load_state(self._checkpoint, self._modules, self._optimizer, remedy=self._remedy)

    @property
    def is_finished(self) -> bool:
        """True once all updates are done, or early stopping has ended training."""
        out_of_patience = self._recipe.patience is not None and self.standing.misses >= self._recipe.patience
        return self.standing.step >= self._recipe.num_steps or out_of_patience

    def run(self, *, trackers: Sequence[Tracker] = (), progress: Progress = silent) -> None:
        """Train to the end; only the first process keeps models and writes checkpoints.

        Args:
            trackers: receive the metrics of each validation, before its checkpoint is written.
            progress: callback that receives the number of updates done.

        Raises:
            DataError: if a loss is not finite.
            StorageError: if a checkpoint cannot be written; the previous one is kept.
        """
        while not self.is_finished:
            metrics = {**self._train_until_validation(progress), **self._learner.validate(self._validated.eval())}
            self._validated.train()
            self._require_finite(metrics, self.standing.step)
            loss = self._processes.of_first(metrics[self._learner.metric], self._device)
            is_best = self.standing.take(loss)
            for tracker in trackers:
                tracker.log(self.standing.step, metrics)
            if self._processes.is_first:
                self._save(is_best=is_best)

    def _save(self, *, is_best: bool) -> None:
        if is_best:
            self._learner.keep(self._validated)
        if self._checkpoint is not None:
            save_state(self._checkpoint, self._modules, self._optimizer, self.standing)

    @property
    def _validated(self) -> Module:
        """Module to validate and keep, with averaged weights if the recipe has them."""
        return self._learner.module if self._average is None else self._average

    @property
    def _modules(self) -> dict[str, nn.Module]:
        """All modules of a checkpoint, by name."""
        averaged = {} if self._average is None else dict(self._average.named_children())
        return {
            **dict(self._learner.module.named_children()),
            **{f"average-{name}": module for name, module in averaged.items()},
            **self._learner.kept,
        }

    def _train_until_validation(self, progress: Progress) -> Metrics:
        recipe, standing = self._recipe, self.standing
        until = min((standing.step // recipe.validate_every + 1) * recipe.validate_every, recipe.num_steps)
        known: list[float] = []
        unknown: list[Tensor] = []
        while standing.step < until:
            unknown.append(self._update(standing.step))
            standing.step += 1
            if len(unknown) == _LOOK_EVERY or standing.step == until:
                known += self._look(unknown)
                unknown = []
            progress(standing.step, recipe.num_steps, f"loss {np.mean(known):.4f}" if known else "training")
        return {"train/loss": float(np.mean(known))}

    def _look(self, losses: list[Tensor]) -> list[float]:
        """Return the losses of the last updates, averaged over the processes."""
        numbers = self._processes.average(torch.stack(losses))
        first = self.standing.step - len(numbers) + 1
        for step, number in enumerate(numbers, start=first):
            self._require_finite({"train/loss": number}, step)
        return numbers

    def _update(self, step: int) -> Float[Tensor, ""]:
        """Make update number `step`; return this process's part of its loss."""
        learner, recipe = self._learner, self._recipe
        batch = learner.draw(step)
        reduced = recipe.precision == "bfloat16"
        autocast = torch.autocast(torch.device(self._device).type, dtype=torch.bfloat16, enabled=reduced)
        with autocast, seeded_modules(learner.seed, "dropout", step):
            outputs = learner.forward(batch)
        objective, loss = learner.losses(batch, outputs.float(), step)
        self._optimizer.zero_grad()
        objective.backward()  # with several processes, gradients are those of the whole batch from here on
        for part in learner.module.children():
            if parameters := list(part.parameters()):  # random probing has none
                nn.utils.clip_grad_norm_(parameters, recipe.gradient_clip)
        for group in self._optimizer.param_groups:
            group["lr"] = recipe.learning_rate_at(step)
        self._optimizer.step()
        self._update_average(step)
        return loss.detach()

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        """Move the averaged weights; faster at first, to forget the initial weights soon."""
        if self._average is None:
            return
        decay = min(self._recipe.ema, (1 + step) / (10 + step))
        for slow, fast in zip(self._average.parameters(), self._learner.module.parameters(), strict=True):
            slow.lerp_(fast, 1 - decay)

    def _require_finite(self, numbers: Metrics, step: int) -> None:
        bad = [f"{name} is {value}" for name, value in numbers.items() if not math.isfinite(value)]
        if bad:
            kept = "" if self._checkpoint is None else ", into another folder; the last checkpoint was kept"
            raise DataError(
                f"after {step} updates {bad[0]}: training has diverged",
                remedy=f"train again with a lower learning rate{kept}.",
            )


def _require_precision(recipe: Recipe, device: str) -> None:
    if recipe.precision == "float32" or torch.device(device).type != "cpu":
        return
    if not any(has for name, has in torch.cpu.get_capabilities().items() if "bf16" in name):
        raise UsageError(
            "precision bfloat16 on a processor without instructions for it, where it is about 10 times slower",
            remedy="use float32.",
        )
