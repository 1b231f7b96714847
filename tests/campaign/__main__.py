"""Run the campaign: `python -m tests.campaign [PART ...] [--long] [--seed N] [--only NUMBER]`.

The exit code is 1 when a round found something. Each finding names its round, which runs again by seed and number.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.campaign.material import make_world
from tests.campaign.process import remember_memory
from tests.campaign.rounds import PARTS, Campaign

SHARE = {"kills": 26, "disks": 1, "files": 14, "manifests": 36, "races": 1, "mutations": 110}
"""Rounds in CI; of `disks` the sizes, of `races` the pauses of each verb."""
LONG = {"kills": 60, "disks": 4, "files": 150, "manifests": 300, "races": 2, "mutations": 2000}


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    options = parser.parse_args()
    found, started = 0, time.monotonic()
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        world = make_world(Path(folder, "world"))
        remember_memory()
        campaign = Campaign(world, Path(folder, "rounds"), seed=options.seed, slow=options.long)
        for part in options.parts or PARTS:
            found += _run(campaign, part, (LONG if options.long else SHARE)[part], options.only)
    _say(f"{found} found in {time.monotonic() - started:.0f} s; rerun one: PART --seed {options.seed} --only NUMBER")
    return 1 if found else 0


def _run(campaign: Campaign, part: str, count: int, only: int | None) -> int:
    """Run one part; return how many rounds found something."""
    rounds, found, started = 0, 0, time.monotonic()
    for one in PARTS[part](campaign, count, only):
        rounds += 1
        if one.problem is not None:
            found += 1
            _say(f"FOUND {part} {one.number}: {one.what}: {one.problem}")
    _say(f"{part}: {rounds} rounds, {rounds - found} fine, {found} found, {time.monotonic() - started:.0f} s")
    return found


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
