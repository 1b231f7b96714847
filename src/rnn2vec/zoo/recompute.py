"""Verification that stored performance and rollouts match the stored weights, by rolling out again.

The random streams of a build follow from its config and the run number, so rolling out again gives the same episodes:
bit-identical on the same kind of machine, nearly always identical on another one. If the streams are unknown (an
import), the episodes are new, and the tolerance is widened by the sampling error of two independent samples.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from rnn2vec._progress import Progress
from rnn2vec._seeding import numpy_generator
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.evaluate import act
from rnn2vec.zoo.origin import Streams, streams
from rnn2vec.zoo.store import Zoo

ALLOWED_DIFFERENCE = 0.02
"""Tolerance for a performance, and for the share of rollouts that differ."""
_RNNS_AT_A_TIME = 64  # bounds the memory


def problems_of_behaviour(zoo: Zoo, count: int, progress: Progress) -> Iterator[str]:
    """Roll out a random sample of snapshots again and compare with the zoo.

    Args:
        zoo: a zoo whose files are intact.
        count: number of snapshots in the sample; a smaller zoo is checked completely.
        progress: callback that receives the number of snapshots rolled out.

    Yields:
        A sentence for each difference.
    """
    total = min(count, len(zoo))
    sample = np.sort(numpy_generator(0, "verify").choice(len(zoo), size=total, replace=False))
    groups = list(_groups(zoo, sample))
    done = 0
    for group in groups:
        progress(done, total, f"rolling out RNN {group.indices[0]}")
        yield from _compare(zoo, group)
        done += len(group.indices)
    progress(total, total, "done")


@dataclass(frozen=True)
class _Group:
    """Snapshots of one build with the same number of updates."""

    indices: Int64[np.ndarray, " M"]
    runs: Int64[np.ndarray, " M"]
    step: int
    config: ZooConfig | None


def _groups(zoo: Zoo, sample: Int64[np.ndarray, " M"]) -> Iterator[_Group]:
    """Divide the sample into groups that can be rolled out in one batch."""
    steps, runs = zoo.column("step")[sample], zoo.column("run")[sample]
    found: list[Streams] = streams(zoo.manifest.made, runs)
    for build in found:
        for step in np.unique(steps[build.rows]):
            mine = np.flatnonzero(steps[build.rows] == step)
            for start in range(0, len(mine), _RNNS_AT_A_TIME):
                chosen = mine[start : start + _RNNS_AT_A_TIME]
                yield _Group(sample[build.rows[chosen]], build.runs[chosen], int(step), build.config)


def _compare(zoo: Zoo, group: _Group) -> Iterator[str]:
    config = group.config or ZooConfig(family=zoo.family.name)
    tasks, stored = zoo.tasks(group.indices), zoo.rollouts(group.indices)
    codes, performance = act(config, zoo.family, zoo.rnns(group.indices), group.runs.tolist(), tasks, group.step)
    expected = zoo.column("performance")[group.indices]
    allowed = np.full(len(expected), ALLOWED_DIFFERENCE)
    if group.config is None:
        allowed += 4 * np.sqrt(2 * expected * (1 - expected) / config.num_episodes)
    elif codes.shape[2] != stored.shape[2]:
        yield (
            f"{_name(zoo, group, 0)}: its stored rollouts have {stored.shape[2]} entries each, where the options of "
            f"{zoo.family.name} in zoo.json make {codes.shape[2]}"
        )
    else:
        differ = (codes[:, : stored.shape[1]] != stored).any(dim=2).double().mean(dim=1)
        for place in np.flatnonzero(differ.numpy() > ALLOWED_DIFFERENCE).tolist():
            yield f"{_name(zoo, group, place)}: {differ[place].item():.0%} of its stored rollouts cannot be reproduced"
    for place in np.flatnonzero(~(np.abs(performance - expected) <= allowed)).tolist():
        yield (
            f"{_name(zoo, group, place)}: its performance is {expected[place]:.3f} in the zoo and "
            f"{performance[place]:.3f} when rolled out again (tolerance {allowed[place]:.3f})"
        )


def _name(zoo: Zoo, group: _Group, place: int) -> str:
    index = int(group.indices[place])
    return f"RNN {index} (run {zoo.column('run')[index]}, step {group.step})"
