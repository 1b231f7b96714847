"""From a study to its pieces: trainings and predictions, whose names stay the same wherever and whenever they run."""

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
from rnn2vec.experiments.study.config import BASELINE, PRETRAIN, Study, Sweep, Variant
from rnn2vec.experiments.study.files import checked
from rnn2vec.properties import config as properties_config
from rnn2vec.properties.config import PredictConfig, Setting
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec

DEFAULT = "default"
"""The variant that has no changes."""
FLOOR = "task-blind"
"""The encoder that sees no RNN."""
CEILING = Oracle.name
"""The encoder that is given tasks and steps."""
BOUNDS = {"floor": FLOOR, "ceiling": CEILING}
"""Encoders that bound all others, by the variant that their pieces go by."""
STATISTICS = "statistics"
"""Stands where others name their encoder: what baselines read."""


@dataclass(frozen=True, kw_only=True)
class StudyPiece:
    """One training of a study: of an encoder with its emulator, or of predictors of a property."""

    encoder: str
    """Name of the encoder."""
    variant: str
    """How it is trained: a variant's name, or `SWEEP-VALUE`."""
    seed: int
    """Everything random follows from it."""
    config: PretrainConfig | PredictConfig | None
    """The whole of it; None for baselines, which have no options."""
    setting: str = PRETRAIN
    """What is done with the encoder."""
    property_name: str | None = None
    """What is predicted; None in pre-training."""

    @property
    def name(self) -> str:
        """Names its files."""
        return _name(self.setting, self.encoder, self.variant, self.property_name, self.seed)

    @property
    def num_steps(self) -> int:
        """Updates at most; 1 for baselines, which make none and are heard of when they are done."""
        return 1 if self.config is None else self.config.num_steps

    @property
    def pretraining(self) -> str:
        """The name of the piece that trains its encoder in pre-training."""
        return _name(PRETRAIN, self.encoder, self.variant, None, self.seed)


@dataclass(frozen=True)
class SweepPoint:
    """One value of a sweep for one encoder and seed, and the piece that has it."""

    sweep: str
    """The sweep's name."""
    value: float
    """The value that was varied."""
    piece: StudyPiece
    """Where it is trained: a piece of the sweep's own, or one of variant `default`."""


def _name(setting: str, encoder: str, variant: str, predicted: str | None, seed: int) -> str:
    return ".".join([setting, encoder, variant, *([predicted] if predicted else []), f"seed-{seed}"])


def pieces_of(study: Study) -> tuple[StudyPiece, ...]:
    """Every piece once, in the order in which they are begun.

    Seed by seed: a study that is cut short has whole comparisons of fewer seeds. Baselines take seconds and come first.
    Frozen predictions come right behind the pre-training that they need; supervised ones, which take as long as
    pre-trainings, at the end of their seed.

    Raises:
        UsageError: an option is out of range.
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
    """The points of every sweep for one seed."""
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
    """What every encoder's predictions of one seed are told beside: the same RNNs have the same statistics."""
    for name in study.properties:
        yield StudyPiece(
            encoder=STATISTICS, variant=DEFAULT, seed=seed, config=None, setting=BASELINE, property_name=name
        )


def _frozen(study: Study, pretraining: StudyPiece) -> Iterator[StudyPiece]:
    """What is predicted from the representations of one pre-training."""
    if "frozen" in study.settings:
        yield from _of_properties(study, pretraining, "frozen")


def _supervised(study: Study, seed: int) -> Iterator[StudyPiece]:
    """The trainings of predictors with their encoders: once for each encoder, whatever the ways of pre-training."""
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
    """Check that every encoder can be made and every loss taken, before the first is trained.

    Args:
        pieces: of a study.
        spec: the architecture of the zoo's RNNs.
        interface: their kinds of inputs and outputs.

    Raises:
        UsageError: an encoder lacks a hyperparameter, or refuses its value, or a loss is not for such outputs.
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
    """In what a config differs from another's values, in words."""
    values = one.to_dict().items()
    return [f"{name} was {other.get(name)}, now {value}" for name, value in values if value != other.get(name)]
