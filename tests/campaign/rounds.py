"""The rounds of the campaign: kills, full disks, hostile files, races, and mutations.

Each round is drawn from (seed, part, number) and can be run again by these alone:
`python -m tests.campaign kills --seed 0 --only 17`.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaign import hostile
from tests.campaign.material import READERS, WRITERS, World, Writer, contents, leftovers
from tests.campaign.process import Child, Ended, kill_at, pause_at, run

SECONDS = 2.0
"""Processor time of a round beyond imports, which the parent has made (`material.make_world`)."""
MEGABYTES = 1024.0


@dataclass(frozen=True)
class Round:
    """What a round found."""

    part: str
    """Which part of the campaign."""
    number: int
    """Together with the seed: how to run it again."""
    what: str
    """Verb and manipulation."""
    problem: str | None
    """What went wrong; None when nothing did."""


def generator_of(seed: int, part: str, number: int) -> random.Random:
    """The random numbers of one round."""
    return random.Random(f"{seed} {part} {number}")


class Campaign:
    """All parts on one world.

    Args:
        world: zoo, model, checkpoints, index, study.
        folder: for outputs; emptied after each round.
        seed: everything random follows from it.
        slow: whether verbs with worker processes take part.
    """

    def __init__(self, world: World, folder: Path, *, seed: int, slow: bool) -> None:
        self.world, self.folder, self.seed = world, folder, seed
        self.writers = [writer for writer in WRITERS if slow or writer.is_fast]
        self._whole: dict[tuple[str, int], tuple[dict[str, str], Ended]] = {}
        folder.mkdir(parents=True, exist_ok=True)

    # -- helpers -----------------------------------------------------------------------------------

    def out(self, writer: Writer) -> Path:
        """Where a writer writes in this round."""
        place = self.folder / "out"
        place.mkdir(exist_ok=True)
        return place / (("vectors.parquet" if writer.name == "embed" else "file.md") if writer.is_file else "result")

    def start(self, writer: Writer, name: str = "a", *, seed: int = 0, **options: Any) -> Child:
        """Start a writer in a child."""
        out = self.out(writer)
        command = writer.command(self.world, out, seed)
        return Child(command, out.parent, self.folder / f"{name}.log", **options)  # pyright: ignore[reportArgumentType]

    def whole(self, writer: Writer, seed: int = 0) -> tuple[dict[str, str], Ended]:
        """What an undisturbed call gives."""
        if (writer.name, seed) not in self._whole:
            self.clean()
            ended = self.start(writer, seed=seed).wait()
            if ended.code:
                raise RuntimeError(f"{writer.name} does not work undisturbed: {ended.said}")
            self._whole[writer.name, seed] = contents(self.out(writer)), ended
            self.clean()
        return self._whole[writer.name, seed]

    def clean(self) -> None:
        """Remove the outputs of the round before."""
        shutil.rmtree(self.folder / "out", ignore_errors=True)
        (self.folder / "out").mkdir()

    def finished(self, writer: Writer, seed: int = 0) -> str | None:
        """What is wrong when the call is given again; None when its result is the undisturbed one."""
        ended = self.start(writer, "again", seed=seed).wait()
        if ended.code or ended.has_traceback:
            return f"the restart ended with code {ended.code}: {ended.said[-400:]}"
        left = leftovers(self.folder / "out")
        if left:
            return f"left over: {left}"
        there, whole = contents(self.out(writer)), self.whole_of(writer, seed)
        if there != whole:
            different = sorted(name for name in there.keys() | whole.keys() if there.get(name) != whole.get(name))
            return f"other bytes after the restart: {different[:5]}"
        return None

    def whole_of(self, writer: Writer, seed: int) -> dict[str, str]:
        """The undisturbed result, which `whole` has measured before."""
        return self._whole[writer.name, seed][0]

    # -- (a) kills ---------------------------------------------------------------------------------

    def kills(self, rounds: int, only: int | None = None) -> Iterator[Round]:
        """Kill each writer at a file event (two rounds of three) or a random moment; then give the call again."""
        for number in _numbers(rounds, only):
            draw = generator_of(self.seed, "kills", number)
            writer = self.writers[number % len(self.writers)]
            _, undisturbed = self.whole(writer)
            self.clean()
            if draw.random() < 2 / 3 and writer.is_fast:
                event = draw.randrange(max(1, undisturbed.events))
                what = f"{writer.name}, killed before file event {event} of {undisturbed.events}"
                ended = self.start(writer, at_event=kill_at(event)).wait()
            else:
                share = draw.random()
                what = f"{writer.name}, killed after {share:.0%} of its time"
                child = self.start(writer)
                time.sleep(share * undisturbed.seconds)
                child.kill()
                ended = child.wait()
            problem = "a traceback" if ended.has_traceback else self.finished(writer)
            yield Round("kills", number, what, problem)

    # -- (b) disks ---------------------------------------------------------------------------------

    def disks(self, sizes: int = 4, only: int | None = None) -> Iterator[Round]:
        """Give each writer a disk that fills up at several sizes, and one that cannot be written; then room."""
        cases = list(itertools.product([one for one in self.writers if one.is_fast], [*range(sizes), None]))
        for number, (writer, size) in enumerate(cases):
            if only is not None and number != only:
                continue
            _, undisturbed = self.whole(writer)
            self.clean()
            largest = max((1, *(one.stat().st_size for one in self._sizes(writer))))
            if size is None:
                yield Round("disks", number, f"{writer.name}, read-only folder", self._read_only(writer))
                continue
            limit = max(1, int(largest * (size + 0.5) / sizes))
            what = f"{writer.name}, no file beyond {limit:,} bytes ({undisturbed.events} events)"
            problem = self._full(writer, limit)
            yield Round("disks", number, what, problem)

    def _sizes(self, writer: Writer) -> list[Path]:
        self.start(writer).wait()
        keep = self.folder / "sizes"
        shutil.rmtree(keep, ignore_errors=True)
        shutil.copytree(self.folder / "out", keep)
        self.clean()
        return [one for one in keep.rglob("*") if one.is_file()]

    def _full(self, writer: Writer, limit: int) -> str | None:
        mounted = _mount(self.folder / "out", limit)
        try:
            refuse = (lambda: None) if mounted else lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            ended = self.start(writer, prepare=refuse).wait()
            wrong = _refusal(ended, ("space", "limit", "quota"))
            if wrong or not ended.code:
                return wrong
            if mounted:
                _mount_again(self.folder / "out", "size=200m")
            return self.finished(writer)
        finally:
            _unmount(self.folder / "out", mounted=mounted)

    def _read_only(self, writer: Writer) -> str | None:
        mounted = _mount(self.folder / "out", 10**6)
        try:
            if mounted:
                _mount_again(self.folder / "out", "ro")
            else:
                (self.folder / "out").chmod(0o555)
            ended = self.start(writer).wait()
            if not ended.code:
                return "it claims success"
            if "free some space" in ended.said:
                return f"advice to free space: {ended.said[-200:]}"
            return _refusal(ended, ("read-only", "permission", "permitted"))
        finally:
            _unmount(self.folder / "out", mounted=mounted)
            (self.folder / "out").chmod(0o755)

    # -- (c) hostile files -------------------------------------------------------------------------

    def files(self, rounds: int, only: int | None = None) -> Iterator[Round]:
        """Give hostile checkpoints to the verbs that read checkpoints, in turn."""
        verbs = [(name, command) for name, command in READERS if "CHECKPOINT" in command or "CHECKPOINTS" in command]
        for number in _numbers(rounds, only):
            draw = generator_of(self.seed, "files", number)
            self.clean()
            place = self.folder / "out" / "checkpoints"
            place.mkdir()
            canary = self.folder / "out" / "canary"
            kind, path = hostile.checkpoint(draw, number, place, canary, self.world)
            for name, command in verbs:
                given = self._filled(command, CHECKPOINT=path, CHECKPOINTS=path)
                ended = run(given, self.folder / "out", self.folder / "a.log")
                problem = "something was executed" if canary.exists() else _bounded(ended)
                yield Round("files", number, f"{name} of {kind}", problem)

    def manifests(self, rounds: int, only: int | None = None) -> Iterator[Round]:
        """Replace an entry of a manifest, checksums made anew, and read it with its verb."""
        for number in _numbers(rounds, only):
            draw = generator_of(self.seed, "manifests", number)
            self.clean()
            targets = self._copy(["ZOO", "MODEL", "INDEX", "STUDY"])
            what, verbs = hostile.manifest(draw, number, targets)
            for name in verbs:
                given = self._filled(dict(READERS)[name], **targets)
                ended = run(given, self.folder / "out", self.folder / "a.log")
                yield Round("manifests", number, f"{name}: {what}", _bounded(ended))

    def _copy(self, places: list[str]) -> dict[str, Path]:
        copies = {name: self.folder / "out" / "world" / name.lower() for name in places}
        for name, copy in copies.items():
            shutil.copytree(getattr(self.world, name.lower()), copy)
        return copies

    def _filled(self, command: list[str], **places: Path) -> list[str]:
        first = self.world.checkpoints / "0.safetensors"
        own = {
            "ZOO": self.world.zoo, "MODEL": self.world.model, "INDEX": self.world.index, "STUDY": self.world.study,
            "CHECKPOINT": first, "CHECKPOINTS": self.world.checkpoints,
        }  # fmt: skip
        return [str({**own, **places}.get(word, word)) for word in command]

    # -- (d) races ---------------------------------------------------------------------------------

    def races(self, rounds_each: int, only: int | None = None) -> Iterator[Round]:
        """Pause one writer at a file event, let another write the same output, and let the first go on."""
        cases = itertools.product([one for one in self.writers if one.is_fast], range(rounds_each))
        for number, (writer, turn) in enumerate(cases):
            if only is not None and number != only:
                continue
            draw = generator_of(self.seed, "races", number)
            for seed in (0, 1):
                self.whole(writer, seed)
            events = self._whole[writer.name, 0][1].events
            event = draw.randrange(events) if turn else events // 2
            yield Round("races", number, f"{writer.name}, paused before event {event}", self._race(writer, event))

    def _race(self, writer: Writer, event: int) -> str | None:
        self.clean()
        reached, resume = self.folder / "reached", self.folder / "resume"
        reached.unlink(missing_ok=True)
        resume.unlink(missing_ok=True)
        first = self.start(writer, "a", seed=0, at_event=pause_at(event, reached=reached, resume=resume))
        deadline = time.monotonic() + 60
        while not reached.exists() and time.monotonic() < deadline and Path(f"/proc/{first.pid}").exists():
            time.sleep(0.002)
        second = self.start(writer, "b", seed=1).wait()
        resume.touch()
        ended = first.wait()
        there = contents(self.out(writer))
        winners = [seed for seed, one in ((0, ended), (1, second)) if not one.code]
        if ended.has_traceback or second.has_traceback:
            return f"a traceback: {ended.said[-300:]} {second.said[-300:]}"
        losers = [one.said for one in (ended, second) if one.code]
        if not winners or any(len(said.strip()) < 20 for said in losers):
            return f"codes {ended.code} and {second.code}: {losers}"
        if there not in [self.whole_of(writer, seed) for seed in winners]:
            return f"the result is not of one side (codes {ended.code} and {second.code})"
        left = leftovers(self.folder / "out")
        return f"left over: {left}" if left else None

    # -- (e) mutations -----------------------------------------------------------------------------

    def mutations(self, rounds: int, only: int | None = None) -> Iterator[Round]:
        """Change bytes of an own file or of a checkpoint and read it; changes of own files must be noticed."""
        for number in _numbers(rounds, only):
            draw = generator_of(self.seed, "mutations", number)
            self.clean()
            (place, pattern, verb), is_sealed = hostile.mutation_target(draw)
            targets = self._copy([place])
            path = draw.choice(sorted(targets[place].glob(pattern)))
            changed = hostile.mutate(draw, path)
            given = self._filled(
                dict(READERS)[verb], **targets, **({"CHECKPOINT": path} if place == "CHECKPOINTS" else {})
            )
            ended = run(given, self.folder / "out", self.folder / "a.log")
            problem = _bounded(ended, seconds=math.inf)
            if problem is None and is_sealed and changed and not ended.code:
                problem = f"a change went unnoticed: {ended.said[:200]}"
            yield Round("mutations", number, f"{verb}: {path.name} {changed}", problem)


def _numbers(rounds: int, only: int | None) -> list[int]:
    return list(range(rounds)) if only is None else [only]


def _bounded(ended: Ended, *, seconds: float = SECONDS) -> str | None:
    """What is wrong with how a reader ended."""
    if ended.has_traceback:
        return f"a traceback: {ended.said[-600:]}"
    if ended.code < 0:
        return f"killed by signal {-ended.code} (a hang, or out of memory)"
    if ended.code not in {0, 1, 2}:
        return f"code {ended.code}: {ended.said[-300:]}"
    if ended.seconds > seconds:
        return f"{ended.seconds:.1f} s of processor time"
    if ended.megabytes > MEGABYTES:
        return f"{ended.megabytes:.0f} MB"
    hidden = [one for one in ended.said if not one.isprintable() and one not in "\n\r"]
    return f"raw control characters {hidden[:3]!r}" if hidden else None


def _refusal(ended: Ended, words: tuple[str, ...]) -> str | None:
    if ended.has_traceback:
        return f"a traceback: {ended.said[-600:]}"
    if ended.code in {0, 1, 2} and (not ended.code or any(word in ended.said.lower() for word in words)):
        return None
    return f"code {ended.code}: {ended.said[-300:]}"


# -- small disks -----------------------------------------------------------------------------------


def _mount(folder: Path, size: int) -> bool:
    """Mount a small memory disk on a folder; whether that was possible."""
    with contextlib.suppress(OSError):
        pages = max(2, -(-size // 4096))
        command = ["mount", "-t", "tmpfs", "-o", f"size={pages * 4096}", "tmpfs", str(folder)]
        return os.geteuid() == 0 and not subprocess.run(command, capture_output=True, check=False).returncode
    return False


def _mount_again(folder: Path, option: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{option}", str(folder)], capture_output=True, check=True)


def _unmount(folder: Path, *, mounted: bool) -> None:
    if mounted:
        subprocess.run(["umount", str(folder)], capture_output=True, check=True)


PARTS: dict[str, Callable[..., Iterator[Round]]] = {
    "kills": Campaign.kills,
    "disks": Campaign.disks,
    "files": Campaign.files,
    "manifests": Campaign.manifests,
    "races": Campaign.races,
    "mutations": Campaign.mutations,
}
