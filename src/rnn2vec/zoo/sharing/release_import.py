"""A folder of the authors' public release (`zoo.public_layouts`), as a zoo of ours.

Two things to mend on the way in. Where a rollout of a formal language has no EOS, its BOS was overwritten by one. And
several seeds were merged, so run numbers repeat: a run is taken to go on as long as number and task stay and the step
grows.

Two things that stay as they are: the untrained snapshot had one update, and the authors counted a string as correct by
the number of its letters. What the release does not say (of formal languages training losses, always the seed) is
missing in the properties.

Files are foreign: no pickle, headers and sizes are checked, and data is read through a memory map, a shard at a time.
That weights are in the order we think is checked by running some RNNs and comparing with the stored answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import sha256_of
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec._shapes import InputSequences
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Split
from rnn2vec.zoo.fill import fill
from rnn2vec.zoo.manifest import Manifest
from rnn2vec.zoo.origin import Origin
from rnn2vec.zoo.shards import Shard
from rnn2vec.zoo.sharing.release_layouts import LAYOUTS, Layout, Release
from rnn2vec.zoo.store import Zoo

_KINDS = tuple(LAYOUTS.values())
RNNS_PER_SHARD = 288
_RNNS_CHECKED_PER_SHARD = 4
_ALLOWED_DISTANCE = 0.01
"""Total variation between stored answers and ours: float16, and another machine's rounding."""


def import_release(
    release: str | Path,
    out: str | Path,
    *,
    hidden_size: int = 32,
    num_layers: int = 2,
    seed: int = 0,
    options: Mapping[str, Any] | None = None,
    progress: Progress = silent,
) -> Zoo:
    """Make a zoo of a folder in the release's layout; which family it is of shows in the names of its arrays.

    Args:
        release: the folder with the arrays.
        out: the zoo's folder: new, empty, or one that an interrupted import of the same arrays began.
        hidden_size: hidden units per layer of its LSTMs.
        num_layers: their layers.
        seed: decides which languages validate.
        options: of the family, beyond those that the arrays' sizes say: `folder`, where MNIST's images are.
        progress: told of the shards written.

    Raises:
        UsageError: the folder is no release, or `out` holds something else.
        DataError: an array is damaged, does not fit the others, shows unknown images, or its RNNs do not answer what
            is stored.
        BusyError: another process writes to `out`.
    """
    found, kind = _open(Path(release))
    layout, spec = _fit(found, kind, hidden_size, num_layers, options or {})
    family, tasks = layout.family, found.arrays["tasks"]
    origin = Origin(
        made_by="import",
        family=family.name,
        family_options=family.options(),
        num_shards=-(-len(found) // RNNS_PER_SHARD),
        options={
            "release": found.folder.resolve().name,
            "num_rnns": len(found),
            "seed": seed,
            "fingerprint": sha256_of(tasks.tobytes() + found.arrays[layout.numbers].tobytes()),
        },
    )
    runs, starts = _runs(found, layout)
    splits = layout.splits(layout.tasks(tasks[starts]), seed)

    def make(shard: int) -> Shard:
        rows = slice(shard * RNNS_PER_SHARD, (shard + 1) * RNNS_PER_SHARD)
        return _shard(found, layout, spec, rows, runs[rows], splits)

    manifest = fill(Path(out), Manifest(origin, spec, family.ood_rule, dict(provenance())), make, progress)
    return Zoo(Path(out), manifest)


def _open(folder: Path) -> tuple[Release, type[Layout]]:
    """Map the arrays; what they claim to be is checked before any of it is read."""
    kind = _kind(folder)
    arrays: dict[str, np.ndarray] = {}
    for name in kind.dtypes:
        path = folder / f"{name}.npy"
        try:
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            remedy = "get the file again; arrays of objects are not read, since they can run code."
            raise DataError(f"{path} is no whole array of numbers: {error}", remedy=remedy) from error
    return Release(folder, kind.label, arrays), kind


def _kind(folder: Path) -> type[Layout]:
    """The layout of which the folder lacks the smallest share, if it lacks nothing."""
    missing = {kind: [name for name in kind.dtypes if not (folder / f"{name}.npy").is_file()] for kind in _KINDS}
    kind = min(_KINDS, key=lambda one: len(missing[one]) / len(one.dtypes))
    if missing[kind]:
        raise UsageError(
            f"{folder} is no release of {kind.label}: it lacks {_files(missing[kind])}",
            remedy="give a folder with " + ", or one with ".join(_files(one.dtypes) for one in _KINDS) + ".",
        )
    return kind


def _files(names: Iterable[str]) -> str:
    return ", ".join(f"{name}.npy" for name in names)


def _fit(
    release: Release, kind: type[Layout], hidden_size: int, num_layers: int, options: Mapping[str, Any]
) -> tuple[Layout, RNNSpec]:
    """Layout and architecture, if the arrays fit them and each other."""
    arrays = release.arrays
    if any(arrays[name].ndim != number for name, number in kind.dimensions.items()):
        shapes = f"{arrays['tasks'].shape} and {arrays['sequences'].shape}"
        expected = " and ".join(map(str, kind.dimensions.values()))
        raise release.error(f"tasks and sequences have the shapes {shapes}, expected {expected} dimensions")
    try:
        layout = kind(kind.family_of(arrays, options))
    except UsageError as error:
        raise release.error(error.problem) from error
    family = layout.family
    spec = RNNSpec(
        cell="lstm",
        input_size=family.input_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        output_size=family.output_size,
    )
    num, rollouts = arrays["sequences"].shape[:2]
    shapes = layout.shapes(num, rollouts, spec)
    for name, array in arrays.items():
        if array.shape != shapes[name] or array.dtype != kind.dtypes[name]:
            raise release.error(
                f"{name}.npy is {array.dtype} {array.shape}, expected {kind.dtypes[name]} {shapes[name]} for {spec}"
            )
    if not num or not rollouts:
        raise release.error("it has no RNN or no rollout")
    problem = layout.problem_of_numbers(arrays)
    if problem is None and arrays[layout.numbers][:, :2].min() < 0:
        problem = f"a run or step below 0 in {layout.numbers}.npy"
    if problem is not None:
        raise release.error(problem)
    return layout, spec


def _runs(release: Release, layout: Layout) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " R"]]:
    """A number of its own for the run of every RNN, and where each run begins."""
    run, step = release.arrays[layout.numbers][:, :2].T
    tasks = release.arrays["tasks"]
    goes_on = (np.diff(run) == 0) & (np.diff(step) > 0) & (tasks[1:] == tasks[:-1]).all(axis=1)
    begins = np.concatenate([[True], ~goes_on])
    return np.cumsum(begins).astype(np.int64) - 1, np.flatnonzero(begins)


def _shard(
    release: Release,
    layout: Layout,
    spec: RNNSpec,
    rows: slice,
    runs: Int64[np.ndarray, " N"],
    splits: Sequence[Split],
) -> Shard:
    names = (name for name in release.arrays if name not in {"sequences", "logits"})
    arrays = {name: np.array(release.arrays[name][rows]) for name in names}
    inputs, codes = layout.rollouts(release, rows)
    weights = torch.from_numpy(arrays["parameters"])
    stack = RNNStack.from_flat(spec, weights)
    _require_same_answers(release, stack, inputs, rows.start)
    tasks = np.array(layout.tasks(arrays["tasks"]))
    table = {
        "run": runs,
        "spec": np.zeros(len(runs), dtype=np.int64),
        **{name: tasks[:, place] for place, name in enumerate(layout.family.task_columns)},
        "step": arrays[layout.numbers][:, 1],
        **layout.properties(arrays, stack),
        "seed": pa.nulls(len(runs), pa.int64()),
        "split": [splits[run] for run in runs],
    }
    return Shard(weights, codes, pa.table(table))


@torch.no_grad()
def _require_same_answers(release: Release, stack: RNNStack, inputs: InputSequences, first: int) -> None:
    """The first RNNs answer what is stored: weights in another order would be numbers without meaning."""
    count = min(_RNNS_CHECKED_PER_SHARD, len(stack))
    outputs, _ = stack.select(slice(0, count))(inputs[:count])
    stored = torch.from_numpy(np.array(release.arrays["logits"][first : first + count], dtype=np.float32))
    for place, distance in enumerate(_distances(outputs, stored).tolist()):
        if not distance <= _ALLOWED_DISTANCE:
            raise release.error(
                f"the answers of RNN {first + place} are {distance:.3f} (total variation) from those in logits.npy, at "
                f"most {_ALLOWED_DISTANCE} was expected: the weights are of another architecture or in another order"
            )


def _distances(outputs: Tensor, stored: Tensor) -> Float[Tensor, " N"]:
    """Mean total variation between the distributions that two sets of logits stand for."""
    return (outputs.softmax(dim=-1) - stored.softmax(dim=-1)).abs().sum(dim=-1).mean(dim=(1, 2)) / 2
