"""The authors' public release of their formal-languages zoo (Zenodo record 10835106), as a zoo of ours.

    parameters.npy         float32 (N, P)          flat weights in PyTorch's order
    sequences.npy          int16   (N, B, T + 1)   rollouts as tokens, BOS first
    logits.npy             float16 (N, B, T, O)    the log-softmax that the RNN answered to all but the last token
    tasks.npy              int64   (N, k)          the offsets of the letters; the first is 0
    num_step_correct.npy   int64   (N, 3)          run, step, and how many of 1000 sampled strings are in the language
    args.json              options of the script that made it; not needed

Two things to mend on the way in. Where a rollout has no EOS, its BOS was overwritten by one. And several seeds were
merged, so run numbers repeat: a run is taken to go on as long as number and task stay and the step grows.

Two things that stay as they are: the untrained snapshot had one update, and its authors counted a string as correct by
the number of its letters. That number is the `performance` of an imported zoo. What the release does not say (training
loss, seed) is missing in its properties; validation losses are computed from the weights.

Files are foreign: no pickle, headers and sizes are checked, and data is read through a memory map, a shard at a time.
That weights are in the order we think is checked by running some RNNs and comparing with the stored answers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int64

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import sha256_of
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.tasks.base import Task
from rnn2vec.tasks.formal_languages import FormalLanguages
from rnn2vec.zoo.evaluate import expected_losses
from rnn2vec.zoo.fill import fill
from rnn2vec.zoo.manifest import Manifest
from rnn2vec.zoo.origin import Origin
from rnn2vec.zoo.store import Shard, Zoo

DTYPES = {
    "parameters": np.dtype("<f4"),
    "sequences": np.dtype("<i2"),
    "logits": np.dtype("<f2"),
    "tasks": np.dtype("<i8"),
    "num_step_correct": np.dtype("<i8"),
}
STRINGS_COUNTED = 1000
_WEIGHT_DECAY = 1e-4
"""The paper's for formal languages; no array says it."""
RNNS_PER_SHARD = 288
_RNNS_CHECKED_PER_SHARD = 4
_ALLOWED_DISTANCE = 0.01
"""Total variation between stored answers and ours: float16, and another machine's rounding."""


@dataclass(frozen=True)
class _Release:
    """Arrays of a release, mapped."""

    folder: Path
    arrays: dict[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.arrays["parameters"])

    def error(self, problem: str) -> DataError:
        return DataError(
            f"{self.folder} is no release of formal languages: {problem}",
            remedy="get it again, and give --hidden-size and --layers where they are not 32 and 2.",
        )

    @property
    def runs(self) -> Int64[np.ndarray, " N"]:
        """A number of its own for every run."""
        run, step, _ = self.arrays["num_step_correct"].T
        tasks = self.arrays["tasks"]
        goes_on = (np.diff(run) == 0) & (np.diff(step) > 0) & (tasks[1:] == tasks[:-1]).all(axis=1)
        return np.cumsum(np.concatenate([[0], ~goes_on])).astype(np.int64)


def shapes_of(num_rnns: int, num_rollouts: int, family: FormalLanguages, spec: RNNSpec) -> dict[str, tuple[int, ...]]:
    """The shape of each array of a release."""
    return {
        "parameters": (num_rnns, spec.num_parameters),
        "sequences": (num_rnns, num_rollouts, family.sequence_length),
        "logits": (num_rnns, num_rollouts, family.sequence_length - 1, spec.output_size),
        "tasks": (num_rnns, family.alphabet_size),
        "num_step_correct": (num_rnns, 3),
    }


def import_release(
    release: str | Path,
    out: str | Path,
    *,
    hidden_size: int = 32,
    num_layers: int = 2,
    seed: int = 0,
    progress: Progress = silent,
) -> Zoo:
    """Make a zoo of a folder in the release's layout.

    Args:
        release: the folder with the arrays.
        out: the zoo's folder: new, empty, or one that an interrupted import of the same arrays began.
        hidden_size: hidden units per layer of its LSTMs.
        num_layers: their layers.
        seed: decides which languages validate; which are out of distribution is our rule (the released code's differs).
        progress: told of the shards written.

    Raises:
        UsageError: the folder is no release, or `out` holds something else.
        DataError: an array is damaged, does not fit the others, or its RNNs do not answer what is stored.
        BusyError: another process writes to `out`.
    """
    found = _open(Path(release))
    family, spec = _fit(found, hidden_size, num_layers)
    origin = Origin(
        made_by="import",
        family=family.name,
        family_options=family.options(),
        num_shards=-(-len(found) // RNNS_PER_SHARD),
        options={
            "release": found.folder.resolve().name,
            "num_rnns": len(found),
            "seed": seed,
            "fingerprint": sha256_of(found.arrays["tasks"].tobytes() + found.arrays["num_step_correct"].tobytes()),
        },
    )
    splits = {str(language): split for split, languages in family.splits(seed).items() for language in languages}
    runs = found.runs

    def make(shard: int) -> Shard:
        rows = slice(shard * RNNS_PER_SHARD, (shard + 1) * RNNS_PER_SHARD)
        return _shard(found, family, spec, rows, runs[rows], splits)

    return fill(Path(out), Manifest(origin, spec, family.ood_rule, dict(provenance())), make, progress)


def _open(folder: Path) -> _Release:
    """Map the arrays; what they claim to be is checked before any of it is read."""
    paths = {name: folder / f"{name}.npy" for name in DTYPES}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise UsageError(
            f"{folder} is no release of formal languages: it lacks {', '.join(missing)}",
            remedy=f"give a folder with {', '.join(path.name for path in paths.values())}.",
        )
    arrays: dict[str, np.ndarray] = {}
    for name, path in paths.items():
        try:
            arrays[name] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            remedy = "get the file again; arrays of objects are not read, since they can run code."
            raise DataError(f"{path} is no whole array of numbers: {error}", remedy=remedy) from error
    return _Release(folder, arrays)


def _fit(release: _Release, hidden_size: int, num_layers: int) -> tuple[FormalLanguages, RNNSpec]:
    """Family and architecture, if the arrays fit them and each other."""
    arrays = release.arrays
    if arrays["tasks"].ndim != 2 or arrays["sequences"].ndim != 3:
        shapes = f"{arrays['tasks'].shape} and {arrays['sequences'].shape}"
        raise release.error(f"tasks and sequences have the shapes {shapes}, expected (N, k) and (N, B, T + 1)")
    family = FormalLanguages(alphabet_size=arrays["tasks"].shape[1], sequence_length=arrays["sequences"].shape[2])
    spec = RNNSpec(
        cell="lstm",
        input_size=family.input_size,
        hidden_size=hidden_size,
        num_layers=num_layers,
        output_size=family.output_size,
    )
    num, rollouts, _ = arrays["sequences"].shape
    shapes = shapes_of(num, rollouts, family, spec)
    for name, array in arrays.items():
        if array.shape != shapes[name] or array.dtype != DTYPES[name]:
            raise release.error(
                f"{name}.npy is {array.dtype} {array.shape}, expected {DTYPES[name]} {shapes[name]} for {spec}"
            )
    if not num or not rollouts:
        raise release.error("it has no RNN or no rollout")
    _require_range(release, family)
    return family, spec


def _require_range(release: _Release, family: FormalLanguages) -> None:
    """The small arrays hold numbers that can be."""
    tasks, (run, step, correct) = release.arrays["tasks"], release.arrays["num_step_correct"].T
    if (tasks[:, 0] != 0).any():
        raise release.error("the first letter's offset is not always 0 in tasks.npy")
    if tasks.min() < family.smallest_offset or tasks.max() > family.largest_offset:
        raise release.error(
            f"offsets from {tasks.min()} to {tasks.max()}, expected {family.smallest_offset} to {family.largest_offset}"
        )
    if run.min() < 0 or step.min() < 0 or correct.min() < 0 or correct.max() > STRINGS_COUNTED:
        raise release.error(f"a run or step below 0, or a count outside 0..{STRINGS_COUNTED}, in num_step_correct.npy")


def _shard(
    release: _Release,
    family: FormalLanguages,
    spec: RNNSpec,
    rows: slice,
    runs: Int64[np.ndarray, " N"],
    splits: Mapping[str, str],
) -> Shard:
    weights = torch.from_numpy(np.array(release.arrays["parameters"][rows]))
    tokens = np.array(release.arrays["sequences"][rows])
    if tokens.min() < 0 or tokens.max() >= family.input_size:
        raise release.error(f"tokens from {tokens.min()} to {tokens.max()} in sequences.npy")
    tokens[:, :, 0] = family.bos  # overwritten by EOS where the string has no end
    codes = torch.from_numpy(tokens.astype(np.uint8))
    stack = RNNStack.from_flat(spec, weights)
    offsets = np.array(release.arrays["tasks"][rows])
    tasks = [tuple(map(float, row)) for row in offsets[:, 1:]]
    _require_same_answers(release, family, stack, codes, tasks, rows.start)
    _, step, correct = np.array(release.arrays["num_step_correct"][rows]).T
    unknown = np.full(len(runs), np.nan)
    table = {
        "run": runs,
        "spec": np.zeros(len(runs), dtype=np.int64),
        **{name: offsets[:, place + 1].astype(np.float64) for place, name in enumerate(family.task_columns)},
        "step": step,
        "performance": correct / STRINGS_COUNTED,
        "train_loss": unknown,
        "validation_loss": expected_losses(family, stack, [family.examples(task) for task in tasks]),
        "generalization_gap": unknown,
        "weight_decay": np.full(len(runs), _WEIGHT_DECAY),
        "seed": pa.nulls(len(runs), pa.int64()),
        "split": [splits[str(family.language(task))] for task in tasks],
    }
    return Shard(weights, codes, pa.table(table))


@torch.no_grad()
def _require_same_answers(
    release: _Release,
    family: FormalLanguages,
    stack: RNNStack,
    codes: torch.Tensor,
    tasks: Sequence[Task],
    first: int,
) -> None:
    """The first RNNs answer what is stored: weights in another order would be numbers without meaning."""
    count = min(_RNNS_CHECKED_PER_SHARD, len(stack))
    outputs, _ = stack.select(slice(0, count))(family.rollout_inputs(codes[:count], tasks[:count]))
    stored = torch.from_numpy(np.array(release.arrays["logits"][first : first + count], dtype=np.float32))
    distance = (outputs.softmax(dim=-1) - stored.softmax(dim=-1)).abs().sum(dim=-1).mean(dim=(1, 2)) / 2
    for place, one in enumerate(distance.tolist()):
        if not one <= _ALLOWED_DISTANCE:
            raise release.error(
                f"the answers of RNN {first + place} are {one:.3f} (total variation) from those in logits.npy, at most "
                f"{_ALLOWED_DISTANCE} was expected: the weights are of another architecture or in another order"
            )
