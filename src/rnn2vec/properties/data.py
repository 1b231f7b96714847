"""Data of property prediction: targets, and the parts of a zoo that train, validate and test a predictor.

Half of the OOD tasks are in the training data (Section 6.2), because the question is if the *representation*
generalizes to them, and not if a predictor extrapolates. The halves are drawn by task, so that no task of the OOD test
is in the training data, and they depend on the seed alone, so that all encoders and settings share them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int

from rnn2vec._errors import DataError, UsageError, unknown_name
from rnn2vec._seeding import numpy_generator
from rnn2vec.tasks.base import Property, TaskFamily
from rnn2vec.zoo.store import Zoo

Rows = Int[np.ndarray, " _"]
"""Numbers of snapshots in a zoo."""
TRAIN, VALIDATION, OOD = "train", "validation", "ood"


@dataclass(frozen=True)
class PropertyData:
    """A property of the snapshots of a zoo, divided into parts."""

    property: Property
    """Property to predict, with its categories."""
    rows: dict[str, Rows]
    """Numbers of the snapshots of `train`, `validation` and `ood`; empty parts are left out."""
    targets: dict[str, Float32[np.ndarray, "_ D"]]
    """Target of each snapshot, by part."""
    is_last: dict[str, Bool[np.ndarray, " _"]]
    """Mask of the last snapshots of their runs, by part."""


def collect(zoo: Zoo, name: str, *, seed: int) -> PropertyData:
    """Collect the targets of a property for each part of a zoo.

    Args:
        zoo: RNNs and their properties.
        name: name of a property of the zoo's family.
        seed: seed that selects the half of the OOD tasks that joins the training data.

    Raises:
        UsageError: if the family has no such property, or the zoo lacks training or validation tasks.
        DataError: if a value is not a number, or not in the property's categories.
    """
    prop = _with_categories(find_property(zoo.family, name), zoo)
    joining, testing = _ood_halves(zoo, seed)
    parts = {TRAIN: np.concatenate([zoo.split("train"), joining]), VALIDATION: zoo.split("validation"), OOD: testing}
    for part in (TRAIN, VALIDATION):
        if not len(parts[part]):
            raise UsageError(
                f"{zoo.folder} has no RNN in its {part} split",
                remedy="build a zoo of more runs: two have both a training and a validation task.",
            )
    steps = zoo.column("step")
    rows = {part: chosen for part, chosen in parts.items() if len(chosen)}
    return PropertyData(
        property=prop,
        rows=rows,
        targets={part: _targets(zoo, prop, chosen) for part, chosen in rows.items()},
        is_last={part: steps[chosen] == steps.max() for part, chosen in rows.items()},
    )


def find_property(family: TaskFamily, name: str) -> Property:
    """Return a property of a family by name.

    Raises:
        UsageError: if there is none.
    """
    known = {prop.name: prop for prop in family.properties}
    if name not in known:
        raise unknown_name(f"property of {family.name}", name, known)
    return known[name]


def _with_categories(prop: Property, zoo: Zoo) -> Property:
    """Add the values that occur to a categorical property whose family does not list its categories."""
    if prop.loss == "mean-squared-error" or prop.categories is not None:
        return prop
    values = np.unique(np.concatenate([zoo.column(column) for column in prop.columns]))
    return dataclasses.replace(prop, categories=tuple(map(float, values)))


def _ood_halves(zoo: Zoo, seed: int) -> tuple[Rows, Rows]:
    """Divide the snapshots of OOD tasks into those that join the training data and the larger half for the test."""
    rows = zoo.split("ood")
    tasks = zoo.tasks(rows)
    distinct = sorted(set(tasks))
    order = numpy_generator(seed, "properties", "half of the OOD tasks").permutation(len(distinct))
    joining = {distinct[place] for place in order[: len(distinct) // 2]}
    joins = np.array([task in joining for task in tasks], dtype=bool)
    return rows[joins], rows[~joins]


def _targets(zoo: Zoo, prop: Property, rows: Rows) -> Float32[np.ndarray, "M D"]:
    table = {column: zoo.column(column)[rows] for column in prop.columns}
    for column, values in table.items():
        bad = ~np.isfinite(values) if prop.categories is None else ~np.isin(values, np.asarray(prop.categories))
        if bad.any():
            expected = "a number" if prop.categories is None else f"one of {', '.join(map(str, prop.categories))}"
            raise DataError(
                f"{zoo.folder}, snapshot {rows[bad][0]}: {column} is {values[bad][0]}, expected {expected}",
                remedy="run `rnn2vec zoo verify` for a list of the zoo's faults.",
            )
    return prop.target(table)
