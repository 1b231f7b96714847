"""Run the campaign: `python -m tests.campaign [PART ...] [--long] [--seed N] [--only NUMBER]`.

Two parts run at a time, each in a process of its own, from which its rounds are forked. The exit code is 1 when a round
found something. Each finding names its round, which runs again by seed and number.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from tests.campaign.material import World, make_world
from tests.campaign.process import remember_memory
from tests.campaign.rounds import PARTS, Campaign

SHARE = {"kills": 26, "disks": 1, "files": 14, "manifests": 36, "races": 1, "mutations": 80}
"""Rounds in CI; of `disks` the sizes, of `races` the pauses of each verb."""
LONG = {"kills": 60, "disks": 4, "files": 150, "manifests": 300, "races": 2, "mutations": 2000}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        world = make_world(Path(folder, "world"))
        remember_memory()
        run = functools.partial(_run, world, Path(folder), options)
        with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork")) as pool:
            found = sum(pool.map(run, options.parts or PARTS))
    _say(f"{found} found in {time.monotonic() - started:.0f} s; rerun one: PART --seed {options.seed} --only NUMBER")
    return 1 if found else 0


def _run(world: World, folder: Path, options: argparse.Namespace, part: str) -> int:
    """Run one part; return how many rounds found something."""
    campaign = Campaign(world, folder / part, seed=options.seed, slow=options.long)
    count = (LONG if options.long else SHARE)[part]
    rounds, found, started, used = 0, 0, time.monotonic(), _processor_time()
    for one in PARTS[part](campaign, count, options.only):
        rounds += 1
        if one.problem is not None:
            found += 1
            _say(f"FOUND {part} {one.number}: {one.what}: {one.problem}")
    took = f"{time.monotonic() - started:.0f} s, {_processor_time() - used:.0f} s of processor time"
    _say(f"{part}: {rounds} rounds, {rounds - found} fine, {found} found, {took}")
    return found


def _processor_time() -> float:
    """Seconds of this process and of the children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
