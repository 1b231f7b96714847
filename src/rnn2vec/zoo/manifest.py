"""Manifest of a zoo, `zoo.json`: its architecture, its config or origin, and the finished shards."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import canonical_json, read_sealed, sha256_of, write_sealed
from rnn2vec._typed import typed, typed_fields
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.origin import Origin, made_from_dict, made_to_dict

FORMAT_VERSION = 2
"""Version 1 had no checksum of the manifest."""
MANIFEST = "zoo.json"
_MOST_RNNS = 10_000_000


@dataclass(frozen=True)
class ShardEntry:
    """Finished shard, as the manifest lists it."""

    number: int
    """Position in the zoo, from 0; part of the file names."""
    num_rnns: int
    """Number of snapshots."""
    checksums: dict[str, str]
    """SHA-256 of each file, by the file's suffix."""

    def __post_init__(self) -> None:
        # Manifests come from elsewhere too, and file names are made of these.
        if self.number < 0 or not 0 <= self.num_rnns <= _MOST_RNNS or self.checksums.keys() != self.file_names.keys():
            summed, files = (", ".join(one) or "nothing" for one in (self.checksums, self.file_names))
            raise UsageError(
                f"shard {self.number} of {self.num_rnns} RNNs with checksums of {summed}",
                remedy=f"a shard has a number, 0 to {_MOST_RNNS:,} RNNs, and checksums of {files}.",
            )

    @property
    def file_names(self) -> dict[str, str]:
        """File names relative to the zoo, by suffix."""
        return {suffix: f"shards/{self.number:05d}.{suffix}" for suffix in ("safetensors", "parquet")}


@dataclass(frozen=True)
class Manifest:
    """Content of `zoo.json`."""

    made: ZooConfig | Origin
    """Config of a built zoo, `auto` replaced by the backend that it stood for; origin of any other zoo."""
    spec: RNNSpec
    """Architecture of the RNNs."""
    ood_rule: str
    """Rule by which tasks are out of distribution, in words."""
    provenance: dict[str, str | None]
    """Versions and commit of the build's first start."""
    shards: tuple[ShardEntry, ...] = ()
    """Finished shards, in the order of their numbers."""

    @property
    def config(self) -> ZooConfig:
        """Config of the build.

        Raises:
            UsageError: if the zoo was not built, but filtered, merged or imported.
        """
        if isinstance(self.made, Origin):
            raise UsageError(
                f"a zoo made by `rnn2vec zoo {self.made.made_by}` has no config of a build",
                remedy="give a zoo that `rnn2vec zoo build` made.",
            )
        return self.made

    @property
    def verb(self) -> str:
        """Verb of `rnn2vec zoo` that made the zoo, and makes it again."""
        return self.made.made_by if isinstance(self.made, Origin) else "build"

    @property
    def num_shards(self) -> int:
        """Number of shards of the finished zoo."""
        if isinstance(self.made, Origin):
            return self.made.num_shards
        return -(-self.config.num_runs // self.config.runs_per_shard)

    @property
    def weights_checksum(self) -> str:
        """SHA-256 over the checksums of the shards: equal for zoos of equal weights, rollouts and properties."""
        checksums = [entry.checksums for entry in self.shards]
        return sha256_of(canonical_json(checksums).encode())

    @property
    def checksum(self) -> str:
        """SHA-256 of the zoo: its config or origin, architecture and shards; equal whatever version built it."""
        content = {name: value for name, value in self._content().items() if name != "provenance"}
        return sha256_of(canonical_json(content).encode())

    def with_shard(self, entry: ShardEntry) -> Manifest:
        """Return the manifest with one more finished shard."""
        others = [shard for shard in self.shards if shard.number != entry.number]
        shards = tuple(sorted([*others, entry], key=lambda shard: shard.number))
        return dataclasses.replace(self, shards=shards)

    def write(self, folder: Path) -> None:
        """Write `zoo.json`, atomically."""
        write_sealed(folder / MANIFEST, self._content())

    def _content(self) -> dict[str, Any]:
        return {
            "format_version": FORMAT_VERSION,
            **made_to_dict(self.made),
            **({} if isinstance(self.made, Origin) else {"snapshot_steps": list(self.made.snapshot_steps)}),
            "specs": [self.spec.to_dict()],
            "ood_rule": self.ood_rule,
            "provenance": self.provenance,
            "shards": [dataclasses.asdict(shard) for shard in self.shards],
        }

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """Read `zoo.json`.

        Raises:
            UsageError: if the folder is not a zoo.
            DataError: if the manifest is damaged, or of a newer format.
        """
        path = folder / MANIFEST
        if not path.is_file():
            what = (
                "has no zoo.json"
                if folder.is_dir()
                else "is a file, not a folder"
                if folder.exists()
                else "does not exist"
            )
            raise UsageError(
                f"{folder} is not a zoo: it {what}", remedy="give a folder that `rnn2vec zoo build --out` made."
            )
        content = read_sealed(path, newest=FORMAT_VERSION)
        try:
            (spec,) = typed(tuple[RNNSpec, ...], content.get("specs"))
            plain = typed_fields(cls, content, ("ood_rule", "provenance", "shards"))
            manifest = cls(made=made_from_dict(content), spec=spec, **plain)
            manifest.require_shards()
        except (KeyError, TypeError, ValueError) as error:
            reason = error.problem if isinstance(error, UsageError) else str(error)
            raise DataError(
                f"{path} does not have the entries of a zoo's manifest: {reason}",
                remedy="restore the file, or build the zoo again in another folder.",
            ) from error
        return manifest

    def require_shards(self) -> None:
        """Check that each shard is listed once, in order, and is one of those that the finished zoo has.

        Raises:
            UsageError: if they are not.
        """
        numbers = [shard.number for shard in self.shards]
        if numbers != sorted(set(numbers)) or any(number >= self.num_shards for number in numbers):
            raise UsageError(
                f"shards {numbers[:10]} of a zoo of {self.num_shards}", remedy="list each shard once, in order."
            )
