"""Import of a folder of the authors' public release (`release_layouts`) as a zoo.

Two defects of the release are repaired. In a rollout of a formal language without EOS, an EOS had overwritten the BOS.
And several seeds were merged, so run numbers repeat: consecutive rows belong to one run as long as number and task stay
the same and the step grows.

Two others cannot be repaired: the untrained snapshot had one update, and the authors judged a string by the counts of
its letters only. The seed, and for formal languages the training losses, are not in the release and stay missing.

The files are untrusted: no pickle, headers and sizes are checked, and data is read through a memory map, one shard at a
time. The order of the weights is verified by running some RNNs and comparing their outputs with the stored ones.
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
"""Largest total variation between stored and recomputed outputs, for float16 and another machine's rounding."""


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
    """Import a folder in the release's layout as a zoo, resuming an interrupted import.

    The task family is recognized by the names of the arrays.

    Args:
        release: folder with the arrays.
        out: folder of the zoo: new, empty, or left by an interrupted import of the same arrays.
        hidden_size: hidden units per layer of the LSTMs.
        num_layers: number of layers of the LSTMs.
        seed: seed of the split of the languages.
        options: options of the family that the arrays do not determine, such as `folder` with the MNIST images.
        progress: callback that receives the number of shards written.

    Raises:
        UsageError: if the folder is not a release, or `out` has other content.
        DataError: if an array is damaged, does not fit the others, has unknown images, or the RNNs do not give the
            stored outputs.
        BusyError: if another process writes to `out`.
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
    """Map the arrays into memory without reading their data."""
    kind = _kind(folder)
    arrays: dict[str, np.ndarray] = {}
    for name in kind.dtypes:
        path = folder / f"{name}.npy"
        try:
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            remedy = "download the file again; arrays of objects are refused, since they can run code."
            raise DataError(f"{path} is not a complete array of numbers: {error}", remedy=remedy) from error
    return Release(folder, kind.label, arrays), kind


def _kind(folder: Path) -> type[Layout]:
    """Choose the layout with the smallest share of missing arrays, and refuse the folder if any is missing."""
    missing = {kind: [name for name in kind.dtypes if not (folder / f"{name}.npy").is_file()] for kind in _KINDS}
    kind = min(_KINDS, key=lambda one: len(missing[one]) / len(one.dtypes))
    if missing[kind]:
        raise UsageError(
            f"{folder} is not a release of {kind.label}: it lacks {_files(missing[kind])}",
            remedy="give a folder with " + ", or one with ".join(_files(one.dtypes) for one in _KINDS) + ".",
        )
    return kind


def _files(names: Iterable[str]) -> str:
    return ", ".join(f"{name}.npy" for name in names)


def _fit(
    release: Release, kind: type[Layout], hidden_size: int, num_layers: int, options: Mapping[str, Any]
) -> tuple[Layout, RNNSpec]:
    """Determine layout and architecture, and check that the arrays fit them and each other."""
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
        raise release.error("there is no RNN or no rollout")
    problem = layout.problem_of_numbers(arrays)
    if problem is None and arrays[layout.numbers][:, :2].min() < 0:
        problem = f"a negative run or step in {layout.numbers}.npy"
    if problem is not None:
        raise release.error(problem)
    return layout, spec


def _runs(release: Release, layout: Layout) -> tuple[Int64[np.ndarray, " N"], Int64[np.ndarray, " R"]]:
    """Assign unique run numbers; return the run of each of N RNNs, and the first RNN of each of R runs."""
    run, step = release.arrays[layout.numbers][:, :2].T
    tasks = release.arrays["tasks"]
    continues = (np.diff(run) == 0) & (np.diff(step) > 0) & (tasks[1:] == tasks[:-1]).all(axis=1)
    begins = np.concatenate([[True], ~continues])
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
    """Check that the first RNNs give the stored outputs, since weights in another order would be meaningless."""
    count = min(_RNNS_CHECKED_PER_SHARD, len(stack))
    outputs, _ = stack.select(slice(0, count))(inputs[:count])
    stored = torch.from_numpy(np.array(release.arrays["logits"][first : first + count], dtype=np.float32))
    for place, distance in enumerate(_distances(outputs, stored).tolist()):
        if not distance <= _ALLOWED_DISTANCE:
            raise release.error(
                f"the outputs of RNN {first + place} differ from logits.npy by {distance:.3f} (total variation), "
                f"expected at most {_ALLOWED_DISTANCE}: the weights have another architecture or another order"
            )


def _distances(outputs: Tensor, stored: Tensor) -> Float[Tensor, " N"]:
    """Compute the mean total variation between two sets of distributions, given as logits."""
    return (outputs.softmax(dim=-1) - stored.softmax(dim=-1)).abs().sum(dim=-1).mean(dim=(1, 2)) / 2
