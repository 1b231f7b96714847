"""A run's files: the model that was best on unseen tasks, and a checkpoint to resume from.

run.json                 config, zoo, provenance
metrics.jsonl            one line a validation
checkpoint.safetensors   everything at the last validation: weights, optimizer, what was best so far
config.json              the best model: what it is ...
model.safetensors        ... and its weights (encoder and emulator)
log.jsonl                wall times
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import read_json, write_atomically, write_json
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.emulation.oracle import build_encoder
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.training.checkpoint import collect_weights, reason, spread_weights
from rnn2vec.zoo.store import Zoo

RUN = "run.json"
CONFIG = "config.json"
MODEL = "model.safetensors"
CHECKPOINT = "checkpoint.safetensors"
FORMAT_VERSION = 1


@dataclass(frozen=True)
class Model:
    """A pre-trained encoder with its emulator, and what it takes to make them again."""

    encoder: WeightEncoder
    emulator: Emulator
    config: dict[str, Any]
    """Names, sizes, spec and interface; the content of `config.json`."""


def model_config(
    encoder: str,
    encoder_options: dict[str, Any],
    emulator_options: dict[str, Any],
    spec: RNNSpec,
    interface: Interface,
    representation_size: int,
    provenance: dict[str, str | None],
) -> dict[str, Any]:
    """Return the content of a model's `config.json`."""
    return {
        "format_version": FORMAT_VERSION,
        "encoder": encoder,
        "encoder_options": encoder_options,
        "emulator_options": emulator_options,
        "representation_size": representation_size,
        "spec": spec.to_dict(),
        "interface": interface.to_dict(),
        "provenance": provenance,
    }


def make_model(config: dict[str, Any], *, seed: int) -> Model:
    """Make an encoder and an emulator with new weights, as a `config.json` describes them."""
    spec = RNNSpec(**config["spec"])
    encoder = build_encoder(
        config["encoder"],
        spec,
        representation_size=config["representation_size"],
        interface=Interface.from_dict(config["interface"]),
        seed=seed,
        **config["encoder_options"],
    )
    emulator = Emulator.build(
        spec, representation_size=config["representation_size"], seed=seed, **config["emulator_options"]
    )
    return Model(encoder, emulator, config)


def save_model(folder: Path, model: Model) -> None:
    """Write `model.safetensors` and `config.json`.

    The large file first: where the disk has no place for it, a model that was there before stays as it was.
    """
    write_atomically(folder / MODEL, safetensors.torch.save(collect_weights(_modules(model))))
    write_json(folder / CONFIG, model.config)


def load_model(folder: Path) -> Model:
    """Read a model.

    Raises:
        UsageError: the folder holds none.
        DataError: its files are damaged, do not fit each other, or are of a newer format.
    """
    if not (folder / CONFIG).is_file() or not (folder / MODEL).is_file():
        missing = CONFIG if not (folder / CONFIG).is_file() else MODEL
        begun = (folder / RUN).is_file()
        raise UsageError(
            f"{folder} is {'a run without a model yet' if begun else 'not a model'}: it has no {missing}",
            remedy="resume it up to its first validation: `rnn2vec pretrain` with the same options and --out."
            if begun
            else "give a folder that `rnn2vec pretrain --out` or `Rnn2Vec.save` made.",
        )
    config = read_json(folder / CONFIG)
    version = config.get("format_version") if isinstance(config, dict) else None
    if not isinstance(version, int):
        raise DataError(
            f"{folder / CONFIG} names no format version", remedy="restore the file, or pre-train the model again."
        )
    if version > FORMAT_VERSION:
        raise DataError(
            f"{folder} has format version {version}; this rnn2vec reads up to {FORMAT_VERSION}",
            remedy="upgrade it: pip install --upgrade rnn2vec.",
        )
    try:
        weights = safetensors.torch.load_file(folder / MODEL)
        _require_fit(config, weights)
        model = make_model(config, seed=0)
        spread_weights(_modules(model), weights)
    except (KeyError, TypeError, ValueError, RuntimeError, safetensors.SafetensorError) as error:
        raise DataError(
            f"{folder} holds no readable model: {reason(error)}", remedy="restore its files, or pre-train it again."
        ) from error
    return model


def require_pretrained_on(zoo: Zoo, folder: Path) -> None:
    """Check that the model in a folder was pre-trained on this zoo.

    On another zoo, it may have been trained on the tasks that are held out here. A model that was saved without its run
    names no zoo, and is accepted.

    Raises:
        UsageError: it was pre-trained on another zoo.
    """
    run = folder / RUN
    if run.is_file() and read_json(run)["zoo"].get("checksum") != zoo.manifest.checksum:
        raise UsageError(
            f"{folder} was pre-trained on a zoo other than {zoo.folder}",
            remedy="give the zoo that it was pre-trained on, or pre-train again on this one.",
        )


def _require_fit(config: dict[str, Any], weights: dict[str, Tensor]) -> None:
    """Compare names and shapes before the memory is taken that the config asks for.

    Raises:
        ValueError: they differ.
    """
    with torch.device("meta"):
        wanted = collect_weights(_modules(make_model(config, seed=0)))
    expected, given = ({name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in (wanted, weights))
    for name in sorted(expected.keys() | given.keys()):
        if expected.get(name) != given.get(name):
            asked, there = expected.get(name, "nothing"), given.get(name, "nothing")
            raise ValueError(f"{name}: {CONFIG} asks for {asked}, {MODEL} has {there}")


def _modules(model: Model) -> dict[str, nn.Module]:
    """Return a model's modules by their names in its files."""
    return {"encoder": model.encoder, "emulator": model.emulator}
