"""Prediction of a property of RNNs from representations (Section 6.2), and its scores.

In the `frozen` setting, a small MLP is trained on pre-trained representations. In the `supervised` setting, the whole
encoder is trained for the property. The paper's question is when the first is better than the second.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import safetensors.torch
import torch

from rnn2vec import encoders
from rnn2vec._errors import UsageError, unknown_name
from rnn2vec._files import sha256_of
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec._shapes import Representation
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation import checkpoints
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.encoders.statistics import layer_statistics
from rnn2vec.properties.baselines import Features, learned, on_statistics
from rnn2vec.properties.config import PredictConfig, Setting, preset, require_setting
from rnn2vec.properties.data import TRAIN, PropertyData, collect, find_property
from rnn2vec.properties.scores import Outputs, Score, score
from rnn2vec.properties.training import Predictor, train
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.zoo.store import Zoo

Scores = dict[str, Score]
"""Scores by part: `train`, `validation` and `ood`, and `validation/last` etc. for last snapshots only."""
Baselines = Literal["all", "representation", "none"]
"""Simple predictors to score as well. `representation` is the one that reads the encoder's representation; the others
do not depend on the encoder, and `property_baselines` computes them once."""


@dataclass(frozen=True)
class PropertyScores:
    """Scores of predicting one property with one encoder."""

    property: str
    """Name of the property."""
    setting: Setting
    """`frozen` or `supervised`."""
    encoder: str
    """Name of the encoder."""
    source: str | None
    """Name of the pre-trained encoder or of its folder; None if it was trained from scratch."""
    model: str | None
    """Checksum of the pre-trained encoder's weights."""
    seed: int
    """Seed of all random numbers."""
    config: dict[str, Any]
    """Options of the predictor's training."""
    zoo: dict[str, str]
    """Folder and checksum of the zoo (`Zoo.identity`)."""
    best_step: int
    """Number of updates of the predictor that was scored, the best on the validation tasks."""
    num_steps: int
    """Number of all updates."""
    scores: Scores
    """Scores of its predictions."""
    baselines: dict[str, Scores]
    """Scores of simple predictors, by name; empty if they were not requested."""
    provenance: dict[str, str | None]
    """Versions and commit."""

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON-ready values."""
        return dataclasses.asdict(self)


def predict_property(
    zoo: Zoo,
    property_name: str,
    *,
    model: str | Path | None = None,
    encoder: str | None = None,
    setting: Setting = "frozen",
    config: PredictConfig | None = None,
    seed: int = 0,
    baselines: Baselines = "all",
    device: str = "cpu",
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> PropertyScores:
    """Train a predictor of one property and score it on unseen and on OOD tasks.

    Args:
        zoo: RNNs and their properties.
        property_name: name of a property of the zoo's family, such as `task` or `performance`.
        model: trained model: folder of a pre-training run, or name of a model that comes with the package. In the
            `supervised` setting, its encoder is trained from new weights.
        encoder: name of an encoder to train instead, in the `supervised` setting.
        setting: `frozen` or `supervised`.
        config: options of the training; by default the `laptop` preset.
        seed: seed of all random numbers, including the half of the OOD tasks that joins the training data.
        baselines: simple predictors to score as well.
        device: device to train on.
        checkpoint: file to resume an interrupted training from, removed at the end. `frozen` takes seconds and needs
            none.
        progress: callback that receives the number of updates done.

    Raises:
        UsageError: if a name is unknown, or the encoder was pre-trained on another zoo.
        DataError: if a file is damaged, a property is not a number, or training diverged.
        StorageError: if the checkpoint cannot be written.
    """
    require_setting(setting)
    if baselines not in get_args(Baselines):
        raise unknown_name("choice of baselines", baselines, get_args(Baselines))
    source = _Source.of(zoo, model, encoder, setting)
    config = source.complete(zoo, config, setting)
    data = collect(zoo, property_name, seed=seed)
    stacks = {part: zoo.rnns(rows) for part, rows in data.rows.items()}
    vectors = source.represent(stacks, device)
    module = None if vectors is not None else _new_encoder(zoo, source.encoder, config, seed)
    predictor = Predictor(
        module,
        representation_size=config.representation_size,
        hidden_size=config.hidden_size,
        num_outputs=data.targets[TRAIN].shape[1],
        seed=seed,
    ).to(device)
    given = {part: one.to(device) for part, one in (vectors or stacks).items()}
    trained = train(predictor, given, data, config, seed=seed, checkpoint=checkpoint, progress=progress)
    simple = on_statistics(data, _statistics(stacks), seed=seed) if baselines == "all" else {}
    if vectors is not None and baselines != "none":
        features = {part: one.numpy() for part, one in vectors.items()}
        simple["linear on representation"] = learned(data, features, "linear", seed)
    if checkpoint is not None:
        checkpoint.unlink(missing_ok=True)
    return PropertyScores(
        **_identity(zoo, property_name, source, setting, config, seed),
        best_step=trained.best_step,
        num_steps=trained.num_steps,
        scores=_scores(data, trained.outputs),
        baselines={name: _scores(data, outputs) for name, outputs in simple.items()},
        provenance=provenance(),
    )


def property_baselines(
    zoo: Zoo, property_name: str, *, seed: int = 0, progress: Progress = silent
) -> dict[str, Scores]:
    """Compute the scores of the simple predictors that need no encoder, by name, as in `predict_property`.

    Args:
        zoo: RNNs and their properties.
        property_name: name of a property of the zoo's family, such as `task` or `performance`.
        seed: seed of the trees, and of the half of the OOD tasks that joins the training data.
        progress: callback that receives the number of baselines done.

    Raises:
        UsageError: if a name is unknown.
        DataError: if a file is damaged, or a property is not a number.
    """
    data = collect(zoo, property_name, seed=seed)
    statistics = _statistics({part: zoo.rnns(rows) for part, rows in data.rows.items()})
    simple = on_statistics(data, statistics, seed=seed, progress=progress)
    return {name: _scores(data, outputs) for name, outputs in simple.items()}


def identify(
    zoo: Zoo,
    property_name: str,
    *,
    model: str | Path | None = None,
    encoder: str | None = None,
    setting: Setting = "frozen",
    config: PredictConfig | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Return everything on which the scores of `predict_property` depend, as entries of `PropertyScores.to_dict`.

    Results with equal entries need not be computed again.

    Raises:
        UsageError: see `predict_property`.
        DataError: see `predict_property`.
    """
    require_setting(setting)
    find_property(zoo.family, property_name)
    source = _Source.of(zoo, model, encoder, setting)
    return _identity(zoo, property_name, source, setting, source.complete(zoo, config, setting), seed)


def _identity(
    zoo: Zoo, property_name: str, source: _Source, setting: Setting, config: PredictConfig, seed: int
) -> dict[str, Any]:
    return {
        "property": property_name,
        "setting": setting,
        "encoder": source.encoder,
        "source": source.name,
        "model": source.checksum,
        "seed": seed,
        "config": config.to_dict(),
        "zoo": zoo.identity(),
    }


@dataclass(frozen=True)
class _Source:
    """The source of representations."""

    encoder: str
    """Name of the encoder."""
    name: str | None
    """Last part of the path or name of a pre-trained encoder; None for one that is trained from scratch."""
    checksum: str | None
    """Checksum of the pre-trained weights."""
    pretrained: Rnn2Vec | None
    """Pre-trained encoder of the frozen setting."""
    sizes: dict[str, Any]
    """Entries of the config that a run determines: its encoder's hyperparameters and representation size."""

    @classmethod
    def of(cls, zoo: Zoo, model: str | Path | None, encoder: str | None, setting: Setting) -> _Source:
        """Load the source: a trained model, or an encoder to train."""
        if (model is None) == (encoder is None):
            raise UsageError(
                f"{'neither' if model is None else 'both'} of model and encoder is given",
                remedy="give model=RUN, a trained model, or encoder=NAME and setting=supervised to train one.",
            )
        if encoder is not None:
            _ = encoders.ENCODERS[encoder]
            if setting == "frozen":
                raise UsageError(
                    f"frozen with {encoder!r}, which is not pre-trained",
                    remedy=f"give model=RUN, a folder of `rnn2vec pretrain --encoder {encoder} --out`, "
                    "or setting=supervised.",
                )
            return cls(encoder, None, None, None, {})
        given = Path(str(model))
        pretrained = Rnn2Vec.from_pretrained(str(model))
        checkpoints.require_pretrained_on(zoo, given)
        size = pretrained.encoder.representation_size
        if setting == "frozen":
            weights = safetensors.torch.save(pretrained.encoder.state_dict())
            return cls(
                encoder=pretrained.encoder.name,
                name=given.name,
                checksum=sha256_of(weights),
                pretrained=pretrained,
                sizes={"representation_size": size, "encoder_options": {}},
            )
        sizes = {"representation_size": size, "encoder_options": pretrained.config["encoder_options"]}
        return cls(pretrained.encoder.name, None, None, None, sizes)

    def complete(self, zoo: Zoo, config: PredictConfig | None, setting: Setting) -> PredictConfig:
        """Return the config, by default `laptop`, with the entries that the run determines."""
        return dataclasses.replace(config or preset("laptop", setting, self.encoder, family=zoo.family), **self.sizes)

    def represent(self, stacks: dict[str, RNNStack], device: str) -> dict[str, Representation] | None:
        """Compute representations of the RNNs of each part; None if the encoder is yet to be trained."""
        if self.pretrained is None:
            return None
        self.pretrained.encoder.to(device)
        return {part: torch.from_numpy(self.pretrained.embed(stack)) for part, stack in stacks.items()}


def _new_encoder(zoo: Zoo, name: str, config: PredictConfig, seed: int) -> WeightEncoder:
    return encoders.build(
        name,
        zoo.spec,
        representation_size=config.representation_size,
        interface=zoo.family.interface,
        seed=seed,
        **config.encoder_options,
    )


def _statistics(stacks: dict[str, RNNStack]) -> Features:
    """Compute the features of baselines without an encoder."""
    return {part: layer_statistics(stack).numpy() for part, stack in stacks.items()}


def _scores(data: PropertyData, outputs: dict[str, Outputs]) -> Scores:
    scores: Scores = {}
    for part, answers in outputs.items():
        targets, is_last = data.targets[part], data.is_last[part]
        scores[part] = score(data.property, answers, targets)
        if is_last.any():
            scores[f"{part}/last"] = score(data.property, answers[is_last], targets[is_last])
    return scores
