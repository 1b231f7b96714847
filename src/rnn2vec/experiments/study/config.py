"""What a study is: one frozen record, read from a YAML file and kept beside its results.

A study crosses encoders, variants of how they are trained, and seeds; sweeps vary one number at a time. The file says
*what* is compared and nothing about how it is run, so that the same file gives the same pieces on any machine.
Configuration systems with their own language of overrides and interpolation were rejected: a reader should see every
number of a study in its file or in the preset that it names.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, get_args

from rnn2vec import tasks
from rnn2vec._errors import UsageError, unknown_name
from rnn2vec.emulation import config as emulation_config
from rnn2vec.emulation.oracle import Oracle
from rnn2vec.encoders import ENCODERS
from rnn2vec.properties import config as properties_config
from rnn2vec.properties.config import Setting
from rnn2vec.tasks.base import TaskFamily
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo import config as zoo_config
from rnn2vec.zoo.config import ZooConfig

PRETRAIN = "pretrain"
DOWNSTREAM: tuple[Setting, ...] = get_args(Setting)
"""Settings in which properties are predicted: `frozen`, from the pre-trained representation, and `supervised`, by an
encoder that is trained for the one property."""
BASELINE = "baseline"
"""The setting of predictors that see the weights' statistics, or nothing; made where any property is predicted."""
SETTINGS = (PRETRAIN, *DOWNSTREAM)
"""What can be done with an encoder."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_STRICT: dict[str, Any] = {"extra": "forbid"}  # how pydantic is told to refuse unknown keys


@dataclass(frozen=True, kw_only=True)
class ZooSource:
    """The RNNs of a study: a zoo that is there, or one to build in the study's folder."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    folder: str | None = None
    """A zoo's folder, relative to where the command is given."""
    preset: str | None = None
    """Or the preset of a zoo to build: tiny, tour, laptop or paper."""
    family: str = FormalLanguages.name
    """The task family of its RNNs: presets have other numbers for some."""
    options: dict[str, Any] = field(default_factory=dict)
    """What differs from the preset, such as `num_runs: 64`."""

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.preset is None):
            given = "neither" if self.folder is None else "both"
            raise UsageError(
                f"{given} of folder and preset is given", remedy="give one: a zoo that is there, or one to build."
            )
        if self.folder is not None and self.options:
            raise UsageError("options are given for a zoo that is there", remedy="leave them out, or give a preset.")
        if "family" in self.options:
            raise UsageError("family among the options of the zoo", remedy="give it beside them.")
        _require_names("zoo option", self.options, (one.name for one in dataclasses.fields(ZooConfig)))

    def to_build(self) -> ZooConfig | None:
        """The config of the zoo to build; None for one that is there.

        Raises:
            UsageError: there is no such preset, or a number is out of range.
        """
        if self.preset is None:
            return None
        options = {name: tuple(value) if name == "learning_rates" else value for name, value in self.options.items()}
        return dataclasses.replace(zoo_config.preset(self.preset, self.family), **options)

    @functools.cached_property
    def task_family(self) -> TaskFamily:
        """The task family, made once: looking for those that packages register takes milliseconds.

        Raises:
            UsageError: there is none of that name, or it has no such option.
        """
        return tasks.build(self.family, self.options.get("family_options"))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One way to train, by what differs from the study's own."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    encoders: tuple[str, ...] = ()
    """The encoders that are trained this way; all of the study by default."""
    pretrain: dict[str, Any] = field(default_factory=dict)
    """Fields of `PretrainConfig`."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters of these encoders."""

    def __post_init__(self) -> None:
        _require_encoders(self.encoders)
        require_pretrain_options(self.pretrain)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """One number, varied while everything else stays."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    over: str
    """A field of `PretrainConfig`, such as `representation_size` or `train_runs`, or `encoder_options.NAME`."""
    values: tuple[int | float, ...]
    """The values; the one that the study has anyway is not trained twice."""
    encoders: tuple[str, ...] = ()
    """The encoders that are swept; all of the study by default."""

    def __post_init__(self) -> None:
        _require_encoders(self.encoders)
        if len(set(self.values)) != len(self.values) or not self.values:
            raise UsageError(f"values={self.values}", remedy="give at least one value, and each once.")
        if not self.over.startswith("encoder_options."):
            require_pretrain_options({self.over: None})


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything that a study trains.

    Raises:
        UsageError: a name is unknown or cannot be part of a file's name, or nothing is asked for.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    """Small letters, digits and hyphens."""
    question: str = ""
    """What the study is to answer, in words; heads the report."""
    zoo: ZooSource
    """The RNNs."""
    encoders: tuple[str, ...]
    """Names of encoders."""
    seeds: tuple[int, ...]
    """One training of everything for each."""
    preset: str = "laptop"
    """Sizes and recipe from which everything below differs: tiny, tour, laptop, recommended or paper."""
    pretrain: dict[str, Any] = field(default_factory=dict)
    """Fields of `PretrainConfig`, for all encoders."""
    encoder_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Hyperparameters by encoder."""
    budgets: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fields of `PretrainConfig` by encoder, on top of `pretrain`: encoders that overfit soon need fewer updates."""
    variants: dict[str, Variant] = field(default_factory=dict)
    """Ways to train that are compared; without any there is one, `default`."""
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    """Numbers that are varied, on top of `default`."""
    settings: tuple[str, ...] = (PRETRAIN,)
    """What is done with each encoder: `pretrain`, `frozen` (which needs `pretrain`) and `supervised` predictions."""
    properties: tuple[str, ...] = ()
    """What is predicted in the settings besides `pretrain`: names that the zoo's family knows, such as `task`."""
    predict: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fields of `PredictConfig` by setting: an update of a supervised encoder costs a hundred of a frozen one."""
    floor: bool = True
    """Whether the task-blind floor of the zoo is measured: the closed form, and an emulator that sees no RNN, trained
    with the study's own budget and first seed."""
    ceiling: bool = False
    """Whether an emulator that is given the true tasks and steps (`emulation.oracle`) is trained likewise."""

    def __post_init__(self) -> None:
        if not self.encoders or not self.seeds:
            raise UsageError("no encoders or seeds", remedy="give at least one of each.")
        if len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise UsageError(f"seeds {list(self.seeds)}", remedy="give numbers of at least 0, each once.")
        for name in (self.name, *self.variants, *self.sweeps):
            if not _NAME.fullmatch(name):
                raise UsageError(f"name {name!r}", remedy="take small letters, digits and hyphens: it names files.")
        _require_encoders((*self.encoders, *self.encoder_options, *self.budgets))
        self._require_settings()
        if self.preset not in emulation_config.PRESETS:
            raise unknown_name("preset", self.preset, emulation_config.PRESETS)
        for options in (self.pretrain, *self.budgets.values()):
            require_pretrain_options(options)
        self.zoo.to_build()

    def _require_settings(self) -> None:
        _require_names("setting", self.settings, SETTINGS)
        if not self.settings or ("frozen" in self.settings and PRETRAIN not in self.settings):
            raise UsageError(
                f"settings {list(self.settings)}", remedy=f"give {PRETRAIN} too: frozen predictions need its encoders."
            )
        predicts = any(setting in DOWNSTREAM for setting in self.settings)
        if predicts != bool(self.properties):
            given = "without properties" if predicts else f"with properties {list(self.properties)}"
            raise UsageError(
                f"settings {list(self.settings)} {given}",
                remedy="give both what is predicted, such as properties: [task], and settings: [pretrain, frozen].",
            )
        _require_names("setting of predictions", self.predict, DOWNSTREAM)
        for options in self.predict.values():
            _require_predict_options(options)

    def to_dict(self) -> dict[str, Any]:
        """The study as JSON-ready values."""
        return dataclasses.asdict(self)


def require_pretrain_options(options: Mapping[str, Any]) -> None:
    """Check that a file may set these fields of `PretrainConfig`.

    Raises:
        UsageError: there is no such field, or the study has another place for it.
    """
    elsewhere = {"encoder": "encoders", "seed": "seeds", "encoder_options": "encoder_options"}
    _require_fields("pre-training", options, emulation_config.PretrainConfig, elsewhere)


def _require_predict_options(options: Mapping[str, Any]) -> None:
    elsewhere = {"encoder_options": "encoder_options", "representation_size": "pretrain"}
    _require_fields("predictions", options, properties_config.PredictConfig, elsewhere)


def _require_fields(kind: str, options: Mapping[str, Any], config: type[Any], elsewhere: Mapping[str, str]) -> None:
    """Options are fields of a config, but for those that have another place in the study's file."""
    for name in options:
        if name in elsewhere:
            raise UsageError(f"{name} among the options of {kind}", remedy=f"give it under {elsewhere[name]}.")
    _require_names(f"option of {kind}", options, (one.name for one in dataclasses.fields(config)))


def _require_encoders(names: Iterable[str]) -> None:
    _require_names("encoder", names, (*ENCODERS, Oracle.name))


def _require_names(kind: str, names: Iterable[str], known: Iterable[str]) -> None:
    all_known = list(known)
    for name in names:
        if name not in all_known:
            raise unknown_name(kind, name, all_known)
