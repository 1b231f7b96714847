"""Training of property predictors with early stopping (Appendix E).

Both settings are a learner of the one training loop, `rnn2vec.training.loop`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnn2vec._progress import Progress, silent
from rnn2vec._seeding import numpy_generator, seeded_modules
from rnn2vec._shapes import Representation
from rnn2vec.encoders.augmentation import augmented
from rnn2vec.encoders.base import WeightEncoder, mlp
from rnn2vec.properties.config import PredictConfig
from rnn2vec.properties.data import TRAIN, VALIDATION, PropertyData
from rnn2vec.properties.scores import Outputs, loss_function
from rnn2vec.rnn import fused
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.training.loop import Learner, Loop
from rnn2vec.training.tracking import Metrics

Given = RNNStack | Representation
"""Input of a predictor: N RNNs if an encoder is trained with it, otherwise their representations."""

_RNNS_AT_ONCE = 256


class Predictor(nn.Module):
    """An MLP that predicts from representations, with the encoder before it when both are trained together.

    Args:
        encoder: encoder that computes the representations; None if they are given.
        representation_size: size of a representation.
        hidden_size: width of the two hidden layers.
        num_outputs: size of a prediction.
        seed: seed of the MLP's new weights.
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
        """Return predictions for N RNNs, in the unit of `Scale`."""
        if isinstance(given, Tensor):
            return self.head(given)
        assert self.encoder is not None
        return self.head(self.encoder(given))


@dataclass(frozen=True)
class Scale:
    """The unit in which numbers are learned: training data have mean 0 and standard deviation 1."""

    mean: Float[np.ndarray, " D"]
    std: Float[np.ndarray, " D"]

    @classmethod
    def of(cls, data: PropertyData) -> Scale:
        """Return the scale of a numeric property; that of a categorical property changes nothing."""
        targets = data.targets[TRAIN]
        if data.property.categories is not None:
            return cls(np.zeros(targets.shape[1]), np.ones(targets.shape[1]))
        std = targets.std(axis=0, dtype=np.float64)
        return cls(targets.mean(axis=0, dtype=np.float64), np.where(std > 0, std, 1.0))

    def apply(self, targets: Float[np.ndarray, "M D"]) -> Float[Tensor, "M D"]:
        """Return targets in the learned unit."""
        return torch.from_numpy((targets - self.mean) / self.std).float()

    def undo(self, outputs: Float[Tensor, "M D"]) -> Outputs:
        """Return predictions in the property's own unit."""
        return outputs.cpu().double().numpy() * self.std + self.mean


@dataclass(frozen=True)
class Trained:
    """Result of training."""

    outputs: dict[str, Outputs]
    """Predictions of the best predictor for every RNN of each part."""
    best_step: int
    """Number of updates of the best predictor."""
    num_steps: int
    """Number of all updates."""


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
        predictor: predictor with new weights, on the device of its inputs.
        given: representations or RNNs of each part.
        data: the property.
        config: options of the training.
        seed: seed of all random numbers.
        checkpoint: file to resume from if it exists, written at every validation; none by default.
        progress: callback that receives the number of updates done.

    Raises:
        DataError: if a loss is not finite, or the checkpoint is damaged.
        StorageError: if the checkpoint cannot be written.
    """
    learner = PredictionLearner(predictor, given, data, config, seed)
    remedy = f"delete {checkpoint} and train again."
    loop = Loop(learner, config, device=str(learner.device), checkpoint=checkpoint, remedy=remedy, fused=False)
    loop.resume()
    loop.run(progress=progress)
    progress(config.num_steps, config.num_steps, "done")
    return Trained(learner.best_outputs(), loop.standing.best_step, loop.standing.step)


@dataclass(frozen=True)
class _Batch:
    """RNNs of one update, and the targets of their predictions."""

    given: Given
    targets: Float[Tensor, "M D"]


class PredictionLearner(Learner[Predictor, _Batch]):
    """A predictor that learns one property; the best one is kept in memory.

    Args:
        predictor: predictor with new weights, on the device of its inputs.
        given: representations or RNNs of each part.
        data: the property.
        config: options of the training.
        seed: seed of the batches and the augmentation.
    """

    metric = "validation/loss"

    def __init__(
        self, predictor: Predictor, given: Mapping[str, Given], data: PropertyData, config: PredictConfig, seed: int
    ) -> None:
        if predictor.encoder is not None:  # the number of updates decides: a training can be repeated to the byte
            predictor.encoder.accelerated = config.num_steps >= fused.WORTH_UPDATES
        self.module, self._best = predictor, copy.deepcopy(predictor)
        self._given, self._config, self.seed = given, config, seed
        self._scale = Scale.of(data)
        self.device = next(predictor.parameters()).device
        self._targets = {part: self._scale.apply(one).to(self.device) for part, one in data.targets.items()}
        self._loss = loss_function(data.property)

    def draw(self, step: int) -> _Batch:
        """See `Learner.draw`."""
        generator = numpy_generator(self.seed, "properties", "batch", step)
        targets = self._targets[TRAIN]
        chosen = generator.choice(len(targets), size=min(self._config.batch_size, len(targets)), replace=False)
        rows = torch.from_numpy(chosen).to(self.device)
        given, encoder = self._given[TRAIN], self.module.encoder
        if isinstance(given, Tensor):
            return _Batch(given[rows], targets[rows])
        assert encoder is not None
        rnns = augmented(encoder, given.select(rows), seed=self.seed, step=step, permutations=self._config.augment)
        return _Batch(rnns, targets[rows])

    def forward(self, batch: _Batch) -> Tensor:
        """Return the predictions."""
        return self.module(batch.given)

    def losses(self, batch: _Batch, outputs: Tensor, step: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:  # noqa: ARG002
        """See `Learner.losses`: both are the property's loss."""
        loss = self._loss(outputs, batch.targets)
        return loss, loss

    def validate(self, module: Predictor) -> Metrics:
        """Return the loss on the validation tasks."""
        return {self.metric: float(self._loss(self._answers(module, VALIDATION), self._targets[VALIDATION]))}

    def keep(self, module: Predictor) -> None:
        """Copy the weights."""
        self._best.load_state_dict(module.state_dict())

    @property
    def kept(self) -> Mapping[str, nn.Module]:
        """See `Learner.kept`."""
        return {"best": self._best}

    def best_outputs(self) -> dict[str, Outputs]:
        """Return the predictions of the best predictor for every RNN of each part."""
        best = self._best.eval()
        return {part: self._scale.undo(self._answers(best, part)) for part in self._given}

    @torch.no_grad()
    def _answers(self, predictor: Predictor, part: str) -> Float[Tensor, "M D"]:
        given = self._given[part]
        slices = [slice(start, start + _RNNS_AT_ONCE) for start in range(0, len(given), _RNNS_AT_ONCE)]
        return torch.cat([predictor(given.select(at) if isinstance(given, RNNStack) else given[at]) for at in slices])
