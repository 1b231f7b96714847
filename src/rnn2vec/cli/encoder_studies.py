"""`rnn2vec study invariance` and `rnn2vec study encoders`."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from rnn2vec._errors import UsageError
from rnn2vec._files import write_atomically, write_json
from rnn2vec._lock import claim
from rnn2vec._provenance import provenance
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb

if TYPE_CHECKING:
    from rnn2vec.emulation.config import PretrainConfig
    from rnn2vec.emulation.data import Behaviour
    from rnn2vec.encoders.base import WeightEncoder
    from rnn2vec.zoo.store import Zoo

_ROLLOUTS = 4


@dataclass(frozen=True, kw_only=True)
class _OfEncoders(Verb):
    """Common options and steps of studies that examine encoders on the RNNs of a zoo."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo; the study uses RNNs of its validation split, last snapshots first."""
    encoders: tuple[str, ...] = ()
    """Names of encoders; all by default."""
    preset: str = "tour"
    """Sizes of the encoders: tiny, tour, laptop, recommended or paper."""
    rnns: int = 32
    """Maximum number of RNNs."""
    seed: int = 0
    """Seed of all random numbers."""

    def names(self) -> tuple[str, ...]:
        """Return the names of the encoders to examine.

        Raises:
            UsageError: if an encoder is unknown, or the number of RNNs is below 2.
        """
        from rnn2vec import encoders

        for name in self.encoders:
            _ = encoders.ENCODERS[name]
        if self.rnns < 2:
            raise UsageError(f"--rnns {self.rnns}", remedy="give at least 2: movements are relative to distances.")
        return self.encoders or tuple(name for name in encoders.ENCODERS if name != "task-blind")

    def behaviour(self, zoo: Zoo) -> Behaviour:
        """Select RNNs of unseen tasks, those with the most updates first, with a few of their rollouts."""
        import numpy as np

        from rnn2vec.emulation.data import SplitData

        unseen = SplitData(zoo, "validation")
        chosen = np.argsort(-unseen.steps, kind="stable")[: self.rnns]
        rollouts = np.arange(min(_ROLLOUTS, unseen.codes.shape[1]))
        return unseen.behaviour(chosen, np.tile(rollouts, (len(chosen), 1)))

    def config(self, zoo: Zoo, name: str) -> PretrainConfig:
        """Return the preset for an encoder on the RNNs of a zoo."""
        from rnn2vec.emulation.config import preset_for

        return preset_for(zoo.family, self.preset, name)

    def untrained(self, zoo: Zoo, name: str) -> WeightEncoder:
        """Build a new encoder of the preset's size."""
        from rnn2vec import encoders

        options = self.config(zoo, name).encoder_options
        return encoders.build(name, zoo.spec, interface=zoo.family.interface, seed=self.seed, **options)

    def write(self, out: Path, marker: str, text: str, findings: dict[str, Any], rnns: int) -> dict[str, Any]:
        """Write the tables and all numbers; return the values that `--json` prints."""
        source = {"provenance": provenance(), "zoo": self.zoo.name, "rnns": rnns, "seed": self.seed}
        result = {**source, "preset": self.preset, **findings}
        write_atomically((out / marker).with_suffix(".md"), text.encode())
        write_json(out / marker, result)
        return result


@dataclass(frozen=True, kw_only=True)
class Invariance(_OfEncoders):
    """Measure how far changes of the weights move the representations of each encoder (paper, Appendix F.2).

    With --steps, each encoder is also measured after pre-training for the given number of updates.
    """

    out: Path = Path("invariance")
    """Folder of the table, the figure, and the runs."""
    steps: int = 0
    """Number of updates of each encoder's pre-training; 0 for untrained encoders only."""
    augment_signs: bool = False
    """Augment that pre-training with random sign flips in addition to permutations."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Measure, write the results, and show the tables."""
        from rnn2vec.zoo.store import Zoo

        if self.steps < 0:
            raise UsageError(f"--steps {self.steps}", remedy="give 0 or more updates.")
        names = self.names()
        with claim(self.out, marker="invariance.json", kind="study of invariance"):
            return self._measure(Zoo.open(self.zoo), names, terminal)

    def _measure(self, zoo: Zoo, names: tuple[str, ...], terminal: Terminal) -> dict[str, Any]:
        from rnn2vec.experiments.invariance import invariance_table, learned_invariance
        from rnn2vec.report.encoder_comparison import draw_invariance, invariance_markdown, trained_markdown

        behaviour = self.behaviour(zoo)
        models = {"untrained": {name: self.untrained(zoo, name) for name in names}}
        trained = self._all_trained(zoo, names, terminal) if self.steps else {}
        models |= {title: one.encoders for title, one in trained.items()}
        tables = {
            title: invariance_table(by_name, behaviour.rnns, behaviour.inputs, seed=self.seed)
            for title, by_name in models.items()
        }
        draw_invariance(tables, self.out / "invariance.svg")
        text = invariance_markdown(tables)
        losses = {title: one.losses for title, one in trained.items()}
        if trained:
            learned = {title: learned_invariance(tables["untrained"], tables[title]) for title in trained}
            text += f"\n{trained_markdown(learned, losses)}"
        terminal.say(f"{text}\ntable and figure: {self.out}")
        findings = {
            title: {name: {change: vars(one) for change, one in row.items()} for name, row in table.items()}
            for title, table in tables.items()
        }
        measured = {"movements": findings, "updates": self.steps, "validation_losses": losses}
        return self.write(self.out, "invariance.json", text, measured, len(behaviour.rnns))

    def _all_trained(self, zoo: Zoo, names: tuple[str, ...], terminal: Terminal) -> dict[str, _Trained]:
        """Pre-train each encoder, and those that use augmentation once more without it for comparison."""
        from rnn2vec.encoders import ENCODERS

        title = f"trained for {self.steps:,} updates"
        trained = {title: self._trained(zoo, names, terminal, augment=True)}
        gaining = tuple(name for name in names if ENCODERS[name].augmentable)
        if gaining:
            trained[f"{title} without augmentation"] = self._trained(zoo, gaining, terminal, augment=False)
        return trained

    def _trained(self, zoo: Zoo, names: tuple[str, ...], terminal: Terminal, *, augment: bool) -> _Trained:
        """Pre-train encoders; return them with the lowest validation loss of each."""
        from rnn2vec.emulation.pretrain import pretrain
        from rnn2vec.training.tracking import read_metrics

        trained = _Trained({}, {})
        for name in names:
            signs = self.augment_signs and augment
            config = dataclasses.replace(
                self.config(zoo, name), num_steps=self.steps, augment=augment, augment_signs=signs, seed=self.seed
            )
            folder = self.out / (name if augment else f"{name}-without-augmentation")
            with terminal.progress(f"pre-train {folder.name}") as progress:
                trained.encoders[name] = pretrain(zoo, config, folder, progress=progress).encoder
            trained.losses[name] = min(line[f"validation/{config.loss}"] for line in read_metrics(folder))
        return trained


@dataclass(frozen=True)
class _Trained:
    encoders: dict[str, WeightEncoder]
    losses: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class EncoderTable(_OfEncoders):
    """Measure the paper's Table 1: the growth of encoders with the RNN's size, and the RNNs they distinguish."""

    out: Path = Path("encoders")
    """Folder of the table."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Measure, write the results, and show the table."""
        from rnn2vec.experiments.encoder_table import encoder_table
        from rnn2vec.report.encoder_comparison import encoders_markdown
        from rnn2vec.zoo.store import Zoo

        names = self.names()
        zoo = Zoo.open(self.zoo)
        behaviour = self.behaviour(zoo)
        with claim(self.out, marker="encoders.json", kind="table of encoders"):
            models = {name: self.untrained(zoo, name) for name in names}
            rows = encoder_table(models, behaviour.rnns, behaviour.inputs, seed=self.seed)
            text = encoders_markdown(rows)
            terminal.say(f"{text}\ntable: {self.out}")
            findings = {"encoders": {name: row.to_dict() for name, row in rows.items()}}
            return self.write(self.out, "encoders.json", text, findings, len(behaviour.rnns))
