"""The files of a run: the model with the lowest loss on unseen tasks, and a checkpoint to resume from.

run.json                 config, zoo, provenance
metrics.jsonl            a line for each validation
checkpoint.safetensors   state at the last validation: weights, optimizer, best loss so far
config.json              description of the best model
model.safetensors        its weights (encoder and emulator)
log.jsonl                wall times
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import canonical_json, read_sealed, sha256_of, write_sealed
from rnn2vec._typed import typed
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.emulation.oracle import build_encoder
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import MOST_LAYERS, RNNSpec
from rnn2vec.training.checkpoint import collect_weights, reason, spread_weights
from rnn2vec.training.sealed import load_sealed, save_sealed
from rnn2vec.zoo.store import Zoo

RUN = "run.json"
CONFIG = "config.json"
MODEL = "model.safetensors"
CHECKPOINT = "checkpoint.safetensors"
MODEL_FOLDER = "model"
"""Subfolder of an index, or of a packed model, that holds the model."""
FORMAT_VERSION = 2
"""Version 1 had no checksums."""
_LARGEST_OPTION = 4096  # steps of a probing sequence, hidden units


@dataclass(frozen=True)
class Model:
    """An encoder with its emulator, and the description from which both are built."""

    encoder: WeightEncoder
    trained_emulator: Emulator | None
    """Emulator; None for an encoder without learned parameters, which needs no training."""
    config: dict[str, Any]
    """Names, sizes, spec and interface; the content of `config.json`."""

    @property
    def emulator(self) -> Emulator:
        """The emulator.

        Raises:
            UsageError: if the encoder was not trained, so there is none.
        """
        if self.trained_emulator is None:
            raise UsageError(
                f"the {self.encoder.name} encoder was not trained and has no emulator",
                remedy="train one: `rnn2vec fit` or `rnn2vec pretrain`.",
            )
        return self.trained_emulator


def model_config(
    encoder: str,
    encoder_options: dict[str, Any],
    emulator_options: dict[str, Any] | None,
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
    """Build an encoder and its emulator with new weights, as described by a `config.json`."""
    spec = typed(RNNSpec, config["spec"])
    encoder = build_encoder(
        config["encoder"],
        spec,
        representation_size=config["representation_size"],
        interface=Interface.from_dict(config["interface"]),
        seed=seed,
        **config["encoder_options"],
    )
    options = config["emulator_options"]
    if options is None:
        return Model(encoder, None, config)
    emulator = Emulator.build(spec, representation_size=config["representation_size"], seed=seed, **options)
    return Model(encoder, emulator, config)


def save_model(folder: Path, model: Model) -> None:
    """Write `model.safetensors` and `config.json`.

    The large file is written first: if the disk has no room for it, an existing model stays unchanged. The weights
    name the checksum of their config, so that files of different models are detected.
    """
    config = {**model.config, "format_version": FORMAT_VERSION}
    save_sealed(folder / MODEL, collect_weights(_modules(model)), {"config": _checksum(config)})
    write_sealed(folder / CONFIG, config)


def load_model(folder: Path) -> Model:
    """Read a model.

    Raises:
        UsageError: if the folder holds none.
        DataError: if its files are damaged, do not belong together, or have a newer format.
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
    config = read_sealed(folder / CONFIG, newest=FORMAT_VERSION)
    try:
        _require_moderate(config)
        weights, note = load_sealed(folder / MODEL, needs_seal=config["format_version"] > 1)
        _require_fit(config, weights, note.get("config", _checksum(config)))
        model = make_model(config, seed=0)
        spread_weights(_modules(model), weights)
    except (DataError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DataError(
            f"{folder} holds no readable model: {reason(error)}", remedy="restore its files, or pre-train it again."
        ) from error
    return model


def read_run(folder: Path) -> dict[str, Any]:
    """Return the content of a run's `run.json`: config, zoo and provenance.

    Raises:
        UsageError: if the file does not exist.
        DataError: if the file is damaged.
    """
    path = folder / RUN
    run = read_sealed(path, newest=FORMAT_VERSION, without_version=1)
    entries = (run.get("config"), run.get("zoo"), run.get("provenance"))
    if not all(isinstance(entry, dict) for entry in entries) or not isinstance(run["zoo"].get("checksum"), str):
        raise DataError(
            f"{path} does not have the entries of a run", remedy="restore it, or give another --out for a new run."
        )
    return run


def _checksum(config: dict[str, Any]) -> str:
    return sha256_of(canonical_json(config).encode())


def _require_moderate(config: dict[str, Any]) -> None:
    """Check the numbers of a config before modules are built from it, whose cost depends on them.

    Raises:
        ValueError: if an option or a size is out of bounds, or is not an object.
    """
    for group in ("encoder_options", "emulator_options"):
        options = config[group]
        if options is None and group == "emulator_options":
            continue  # an encoder that was not trained has no emulator
        if not isinstance(options, dict):
            raise ValueError(f"{group} is {options!r}, expected an object")  # noqa: TRY004 (a file's fault, not a type's)
        for name, value in options.items():
            most = MOST_LAYERS if "layers" in name or "blocks" in name else _LARGEST_OPTION
            if isinstance(value, int | float) and not -most <= value <= most:
                raise ValueError(f"{group}.{name} is {value}, expected at most {most:,}")
    size = config["representation_size"]
    if type(size) is not int or not 1 <= size <= _LARGEST_OPTION:
        raise ValueError(f"representation_size is {size!r}, expected 1 to {_LARGEST_OPTION:,}")


def require_pretrained_on(zoo: Zoo, folder: Path) -> None:
    """Check that the model in a folder was pre-trained on this zoo.

    On another zoo, it may have been trained on tasks that are held out here. A model without a run names no zoo, and is
    accepted.

    Raises:
        UsageError: if it was pre-trained on another zoo.
    """
    run = folder / RUN
    if run.is_file() and read_run(folder)["zoo"].get("checksum") != zoo.manifest.checksum:
        raise UsageError(
            f"{folder} was pre-trained on a zoo other than {zoo.folder}",
            remedy="give the zoo that it was pre-trained on, or pre-train again on this one.",
        )


def _require_fit(config: dict[str, Any], weights: dict[str, Tensor], checksum: str) -> None:
    """Compare checksum, names and shapes before memory of the size in the config is allocated.

    Raises:
        ValueError: if they differ.
    """
    if checksum != _checksum(config):
        raise ValueError(f"{CONFIG} and {MODEL} are not of one model")
    with torch.device("meta"):
        wanted = collect_weights(_modules(make_model(config, seed=0)))
    expected, given = ({name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in (wanted, weights))
    for name in sorted(expected.keys() | given.keys()):
        if expected.get(name) != given.get(name):
            asked, there = expected.get(name, "nothing"), given.get(name, "nothing")
            raise ValueError(f"{name}: {CONFIG} asks for {asked}, {MODEL} has {there}")


def _modules(model: Model) -> dict[str, nn.Module]:
    """Return a model's modules by their names in its files."""
    modules: dict[str, nn.Module] = {"encoder": model.encoder}
    if model.trained_emulator is not None:
        modules["emulator"] = model.trained_emulator
    return modules
