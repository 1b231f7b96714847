"""The learner of pre-training: an emulator must imitate RNNs from their representations alone (Objective 1)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from rnn2vec._provenance import provenance
from rnn2vec._seeding import numpy_generator
from rnn2vec._shapes import OutputSequences
from rnn2vec.emulation import checkpoints, losses
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.data import Behaviour, Source, SplitData
from rnn2vec.emulation.fidelity import emulation_fidelity
from rnn2vec.emulation.model import EmulationModel
from rnn2vec.emulation.oracle import Oracle
from rnn2vec.encoders.augmentation import augmented
from rnn2vec.rnn import fused
from rnn2vec.training.loop import Learner
from rnn2vec.training.processes import Processes
from rnn2vec.training.tracking import Metrics


@dataclass(frozen=True)
class Batch:
    """The share of one process in an update's batch."""

    behaviour: Behaviour
    """RNNs with their rollouts; the RNNs as the encoder reads them, that is, after augmentation."""
    weight: float
    """Weight of this share's mean loss, so that the mean over processes is that over the whole batch."""


class EmulationLearner(Learner[EmulationModel, Batch]):
    """An encoder and an emulator that learn together from RNNs and rollouts.

    Args:
        source: RNNs and rollouts.
        config: options of the training.
        folder: folder of the run, where the best model is kept; nothing is written before training.
        device: device to train on.
        processes: processes that train together.

    Raises:
        UsageError: if the source lacks a split or is smaller than the config requires, or a name is unknown.
    """

    def __init__(self, source: Source, config: PretrainConfig, folder: Path, device: str, processes: Processes) -> None:
        self._config, self._folder, self._processes = config, folder, processes
        self.seed = config.seed
        self._train = source.part("train", device=device, num_runs=config.train_runs)
        processes.share(min(config.batch_size, len(self._train.steps)))
        unseen = source.part("validation", device=device)
        self._validation = unseen.all(config.validation_rollouts)
        self._last_snapshots = unseen.steps == unseen.steps.max()
        self._loss = losses.distance(config.loss, source.interface.output_kind)
        model = _new_model(source, config, self._validation[0].labels)
        self._model_config = model.config
        self.module = EmulationModel(model.encoder, model.emulator).to(device)
        self.metric = f"validation/{config.loss}"
        self._shared = self.module.shared(processes)
        # The number of updates decides, and not a measurement, so that a run can be repeated to the byte.
        self._accelerate(config.num_steps >= fused.WORTH_UPDATES)

    def _accelerate(self, wanted: bool) -> None:
        """Use compiled kernels in encoder, emulator and data, if they fit."""
        self.module.encoder.accelerated = self.module.emulator.accelerated = wanted
        if isinstance(self._train, SplitData):
            self._train.accelerated = wanted

    def draw(self, step: int) -> Batch:
        """See `Learner.draw`."""
        config = self._config
        generator = numpy_generator(config.seed, "batch", step)
        whole = self._train.draw(generator, config.batch_size, config.rollouts_per_rnn)
        mine = self._processes.share(len(whole.rnns))
        rnns = augmented(
            self.module.encoder,
            whole.rnns,
            seed=config.seed,
            step=step,
            permutations=config.augment,
            signs=config.augment_signs,
        )
        share = dataclasses.replace(whole, rnns=rnns).select(mine)
        return Batch(share, self._processes.weight(len(share.rnns), len(whole.rnns)))

    def forward(self, batch: Batch) -> OutputSequences:
        """Return the emulated outputs."""
        return self._shared(batch.behaviour)

    def losses(self, batch: Batch, outputs: Tensor, step: int) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """See `Learner.losses`; the objective includes the warm-up loss."""
        expected = batch.behaviour.outputs
        loss = self._loss(expected, outputs).mean()
        return batch.weight * (loss + self._warm_up(step, expected, outputs)), batch.weight * loss

    def _warm_up(self, step: int, expected: Tensor, outputs: Tensor) -> Tensor | float:
        weight = self._config.warm_up_loss
        is_over = step >= self._config.warm_up_share * self._config.num_steps
        if is_over or not weight or self.module.encoder.interface.output_kind != "categorical":
            return 0.0
        return weight * losses.forward_kl(expected, outputs).mean()

    @torch.no_grad()
    def validate(self, module: EmulationModel) -> Metrics:
        """Return the mean fidelity on unseen tasks, over all snapshots and over last ones only."""
        parts = [emulation_fidelity(module.encoder, module.emulator, part) for part in self._validation]
        result = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        metrics = {f"validation/{name}": float(values.mean()) for name, values in result.items()}
        last = {f"last/{name}": float(values[self._last_snapshots].mean()) for name, values in result.items()}
        return metrics | last

    def keep(self, module: EmulationModel) -> None:
        """Write the model to the run's folder."""
        checkpoints.save_model(self._folder, Model(module.encoder, module.emulator, self._model_config))


def _new_model(source: Source, config: PretrainConfig, labels: Float[Tensor, "N L"] | None) -> Model:
    oracle_options: dict[str, Any] = {}
    if config.encoder == Oracle.name:
        oracle_options["num_labels"] = 1 if labels is None else labels.shape[1]  # without labels, it refuses later
    description = checkpoints.model_config(
        encoder=config.encoder,
        encoder_options=config.encoder_options | oracle_options,
        emulator_options={
            "hidden_size": config.emulator_hidden_size,
            "conditioning": config.conditioning,
            "forget_bias": config.emulator_forget_bias,
        },
        spec=source.spec,
        interface=source.interface,
        representation_size=config.representation_size,
        provenance=provenance(),
    )
    model = checkpoints.make_model(description, seed=config.seed)
    source.prepare(model.encoder)
    return model
