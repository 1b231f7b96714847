"""Let stored RNNs act again: are performance and rollouts what their weights do?

The streams of a build follow from its config and the run's number, so acting again gives the same episodes: on the
same kind of machine to the bit, on another one nearly always. A zoo whose streams are not known (an import) gets fresh
episodes, and what two samples may differ by chance is allowed on top.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from rnn2vec._progress import Progress
from rnn2vec._seeding import numpy_generator
from rnn2vec.zoo.build import act
from rnn2vec.zoo.config import ZooConfig
from rnn2vec.zoo.origin import Streams, streams
from rnn2vec.zoo.store import Zoo

ALLOWED_DIFFERENCE = 0.02
"""Of a performance, and of the share of rollouts that differ."""
_RNNS_AT_A_TIME = 64  # bounds the memory


def problems_of_behaviour(zoo: Zoo, count: int, progress: Progress) -> Iterator[str]:
    """Let a seeded sample of snapshots act again and compare.

    Args:
        zoo: a zoo that is otherwise sound.
        count: snapshots in the sample; all when there are fewer.
        progress: told of the snapshots that acted.

    Yields:
        What is wrong, a sentence each.
    """
    total = min(count, len(zoo))
    sample = np.sort(numpy_generator(0, "verify").choice(len(zoo), size=total, replace=False))
    groups = list(_together(zoo, sample))
    done = 0
    for group in groups:
        progress(done, total, f"RNN {group.indices[0]} acts")
        yield from _compare(zoo, group)
        done += len(group.indices)
    progress(total, total, "done")


@dataclass(frozen=True)
class _Group:
    """Snapshots that one build took after the same number of updates."""

    indices: Int64[np.ndarray, " M"]
    runs: Int64[np.ndarray, " M"]
    step: int
    config: ZooConfig | None


def _together(zoo: Zoo, sample: Int64[np.ndarray, " M"]) -> Iterator[_Group]:
    """The sample in groups that can act side by side."""
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
    else:
        differ = (codes[:, : stored.shape[1]] != stored).any(dim=2).double().mean(dim=1)
        for place in np.flatnonzero(differ.numpy() > ALLOWED_DIFFERENCE).tolist():
            yield f"{_name(zoo, group, place)}: {differ[place].item():.0%} of its stored rollouts are not what it does"
    for place in np.flatnonzero(~(np.abs(performance - expected) <= allowed)).tolist():
        yield (
            f"{_name(zoo, group, place)}: its performance is {expected[place]:.3f} in the zoo and "
            f"{performance[place]:.3f} when it acts again ({allowed[place]:.3f} apart is allowed)"
        )


def _name(zoo: Zoo, group: _Group, place: int) -> str:
    index = int(group.indices[place])
    return f"RNN {index} (run {zoo.column('run')[index]}, step {group.step})"
