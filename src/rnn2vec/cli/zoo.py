"""`rnn2vec zoo build | info | verify`, and the group of all zoo verbs."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from rnn2vec._errors import DataError, UsageError
from rnn2vec._registry import FAMILIES
from rnn2vec.cli.terminal import Terminal, duration
from rnn2vec.cli.verb import Verb, given, registered
from rnn2vec.cli.zoo_change import Export, Filter, Import, Merge, Subset, show
from rnn2vec.cli.zoo_share import Card, Pull, Push
from rnn2vec.rnn.spec import CellName
from rnn2vec.zoo.config import ZooConfig, preset


@dataclass(frozen=True, kw_only=True)
class Build(Verb):
    """Build a zoo of trained RNNs, or finish one that was interrupted.

    Given again with the same options, it goes on where it was; damaged shards are made again.
    """

    family: Annotated[tyro.conf.Positional[str], registered("Task family", FAMILIES)]
    out: Path
    """Folder of the zoo."""
    preset: str = "laptop"
    """tiny, tour, laptop or paper: sizes, all of which the options below can change."""
    runs: int | None = None
    """RNNs to train, one task each."""
    steps: int | None = None
    """Updates of each."""
    cell: CellName | None = None
    """Recurrent cell."""
    hidden_size: int | None = None
    """Hidden units per layer."""
    layers: int | None = None
    """Recurrent layers."""
    episodes: int | None = None
    """Episodes from which a snapshot's performance is estimated."""
    rollouts: int | None = None
    """Rollouts stored per snapshot."""
    runs_per_shard: int | None = None
    """Runs trained side by side and stored in one file: what an interruption may lose."""
    backend: str | None = None
    """auto, numba, torch, or triton (an NVIDIA GPU, with --device cuda)."""
    seed: int | None = None
    """Everything random follows from it."""
    device: str = "cpu"
    """Where a torch backend trains."""
    mnist: Path | None = None
    """Folder of MNIST's IDX files, for tiled-mnist; else RNN2VEC_MNIST, a cache, or the public mirror."""
    tile_size: int | None = None
    """Rows and columns of a tile, for tiled-mnist."""
    dry_run: bool = False
    """Build nothing; say what it would take of time, memory and disk, measured on a small sample."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Build, then show the zoo's card."""
        changes = given(
            num_runs=self.runs,
            num_steps=self.steps,
            cell=self.cell,
            hidden_size=self.hidden_size,
            num_layers=self.layers,
            num_episodes=self.episodes,
            num_rollouts=self.rollouts,
            runs_per_shard=self.runs_per_shard,
            backend=self.backend,
            seed=self.seed,
        )
        options = given(folder=self.mnist, tile_size=self.tile_size)
        config = dataclasses.replace(preset(self.preset, self.family), family_options=options, **changes)

        if self.dry_run:
            return _estimate(config, self.out, self.device, terminal)
        from rnn2vec.zoo.build import build_zoo

        with terminal.progress(f"build {self.out}") as progress:
            zoo = build_zoo(config, self.out, device=self.device, progress=progress)
        return show(zoo, terminal)


def _estimate(config: ZooConfig, out: Path, device: str, terminal: Terminal) -> dict[str, Any]:
    """Say what a build from nothing would take."""
    from rnn2vec.zoo.estimate import estimate_build

    estimate = estimate_build(config, device=device)
    there = next(folder for folder in (out, *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    short = "" if estimate.disk_bytes < free else ": NOT ENOUGH"
    terminal.say(
        f"{out} would have {config.num_rnns:,} RNNs: {config.num_runs:,} runs of {config.num_steps:,} steps\n"
        f"  time    {duration(estimate.seconds)}, measured on a sample\n"
        f"  memory  {estimate.peak_bytes / 1e6:,.0f} MB at the most\n"
        f"  disk    {estimate.disk_bytes / 1e6:,.2f} MB of {free / 1e6:,.0f} MB that are free{short}\n"
        "Nothing was built."
    )
    return {"out": str(out), **dataclasses.asdict(estimate), "free_bytes": free}


@dataclass(frozen=True, kw_only=True)
class Info(Verb):
    """Show what is in a zoo."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    plot: Path | None = None
    """SVG file to draw into: performance and losses by step."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Show the zoo's card."""
        from rnn2vec.zoo.store import Zoo

        zoo = Zoo.open(self.zoo)
        if self.plot is not None:
            _require_svg(self.plot)

            from rnn2vec.report.training_figure import draw_training

            draw_training(zoo, self.plot)
        return show(zoo, terminal)


def _require_svg(path: Path) -> None:
    """A new file in a folder that is there, or a picture to replace."""
    if path.suffix != ".svg":
        raise UsageError(f"--plot {path} does not end in .svg", remedy="the picture is an SVG: name it so.")
    if not path.parent.is_dir() or path.is_dir():
        what = f"{path} is a folder" if path.is_dir() else f"{path.parent} is not a folder"
        raise UsageError(what, remedy="name a file in a folder that is there.")


@dataclass(frozen=True, kw_only=True)
class Verify(Verb):
    """Read a whole zoo and check checksums, shapes, weights and properties; let some RNNs act again."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    recompute: int | Literal["all"] = 32
    """Snapshots whose performance and rollouts must be what acting again gives: a number, 0, or all."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Check; problems are an error."""
        from rnn2vec.zoo.store import Zoo
        from rnn2vec.zoo.verify import verify

        zoo = Zoo.open(self.zoo)
        recompute = len(zoo) if self.recompute == "all" else self.recompute
        with terminal.progress(f"verify {self.zoo}") as progress:
            problems = verify(zoo, recompute=recompute, progress=progress)
        if problems:
            raise DataError(
                f"{self.zoo} is not sound: {'; '.join(problems)}",
                remedy=f"`rnn2vec zoo {zoo.manifest.verb}` with its options and --out makes missing and damaged shards "
                "again; what is wrong with right checksums was written wrongly: make or get the zoo again.",
            )
        acted = min(recompute, len(zoo))
        terminal.say(f"{self.zoo} is sound and complete; {acted} of {len(zoo)} RNNs acted again as they did")
        return {"zoo": str(self.zoo), "problems": problems, "recomputed": acted}


@dataclass(frozen=True)
class ZooVerbs:
    """Build, look at, check, change and share model zoos."""

    verb: (
        Annotated[Build, tyro.conf.subcommand("build")]
        | Annotated[Info, tyro.conf.subcommand("info")]
        | Annotated[Verify, tyro.conf.subcommand("verify")]
        | Annotated[Filter, tyro.conf.subcommand("filter")]
        | Annotated[Subset, tyro.conf.subcommand("subset")]
        | Annotated[Merge, tyro.conf.subcommand("merge")]
        | Annotated[Import, tyro.conf.subcommand("import")]
        | Annotated[Export, tyro.conf.subcommand("export")]
        | Annotated[Card, tyro.conf.subcommand("card")]
        | Annotated[Push, tyro.conf.subcommand("push")]
        | Annotated[Pull, tyro.conf.subcommand("pull")]
    )
