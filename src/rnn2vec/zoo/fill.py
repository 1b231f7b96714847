"""Write a zoo's folder shard by shard; if interrupted, rerun the same call to resume.

All verbs that write zoos do so through this module, whether shards are trained, imported, or taken from other zoos.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Generator
from pathlib import Path

from rnn2vec._errors import UsageError
from rnn2vec._lock import claim
from rnn2vec._progress import Progress
from rnn2vec.zoo.manifest import MANIFEST, Manifest
from rnn2vec.zoo.shards import Shard, damage, write_shard


def fill(folder: Path, manifest: Manifest, make_shard: Callable[[int], Shard], progress: Progress) -> Manifest:
    """Write every shard that is missing or damaged.

    Args:
        folder: the zoo's folder: new, empty, or a zoo that is made in the same way.
        manifest: that of the zoo, without shards.
        make_shard: makes the shard of a number.
        progress: callback that receives the number of shards written.

    Returns:
        The finished manifest.

    Raises:
        UsageError: if the folder holds something else.
        BusyError: another process writes to it.
        StorageError: if the disk is full; finished shards are kept.
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
    """Claim the folder while the context lasts; yield the manifest to resume from.

    That is the given manifest, or that of the zoo in the folder without its damaged shards.

    Raises:
        UsageError: if the folder holds something else, or a zoo that is made otherwise; nothing was touched.
        BusyError: another process writes to it.
    """
    with claim(folder, marker=MANIFEST, kind="zoo"):
        yield _begin(folder, manifest)


def _begin(folder: Path, wanted: Manifest) -> Manifest:
    if not (folder / MANIFEST).exists():
        wanted.write(folder)
        return wanted
    manifest = Manifest.read(folder)
    if manifest.made != wanted.made:
        raise _made_otherwise(folder, manifest, wanted)
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
