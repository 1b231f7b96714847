"""`rnn2vec zoo build | info | verify`, and the group of all verbs on zoos."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from rnn2vec._errors import DataError, UsageError
from rnn2vec._registry import FAMILIES
from rnn2vec.cli.options import config_options, with_options
from rnn2vec.cli.terminal import Terminal, duration
from rnn2vec.cli.verb import Verb, given, registered
from rnn2vec.cli.zoo_change import Export, Filter, Import, Merge, Subset, show
from rnn2vec.cli.zoo_share import Card, Pull, Push
from rnn2vec.zoo.config import PRESETS, ZooConfig, preset


@config_options(ZooConfig, PRESETS, without=("family",))
@dataclass(frozen=True, kw_only=True)
class Build(Verb):
    """Build a zoo of trained RNNs, or resume an interrupted build.

    If interrupted, rerun the command with the same options to resume; damaged shards are rebuilt.
    """

    family: Annotated[tyro.conf.Positional[str], registered("Task family", FAMILIES)]
    out: Path
    """Folder of the zoo."""
    preset: str = "laptop"
    """tiny, tour, laptop or paper: sizes, all of which the options below can change."""
    device: str = "cpu"
    """Device on which a torch backend trains."""
    mnist: Path | None = None
    """Folder with MNIST's IDX files, for tiled-mnist; by default RNN2VEC_MNIST, else a cache or the public mirror."""
    dry_run: bool = False
    """Build nothing; report the estimated time, memory and disk space, measured on a small sample."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Build the zoo, then show its summary."""
        if self.mnist is not None and self.family != "tiled-mnist":
            raise UsageError(f"--mnist for {self.family}, which reads no images", remedy="leave it out.")
        options = given(folder=self.mnist)
        config = with_options(dataclasses.replace(preset(self.preset, self.family), family_options=options), self)
        if self.dry_run:
            return _estimate(config, self.out, self.device, terminal)
        from rnn2vec.zoo.build import build_zoo

        with terminal.progress(f"build {self.out}") as progress:
            zoo = build_zoo(config, self.out, device=self.device, progress=progress)
        return show(zoo, terminal)


def _estimate(config: ZooConfig, out: Path, device: str, terminal: Terminal) -> dict[str, Any]:
    """Report the estimated cost of a build from scratch."""
    from rnn2vec.zoo.estimate import estimate_build

    estimate = estimate_build(config, device=device)
    existing = next(folder for folder in (out, *out.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(existing).free
    short = "" if estimate.disk_bytes < free else ": NOT ENOUGH"
    terminal.say(
        f"{out} would have {config.num_rnns:,} RNNs: {config.num_runs:,} runs of {config.num_steps:,} steps\n"
        f"  time    {duration(estimate.seconds)}, measured on a sample\n"
        f"  memory  {estimate.peak_bytes / 1e6:,.0f} MB at most\n"
        f"  disk    {estimate.disk_bytes / 1e6:,.2f} MB of {free / 1e6:,.0f} MB free{short}\n"
        "Nothing was built."
    )
    return {"out": str(out), **dataclasses.asdict(estimate), "free_bytes": free}


@dataclass(frozen=True, kw_only=True)
class Info(Verb):
    """Show a summary of a zoo."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    plot: Path | None = None
    """SVG file to write, with performance and losses by step."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Show the zoo's summary."""
        from rnn2vec.zoo.store import Zoo

        zoo = Zoo.open(self.zoo)
        if self.plot is not None:
            _require_svg(self.plot)

            from rnn2vec.report.training_figure import draw_training

            draw_training(zoo, self.plot)
        return show(zoo, terminal)


def _require_svg(path: Path) -> None:
    """Check that an SVG file can be written or replaced at a path."""
    if path.suffix != ".svg":
        raise UsageError(f"--plot {path} does not end in .svg", remedy="give a file name that ends in .svg.")
    if not path.parent.is_dir() or path.is_dir():
        problem = f"{path} is a folder" if path.is_dir() else f"{path.parent} is not a folder"
        raise UsageError(problem, remedy="give a file in an existing folder.")


@dataclass(frozen=True, kw_only=True)
class Verify(Verb):
    """Read a whole zoo and check checksums, shapes, weights and properties; roll some RNNs out again."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    recompute: int | Literal["all"] = 32
    """Number of snapshots to roll out again and compare with their stored performance and rollouts; 0 for none, or
    all."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Check the zoo; any problem is an error."""
        from rnn2vec.zoo.store import Zoo
        from rnn2vec.zoo.verify import verify

        zoo = Zoo.open(self.zoo)
        recompute = len(zoo) if self.recompute == "all" else self.recompute
        with terminal.progress(f"verify {self.zoo}") as progress:
            problems = verify(zoo, recompute=recompute, progress=progress)
        if problems:
            raise DataError(
                f"{self.zoo} is not intact: {'; '.join(problems)}",
                remedy=f"rerun `rnn2vec zoo {zoo.manifest.verb}` with its options and --out to restore missing and "
                "damaged shards; if the checksums are correct, the content is wrong: build or download the zoo again.",
            )
        recomputed = min(recompute, len(zoo))
        terminal.say(f"{self.zoo} is intact and complete; {recomputed} of {len(zoo)} RNNs were rolled out again")
        return {"zoo": str(self.zoo), "problems": problems, "recomputed": recomputed}


@dataclass(frozen=True)
class ZooVerbs:
    """Build, inspect, verify, derive and share model zoos."""

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
