"""A zoo at a glance."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn2vec.zoo.store import Zoo


def summarize(zoo: Zoo) -> dict[str, Any]:
    """What is in a zoo, as JSON-ready values: sizes, splits, performance by step, disk use."""
    config = zoo.manifest.config
    steps, splits, runs = (zoo.column(name) for name in ("step", "split", "run"))
    performance, loss = zoo.column("performance"), zoo.column("validation_loss")
    tasks = np.array(zoo.tasks(range(len(zoo))))
    return {
        "zoo": str(zoo.folder),
        "family": config.family,
        "architecture": str(zoo.spec),
        "parameters": zoo.spec.num_parameters,
        "rnns": len(zoo),
        "runs": len(np.unique(runs)),
        "runs_planned": config.num_runs,
        "steps": config.num_steps,
        "seed": config.seed,
        "backend": config.backend,
        "ood_rule": zoo.manifest.ood_rule,
        "tasks": {str(split): len(np.unique(tasks[splits == split], axis=0)) for split in np.unique(splits)},
        "snapshots": [
            {
                "step": int(step),
                "performance": round(float(performance[steps == step].mean()), 4),
                "validation_loss": round(float(loss[steps == step].mean()), 4),
            }
            for step in np.unique(steps)
        ],
        "megabytes": round(sum(file.stat().st_size for file in zoo.folder.rglob("*") if file.is_file()) / 1e6, 1),
        "made_by": zoo.manifest.provenance,
    }


def render(summary: dict[str, Any]) -> str:
    """The summary as a person reads it."""
    tasks = ", ".join(f"{count} {split}" for split, count in summary["tasks"].items())
    finished = "" if summary["runs"] == summary["runs_planned"] else f" of {summary['runs_planned']} planned"
    lines = [
        f"{summary['zoo']}: {summary['rnns']:,} RNNs ({summary['megabytes']} MB)",
        f"  architecture  {summary['architecture']}: {summary['parameters']:,} parameters",
        f"  runs          {summary['runs']}{finished}, {summary['steps']:,} steps each, seed {summary['seed']}",
        f"  trained by    the {summary['backend']} backend",
        f"  tasks         {summary['family']}: {tasks}; OOD: {summary['ood_rule']}",
        "  step          performance   validation loss",
    ]
    lines += [
        f"  {snapshot['step']:<14,}{snapshot['performance']:<14.3f}{snapshot['validation_loss']:.4f}"
        for snapshot in summary["snapshots"]
    ]
    return "\n".join(lines)
