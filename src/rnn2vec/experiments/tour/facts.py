"""How a tour was made: numbers beside the paper's, configs, versions, hardware and time."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnn2vec._files import canonical_json
from rnn2vec._provenance import processor, provenance
from rnn2vec.emulation.config import PRESETS as PRETRAIN_PRESETS
from rnn2vec.experiments.tour.measure import TourResults
from rnn2vec.training.tracking import seconds_spent
from rnn2vec.zoo.config import PRESETS as ZOO_PRESETS

_PAPER_SEEDS = 15
_PAPER_LOSSES = {"interactive-probing": 0.015, "noninteractive-probing": 0.023}
"""Table 2 of the paper, formal languages."""


@dataclass(frozen=True)
class ZooFacts:
    """What the zoo is, in numbers."""

    num_runs: int
    num_rnns: int
    num_steps: int
    num_parameters: int
    cell: str
    num_unseen_tasks: int
    num_unseen_rnns: int
    representation_size: int
    example_tasks: list[str]
    """Two unseen tasks, as humans read them."""
    mean_last_performance: float
    """Of the unseen languages' last snapshots."""
    num_episodes: int
    """Behind each performance on the page."""


@dataclass(frozen=True)
class Details:
    """What it takes to do it all again."""

    rows: list[tuple[str, str]]
    """Name and value."""
    configs: list[tuple[str, str]]
    """Title and JSON of each config."""


def zoo_facts(results: TourResults) -> ZooFacts:
    """The zoo in numbers."""
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


def beside_the_paper(results: TourResults) -> list[tuple[str, str, str]]:
    """What, here, in the paper: how far everything is scaled down."""
    zoo, paper_zoo = results.zoo.manifest.config, ZOO_PRESETS["paper"]
    run, paper_run = results.interactive.run.description["config"], PRETRAIN_PRESETS["paper"]
    losses = {
        probing.run.name: (float(probing.distances.mean()), _PAPER_LOSSES[probing.run.name])
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
        ("seeds", "1", f"{_PAPER_SEEDS}"),
        *(
            (f"loss of {name}, unseen languages", f"{here:.3f}", f"{paper:.3f}")
            for name, (here, paper) in losses.items()
        ),
    ]


def details(results: TourResults, command: str) -> Details:
    """Command, seeds, versions, hardware, times and configs."""
    runs = [run for run in (results.interactive.run, results.static.run, results.blind) if run is not None]
    versions = provenance()
    rows = [
        ("made by", command),
        ("seeds", f"zoo {results.zoo.manifest.config.seed}, pre-training {runs[0].description['config']['seed']}"),
        ("unusual languages kept aside", results.zoo.manifest.ood_rule),
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
    """The time that a build took, over all starts of an interrupted one; None where it has no log."""
    if not log.is_file():
        return None
    return sum(float(json.loads(line)["seconds"]) for line in log.read_text(encoding="utf-8").splitlines())


def _minutes(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
