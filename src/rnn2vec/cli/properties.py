"""`rnn2vec properties`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from rnn2vec._errors import DataError, UsageError
from rnn2vec._files import canonical_json, read_sealed, sha256_of, write_atomically, write_sealed
from rnn2vec._lock import claim
from rnn2vec._registry import ENCODERS
from rnn2vec._typed import typed
from rnn2vec.cli.options import config_options, given_options, with_options
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb, registered
from rnn2vec.properties.config import PRESETS, PredictConfig, Setting, preset

if TYPE_CHECKING:
    from rnn2vec.properties.predict import PropertyScores
    from rnn2vec.zoo.store import Zoo

MARKER = "properties.json"


_PRESETS = {f"{name} {setting}": one for name, by_setting in PRESETS.items() for setting, one in by_setting.items()}


@config_options(PredictConfig, _PRESETS)
@dataclass(frozen=True, kw_only=True)
class Properties(Verb):
    """Predict properties of RNNs, such as their task, from representations, and score the predictions on unseen tasks.

    Half of the OOD tasks join the training data; the other half is the OOD test. If interrupted, rerun the command to
    resume.
    """

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    model: str | None = None
    """Trained model: folder of a pre-training run, or name of a model that comes with the package. With --setting
    supervised, its encoder is trained again from new weights."""
    encoder: Annotated[str | None, registered("Name of an encoder to train (--setting supervised)", ENCODERS)] = None
    out: Path
    """Folder of the results."""
    setting: Setting = "frozen"
    """frozen: on the representations of a pre-trained encoder. supervised: encoder and predictor from scratch."""
    property: tuple[str, ...] = ()
    """Names of properties, such as task or performance; by default all of the zoo's family."""
    preset: str = "laptop"
    """Preset of updates and learning rate, which other options can change: tiny, tour, laptop, recommended or paper."""
    without_baselines: bool = False
    """Leave out the simple predictors that a representation must beat."""
    seed: int = 0
    """Seed of all random numbers, including the half of the OOD tasks that joins the training data."""
    device: str = "cpu"
    """Device to train on."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Predict each property, and show the tables."""
        from rnn2vec.properties.data import find_property
        from rnn2vec.properties.predict import identify
        from rnn2vec.report.property_tables import property_markdown
        from rnn2vec.zoo.store import Zoo

        zoo = Zoo.open(self.zoo)
        names = self.property or tuple(prop.name for prop in zoo.family.properties)
        for name in names:
            find_property(zoo.family, name)
        decided = {"representation_size", "encoder_options"} & set(given_options(self))
        if decided and self.model is not None:
            raise UsageError(
                f"--{min(decided).replace('_', '-')} beside --model, which determines it", remedy="leave it out."
            )
        config = with_options(preset(self.preset, self.setting, self.encoder, family=zoo.family), self)
        common: dict[str, Any] = {
            "model": self.model, "encoder": self.encoder, "setting": self.setting, "config": config, "seed": self.seed
        }  # fmt: skip
        identities = {name: identify(zoo, name, **common) for name in names}  # a wrong call makes no folder
        with claim(self.out, marker=MARKER, kind="result of `rnn2vec properties`"):
            results = self._results(zoo, identities, common, terminal)
            text = property_markdown(results)
            write_atomically(self.out / "properties.md", text.encode())
        terminal.say(f"{text}\ntables: {self.out}")
        return {"results": [result.to_dict() for result in results]}

    def _results(
        self, zoo: Zoo, identities: dict[str, dict[str, Any]], common: dict[str, Any], terminal: Terminal
    ) -> list[PropertyScores]:
        from rnn2vec.properties.predict import predict_property

        done = self._finished(identities)
        for name in identities:
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
        return [done[name] for name in identities]

    def _finished(self, identities: dict[str, dict[str, Any]]) -> dict[str, PropertyScores]:
        """Read the finished results in the folder, by property.

        Raises:
            UsageError: if it holds results of other options.
            DataError: if it holds something else.
        """
        from rnn2vec.properties.predict import PropertyScores

        path = self.out / MARKER
        if not path.is_file():
            return {}
        try:
            done = {
                one["property"]: typed(PropertyScores, one)
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
