"""The pieces of a study: trainings and predictions, with names that depend on the study alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from rnn2vec._errors import UsageError
from rnn2vec.emulation import config as emulation_config
from rnn2vec.emulation import losses
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.oracle import Oracle, build_encoder
from rnn2vec.experiments.study.checked import checked
from rnn2vec.experiments.study.config import BASELINE, PRETRAIN, Study, Sweep, Variant
from rnn2vec.properties import config as properties_config
from rnn2vec.properties.config import PredictConfig, Setting
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec

DEFAULT = "default"
"""Variant without changes."""
FLOOR = "task-blind"
"""Encoder that ignores the RNN."""
CEILING = Oracle.name
"""Encoder that receives tasks and steps."""
BOUNDS = {"floor": FLOOR, "ceiling": CEILING}
"""Encoders that bound all others, by the variant under which their pieces are listed."""
STATISTICS = "statistics"
"""Name in place of an encoder's for baselines, which read statistics of the weights."""


@dataclass(frozen=True, kw_only=True)
class StudyPiece:
    """A training of a study: an encoder with its emulator, or predictors of a property."""

    encoder: str
    """Name of the encoder."""
    variant: str
    """Name of the variant, or `SWEEP-VALUE`."""
    seed: int
    """Seed of all random numbers."""
    config: PretrainConfig | PredictConfig | None
    """Complete config; None for baselines, which have no options."""
    setting: str = PRETRAIN
    """Setting: pretrain, frozen, supervised or baseline."""
    property_name: str | None = None
    """Property to predict; None in pre-training."""

    @property
    def name(self) -> str:
        """Name of the piece, and of its files."""
        return _name(self.setting, self.encoder, self.variant, self.property_name, self.seed)

    @property
    def num_steps(self) -> int:
        """Maximum number of updates; 1 for baselines, which make none and report progress when they are done."""
        return 1 if self.config is None else self.config.num_steps

    @property
    def pretraining(self) -> str:
        """Name of the piece that pre-trains its encoder."""
        return _name(PRETRAIN, self.encoder, self.variant, None, self.seed)


@dataclass(frozen=True)
class SweepPoint:
    """A value of a sweep for one encoder and seed, with the piece that trains it."""

    sweep: str
    """Name of the sweep."""
    value: float
    """Value of the number that is varied."""
    piece: StudyPiece
    """Piece that trains it: one of the sweep's own, or one of variant `default`."""


def _name(setting: str, encoder: str, variant: str, predicted: str | None, seed: int) -> str:
    return ".".join([setting, encoder, variant, *([predicted] if predicted else []), f"seed-{seed}"])


def pieces_of(study: Study) -> tuple[StudyPiece, ...]:
    """List every piece once, in the order in which they start.

    The order is seed by seed, so that an unfinished study has complete comparisons of fewer seeds. Baselines take
    seconds and come first. Frozen predictions follow the pre-training that they need. Supervised ones, which take as
    long as pre-trainings, come at the end of their seed.

    Raises:
        UsageError: if an option is out of range.
    """
    found: dict[str, StudyPiece] = {}
    for seed in study.seeds:
        if seed == study.seeds[0]:
            wanted = {FLOOR: study.floor and PRETRAIN in study.settings, CEILING: study.ceiling}
            bounds = [_piece(study, name, bound, Variant(), seed) for bound, name in BOUNDS.items() if wanted[name]]
            found |= {piece.name: piece for piece in bounds}
        found |= {piece.name: piece for piece in _baselines(study, seed)}
        if PRETRAIN in study.settings:
            for piece in _variants(study, seed):
                found |= {one.name: one for one in (piece, *_frozen(study, piece))}
            for point in points_of(study, seed):
                found.setdefault(point.piece.name, point.piece)
        found |= {piece.name: piece for piece in _supervised(study, seed)}
    return tuple(found.values())


def points_of(study: Study, seed: int) -> Iterator[SweepPoint]:
    """Generate the points of every sweep for one seed."""
    defaults = {piece.encoder: piece for piece in _variants(study, seed) if piece.variant == DEFAULT}
    for name, sweep in study.sweeps.items():
        for encoder in sweep.encoders or study.encoders:
            for value in sweep.values:
                piece = _piece(study, encoder, f"{name}-{value:g}", _as_variant(sweep, value), seed)
                default = defaults.get(encoder)
                is_default = default is not None and default.config == piece.config
                yield SweepPoint(name, value, default if default is not None and is_default else piece)


def _variants(study: Study, seed: int) -> Iterator[StudyPiece]:
    for name, variant in (study.variants or {DEFAULT: Variant()}).items():
        for encoder in variant.encoders or study.encoders:
            yield _piece(study, encoder, name, variant, seed)


def _baselines(study: Study, seed: int) -> Iterator[StudyPiece]:
    """Generate the baselines of one seed; all encoders share them, since they depend on the RNNs alone."""
    for name in study.properties:
        yield StudyPiece(
            encoder=STATISTICS, variant=DEFAULT, seed=seed, config=None, setting=BASELINE, property_name=name
        )


def _frozen(study: Study, pretraining: StudyPiece) -> Iterator[StudyPiece]:
    """Generate the predictions from the representations of one pre-training."""
    if "frozen" in study.settings:
        yield from _of_properties(study, pretraining, "frozen")


def _supervised(study: Study, seed: int) -> Iterator[StudyPiece]:
    """Generate the trainings of predictors together with their encoders: one for each encoder, without variants."""
    if "supervised" in study.settings:
        for encoder in study.encoders:
            yield from _of_properties(study, _piece(study, encoder, DEFAULT, Variant(), seed), "supervised")


def _of_properties(study: Study, pretraining: StudyPiece, setting: Setting) -> Iterator[StudyPiece]:
    assert isinstance(pretraining.config, PretrainConfig)
    base = properties_config.preset(study.preset, setting, pretraining.encoder)
    options = {} if setting == "frozen" else pretraining.config.encoder_options
    size = pretraining.config.representation_size
    changed = study.predict.get(setting, {})
    fields = {**base.to_dict(), **changed, "encoder_options": options, "representation_size": size}
    config = checked(PredictConfig, fields, where=f"study {study.name}, predict.{setting}")
    for name in study.properties:
        yield dataclasses.replace(pretraining, setting=setting, property_name=name, config=config)


def _as_variant(sweep: Sweep, value: float) -> Variant:
    table, _, option = sweep.over.rpartition(".")
    return Variant(encoder_options={option: value}) if table else Variant(pretrain={option: value})


def _piece(study: Study, encoder: str, variant_name: str, variant: Variant, seed: int) -> StudyPiece:
    base = emulation_config.preset_for(study.zoo.task_family, study.preset, encoder)
    options = {**base.encoder_options, **study.encoder_options.get(encoder, {}), **variant.encoder_options}
    fields: dict[str, Any] = {
        **base.to_dict(),
        **study.pretrain,
        **study.budgets.get(encoder, {}),
        **variant.pretrain,
        "encoder_options": options,
        "seed": seed,
    }
    config = checked(PretrainConfig, fields, where=f"study {study.name}, {encoder}, {variant_name}")
    return StudyPiece(encoder=encoder, variant=variant_name, seed=seed, config=config)


def require_trainable(pieces: tuple[StudyPiece, ...], spec: RNNSpec, interface: Interface) -> None:
    """Check, before the first training, that every encoder can be built and every loss fits the outputs.

    Args:
        pieces: of a study.
        spec: the architecture of the zoo's RNNs.
        interface: their kinds of inputs and outputs.

    Raises:
        UsageError: if an encoder lacks a hyperparameter or refuses its value, or a loss does not fit the outputs.
    """
    for piece in pieces:
        if piece.seed != pieces[0].seed or piece.setting == "frozen" or piece.config is None:
            continue  # all seeds train the same; frozen encoders are those of pre-training, and baselines have none
        try:
            with torch.device("meta"):  # shapes alone: no memory, no time
                labels = {"num_labels": 1} if piece.encoder == CEILING else {}
                options = piece.config.encoder_options | labels
                build_encoder(piece.encoder, spec, interface=interface, seed=piece.seed, **options)
            if isinstance(piece.config, PretrainConfig):
                losses.distance(piece.config.loss, interface.output_kind)
        except UsageError as error:
            raise UsageError(f"{piece.name}: {error.problem}", remedy=error.remedy) from error


def changes(one: PretrainConfig | PredictConfig, other: dict[str, Any]) -> list[str]:
    """Describe the differences between a config and the values of another."""
    values = one.to_dict().items()
    return [f"{name} was {other.get(name)}, now {value}" for name, value in values if value != other.get(name)]
