"""The definition of a study: one frozen record, read from a YAML file and stored beside its results.

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
from rnn2vec.experiments.study.checked import checked
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
"""Everything that can be done with an encoder."""

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_STRICT: dict[str, Any] = {"extra": "forbid"}  # makes pydantic refuse unknown keys


@dataclass(frozen=True, kw_only=True)
class ZooSource:
    """The RNNs of a study: an existing zoo, or one to build in the study's folder."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    folder: str | None = None
    """Folder of an existing zoo, relative to the current directory."""
    preset: str | None = None
    """Alternatively, the preset of a zoo to build: tiny, tour, laptop or paper."""
    family: str = FormalLanguages.name
    """Task family of the RNNs; the numbers of a preset depend on it."""
    options: dict[str, Any] = field(default_factory=dict)
    """Changes to the preset, such as `num_runs: 64`."""

    def __post_init__(self) -> None:
        if (self.folder is None) == (self.preset is None):
            given = "neither" if self.folder is None else "both"
            raise UsageError(
                f"{given} of folder and preset is given", remedy="give one: an existing zoo, or one to build."
            )
        if self.folder is not None and self.options:
            raise UsageError("options are given for an existing zoo", remedy="leave them out, or give a preset.")
        if "family" in self.options:
            raise UsageError("family among the options of the zoo", remedy="give it as zoo.family.")
        _require_names("zoo option", self.options, (one.name for one in dataclasses.fields(ZooConfig)))

    def to_build(self) -> ZooConfig | None:
        """Return the config of the zoo to build; None for an existing zoo.

        Raises:
            UsageError: if the preset is unknown, or an option is out of range or has the wrong type.
        """
        if self.preset is None:
            return None
        preset = zoo_config.preset(self.preset, self.family)
        return checked(ZooConfig, {**dataclasses.asdict(preset), **self.options}, where="zoo.options")

    @functools.cached_property
    def task_family(self) -> TaskFamily:
        """The task family, built once, because looking up registered families takes milliseconds.

        Raises:
            UsageError: if the name or an option is unknown.
        """
        return tasks.build(self.family, self.options.get("family_options"))


@dataclass(frozen=True, kw_only=True)
class Variant:
    """A way of training, as changes to that of the study."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    encoders: tuple[str, ...] = ()
    """Encoders to train this way; by default all encoders of the study."""
    pretrain: dict[str, Any] = field(default_factory=dict)
    """Fields of `PretrainConfig`."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    """Hyperparameters of these encoders."""

    def __post_init__(self) -> None:
        _require_encoders(self.encoders)
        require_pretrain_options(self.pretrain)


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """A number that is varied while everything else stays the same."""

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    over: str
    """A field of `PretrainConfig`, such as `representation_size` or `train_runs`, or `encoder_options.NAME`."""
    values: tuple[int | float, ...]
    """Values; a value that equals the study's own is not trained twice."""
    encoders: tuple[str, ...] = ()
    """Encoders to sweep; by default all encoders of the study."""

    def __post_init__(self) -> None:
        _require_encoders(self.encoders)
        if len(set(self.values)) != len(self.values) or not self.values:
            raise UsageError(f"values={self.values}", remedy="give at least one value, and none twice.")
        if not self.over.startswith("encoder_options."):
            require_pretrain_options({self.over: None})


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything that a study trains.

    Raises:
        UsageError: if a name is unknown or unfit for a file name, or nothing is to be trained.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = _STRICT

    name: str
    """Name in lower-case letters, digits and hyphens."""
    question: str = ""
    """Question that the study answers; printed at the top of the report."""
    zoo: ZooSource
    """The RNNs."""
    encoders: tuple[str, ...]
    """Names of encoders."""
    seeds: tuple[int, ...]
    """Seeds; everything is trained once with each."""
    preset: str = "laptop"
    """Preset of sizes and recipe to which the fields below are changes: tiny, tour, laptop, recommended or paper."""
    pretrain: dict[str, Any] = field(default_factory=dict)
    """Fields of `PretrainConfig`, for all encoders."""
    encoder_options: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Hyperparameters by encoder."""
    budgets: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fields of `PretrainConfig` by encoder, applied after `pretrain`: encoders that overfit early need fewer
    updates."""
    variants: dict[str, Variant] = field(default_factory=dict)
    """Ways of training to compare, by name; if empty, the only one is `default`."""
    sweeps: dict[str, Sweep] = field(default_factory=dict)
    """Numbers to vary, starting from `default`."""
    settings: tuple[str, ...] = (PRETRAIN,)
    """Work to do for each encoder: `pretrain`, `frozen` (which needs `pretrain`) and `supervised` predictions."""
    properties: tuple[str, ...] = ()
    """Properties to predict in the settings other than `pretrain`, by their names in the task family, such as
    `task`."""
    predict: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Fields of `PredictConfig` by setting: a supervised update costs as much as a hundred frozen ones."""
    floor: bool = True
    """True to measure the task-blind floor of the zoo: the closed form, and an emulator that sees no RNN, trained with
    the study's own budget and first seed."""
    ceiling: bool = False
    """True to train an emulator that receives the true tasks and steps (`emulation.oracle`) in the same way."""

    def __post_init__(self) -> None:
        if not self.encoders or not self.seeds:
            raise UsageError("no encoders or seeds", remedy="give at least one of each.")
        if len(set(self.seeds)) != len(self.seeds) or min(self.seeds) < 0:
            raise UsageError(f"seeds {list(self.seeds)}", remedy="give distinct numbers of at least 0.")
        for name in (self.name, *self.variants, *self.sweeps):
            if not _NAME.fullmatch(name):
                raise UsageError(
                    f"name {name!r}",
                    remedy="use lower-case letters, digits and hyphens: it names files.",
                )
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
                remedy="give both, such as properties: [task] and settings: [pretrain, frozen].",
            )
        _require_names("setting of predictions", self.predict, DOWNSTREAM)
        for options in self.predict.values():
            _require_predict_options(options)

    def to_dict(self) -> dict[str, Any]:
        """Return the study as JSON-ready values."""
        return dataclasses.asdict(self)


def require_pretrain_options(options: Mapping[str, Any]) -> None:
    """Check that a study file may set these fields of `PretrainConfig`.

    Raises:
        UsageError: if a field is unknown, or is set elsewhere in a study file.
    """
    elsewhere = {"encoder": "encoders", "seed": "seeds", "encoder_options": "encoder_options"}
    _require_fields("pre-training", options, emulation_config.PretrainConfig, elsewhere)


def _require_predict_options(options: Mapping[str, Any]) -> None:
    elsewhere = {"encoder_options": "encoder_options", "representation_size": "pretrain"}
    _require_fields("predictions", options, properties_config.PredictConfig, elsewhere)


def _require_fields(kind: str, options: Mapping[str, Any], config: type[Any], elsewhere: Mapping[str, str]) -> None:
    """Check that options are fields of a config that are not set elsewhere in the study file."""
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
