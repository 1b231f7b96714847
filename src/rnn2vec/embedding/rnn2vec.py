"""A pre-trained encoder, ready for any RNNs that fit it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import nn

from rnn2vec._assets import shipped_folder, shipped_names
from rnn2vec._errors import UsageError, unknown_name
from rnn2vec._lock import claim
from rnn2vec._progress import Progress, silent
from rnn2vec._shapes import Representation
from rnn2vec.embedding.collect import OneRNN, collected, require_verified
from rnn2vec.embedding.fit import by_architecture, fit
from rnn2vec.embedding.fit_report import FitReport
from rnn2vec.embedding.hub import cached_model, is_repository
from rnn2vec.embedding.search import Found, Method, Objective, search
from rnn2vec.embedding.untrained import SIZE, untrained, untrained_for_files
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.checkpoints import Model
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.emulation.decoding import decode, interpolate
from rnn2vec.emulation.emulator import Emulator
from rnn2vec.emulation.sequences import Inputs, Sequences
from rnn2vec.execution.devices import require_device
from rnn2vec.rnn import fused
from rnn2vec.rnn.blackbox import BlackBox
from rnn2vec.rnn.collection import RNNCollection, RNNs
from rnn2vec.rnn.interface import Kind
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.rnn.state_dicts import Hints
from rnn2vec.zoo.store import Zoo

_RNNS_AT_ONCE = 256


class Rnn2Vec:
    """Turns RNNs into vectors.

    Examples:
        >>> model = Rnn2Vec("model")
        >>> vectors = model.embed(gru_stack)
        >>> vectors.shape
        (3, 16)

    Args:
        model: name of an encoder in the package, a folder (see `from_pretrained`), or an encoder with its emulator.
        device: device of the encoder, such as `"cuda"`.

    Raises:
        UsageError: the name, the folder or the device does not exist.
        DataError: files of the model are damaged.
    """

    def __init__(self, model: Model | str | Path, *, device: str = "cpu") -> None:
        model = model if isinstance(model, Model) else checkpoints.load_model(_folder_of(model))
        self._model = model
        self.encoder = model.encoder.eval()
        self.to(device)
        self.report: FitReport | None = None
        """Results of `fit`; None for an encoder that was loaded."""

    @property
    def emulator(self) -> Emulator:
        """The emulator that was trained with the encoder.

        Raises:
            UsageError: the encoder was not trained.
        """
        return self._model.emulator.eval()

    @property
    def spec(self) -> RNNSpec:
        """The architecture that the encoder was trained on."""
        return self.encoder.spec

    @property
    def config(self) -> dict[str, Any]:
        """Names, sizes, spec and interface: what it takes to make an encoder like this one."""
        return self._model.config

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path, *, revision: str | None = None, device: str = "cpu"
    ) -> Rnn2Vec:
        """Load an encoder.

        Args:
            name_or_folder: name of a model in the package (`rnn2vec models` lists them), a folder that `save` or
                `rnn2vec pretrain` wrote, or an index or packed model, which have their model inside; or `"user/name"`
                of a packed model on the Hugging Face hub, which is then kept in a cache.
            revision: branch, tag or commit on the hub; the newest commit by default.
            device: device of the encoder, such as `"cuda"`.

        Raises:
            UsageError: there is no such name or folder, or the folder holds no model.
            DataError: its files are damaged.
            HubError: the hub cannot be reached or refuses the download, and the model is not in the cache.
        """
        name = str(name_or_folder)
        if is_repository(name) and not Path(name).parent.is_dir():  # "runs/x" beside a folder "runs" is a local name
            return cls(cached_model(name, revision=revision), device=device)
        if revision is not None:
            raise UsageError(f"revision={revision!r} of {name}", remedy='give "user/name" of a model on the hub.')
        return cls(name_or_folder, device=device)

    @classmethod
    def fit(
        cls,
        rnns: RNNStack | Zoo | Sequence[RNNStack | OneRNN],
        inputs: Inputs | None = None,
        *,
        out: str | Path | None = None,
        runs: Sequence[Any] | np.ndarray | None = None,
        output_kind: Kind | None = None,
        validation_share: float = 0.2,
        config: PretrainConfig | None = None,
        time_budget: float | None = None,
        seed: int = 0,
        verify: bool = True,
        device: str = "cpu",
        progress: Progress = silent,
        **hints: Unpack[Hints],
    ) -> Rnn2Vec:
        """Pre-train on your own RNNs; the attribute `report` has the results.

        Args:
            rnns: the RNNs, in one or several architectures that agree in inputs and outputs. A zoo has rollouts of its
                own and needs no `inputs`.
            inputs: sequences like those that the RNNs are made for: an array, a list of arrays of different lengths, a
                `.npy` file, or a `.parquet` file with a column `inputs`. Whole numbers are tokens, `(S, T)`, other
                numbers features, `(S, T, I)`; with another axis in front, each RNN has its own. NaN at the end of a
                sequence is padding.
            out: the run's folder, from which an interrupted training resumes; by default none is kept.
            runs: training run that each RNN is from; snapshots of one run are held out together.
            output_kind: kind of the outputs; by default `categorical` (logits over tokens) where inputs are tokens and
                there are as many outputs, else `continuous`.
            validation_share: share of the runs that is held out.
            config: how to train; by default `rnn2vec.embedding.plan.recommended`, by number and size of the RNNs.
            time_budget: seconds that training may take; fewer updates are made where it is short.
            seed: seed of everything random, where there is no `config`.
            verify: run modules, on these inputs too, to check that they answer as what was read; see
                `rnn2vec.rnn.verify`.
            device: where to train.
            progress: callback that receives the number of updates done.
            **hints: what modules, state dicts and files leave open; see `embed`.

        Raises:
            UsageError: RNNs, inputs or options do not fit each other; the text says which.
            DataError: weights are NaN or infinite, or a file is damaged.
        """
        model, report = fit(
            rnns,
            inputs,
            hints,
            out=out,
            runs=runs,
            output_kind=output_kind,
            validation_share=validation_share,
            config=config,
            time_budget=time_budget,
            seed=seed,
            verify=verify,
            device=device,
            progress=progress,
        )
        rnn2vec = cls(model)
        rnn2vec.report = report
        return rnn2vec

    def to(self, device: str) -> Rnn2Vec:
        """Move the encoder and the emulator to a device, and return this object.

        Raises:
            UsageError: this machine has no such device.
        """
        require_device(device)
        self.encoder.to(device)
        if self._model.trained_emulator is not None:
            self._model.trained_emulator.to(device)
        return self

    @classmethod
    def untrained(
        cls,
        rnns: RNNStack | Zoo | Sequence[RNNStack | OneRNN],
        inputs: Inputs | None = None,
        *,
        output_kind: Kind | None = None,
        representation_size: int = SIZE,
        seed: int = 0,
        **hints: Unpack[Hints],
    ) -> Rnn2Vec:
        """Build an encoder that needs no training: RNNs are compared by their answers to 16 fixed input sequences.

        Args:
            rnns: RNNs that set the unit of continuous outputs; as for `fit`.
            inputs: sequences like those that the RNNs are made for, as for `fit`; drawn at random by default.
            output_kind: kind of the outputs; as for `fit`.
            representation_size: entries of a representation.
            seed: draws probes and projection.
            **hints: see `embed`.

        Raises:
            UsageError: an RNN cannot be read, or the inputs do not fit the RNNs.
            DataError: weights are NaN or infinite, or a file is damaged.
        """
        interface = rnns.family.interface if isinstance(rnns, Zoo) else None
        stacks, _ = by_architecture(rnns, hints, verify=True)
        if inputs is not None and not isinstance(rnns, (Zoo, RNNStack)):
            read = Sequences.read(inputs, stacks[0].spec.input_size, sum(map(len, stacks)))
            require_verified(rnns, hints, read.examples())
        model = untrained(
            stacks,
            inputs,
            output_kind=output_kind,
            interface=interface,
            representation_size=representation_size,
            seed=seed,
        )
        return cls(model)

    @classmethod
    def untrained_for_files(
        cls,
        files: Sequence[Path],
        inputs: Inputs | None = None,
        *,
        output_kind: Kind | None = None,
        seed: int = 0,
        **hints: Unpack[Hints],
    ) -> Rnn2Vec:
        """Build the same from a sample of checkpoints; see `rnn2vec.embedding.untrained.untrained_for_files`."""
        return cls(untrained_for_files(files, inputs, output_kind=output_kind, seed=seed, **hints))

    def save(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors` to a new or empty folder, or over another model.

        Raises:
            UsageError: the folder holds something else.
            BusyError: another process writes there.
            StorageError: the disk refused.
        """
        folder = Path(folder)
        with claim(folder, marker=checkpoints.CONFIG, kind="model"):
            checkpoints.save_model(folder, self._model)

    @torch.no_grad()
    def embed(
        self,
        rnns: RNNStack | RNNCollection | Zoo | OneRNN | Sequence[RNNStack | OneRNN],
        *,
        verify: bool = True,
        device: str | None = None,
        **hints: Unpack[Hints],
    ) -> Float32[np.ndarray, "N Z"]:
        """Return one vector for each RNN, in the order given.

        Args:
            rnns: a stack, a collection, a zoo (all its snapshots), or one or more stacks, black boxes, modules, state
                dicts or paths of checkpoint files, folders of such, or zoos. Probing encoders take RNNs of different
                cells and sizes together, and black boxes.
            verify: whether modules are run to see that they answer as what was read; see `rnn2vec.rnn.verify`.
            device: device to embed on, where the encoder then stays; its own by default.
            **hints: what modules, state dicts and files leave open: `cell` (tanh or ReLU), `ignore`, `input_scaling`;
                see `rnn2vec.rnn.state_dicts.Hints`.

        Raises:
            UsageError: an RNN does not fit the encoder, or a checkpoint is none.
            DataError: weights are NaN or infinite, or a file is damaged.
        """
        unknown = set(hints) - Hints.__annotations__.keys()
        if unknown:
            raise unknown_name("argument of embed", unknown.pop(), ["rnns", "verify", "device", *Hints.__annotations__])
        if device is not None:
            self.to(device)
        if isinstance(rnns, Zoo):
            rnns = rnns.rnns(range(len(rnns)))
        if isinstance(rnns, RNNStack):
            rnns.require_finite()
            return self._embed(rnns).numpy()
        if not isinstance(rnns, RNNCollection):
            rnns = [rnns] if isinstance(rnns, (nn.Module, Mapping, str, Path, BlackBox)) else rnns
            rnns = collected(rnns, hints, verify=verify)
        return rnns.map(self._embed).numpy()

    def decode(self, vectors: Float[np.ndarray, "N Z"]) -> RNNStack:
        """Return RNNs that answer as the emulator does under these vectors, to 1e-5.

        Args:
            vectors: one representation for each RNN, `(N, Z)`.

        Returns:
            N LSTMs; `to_modules` makes `torch.nn` modules of them.

        Raises:
            UsageError: the vectors have another size, or the encoder was not trained and has no emulator.
        """
        with torch.no_grad():
            return decode(self.emulator, self._as_representations(vectors)).to("cpu")

    def interpolate(
        self, start: Float[np.ndarray, " Z"], end: Float[np.ndarray, " Z"], steps: int = 10
    ) -> Float32[np.ndarray, "steps Z"]:
        """Return vectors from one to another, both included, on the arc between them where vectors have length 1.

        Args:
            start: the first vector.
            end: the last vector.
            steps: number of vectors, at least 2.

        Raises:
            UsageError: a vector has another size, or there are fewer than 2 steps.
        """
        if steps < 2:
            raise UsageError(f"steps={steps}", remedy="give at least 2: both ends are included.")
        ends = self._as_representations(np.stack([start, end])).cpu()
        return interpolate(ends[0], ends[1], steps, on_sphere=self.encoder.unit_norm).numpy()

    def search(
        self,
        objective: Objective,
        start: Float[np.ndarray, " Z"],
        *,
        method: Method = "evolution",
        evaluations: int = 2000,
        population: int = 16,
        spread: float = 0.3,
        goal: float | None = None,
        seed: int = 0,
        progress: Progress = silent,
    ) -> Found:
        """Look for a vector whose RNN, by `decode`, has the lowest score.

        Args:
            objective: takes a stack of N RNNs, returns N scores; lower is better.
            start: vector to begin at, such as that of a similar RNN.
            method: `evolution` (CMA-ES), or `gradient` (Adam) where the objective returns a tensor with gradients.
            evaluations: RNNs to score, at most.
            population: RNNs of a generation, or gradient searches side by side.
            spread: standard deviation of the first generation.
            goal: score at which the search ends.
            seed: everything random follows from it.
            progress: callback that receives the number of RNNs scored.

        Raises:
            UsageError: an option is out of range, the objective has no gradient, or the encoder has no emulator.
            DataError: a score is NaN.
        """
        self._as_representations(start[None])
        return search(
            lambda points: decode(self.emulator, points.to(self.emulator.readout.weight)).to("cpu"),
            objective,
            start,
            on_sphere=self.encoder.unit_norm,
            method=method,
            evaluations=evaluations,
            population=population,
            spread=spread,
            goal=goal,
            seed=seed,
            progress=progress,
        )

    def _as_representations(self, vectors: np.ndarray) -> Representation:
        """Return vectors as a tensor beside the emulator.

        Raises:
            UsageError: they have another size.
        """
        size = self.encoder.representation_size
        if vectors.ndim != 2 or vectors.shape[1] != size:
            raise UsageError(
                f"vectors of shape {vectors.shape}", remedy=f"give shape (N, {size}): the encoder's representations."
            )
        return torch.from_numpy(vectors).to(self.emulator.readout.weight)

    def _embed(self, rnns: RNNs) -> Representation:
        if not isinstance(rnns, RNNStack):
            return self.encoder(rnns).cpu().float()
        reference = next(itertools.chain(self.encoder.parameters(), self.encoder.buffers()))
        self.encoder.accelerated = len(rnns) >= fused.WORTH_RNNS
        starts = range(0, max(1, len(rnns)), _RNNS_AT_ONCE)  # the encoder refuses an empty stack
        parts = [self.encoder(rnns.select(slice(at, at + _RNNS_AT_ONCE)).to(reference)) for at in starts]
        return torch.cat(parts).cpu().float()

    def __repr__(self) -> str:
        return f"Rnn2Vec({self.encoder.name}: {self.spec} -> {self.encoder.representation_size} numbers)"


def _folder_of(name_or_folder: str | Path) -> Path:
    """Return the folder of a model: that of a run, one inside an index, or that of a model in the package.

    Raises:
        UsageError: there is no such folder and no model of that name.
    """
    folder = Path(name_or_folder)
    if not folder.is_dir():
        names = shipped_names("models")
        if str(name_or_folder) not in names:
            error = unknown_name("model or folder", str(name_or_folder), names or ["none in this package"])
            remedy = f"{error.remedy} Or give a folder that `rnn2vec pretrain --out` or `Rnn2Vec.save` made."
            raise UsageError(error.problem, remedy=remedy)
        folder = shipped_folder("models", str(name_or_folder))
    inside = folder / checkpoints.MODEL_FOLDER
    return inside if (inside / checkpoints.CONFIG).is_file() and not (folder / checkpoints.CONFIG).exists() else folder
