"""Train a predictor until its validation loss falls no more, and keep the best one (Appendix E).

One loop for both settings. What an update looks at follows from the seed and its number, so that training which was
interrupted goes on as if it had not been.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnn2vec._errors import DataError
from rnn2vec._progress import Progress, silent
from rnn2vec._seeding import numpy_generator, seeded_modules
from rnn2vec._shapes import Representation
from rnn2vec.encoders.augmentation import augmented
from rnn2vec.encoders.base import WeightEncoder, mlp
from rnn2vec.properties.config import PredictConfig
from rnn2vec.properties.data import TRAIN, VALIDATION, PropertyData
from rnn2vec.properties.scores import Outputs, loss_function
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.training.checkpoint import Standing, load_state, save_state

Given = RNNStack | Representation
"""What a predictor sees of N RNNs: the RNNs, when an encoder is trained with it, or their representations."""

_RNNS_AT_ONCE = 256


class Predictor(nn.Module):
    """An MLP that answers from representations, with the encoder before it when both are trained together.

    Args:
        encoder: makes the representations; None where they are given.
        representation_size: entries of a representation.
        hidden_size: width of the two hidden layers.
        num_outputs: numbers of an answer.
        seed: where the MLP's new weights come from.
    """

    def __init__(
        self,
        encoder: WeightEncoder | None,
        *,
        representation_size: int,
        hidden_size: int,
        num_outputs: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        with seeded_modules(seed, "predictor"):
            self.head = mlp(representation_size, hidden_size, hidden_size, num_outputs)

    def forward(self, given: Given) -> Float[Tensor, "N D"]:
        """Answers for N RNNs, in the unit of `Scale`."""
        if isinstance(given, Tensor):
            return self.head(given)
        assert self.encoder is not None
        return self.head(self.encoder(given))

    @property
    def parts(self) -> tuple[nn.Module, ...]:
        """Encoder and MLP, whose gradients are clipped apart."""
        return (self.head,) if self.encoder is None else (self.encoder, self.head)


@dataclass(frozen=True)
class Scale:
    """The unit in which numbers are learned: the training data have mean 0 and standard deviation 1."""

    mean: Float[np.ndarray, " D"]
    std: Float[np.ndarray, " D"]

    @classmethod
    def of(cls, data: PropertyData) -> Scale:
        """The scale of a property that is a number; choices stay as they are."""
        targets = data.targets[TRAIN]
        if data.property.categories is not None:
            return cls(np.zeros(targets.shape[1]), np.ones(targets.shape[1]))
        std = targets.std(axis=0, dtype=np.float64)
        return cls(targets.mean(axis=0, dtype=np.float64), np.where(std > 0, std, 1.0))

    def apply(self, targets: Float[np.ndarray, "M D"]) -> Float[Tensor, "M D"]:
        """Targets as they are learned."""
        return torch.from_numpy((targets - self.mean) / self.std).float()

    def undo(self, outputs: Float[Tensor, "M D"]) -> Outputs:
        """Answers in the property's own unit."""
        return outputs.cpu().double().numpy() * self.std + self.mean


@dataclass(frozen=True)
class Trained:
    """What came of training."""

    outputs: dict[str, Outputs]
    """The answers of the best predictor for every RNN of each part."""
    best_step: int
    """Updates that it had."""
    num_steps: int
    """Updates that were made in all."""


def train(
    predictor: Predictor,
    given: Mapping[str, Given],
    data: PropertyData,
    config: PredictConfig,
    *,
    seed: int,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> Trained:
    """Train a predictor.

    Args:
        predictor: with new weights, on the device of what it is given.
        given: what it sees of the RNNs of each part.
        data: what it should answer.
        config: how to train.
        seed: everything random follows from it.
        checkpoint: a file to go on from if it is there, written at every validation; none by default.
        progress: told of the updates made.

    Raises:
        DataError: the loss is no longer a number, or the checkpoint is damaged.
        StorageError: the checkpoint cannot be written.
    """
    training = _Training(predictor, given, data, config, seed, checkpoint)
    while not training.finished:
        training.advance(progress)
    progress(config.num_steps, config.num_steps, "done")
    return training.result()


class _Training:
    """The state between updates."""

    def __init__(
        self,
        predictor: Predictor,
        given: Mapping[str, Given],
        data: PropertyData,
        config: PredictConfig,
        seed: int,
        checkpoint: Path | None,
    ) -> None:
        self._config, self._seed, self._checkpoint = config, seed, checkpoint
        self._given = given
        self._scale = Scale.of(data)
        device = next(predictor.parameters()).device
        self._targets = {part: self._scale.apply(one).to(device) for part, one in data.targets.items()}
        self._loss = loss_function(data.property)
        self._predictor, self._best = predictor, copy.deepcopy(predictor)
        self._optimizer = torch.optim.AdamW(
            predictor.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        self._standing = Standing()
        if checkpoint is not None:
            remedy = f"delete {checkpoint} and train again."
            self._standing = load_state(checkpoint, self._modules, self._optimizer, remedy=remedy)

    @property
    def _modules(self) -> dict[str, nn.Module]:
        return {"predictor": self._predictor, "best": self._best}

    @property
    def finished(self) -> bool:
        """Whether all updates are made, or early stopping says so."""
        patience = self._config.patience
        return self._standing.step >= self._config.num_steps or (
            patience is not None and self._standing.misses >= patience
        )

    def advance(self, progress: Progress) -> None:
        """Make updates up to the next validation; keep the predictor when it is the best so far."""
        config, standing = self._config, self._standing
        until = min((standing.step // config.validate_every + 1) * config.validate_every, config.num_steps)
        while standing.step < until:
            self._update(standing.step)
            standing.step += 1
        loss = float(self._loss(self._answers(self._predictor, VALIDATION), self._targets[VALIDATION]))
        if not math.isfinite(loss):
            raise DataError(
                f"after {standing.step} updates the validation loss is {loss}: training has diverged",
                remedy="train again with a lower learning rate.",
            )
        if standing.take(loss):
            self._best.load_state_dict(self._predictor.state_dict())
        if self._checkpoint is not None:
            save_state(self._checkpoint, self._modules, self._optimizer, standing)
        progress(standing.step, config.num_steps, f"validation loss {loss:.4f}")

    def result(self) -> Trained:
        """The answers of the best predictor."""
        outputs = {part: self._scale.undo(self._answers(self._best, part)) for part in self._given}
        return Trained(outputs, self._standing.best_step, self._standing.step)

    def _update(self, step: int) -> None:
        generator = numpy_generator(self._seed, "properties", "batch", step)
        targets = self._targets[TRAIN]
        chosen = generator.choice(len(targets), size=min(self._config.batch_size, len(targets)), replace=False)
        rows = torch.from_numpy(chosen).to(targets.device)
        self._predictor.train()
        with seeded_modules(self._seed, "properties", "dropout", step):
            outputs = self._predictor(self._drawn(rows, step))
        loss = self._loss(outputs, targets[rows])
        self._optimizer.zero_grad()
        loss.backward()
        for part in self._predictor.parts:
            nn.utils.clip_grad_norm_(part.parameters(), self._config.gradient_clip)
        self._optimizer.step()

    def _drawn(self, rows: Tensor, step: int) -> Given:
        """What is given of the training RNNs of one update."""
        given, encoder = self._given[TRAIN], self._predictor.encoder
        if isinstance(given, Tensor):
            return given[rows]
        assert encoder is not None
        return augmented(encoder, given.select(rows), seed=self._seed, step=step, permutations=self._config.augment)

    @torch.no_grad()
    def _answers(self, predictor: Predictor, part: str) -> Float[Tensor, "M D"]:
        given = self._given[part]
        predictor.eval()
        slices = [slice(start, start + _RNNS_AT_ONCE) for start in range(0, len(given), _RNNS_AT_ONCE)]
        return torch.cat([predictor(given.select(at) if isinstance(given, RNNStack) else given[at]) for at in slices])
