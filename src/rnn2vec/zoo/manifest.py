"""The manifest of a zoo, `zoo.json`: what the zoo is, how it came to be, and which of its shards are finished."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import canonical_json, read_json, sha256_of, write_atomically
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.origin import Origin, made_from_dict, made_to_dict

FORMAT_VERSION = 1
MANIFEST = "zoo.json"


@dataclass(frozen=True)
class ShardEntry:
    """A finished shard, as the manifest lists it."""

    number: int
    """Its place; file names come from it."""
    num_rnns: int
    """Snapshots in it."""
    checksums: dict[str, str]
    """SHA-256 of each of its files, by the file's suffix."""

    def __post_init__(self) -> None:
        # Manifests come from elsewhere too, and file names are made of these.
        plain = {"number": self.number, "num_rnns": self.num_rnns}
        wrong = [name for name, value in plain.items() if type(value) is not int or value < 0]
        if wrong or not isinstance(self.checksums, dict):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"a shard with {', '.join(wrong) or 'checksums'} of a wrong type")

    @property
    def file_names(self) -> dict[str, str]:
        """Its files relative to the zoo, by suffix."""
        return {suffix: f"shards/{self.number:05d}.{suffix}" for suffix in ("safetensors", "parquet")}


@dataclass(frozen=True)
class Manifest:
    """The content of `zoo.json`."""

    made: ZooConfig | Origin
    """How the zoo is built, with the backend that `auto` stood for; for one that was not built, how it came to be."""
    spec: RNNSpec
    """The architecture of its RNNs."""
    ood_rule: str
    """Which tasks are out of distribution, in words."""
    provenance: dict[str, str | None]
    """Versions and commit of the build's first start."""
    shards: tuple[ShardEntry, ...] = ()
    """Finished shards, in the order of their numbers."""

    @property
    def config(self) -> ZooConfig:
        """How the zoo is built.

        Raises:
            UsageError: it was not built, but filtered, merged or imported.
        """
        if isinstance(self.made, Origin):
            raise UsageError(
                f"a zoo made by `rnn2vec zoo {self.made.made_by}` has no config of a build",
                remedy="give a zoo that `rnn2vec zoo build` made.",
            )
        return self.made

    @property
    def verb(self) -> str:
        """Which `rnn2vec zoo` verb makes the zoo, and makes it again."""
        return self.made.made_by if isinstance(self.made, Origin) else "build"

    @property
    def num_shards(self) -> int:
        """Shards of the finished zoo."""
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
        """The manifest with one more finished shard."""
        others = [shard for shard in self.shards if shard.number != entry.number]
        shards = tuple(sorted([*others, entry], key=lambda shard: shard.number))
        return dataclasses.replace(self, shards=shards)

    def write(self, folder: Path) -> None:
        """Write `zoo.json`, atomically."""
        write_atomically(folder / MANIFEST, (canonical_json(self._content(), indent=1) + "\n").encode())

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
            UsageError: the folder is not a zoo.
            DataError: the manifest is damaged, or of a newer format.
        """
        path = folder / MANIFEST
        if not path.is_file():
            what = "has no zoo.json" if folder.is_dir() else "does not exist"
            raise UsageError(
                f"{folder} is not a zoo: it {what}", remedy="give a folder that `rnn2vec zoo build --out` made."
            )
        content = read_json(path)
        version = content.get("format_version") if isinstance(content, dict) else None
        if not isinstance(version, int):
            raise DataError(
                f"{path} names no format version", remedy="restore the file, or build the zoo again in another folder."
            )
        if version > FORMAT_VERSION:
            raise DataError(
                f"{folder} has format version {version}; this rnn2vec reads up to {FORMAT_VERSION}",
                remedy="upgrade it: pip install --upgrade rnn2vec.",
            )
        try:
            return cls(
                made=made_from_dict(content),
                spec=RNNSpec(**content["specs"][0]),
                ood_rule=content["ood_rule"],
                provenance=content["provenance"],
                shards=tuple(ShardEntry(**shard) for shard in content["shards"]),
            )
        except (KeyError, TypeError, IndexError, UsageError) as error:
            reason = error.problem if isinstance(error, UsageError) else repr(error)
            raise DataError(
                f"{path} does not have the entries of a zoo's manifest: {reason}",
                remedy="restore the file, or build the zoo again in another folder.",
            ) from error
