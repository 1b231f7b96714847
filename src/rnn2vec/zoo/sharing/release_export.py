"""Export of a zoo in the layout of the authors' public release (`release_layouts`).

Arrays are written sequentially, one shard at a time, under temporary names. Writing through a memory map was rejected:
on a full disk it kills the process without an error.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from jaxtyping import Int64

from rnn2vec._errors import DataError, StorageError, UsageError
from rnn2vec._files import refused, write_json
from rnn2vec._lock import claim
from rnn2vec._progress import Progress, silent
from rnn2vec._provenance import provenance
from rnn2vec.zoo.sharing.release_import import RNNS_PER_SHARD
from rnn2vec.zoo.sharing.release_layouts import LAYOUTS, Layout
from rnn2vec.zoo.store import Zoo

_ARGUMENTS = "args.json"


def export_release(zoo: Zoo, out: str | Path, *, progress: Progress = silent) -> list[str]:
    """Write a zoo in the release's layout, with recomputed outputs.

    Unlike in the release, every rollout begins with BOS, and untrained snapshots had no update. Performance in formal
    languages is rounded to a count out of 1000. Images are written as the pixels that the RNNs received.

    Args:
        zoo: a finished zoo of LSTMs.
        out: folder for the arrays: new, empty, or that of an earlier export, which is overwritten.
        progress: callback that receives the number of RNNs written.

    Returns:
        The names of the files.

    Raises:
        UsageError: if the family or the cell is not supported, or the folder has other content.
        DataError: if the zoo is unfinished or damaged.
        StorageError: if the disk is full; no array then has its final name.
    """
    if zoo.family.name not in LAYOUTS or zoo.spec.cell != "lstm":
        raise UsageError(
            f"a zoo of {zoo.family.name} with {zoo.spec}",
            remedy=f"give a zoo of {' or '.join(LAYOUTS)} with LSTMs.",
        )
    layout = LAYOUTS[zoo.family.name](zoo.family)
    if not zoo.is_complete:
        remedy = f"rerun `rnn2vec zoo {zoo.manifest.verb}` to finish it first."
        raise DataError(f"{zoo.folder} is not finished", remedy=remedy)
    folder = Path(out)
    num = len(zoo)
    with (
        claim(folder, marker=_ARGUMENTS, kind="release"),
        _writing(folder, layout, layout.shapes(num, zoo.rollouts([0]).shape[1], zoo.spec)) as write,
    ):
        write_json(folder / _ARGUMENTS, {"made_by": dict(provenance()), "spec": zoo.spec.to_dict()})
        for start in range(0, num, RNNS_PER_SHARD):
            progress(start, num, f"RNN {start}")
            for name, array in _arrays(zoo, layout, np.arange(start, min(start + RNNS_PER_SHARD, num))).items():
                write(name, array)
    progress(num, num, "done")
    return [*(f"{name}.npy" for name in layout.dtypes), _ARGUMENTS]


@torch.no_grad()
def _arrays(zoo: Zoo, layout: Layout, rows: Int64[np.ndarray, " M"]) -> dict[str, np.ndarray]:
    """Compute the release's arrays for M snapshots."""
    stack, inputs = zoo.rnns(rows), zoo.family.rollout_inputs(zoo.rollouts(rows), zoo.tasks(rows))
    outputs, _ = stack(inputs)
    return {"parameters": stack.flatten().numpy(), **layout.arrays(zoo, rows, inputs, outputs)}


@contextlib.contextmanager
def _writing(
    folder: Path, layout: Layout, shapes: Mapping[str, tuple[int, ...]]
) -> Generator[Callable[[str, np.ndarray], None]]:
    """Yield `write(name, rows)`, which appends to an array; on success all arrays get their final names, else none."""
    parts = {name: folder / f".{name}.npy.tmp" for name in shapes}
    try:
        with contextlib.ExitStack() as stack:
            files: dict[str, BinaryIO] = {name: stack.enter_context(path.open("wb")) for name, path in parts.items()}
            for name, file in files.items():
                header = {"descr": layout.dtypes[name].str, "fortran_order": False, "shape": shapes[name]}
                np.lib.format.write_array_header_1_0(file, header)
            yield lambda name, rows: _append(files[name], rows.astype(layout.dtypes[name]))
            for file in files.values():
                file.flush()
                os.fsync(file.fileno())
        for name, path in parts.items():
            path.replace(folder / f"{name}.npy")
    except StorageError:
        raise
    except OSError as error:
        raise refused(f"the arrays in {folder} could not be written", error) from error
    finally:
        for path in parts.values():
            path.unlink(missing_ok=True)


def _append(file: BinaryIO, rows: np.ndarray) -> None:
    file.write(np.ascontiguousarray(rows).data)
