"""`rnn2vec properties`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import canonical_json, read_sealed, sha256_of, write_atomically, write_sealed
from rnn2vec._lock import claim
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb, given
from rnn2vec.properties.config import PredictConfig, Setting, preset

if TYPE_CHECKING:
    from rnn2vec.properties.predict import PropertyScores
    from rnn2vec.zoo.store import Zoo

MARKER = "properties.json"


@dataclass(frozen=True, kw_only=True)
class Properties(Verb):
    """Predict properties of RNNs, such as their task, from representations, and score it on unseen tasks.

    Half of the unusual (OOD) tasks join the training data; the other half is the OOD test. Given again with the same
    options, it goes on where it was.
    """

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    encoder: str
    """frozen: folder of a pre-training run, or name of an encoder that comes with the package.
    supervised: name of an encoder, or folder of a run whose encoder is trained from new weights."""
    out: Path
    """Folder of the results."""
    setting: Setting = "frozen"
    """frozen: on the representations of a pre-trained encoder. supervised: encoder and predictor from scratch."""
    property: tuple[str, ...] = ()
    """Names of properties, such as task or performance; all of the zoo's family by default."""
    preset: str = "laptop"
    """tiny, tour, laptop, recommended or paper: updates and learning rate, which the options below can change."""
    steps: int | None = None
    """Updates at most."""
    learning_rate: float | None = None
    """Learning rate."""
    patience: int | None = None
    """Validations without a new best after which to stop."""
    without_baselines: bool = False
    """Leave out the simple predictors beside it."""
    seed: int = 0
    """Everything random follows from it, the half of the OOD tasks that joins the training data too."""
    device: str = "cpu"
    """Where to train."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Predict each property, and show the tables."""
        from rnn2vec import encoders
        from rnn2vec.properties.data import find_property
        from rnn2vec.report.property_tables import property_markdown
        from rnn2vec.zoo.store import Zoo

        zoo = Zoo.open(self.zoo)
        names = self.property or tuple(prop.name for prop in zoo.family.properties)
        for name in names:
            find_property(zoo.family, name)
        changes = given(num_steps=self.steps, learning_rate=self.learning_rate, patience=self.patience)
        architecture = self.encoder if self.encoder in encoders.ENCODERS else None
        config = dataclasses.replace(preset(self.preset, self.setting, architecture), **changes)
        with claim(self.out, marker=MARKER, kind="result of `rnn2vec properties`"):
            results = self._results(zoo, names, config, terminal)
            text = property_markdown(results)
            write_atomically(self.out / "properties.md", text.encode())
        terminal.say(f"{text}\ntables: {self.out}")
        return {"results": [result.to_dict() for result in results]}

    def _results(
        self, zoo: Zoo, names: tuple[str, ...], config: PredictConfig, terminal: Terminal
    ) -> list[PropertyScores]:
        from rnn2vec.properties.predict import identify, predict_property

        common: dict[str, Any] = {
            "encoder": self.encoder, "setting": self.setting, "config": config, "seed": self.seed
        }  # fmt: skip
        identities = {name: identify(zoo, name, **common) for name in names}
        done = self._finished(identities)
        for name in names:
            if name in done:
                continue
            self._write(done)  # marks the folder as ours before a checkpoint is in it
            digest = sha256_of(canonical_json(identities[name]).encode())[:8]
            with terminal.progress(f"{name}, {self.setting}") as progress:
                done[name] = predict_property(
                    zoo,
                    name,
                    **common,
                    baselines="none" if self.without_baselines else "all",
                    device=self.device,
                    checkpoint=self.out / f"{name}.{digest}.safetensors" if self.setting == "supervised" else None,
                    progress=progress,
                )
            self._write(done)
        return [done[name] for name in names]

    def _finished(self, identities: dict[str, dict[str, Any]]) -> dict[str, PropertyScores]:
        """What the folder holds already, by property.

        Raises:
            UsageError: it holds results of other options.
            DataError: it holds something else.
        """
        from rnn2vec.properties.predict import PropertyScores

        path = self.out / MARKER
        if not path.is_file():
            return {}
        try:
            done = {
                one["property"]: PropertyScores.from_dict(one)
                for one in read_sealed(path, newest=2, without_version=1)["results"]
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path} does not hold results: {error!r}", remedy="delete it, or give another --out."
            ) from error
        wanted = next(iter(identities.values()))
        for name, result in done.items():
            old = result.to_dict()
            different = [
                f"{entry} is {old[entry]}, asked for {value}"
                for entry, value in wanted.items()
                if entry != "property" and old[entry] != value
            ]
            if different:
                raise UsageError(
                    f"{self.out} holds {name} of other options: {', '.join(different)}; it was not touched",
                    remedy="give its options to add properties to it, or another --out.",
                )
        if not self.without_baselines:
            return {name: result for name, result in done.items() if result.baselines}
        return done

    def _write(self, done: dict[str, PropertyScores]) -> None:
        results = [result.to_dict() for result in done.values()]
        write_sealed(self.out / MARKER, {"format_version": 2, "results": results})
