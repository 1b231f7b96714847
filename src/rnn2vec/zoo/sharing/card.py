"""A summary of a zoo, as values and as text."""

from __future__ import annotations

from typing import Any

import numpy as np

from rnn2vec.zoo.origin import Origin
from rnn2vec.zoo.store import Zoo


def summarize(zoo: Zoo) -> dict[str, Any]:
    """Summarize a zoo as JSON-ready values: sizes, splits, performance by step, disk use, origin."""
    made, steps = zoo.manifest.made, zoo.column("step")
    return {
        "zoo": str(zoo.folder),
        "family": zoo.family.name,
        "architecture": str(zoo.spec),
        "parameters": zoo.spec.num_parameters,
        "rnns": len(zoo),
        "runs": len(np.unique(zoo.column("run"))),
        "complete": zoo.is_complete,
        "steps": int(steps.max()),
        **({} if isinstance(made, Origin) else _of_build(zoo)),
        "weight_decays": np.unique(zoo.column("weight_decay")).tolist(),
        "rollouts": zoo.rollouts([0]).shape[1],
        "ood_rule": zoo.manifest.ood_rule,
        "tasks": {split: numbers["tasks"] for split, numbers in _splits(zoo).items()},
        "splits": _splits(zoo),
        "snapshots": [_at_step(zoo, int(step)) for step in np.unique(steps)],
        "megabytes": round(sum(file.stat().st_size for file in zoo.folder.rglob("*") if file.is_file()) / 1e6, 1),
        "made": _made(zoo),
        "made_by": zoo.manifest.provenance,
    }


def _of_build(zoo: Zoo) -> dict[str, Any]:
    config = zoo.manifest.config
    return {
        "runs_planned": config.num_runs,
        "steps": config.num_steps,
        "seed": config.seed,
        "backend": config.backend,
    }


def _splits(zoo: Zoo) -> dict[str, dict[str, int]]:
    """Count the tasks, runs and RNNs of each split."""
    splits, runs, tasks = zoo.column("split"), zoo.column("run"), np.array(zoo.tasks(range(len(zoo))))
    return {
        str(split): {
            "tasks": len(np.unique(tasks[splits == split], axis=0)),
            "runs": len(np.unique(runs[splits == split])),
            "rnns": int((splits == split).sum()),
        }
        for split in np.unique(splits)
    }


def _at_step(zoo: Zoo, step: int) -> dict[str, Any]:
    chosen = zoo.column("step") == step
    means = {name: float(zoo.column(name)[chosen].mean()) for name in ("performance", "validation_loss")}
    return {"step": step, "rnns": int(chosen.sum()), **{name: round(mean, 4) for name, mean in means.items()}}


def _made(zoo: Zoo) -> str:
    """Describe the origin of the zoo in words."""
    made = zoo.manifest.made
    if not isinstance(made, Origin):
        return f"built by the {made.backend} backend, seed {made.seed}"
    if made.made_by == "import":
        return f"imported from {made.options['release']}"
    sources = " and ".join(f"{source.name} ({source.num_rnns:,} RNNs)" for source in made.sources)
    options = [f"{name} {value}" for name, value in made.options.items() if value not in (None, [])]
    verb = {"filter": "filtered from", "subset": "runs of", "merge": "merged from"}[made.made_by]
    return f"{verb} {sources}" + (f": {', '.join(options)}" if options else "")


def render(summary: dict[str, Any]) -> str:
    """Format the result of `summarize` as text for a terminal."""
    planned = summary.get("runs_planned", summary["runs"])
    finished = "" if summary["runs"] == planned else f" of {planned} planned"
    seed = f", seed {summary['seed']}" if "seed" in summary else ""
    unfinished = "" if summary["complete"] else ", not finished yet"
    decays = ", ".join(f"{decay:g}" for decay in summary["weight_decays"])
    lines = [
        f"{summary['zoo']}: {summary['rnns']:,} RNNs ({summary['megabytes']} MB{unfinished})",
        f"  architecture  {summary['architecture']}: {summary['parameters']:,} parameters",
        f"  runs          {summary['runs']}{finished}, {summary['steps']:,} steps each{seed}",
        f"  made          {summary['made']}",
        f"  weight decay  {decays}; {summary['rollouts']} rollouts stored per snapshot",
        f"  tasks         {summary['family']}; OOD: {summary['ood_rule']}",
        "  split         tasks     runs      RNNs",
    ]
    lines += [
        f"  {split:<14}{numbers['tasks']:<10,}{numbers['runs']:<10,}{numbers['rnns']:,}"
        for split, numbers in summary["splits"].items()
    ]
    lines.append("  step          RNNs      performance   validation loss")
    lines += [
        f"  {one['step']:<14,}{one['rnns']:<10,}{one['performance']:<14.3f}{one['validation_loss']:.4f}"
        for one in summary["snapshots"]
    ]
    return "\n".join(lines)
