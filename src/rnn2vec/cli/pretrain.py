"""`rnn2vec pretrain`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from rnn2vec._registry import ENCODERS, LOSSES
from rnn2vec.cli.options import config_options, with_options
from rnn2vec.cli.terminal import Terminal
from rnn2vec.cli.verb import Verb, registered
from rnn2vec.emulation.config import PRESETS, PretrainConfig, preset_for

if TYPE_CHECKING:
    from rnn2vec.tasks.base import TaskFamily


@config_options(PretrainConfig, PRESETS, without=("encoder",), known={"loss": LOSSES})
@dataclass(frozen=True, kw_only=True)
class Pretrain(Verb):
    """Pre-train an encoder on a zoo. If interrupted, rerun the command to resume.

    No labels are needed: an emulator that reads only the representation must imitate the RNN. With torchrun, several
    processes train together.
    """

    zoo: tyro.conf.Positional[Path]
    """Folder of the zoo."""
    out: Path
    """Folder of the run: model, checkpoint and metrics."""
    encoder: Annotated[str, registered("Encoder", ENCODERS)] = "interactive-probing"
    preset: str = "laptop"
    """Preset of sizes and recipe, which other options can change: tiny, tour, laptop, recommended or paper."""
    device: str = "cpu"
    """Device to train on."""
    mnist: Path | None = None
    """Folder of MNIST's IDX files, for zoos of tiled-mnist; by default RNN2VEC_MNIST, a cache, or the public mirror."""
    tensorboard: bool = False
    """Also write TensorBoard events to OUT/tensorboard."""

    def run(self, terminal: Terminal) -> dict[str, Any]:
        """Pre-train, and report the loss of the best model on unseen tasks."""
        from rnn2vec.emulation.pretrain import pretrain
        from rnn2vec.tasks import idx_images
        from rnn2vec.training.processes import Processes, joined
        from rnn2vec.training.tracking import TensorBoard, best_line
        from rnn2vec.zoo.store import Zoo

        zoo = Zoo.open(self.zoo)
        config = self._config(zoo.family)
        if self.mnist is not None:
            idx_images.read_folder(self.mnist)  # the zoo finds them by their fingerprint
        trackers = [TensorBoard(self.out / "tensorboard")] if self.tensorboard else []
        with joined(self.device) as device:
            if not Processes.current().is_first:
                terminal, trackers = Terminal(quiet=True), []
            with terminal.progress(f"pre-train {self.encoder}") as progress:
                pretrain(zoo, config, self.out, device=device, progress=progress, trackers=trackers)
            if not Processes.current().is_first:
                return {}
        best = best_line(self.out, f"validation/{config.loss}", f"last/{config.loss}")
        terminal.say(
            f"{self.out}: {config.loss} {best[f'validation/{config.loss}']:.4f} on unseen tasks "
            f"({best[f'last/{config.loss}']:.4f} for their last snapshots), at step {best['step']:,}"
        )
        return {"run": str(self.out), "config": config.to_dict(), "best": best}

    def _config(self, family: TaskFamily) -> PretrainConfig:
        """Return the preset for RNNs of this family, with the given options."""
        return with_options(preset_for(family, self.preset, self.encoder), self)
