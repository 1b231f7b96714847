"""Zoos derived from other zoos: filtered, reduced to some runs, or merged.

A derived zoo is written shard by shard like a built one, and can be opened, verified and used for pre-training in the
same way; its manifest records the zoos that it was derived from (`zoo.origin`). Filtering keeps run numbers. Merging
adds an offset to the run numbers of each further zoo to keep them unique. Merging also unifies splits: with different
seeds, one zoo may train on a task that another holds out, so a task gets the split of the first zoo that has it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from rnn2vec._conditions import matching
from rnn2vec._errors import UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec._seeding import numpy_generator
from rnn2vec.tasks.base import Split, Task
from rnn2vec.zoo.fill import fill
from rnn2vec.zoo.manifest import Manifest
from rnn2vec.zoo.origin import MadeBy, Origin, Source
from rnn2vec.zoo.shards import ReadableZoo, Shard

_BYTES_PER_SHARD = 64 * 2**20
_MOST_RNNS_PER_SHARD = 512


def filter_zoo(
    zoo: ReadableZoo,
    out: str | Path,
    *,
    where: Sequence[str] = (),
    split: Split | None = None,
    num_rollouts: int | None = None,
    progress: Progress = silent,
) -> Manifest:
    """Write the snapshots that satisfy all conditions as a new zoo.

    Args:
        zoo: the zoo to filter.
        out: folder of the new zoo.
        where: conditions such as `"step=1000"` (see `rnn2vec._conditions`).
        split: keep only snapshots whose task is in this split.
        num_rollouts: number of rollouts to keep of each snapshot, the first ones; all by default.
        progress: callback that receives the number of shards written.

    Returns:
        The new zoo's manifest.

    Raises:
        UsageError: if no snapshot matches, a condition is malformed, or the folder has other content.
        BusyError: if another process writes to the folder.
    """
    conditions = [*where, *([f"split={split}"] if split else [])]
    rows = np.flatnonzero(matching(zoo.properties, conditions))
    if not len(rows):
        raise UsageError(
            f"no snapshot of {zoo.folder} has {' and '.join(conditions)}",
            remedy="see `rnn2vec zoo info` for the steps and splits of the zoo.",
        )
    stored = zoo.rollouts([0]).shape[1]
    if num_rollouts is not None and not 1 <= num_rollouts <= stored:
        raise UsageError(f"num_rollouts={num_rollouts}, but {stored} are stored", remedy=f"give 1 to {stored}.")
    options = {"where": conditions, "num_rollouts": num_rollouts or stored}
    return _rows_as_zoo(zoo, rows, out, "filter", options, progress)


def subset_zoo(
    zoo: ReadableZoo, out: str | Path, *, num_runs: int, seed: int = 0, progress: Progress = silent
) -> Manifest:
    """Write all snapshots of some runs, drawn at random, as a new zoo.

    Args:
        zoo: the zoo to draw from.
        out: folder of the new zoo.
        num_runs: number of runs to draw, in nearly the same proportions of splits as in the zoo.
        seed: seed of the draw.
        progress: callback that receives the number of shards written.

    Returns:
        The new zoo's manifest.

    Raises:
        UsageError: if the zoo has fewer runs, or the folder has other content.
        BusyError: if another process writes to the folder.
    """
    runs, first_rows = np.unique(zoo.column("run"), return_index=True)
    if not 1 <= num_runs <= len(runs):
        raise UsageError(f"num_runs={num_runs} of a zoo with {len(runs)}", remedy=f"give 1 to {len(runs)}.")
    drawn = _draw_runs(runs, zoo.column("split")[first_rows], num_runs, seed)
    rows = np.flatnonzero(np.isin(zoo.column("run"), drawn))
    options = {"num_runs": num_runs, "seed": seed, "num_rollouts": zoo.rollouts([0]).shape[1]}
    return _rows_as_zoo(zoo, rows, out, "subset", options, progress)


def _draw_runs(runs: np.ndarray, splits: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draw runs stratified by split: the first `count` in a random order that spreads every split evenly."""
    keys = np.empty(len(runs))
    for split in np.unique(splits):
        mine = np.flatnonzero(splits == split)
        order = numpy_generator(seed, "subset", str(split)).permutation(len(mine))
        keys[mine] = order / len(mine)
    ties = numpy_generator(seed, "subset").permutation(len(runs))
    return runs[np.lexsort((ties, keys))[:count]]


def merge_zoos(zoos: Sequence[ReadableZoo], out: str | Path, *, progress: Progress = silent) -> Manifest:
    """Write all snapshots of several zoos of one family and architecture as one zoo.

    Args:
        zoos: at least two zoos.
        out: folder of the new zoo.
        progress: callback that receives the number of shards written.

    Returns:
        The new zoo's manifest.

    Raises:
        UsageError: if the zoos are incompatible, one adds no RNN, or the folder has other content.
        BusyError: if another process writes to the folder.
    """
    _require_fit(zoos)
    splits = _common_splits(zoos)
    sources: list[Source] = []
    pieces: list[tuple[int, range]] = []
    for number, zoo in enumerate(zoos):
        sources.append(_source(zoo, first_run=sources[-1].end_run if sources else 0))
        size = _rnns_per_shard(zoo)
        pieces += [(number, range(start, min(start + size, len(zoo)))) for start in range(0, len(zoo), size)]
    moved = [_num_moved(zoo, splits) for zoo in zoos]
    origin = _origin(zoos[0], "merge", {"rnns_that_changed_split": moved}, sources, len(pieces))

    def make(shard: int) -> Shard:
        number, rows = pieces[shard]
        return _merged_shard(zoos[number], rows, sources[number], splits, zoos[0].properties.schema)

    return fill(Path(out), _manifest(zoos[0], origin), make, progress)


def _require_fit(zoos: Sequence[ReadableZoo]) -> None:
    if len(zoos) < 2:
        raise UsageError(f"{len(zoos)} zoo to merge", remedy="give at least two.")
    first = zoos[0]
    for other in zoos[1:]:
        pairs: dict[str, tuple[Any, Any]] = {
            "family": (first.family, other.family),
            "architecture": (str(first.spec), str(other.spec)),
            "rollouts per snapshot": (first.rollouts([0]).shape[1], other.rollouts([0]).shape[1]),
            "properties": (sorted(first.properties.column_names), sorted(other.properties.column_names)),
        }
        for name, (one, two) in pairs.items():
            if one != two:
                raise UsageError(
                    f"{first.folder} and {other.folder} differ in {name}: {one} and {two}",
                    remedy="merge zoos of one family and architecture; `rnn2vec zoo filter --rollouts N` "
                    "drops some rollouts.",
                )
    earlier: set[tuple[Any, ...]] = set()
    for zoo in zoos:
        rows = set(_identities(zoo, first.properties.column_names))
        if rows <= earlier:
            raise UsageError(f"every RNN of {zoo.folder} is in the zoos before it", remedy="omit this zoo.")
        earlier |= rows


def _identities(zoo: ReadableZoo, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Collect all measured properties of each snapshot; snapshots with equal ones count as the same RNN."""
    measured = [name for name in columns if name not in {"run", "split"}]
    return list(zip(*(map(str, zoo.properties.column(name).to_pylist()) for name in measured), strict=True))


def _common_splits(zoos: Sequence[ReadableZoo]) -> dict[Task, str]:
    """Assign every task the split that it has in the first zoo with this task."""
    splits: dict[Task, str] = {}
    for zoo in zoos:
        for task, split in zip(zoo.tasks(range(len(zoo))), zoo.column("split").tolist(), strict=True):
            splits.setdefault(task, split)
    return splits


def _num_moved(zoo: ReadableZoo, splits: dict[Task, str]) -> int:
    """Count the snapshots whose split changes in the merged zoo."""
    own = zoo.column("split").tolist()
    return sum(splits[task] != split for task, split in zip(zoo.tasks(range(len(zoo))), own, strict=True))


def _merged_shard(zoo: ReadableZoo, rows: range, source: Source, splits: dict[Task, str], schema: pa.Schema) -> Shard:
    shard = zoo.snapshots(rows)
    table = shard.properties.select(schema.names).cast(schema)
    run = np.asarray(table.column("run")) + source.first_run
    table = table.set_column(table.column_names.index("run"), "run", pa.array(run))
    split = [splits[task] for task in zoo.tasks(rows)]
    table = table.set_column(table.column_names.index("split"), "split", pa.array(split))
    return dataclasses.replace(shard, properties=table)


def _rows_as_zoo(
    zoo: ReadableZoo, rows: np.ndarray, out: str | Path, verb: MadeBy, options: dict[str, Any], progress: Progress
) -> Manifest:
    """Write some snapshots of one zoo as a new zoo."""
    size = _rnns_per_shard(zoo)
    origin = _origin(zoo, verb, options, [_source(zoo, first_run=0)], -(-len(rows) // size))

    def make(shard: int) -> Shard:
        content = zoo.snapshots(rows[shard * size : (shard + 1) * size])
        kept = content.rollouts[:, : options["num_rollouts"]]
        return dataclasses.replace(content, rollouts=kept, properties=content.properties.combine_chunks())

    return fill(Path(out), _manifest(zoo, origin), make, progress)


def _rnns_per_shard(zoo: ReadableZoo) -> int:
    """Choose the number of RNNs per shard that bounds both the memory per shard and the number of files."""
    one: torch.Tensor = zoo.rollouts([0])
    return max(1, min(_MOST_RNNS_PER_SHARD, _BYTES_PER_SHARD // (4 * zoo.spec.num_parameters + one.nbytes)))


def _source(zoo: ReadableZoo, *, first_run: int) -> Source:
    return Source(
        name=zoo.folder.resolve().name,
        fingerprint=zoo.manifest.weights_checksum,
        num_rnns=len(zoo),
        first_run=first_run,
        end_run=first_run + int(zoo.column("run").max()) + 1,
        made=zoo.manifest.made,
    )


def _origin(
    zoo: ReadableZoo, verb: MadeBy, options: dict[str, Any], sources: Sequence[Source], num_shards: int
) -> Origin:
    return Origin(
        made_by=verb,
        family=zoo.family.name,
        family_options=zoo.family.options(),
        num_shards=num_shards,
        options=options,
        sources=tuple(sources),
    )


def _manifest(zoo: ReadableZoo, origin: Origin) -> Manifest:
    return Manifest(origin, zoo.spec, zoo.manifest.ood_rule, dict(provenance()))
