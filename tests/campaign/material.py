"""A small world for the campaign: zoo, model, checkpoints, index, study, and the verbs that read and write them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.campaign.process import import_all, run

BUILD = [
    "zoo", "build", "formal-languages", "--preset", "tiny", "--runs", "6", "--steps", "20", "--hidden-size", "4",
    "--layers", "1", "--episodes", "10", "--rollouts", "4", "--runs-per-shard", "2", "--backend", "torch",
]  # fmt: skip
PRETRAIN = ["--preset", "tiny", "--steps", "6", "--validate-every", "3", "--batch-size", "4"]
STUDY = """
name: small
question: Does it resume?
zoo:
  preset: tiny
  options: {num_runs: 4, num_steps: 20, hidden_size: 4, num_layers: 1, num_episodes: 10, num_rollouts: 4,
            runs_per_shard: 2, backend: torch}
encoders: [layerwise-statistics]
seeds: [0]
preset: tiny
pretrain: {num_steps: 4, validate_every: 2, batch_size: 4}
floor: false
"""
NOT_PROMISED = {"build.jsonl", "log.jsonl", "seconds", "provenance", "hardware", "checksum", "report.html"}
"""Files and entries with wall times, and what is summed over them."""


@dataclass(frozen=True)
class World:
    """Folders of the campaign."""

    folder: Path

    @property
    def zoo(self) -> Path:
        """A zoo of six runs."""
        return self.folder / "zoo"

    @property
    def model(self) -> Path:
        """A pre-training run on it."""
        return self.folder / "model"

    @property
    def checkpoints(self) -> Path:
        """Files of single RNNs."""
        return self.folder / "checkpoints"

    @property
    def index(self) -> Path:
        """An index of the checkpoints."""
        return self.folder / "index"

    @property
    def study(self) -> Path:
        """The folder of a finished study."""
        return self.folder / "study"


@dataclass(frozen=True)
class Writer:
    """A verb that writes."""

    name: str
    command: Callable[[World, Path, int], list[str] | Callable[[], None]]
    """The command line for an output and a seed; two seeds give different outputs."""
    is_fast: bool = True
    """Whether it runs in this process's children alone, in less than a second or two."""
    is_file: bool = False
    """Whether the output is a single file."""
    differs: bool = True
    """Whether two seeds give different outputs."""


def _save(world: World, out: Path, seed: int) -> Callable[[], None]:
    def save() -> None:
        from rnn2vec.embedding.rnn2vec import Rnn2Vec

        model = Rnn2Vec.from_pretrained(world.model)
        with __import__("torch").no_grad():
            next(model.encoder.parameters()).add_(seed)
        model.save(out)

    return save


def _fit(world: World, out: Path, seed: int) -> Callable[[], None]:
    def fit() -> None:
        import dataclasses

        import numpy as np

        from rnn2vec.embedding.rnn2vec import Rnn2Vec
        from rnn2vec.emulation.config import preset

        config = dataclasses.replace(preset("tiny"), num_steps=4, validate_every=2, batch_size=4, seed=seed)
        inputs = np.random.default_rng(0).integers(0, 6, (4, 5))
        Rnn2Vec.fit(sorted(world.checkpoints.glob("*.safetensors")), inputs, out=out, config=config)

    return fit


def _filter(world: World, out: Path, seed: int) -> list[str]:
    return ["zoo", "filter", str(world.zoo), "--where", f"step>={20 * seed}", "--out", str(out)]


def _merge(world: World, out: Path, seed: int) -> list[str]:
    zoos = [str(world.zoo), str(world.folder / "zoo-1")]
    return ["zoo", "merge", *(zoos if seed else reversed(zoos)), "--out", str(out)]


def _verb(*words: str) -> Callable[[World, Path, int], list[str]]:
    """A command line with ZOO, MODEL, CHECKPOINTS, INDEX, OUT, SEED and STUDY in it filled in."""

    def command(world: World, out: Path, seed: int) -> list[str]:
        places = {
            "ZOO": world.zoo, "MODEL": world.model, "CHECKPOINTS": world.checkpoints, "INDEX": world.index,
            "OUT": out, "SEED": seed, "STUDY": world.folder / f"study-{seed}.yaml",
            "MODEL_SEED": world.folder / f"model-{seed}",
        }  # fmt: skip
        return [str(places.get(word, word)) for word in words]

    return command


_FROZEN = ["--property", "performance", "--preset", "tiny", "--steps", "3", "--without-baselines"]
_INVARIANCE = ["--encoders", "layerwise-statistics", "--preset", "tiny", "--rnns", "2"]
_TOUR = ["--runs", "16", "--zoo-steps", "10", "--pretrain-steps", "2", "--workers", "1"]
_LAYERWISE = ["--encoder", "layerwise-statistics"]
_OUT = ["--seed", "SEED", "--out", "OUT"]
WRITERS = [
    Writer("zoo build", _verb(*BUILD, *_OUT)),
    Writer("zoo filter", _filter),
    Writer("zoo subset", _verb("zoo", "subset", "ZOO", "--runs", "4", *_OUT)),
    Writer("zoo merge", _merge),
    Writer("zoo export", _verb("zoo", "export", "ZOO", "--out", "OUT"), differs=False),
    Writer("zoo card", _verb("zoo", "card", "ZOO", "--license", "SEED", "--out", "OUT"), is_file=True),
    Writer("pretrain", _verb("pretrain", "ZOO", *_LAYERWISE, *PRETRAIN, *_OUT)),
    Writer("embed", _verb("embed", "CHECKPOINTS", "--model", "MODEL_SEED", "--out", "OUT"), is_file=True),
    Writer("index build", _verb("index", "build", "CHECKPOINTS", "--model", "MODEL_SEED", "--out", "OUT")),
    Writer("properties", _verb("properties", "ZOO", "--model", "MODEL", *_FROZEN, *_OUT)),
    Writer("save", _save),
    Writer("fit", _fit),
    Writer("study invariance", _verb("study", "invariance", "ZOO", *_INVARIANCE, *_OUT)),
    Writer("study run", _verb("study", "run", "STUDY", "--workers", "1", "--out", "OUT"), is_fast=False),
    Writer("tour", _verb("tour", *_TOUR, *_OUT), is_fast=False),
]

READERS: list[tuple[str, list[str]]] = [
    ("zoo info", ["zoo", "info", "ZOO"]),
    ("zoo verify", ["zoo", "verify", "ZOO", "--recompute", "2"]),
    ("pretrain", ["pretrain", "ZOO", *PRETRAIN, "--encoder", "interactive-probing", "--out", "MODEL"]),
    ("embed", ["embed", "CHECKPOINTS", "--model", "MODEL"]),
    ("index query", ["index", "query", "INDEX", "CHECKPOINT"]),
    ("index info", ["index", "info", "INDEX"]),
    ("inspect", ["inspect", "CHECKPOINT", "--model", "MODEL"]),
    ("study report", ["study", "report", "STUDY"]),
]


def make_world(folder: Path) -> World:
    """Make the world, in children, and import here what the readers import: it is no part of what a round takes."""
    world = World(folder)
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "making.log"

    def do(command: Any, **options: Any) -> None:
        ended = run(command, folder, log, **options)
        if ended.code:
            raise RuntimeError(f"{command}: code {ended.code}: {ended.said}")

    for seed in (0, 1):
        zoo = world.zoo if not seed else folder / f"zoo-{seed}"
        do([*BUILD, "--seed", str(seed), "--out", str(zoo)])
        (folder / f"study-{seed}.yaml").write_text(STUDY.replace("seeds: [0]", f"seeds: [{seed}]"))
        options = [*PRETRAIN, "--seed", str(seed)]
        probing = ["--encoder", "interactive-probing"]
        do(["pretrain", str(world.zoo), *probing, *options, "--out", str(folder / f"model-{seed}")])
    shutil.copytree(folder / "model-0", world.model)
    do(lambda: _write_checkpoints(world))
    do(["index", "build", str(world.checkpoints), "--model", str(world.model), "--out", str(world.index)])
    do(["study", "run", str(folder / "study-0.yaml"), "--workers", "1", "--out", str(world.study)])
    places = {
        "ZOO": world.zoo, "MODEL": world.model, "INDEX": world.index, "STUDY": world.study,
        "CHECKPOINT": world.checkpoints / "0.safetensors", "CHECKPOINTS": world.checkpoints,
    }  # fmt: skip
    for name, command in READERS:
        loaded = folder / f"{name}.modules"
        do([str(places.get(word, word)) for word in command], note_modules=loaded)
        import_all(loaded.read_text().split())
    return world


def _write_checkpoints(world: World) -> None:
    import safetensors.torch
    import torch

    from rnn2vec.zoo.store import Zoo

    world.checkpoints.mkdir()
    modules = Zoo.open(world.zoo).rnns(range(6)).to_modules()
    for number, module in enumerate(modules):
        state = {name: tensor.contiguous() for name, tensor in module.state_dict().items()}
        if number < 4:
            safetensors.torch.save_file(state, world.checkpoints / f"{number}.safetensors")
        else:
            torch.save(state, world.checkpoints / f"{number}.pt")


def contents(path: Path) -> dict[str, str]:
    """Digests of what is below a path, wall times left out."""
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    return {
        str(one.relative_to(path.parent if path.is_file() else path)): _digest(one)
        for one in files
        if one.name not in NOT_PROMISED
    }


def _digest(path: Path) -> str:
    data = path.read_bytes()
    if path.suffix == ".json":
        data = json.dumps(_promised(json.loads(data)), sort_keys=True).encode()
    return hashlib.sha256(data).hexdigest()


def _promised(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _promised(one) for name, one in value.items() if name not in NOT_PROMISED}
    return [_promised(one) for one in value] if isinstance(value, list) else value


def leftovers(folder: Path) -> list[str]:
    """Temporary files, locks and folders of parts that are still there."""
    return [one.name for one in folder.rglob("*") if one.name.endswith((".tmp", ".lock", ".parts"))]
