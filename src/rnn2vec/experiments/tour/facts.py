"""Facts about a tour: its scale compared with the paper, configs, versions, hardware and times."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn2vec._files import canonical_json
from rnn2vec._provenance import processor, provenance
from rnn2vec.emulation.config import PRESETS as PRETRAIN_PRESETS
from rnn2vec.experiments import paper
from rnn2vec.experiments.tour.measure import TourResults
from rnn2vec.training.tracking import seconds_in, seconds_spent
from rnn2vec.zoo.config import PRESETS as ZOO_PRESETS


@dataclass(frozen=True)
class ZooFacts:
    """Numbers that describe the zoo."""

    num_runs: int
    """Number of training runs."""
    num_rnns: int
    """Number of snapshots of all runs."""
    num_steps: int
    """Number of updates of each run."""
    num_parameters: int
    """Number of parameters of each RNN."""
    cell: str
    """Name of the cell for display, such as `LSTM`."""
    num_unseen_tasks: int
    """Number of unseen languages."""
    num_unseen_rnns: int
    """Number of snapshots trained on unseen languages."""
    representation_size: int
    """Number of components of a representation, Z."""
    example_tasks: list[str]
    """Descriptions of two unseen tasks."""
    mean_last_performance: float
    """Mean performance of the last snapshots on unseen languages."""
    num_episodes: int
    """Number of episodes over which each performance on the page is averaged."""


@dataclass(frozen=True)
class Details:
    """The information needed to reproduce a tour."""

    rows: list[tuple[str, str]]
    """Names and values."""
    configs: list[tuple[str, str]]
    """Title and JSON of each config."""


def zoo_facts(results: TourResults) -> ZooFacts:
    """Collect the numbers that describe the zoo."""
    zoo, unseen = results.zoo, results.unseen
    tasks = list(dict.fromkeys(unseen.tasks))
    return ZooFacts(
        num_runs=len(set(zoo.column("run").tolist())),
        num_rnns=len(zoo),
        num_steps=zoo.manifest.config.num_steps,
        num_parameters=zoo.spec.num_parameters,
        cell=zoo.spec.cell.upper().removesuffix("_TANH").removesuffix("_RELU"),
        num_unseen_tasks=len(tasks),
        num_unseen_rnns=len(unseen),
        representation_size=results.interactive.representations.shape[1],
        example_tasks=[zoo.family.describe(task) for task in tasks[:2]],
        mean_last_performance=float(results.performance[results.is_last].mean()),
        num_episodes=results.interactive.performance.num_episodes,
    )


def paper_comparison(results: TourResults) -> list[tuple[str, str, str]]:
    """Compare the tour's scale and losses with the paper's: name, value here, value in the paper."""
    zoo, paper_zoo = results.zoo.manifest.config, ZOO_PRESETS["paper"]
    run, paper_run = results.interactive.run.description["config"], PRETRAIN_PRESETS["paper"]
    losses = {
        probing.run.name: (float(probing.distances.mean()), paper.LOSSES["formal-languages"][probing.run.name].mean)
        for probing in (results.interactive, results.static)
    }
    return [
        ("RNNs trained", f"{zoo.num_runs:,}", f"{paper_zoo.num_runs:,}"),
        ("updates of each", f"{zoo.num_steps:,}", f"{paper_zoo.num_steps:,}"),
        ("snapshots of each", f"{len(zoo.snapshot_steps)}", f"{len(paper_zoo.snapshot_steps)}"),
        (
            "hidden units of each",
            _layers(zoo.num_layers, zoo.hidden_size),
            _layers(paper_zoo.num_layers, paper_zoo.hidden_size),
        ),
        ("updates in pre-training", f"{run['num_steps']:,}", f"{paper_run.num_steps:,}"),
        ("RNNs per update", f"{run['batch_size']}", f"{paper_run.batch_size}"),
        (
            "hidden units of the emulator",
            _layers(2, run["emulator_hidden_size"]),
            _layers(2, paper_run.emulator_hidden_size),
        ),
        ("learning rate", f"{run['learning_rate']:g}", f"{paper_run.learning_rate:g}"),
        ("seeds", "1", f"{paper.SEEDS}"),
        *(
            (f"loss of {name}, unseen languages", f"{here:.3f}", f"{paper:.3f}")
            for name, (here, paper) in losses.items()
        ),
    ]


def details(results: TourResults, command: str) -> Details:
    """Collect the command, seeds, versions, hardware, times and configs of a tour.

    Args:
        results: measurements of the tour.
        command: command line that made the tour.
    """
    runs = [run for run in (results.interactive.run, results.static.run, results.blind) if run is not None]
    versions = provenance()
    rows = [
        ("made by", command),
        ("seeds", f"zoo {results.zoo.manifest.config.seed}, pre-training {runs[0].description['config']['seed']}"),
        ("out-of-distribution languages", results.zoo.manifest.ood_rule),
        ("zoo backend", results.zoo.manifest.config.backend),
        *((name, value) for name, value in versions.items() if value is not None),
        ("processor", f"{processor()}, {os.cpu_count()} cores"),
        ("time to build the zoo", _minutes(_zoo_seconds(results.zoo.folder / "build.jsonl"))),
        *((f"time to pre-train {run.name}", _minutes(seconds_spent(run.folder))) for run in runs),
    ]
    configs = [("zoo", _pretty(results.zoo.manifest.config.to_dict()))]
    configs += [(run.name, _pretty(run.description["config"])) for run in runs]
    return Details(rows, configs)


def _layers(num_layers: int, hidden_size: int) -> str:
    return f"{num_layers} \N{MULTIPLICATION SIGN} {hidden_size}"


def _pretty(value: Any) -> str:
    return canonical_json(value, indent=2)


def _zoo_seconds(log: Path) -> float | None:
    """Sum the seconds that a build took over all its starts; None if it has no log."""
    seconds = seconds_in(log)
    return None if seconds is None else sum(seconds)


def _minutes(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
