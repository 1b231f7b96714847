"""Make a zoo's folder, shard by shard; given again after an interruption, the same call finishes it.

What all verbs that write zoos share, whether the shards are trained, imported, or taken from other zoos.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator
from pathlib import Path

from rnn2vec._errors import UsageError
from rnn2vec._files import claim_folder, remove_leftovers
from rnn2vec._lock import only_writer
from rnn2vec._progress import Progress
from rnn2vec.zoo.manifest import MANIFEST, Manifest
from rnn2vec.zoo.shards import Shard, damage, write_shard


def fill(folder: Path, manifest: Manifest, make_shard: Callable[[int], Shard], progress: Progress) -> Manifest:
    """Write every shard that is missing or damaged.

    Args:
        folder: the zoo's folder: new, empty, or a zoo that is made in the same way.
        manifest: that of the zoo, without shards.
        make_shard: makes the shard of a number.
        progress: told of the shards written.

    Returns:
        The finished manifest.

    Raises:
        UsageError: the folder holds something else.
        BusyError: another process writes to it.
        StorageError: the disk is full; finished shards are kept.
    """
    with only_builder(folder, manifest) as begun:
        manifest = begun
        finished = {entry.number for entry in manifest.shards}
        for number in range(manifest.num_shards):
            if number in finished:
                continue
            progress(number, manifest.num_shards, f"shard {number + 1} of {manifest.num_shards}")
            manifest = manifest.with_shard(write_shard(folder, number, make_shard(number), manifest.made.family))
            manifest.write(folder)
        progress(manifest.num_shards, manifest.num_shards, "done")
        return manifest


@contextlib.contextmanager
def only_builder(folder: Path, manifest: Manifest) -> Generator[Manifest]:
    """While it lasts, the folder is this process's to build in; the manifest to go on from.

    It is the given one, or that of the zoo in the folder without its damaged shards.

    Raises:
        UsageError: the folder holds something else, or a zoo that is made otherwise; nothing was touched.
        BusyError: another process writes to it.
    """
    claim_folder(folder, marker=MANIFEST, kind="zoo")
    with only_writer(folder):
        yield _begin(folder, manifest)


def _begin(folder: Path, wanted: Manifest) -> Manifest:
    if not (folder / MANIFEST).exists():
        wanted.write(folder)
        return wanted
    manifest = Manifest.read(folder)
    if manifest.made != wanted.made:
        raise _made_otherwise(folder, manifest, wanted)
    remove_leftovers(folder, folder / "shards")
    intact = tuple(entry for entry in manifest.shards if damage(folder, entry) is None)
    return dataclasses.replace(manifest, shards=intact)


def _made_otherwise(folder: Path, there: Manifest, wanted: Manifest) -> UsageError:
    remedy = "give its options to finish it, or another --out for a new zoo."
    if there.verb != wanted.verb:
        problem = f"{folder} holds a zoo made by `rnn2vec zoo {there.verb}`, not by `{wanted.verb}`"
        return UsageError(f"{problem}; it was not touched", remedy=remedy)
    old, new = there.made.to_dict(), wanted.made.to_dict()
    different = ", ".join(f"{name} is {old[name]}, asked for {new[name]}" for name in old if old[name] != new[name])
    kind = "a zoo of another config" if there.verb == "build" else f"another zoo made by `rnn2vec zoo {there.verb}`"
    return UsageError(f"{folder} holds {kind}: {different}; it was not touched", remedy=remedy)
