"""`rnn2vec study imitation`: the performance of emulations compared with that of their RNNs."""

from __future__ import annotations

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
    from rnn2vec.emulation.checkpoints import Model
    from rnn2vec.experiments.imitation import Imitation
    from rnn2vec.tasks.base import Split
    from rnn2vec.zoo.store import Zoo

MARKER = "imitation.json"
_SPLITS: dict[Split, str] = {"validation": "unseen tasks", "ood": "unusual tasks (OOD)"}
"""Splits to measure, with their titles."""


@dataclass(frozen=True, kw_only=True)
class ImitationStudy(Verb):
    """Compare the task performance of emulations with that of their RNNs on unseen tasks (paper, Figure 5)."""

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    model: tuple[Path, ...]
    """Trained models: folders of pre-training runs on this zoo."""
    out: Path = Path("imitation")
    """Folder of the table and the figures."""
    episodes: int = 100
    """Number of episodes, such as sampled strings, of each RNN and each emulation."""
    seed: int = 0
    """Seed of the episodes and the bootstrap."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Measure, draw the figures, and show the table."""
        from rnn2vec.report.imitation_figure import draw_imitations, imitation_markdown
        from rnn2vec.zoo.store import Zoo

        zoo = Zoo.open(self.zoo)
        models = self._models(zoo)
        results: dict[Split, dict[str, Imitation]] = {
            split: self._measure(zoo, split, models, terminal) for split in _SPLITS if len(zoo.split(split))
        }
        text = imitation_markdown({_SPLITS[split]: runs for split, runs in results.items()})
        findings = {split: {name: one.to_dict() for name, one in runs.items()} for split, runs in results.items()}
        result = {"provenance": provenance(), "zoo": self.zoo.name, "seed": self.seed, "imitation": findings}
        with claim(self.out, marker=MARKER, kind="study of imitation"):
            for split, runs in results.items():
                draw_imitations(runs, self.out / f"{split}.svg")
            write_atomically(self.out / "imitation.md", text.encode())
            write_json(self.out / MARKER, result)
        terminal.say(f"{text}\ntable and figures: {self.out}")
        return result

    def _models(self, zoo: Zoo) -> dict[str, Model]:
        """Load the models by the names of their folders.

        Raises:
            UsageError: if there is no model, two folders have the same name, or a model was pre-trained on another zoo.
        """
        from rnn2vec.emulation import checkpoints

        names = [folder.name for folder in self.model]
        if not names or len(set(names)) < len(names):
            raise UsageError(f"--model {' '.join(map(str, self.model))}", remedy="give folders with different names.")
        models = {folder.name: checkpoints.load_model(folder) for folder in self.model}
        for folder in self.model:
            checkpoints.require_pretrained_on(zoo, folder)
        return models

    def _measure(self, zoo: Zoo, split: Split, models: dict[str, Model], terminal: Terminal) -> dict[str, Imitation]:
        from rnn2vec.emulation.data import SplitData
        from rnn2vec.experiments.imitation import imitate

        data = SplitData(zoo, split)
        found: dict[str, Imitation] = {}
        for name, model in models.items():
            with terminal.progress(f"{name}, {_SPLITS[split]}") as progress:
                found[name] = imitate(data, model, num_episodes=self.episodes, seed=self.seed, progress=progress)
        return found
