"""Everything that has a name and can be added from outside: encoders, losses, task families, cells, checkpoint formats.

An object is registered in one of three places, looked up in this order:

1. built in: the tables at the end of this file, which name a module and an attribute;
2. `register`, for this process alone, such as a notebook;
3. an entry point of an installed package, which worker processes and other sessions see too.

A name costs no import: `--help` lists the names of all registered objects without loading any. An object is loaded when
it is first used. Built-in names cannot be replaced.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any, Generic, TypeVar

from rnn2vec._errors import DataError, UsageError, unknown_name

T = TypeVar("T")


class Registry(Mapping[str, T], Generic[T]):
    """Objects of one kind by name; looking a name up loads the object.

    Args:
        kind: what is registered, in words for errors.
        group: the entry-point group.
        contract: class that every object is an instance or a subclass of, as `module:name`.
        built_in: where each built-in object is, as `module:name`.
    """

    def __init__(self, kind: str, group: str, contract: str, built_in: Mapping[str, str]) -> None:
        self.kind = kind
        self.group = group
        self._contract = contract
        self._built_in = built_in
        self._registered: dict[str, T] = {}

    def __getitem__(self, name: str) -> T:
        """Load the object of a name.

        Raises:
            UsageError: if the name is unknown; the text suggests the nearest.
            DataError: if the package that registers the name is broken.
        """
        if name in self._built_in:
            return self._point(name, self._built_in[name]).load()
        if name in self._registered:
            return self._registered[name]
        for point in self._installed():
            if point.name == name:
                return self._loaded(point)
        raise unknown_name(self.kind, name, self)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([*self._built_in, *self._registered, *(point.name for point in self._installed())]))

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __contains__(self, name: object) -> bool:
        return name in self._built_in or name in set(self)

    def register(self, name: str, registered: T) -> None:
        """Add an object in this process; registering a name again replaces the object.

        Raises:
            UsageError: if the name is built in, or the object is not of this kind.
        """
        if name in self._built_in:
            raise UsageError(f"the {self.kind} {name!r} is built in", remedy="choose another name.")
        self._check(name, registered)
        self._registered[name] = registered

    def loadable(self) -> Iterator[tuple[str, T]]:
        """Yield every name with its object; a package that is broken causes a warning and is left out."""
        for name in self:
            try:
                yield name, self[name]
            except DataError as error:
                warnings.warn(str(error), stacklevel=2)

    def names(self) -> str:
        """Return all names as text, such as `a, b, c`."""
        return ", ".join(self)

    def _point(self, name: str, value: str) -> metadata.EntryPoint:
        return metadata.EntryPoint(name, value, self.group)

    def _installed(self) -> metadata.EntryPoints:
        return metadata.entry_points(group=self.group)

    def _loaded(self, point: metadata.EntryPoint) -> T:
        try:
            loaded = point.load()
            self._check(point.name, loaded)
        except Exception as error:  # a package from elsewhere can fail in any way while it is imported
            package = point.dist.name if point.dist else point.value
            reason = error.problem if isinstance(error, UsageError) else f"{type(error).__name__}: {error}"
            raise DataError(
                f"the {self.kind} {point.name!r} of the package {package} cannot be loaded: {reason}",
                remedy=f"repair {package}, or uninstall it.",
            ) from error
        return loaded

    def _check(self, name: str, given: Any) -> None:
        contract = self._point(self._contract, self._contract).load()
        if not (issubclass(given, contract) if isinstance(given, type) else isinstance(given, contract)):
            raise UsageError(
                f"the {self.kind} {name!r} is {given!r}, which is no {self._contract.replace(':', '.')}",
                remedy=f"derive it from {self._contract.replace(':', '.')}.",
            )
        if getattr(given, "name", name) != name:
            raise UsageError(
                f"the {self.kind} {given!r} calls itself {given.name!r}, but is registered as {name!r}",
                remedy="use one name: models and zoos store it.",
            )


ENCODERS: Registry[Any] = Registry(
    "encoder",
    "rnn2vec.encoders",
    "rnn2vec.encoders.base:WeightEncoder",
    {
        "layerwise-statistics": "rnn2vec.encoders.statistics:LayerwiseStatistics",
        "flattened-weights": "rnn2vec.encoders.flattened:FlattenedWeights",
        "parameter-transformer": "rnn2vec.encoders.transformer:ParameterTransformer",
        "dwsnet": "rnn2vec.encoders.dws:DWSNet",
        "dwsnet-complete": "rnn2vec.encoders.dws_complete:CompleteDWSNet",
        "noninteractive-probing": "rnn2vec.encoders.probing:NoninteractiveProbing",
        "interactive-probing": "rnn2vec.encoders.probing:InteractiveProbing",
        "random-probing": "rnn2vec.encoders.random_probing:RandomProbing",
        "task-blind": "rnn2vec.encoders.base:TaskBlindEncoder",
    },
)
"""Classes derived from `WeightEncoder`."""
LOSSES: Registry[Any] = Registry(
    "loss",
    "rnn2vec.losses",
    "rnn2vec.emulation.losses:Loss",
    {
        "total-variation": "rnn2vec.emulation.losses:total_variation",
        "forward-kl": "rnn2vec.emulation.losses:forward_kl",
        "reverse-kl": "rnn2vec.emulation.losses:reverse_kl",
        "js": "rnn2vec.emulation.losses:jensen_shannon",
        "mse": "rnn2vec.emulation.losses:squared_error",
    },
)
"""Distances between an RNN's outputs and an emulation's: instances of `Loss`."""
FAMILIES: Registry[Any] = Registry(
    "task family",
    "rnn2vec.task_families",
    "rnn2vec.tasks.base:TaskFamily",
    {
        "formal-languages": "rnn2vec.tasks.formal_languages:FormalLanguages",
        "tiled-mnist": "rnn2vec.tasks.tiled_mnist:TiledMnist",
    },
)
"""Classes derived from `TaskFamily`."""
CELLS: Registry[Any] = Registry(
    "cell",
    "rnn2vec.cells",
    "rnn2vec.rnn.cells.base:Cell",
    {
        "lstm": "rnn2vec.rnn.cells.lstm:LSTM",
        "gru": "rnn2vec.rnn.cells.gru:GRU",
        "rnn_tanh": "rnn2vec.rnn.cells.elman:RNN_TANH",
        "rnn_relu": "rnn2vec.rnn.cells.elman:RNN_RELU",
        "leaky": "rnn2vec.rnn.cells.leaky:LEAKY",
        "leaky_shared": "rnn2vec.rnn.cells.leaky:LEAKY_SHARED",
        "mingru": "rnn2vec.rnn.cells.mingru:MINGRU",
    },
)
"""Recurrent cells: instances of `Cell`."""
FORMATS: Registry[Any] = Registry(
    "checkpoint format", "rnn2vec.checkpoint_formats", "rnn2vec.rnn.reading.formats:CheckpointFormat", {}
)
"""Checkpoint formats beside the built-in ones, which `rnn2vec.rnn.reading.files` detects from the first bytes of a
file."""
