"""The measurements that the tour's page shows, made from the zoo and the saved models of the runs.

No number is copied from training: the distance of each RNN is computed again with the saved models.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from rnn2vec._errors import UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec._shapes import Representation
from rnn2vec.emulation import checkpoints
from rnn2vec.emulation.data import Behaviour, SplitData
from rnn2vec.emulation.emulator import Emulation
from rnn2vec.emulation.fidelity import closed_form_floor, emulation_fidelity
from rnn2vec.experiments.floor_comparison import FloorComparison, compare_with_floor
from rnn2vec.inspection.dialogues import Transcript, transcribe
from rnn2vec.inspection.maps import Projection, project
from rnn2vec.inspection.performance import PerformanceComparison, act, compare_performance
from rnn2vec.training import tracking
from rnn2vec.zoo.rollouts import Stepper
from rnn2vec.zoo.store import Zoo


@dataclass(frozen=True)
class Headline:
    """Mean total variation of both encoders and of the floor over one set of RNNs."""

    static: FloorComparison
    """Static (non-interactive) probing compared with the floor."""
    interactive: FloorComparison
    """Interactive probing compared with the same floor."""

    @property
    def floor(self) -> float:
        """Mean total variation of the task-blind floor."""
        return self.interactive.floor

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON-ready values."""
        return {
            "floor": self.floor,
            "floor_name": self.interactive.floor_name,
            "static": _to_dict(self.static),
            "interactive": _to_dict(self.interactive),
            "num_rnns": self.interactive.num_rnns,
            "num_languages": self.interactive.num_groups,
        }


@dataclass(frozen=True)
class TourFindings:
    """The findings of a tour on RNNs of unseen languages."""

    all_snapshots: Headline
    """Comparison over all snapshots, untrained ones included."""
    last_snapshots: Headline
    """Comparison over the last snapshot of each run."""
    static_r_squared: float | None
    """R squared between the performance of RNNs and of their emulations from static probing; None if all RNNs perform
    alike."""
    interactive_r_squared: float | None
    """R squared for interactive probing."""

    def __str__(self) -> str:
        """Format the comparison as a small table for a terminal."""
        num_languages = self.all_snapshots.interactive.num_groups
        return "\n".join(
            [
                f"total variation on {num_languages} unseen languages (0 is a perfect emulation)",
                f"{'':<22}{'all snapshots':<34}last snapshots",
                *(f"{name:<22}{every:<34}{last}" for name, every, last in self._rows()),
            ]
        )

    def _rows(self) -> list[tuple[str, str, str]]:
        every, last = self.all_snapshots, self.last_snapshots
        return [
            ("task-blind floor", f"{every.floor:.3f}", f"{last.floor:.3f}"),
            ("static probing", _relative_to_floor(every.static), _relative_to_floor(last.static)),
            ("interactive probing", _relative_to_floor(every.interactive), _relative_to_floor(last.interactive)),
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the findings as JSON-ready values."""
        return {
            "all_snapshots": self.all_snapshots.to_dict(),
            "last_snapshots": self.last_snapshots.to_dict(),
            "performance_r_squared": {"static": self.static_r_squared, "interactive": self.interactive_r_squared},
        }


def _to_dict(comparison: FloorComparison) -> dict[str, Any]:
    return {
        "total_variation": comparison.encoder,
        "ratio_to_floor": comparison.ratio,
        "interval": None if comparison.interval is None else list(comparison.interval),
        "below_floor": comparison.is_below_floor,
    }


def _relative_to_floor(comparison: FloorComparison) -> str:
    interval = comparison.interval
    return f"{comparison.encoder:.3f} = {comparison.ratio:.2f} x floor" + (
        "" if interval is None else f" ({interval[0]:.2f}..{interval[1]:.2f})"
    )


INTERACTIVE, STATIC, BLIND = "interactive-probing", "noninteractive-probing", "task-blind"
CLOSED_FORM = "closed-form"
DISTANCE = "total-variation"
_EPISODES = 100
"""Number of episodes of each RNN and each emulation."""
_STRINGS = 6
"""Number of strings shown of the example RNN and of each of its emulations."""


@dataclass(frozen=True)
class Run:
    """A pre-training run loaded from its folder."""

    name: str
    """Name of its encoder."""
    folder: Path
    """Folder of the run."""
    description: dict[str, Any]
    """Content of `run.json`: config, zoo, provenance."""
    metrics: list[dict[str, Any]]
    """Metrics of each validation."""
    model: checkpoints.Model
    """Model with the lowest validation loss."""


@dataclass(frozen=True)
class Probing:
    """Results of one probing encoder on the N RNNs of unseen languages."""

    run: Run
    """Run that trained the encoder."""
    representations: Representation
    """Representations, (N, Z)."""
    distances: Float[np.ndarray, " N"]
    """Total variation between each RNN and its emulation."""
    projection: Projection
    """Map of the representations."""
    performance: PerformanceComparison
    """Performance of the RNNs compared with that of their emulations."""
    transcript: Transcript
    """Dialogue with the example RNN."""
    strings: list[tuple[str, bool]]
    """Strings that the example's emulation generates, each with True if it is in the language."""


@dataclass(frozen=True)
class Example:
    """The RNN whose dialogue is shown."""

    number: int
    """Index among the RNNs of unseen languages."""
    performance: float
    """Performance according to the zoo, from 0 to 1."""
    strings: list[tuple[str, bool]]
    """Strings that the RNN generates, each with True if it is in the language."""


@dataclass(frozen=True)
class TourResults:
    """All measurements that the page shows."""

    zoo: Zoo
    """Zoo of the tour."""
    unseen: SplitData
    """The N RNNs of unseen languages."""
    performance: Float[np.ndarray, " N"]
    """Performance of each RNN, from the zoo."""
    is_last: Bool[np.ndarray, " N"]
    """Mask of the last snapshots of their runs."""
    floors: dict[str, Float[np.ndarray, " N"]]
    """Distance of each RNN to each task-blind prediction, by the floor's name."""
    blind: Run | None
    """Run with the task-blind encoder, if any."""
    interactive: Probing
    """Results of interactive probing."""
    static: Probing
    """Results of static (non-interactive) probing."""
    example: Example
    """RNN whose dialogue is shown."""
    findings: TourFindings
    """Comparison of both encoders with the floor."""


def measure(zoo: Zoo, runs: Mapping[str, Path], progress: Progress = silent) -> TourResults:
    """Measure what the tour's page shows.

    Args:
        zoo: the zoo on which the runs were pre-trained.
        runs: folders of the runs by the names of their encoders; the task-blind run is optional.
        progress: callback that receives the number of parts done.

    Raises:
        UsageError: if a run is missing or was trained on another zoo, or there is no floor to compare with.
        DataError: if the files of a run are damaged.
    """
    loaded = {name: load_run(name, Path(folder)) for name, folder in runs.items()}
    for run in loaded.values():
        checkpoints.require_pretrained_on(zoo, run.folder)
    missing = {INTERACTIVE, STATIC} - loaded.keys()
    if missing:
        raise UsageError(f"no run of {' and '.join(sorted(missing))}", remedy="pre-train both probing encoders first.")
    unseen = SplitData(zoo, "validation")
    performance = zoo.column("performance")[unseen.indices].astype(np.float64)
    is_last = unseen.steps == unseen.steps.max()
    behaviour = unseen.first_rollouts(loaded[INTERACTIVE].description["config"]["validation_rollouts"])
    progress(0, 4, "task-blind floor")
    floors = _floors(unseen, behaviour, loaded.get(BLIND))
    number = int(np.flatnonzero(is_last)[performance[is_last].argmax()])
    example = Example(number, float(performance[number]), _strings(unseen, number, unseen.rnns.select))
    probings: list[Probing] = []
    for done, name in enumerate((INTERACTIVE, STATIC), 1):
        progress(done, 4, name)
        probings.append(_probe(loaded[name], unseen, behaviour, number))
    interactive, static = probings
    return TourResults(
        zoo=zoo,
        unseen=unseen,
        performance=performance,
        is_last=is_last,
        floors=floors,
        blind=loaded.get(BLIND),
        interactive=interactive,
        static=static,
        example=example,
        findings=_findings(unseen, is_last, floors, interactive, static),
    )


def load_run(name: str, folder: Path) -> Run:
    """Load a pre-training run.

    Args:
        name: name of the encoder that the run must have trained.
        folder: folder of the run.

    Raises:
        UsageError: if the folder has no run, or a run of another encoder.
        DataError: if the files are damaged.
    """
    model = checkpoints.load_model(folder)
    if not (folder / checkpoints.RUN).is_file() or model.encoder.name != name:
        raise UsageError(f"{folder} is not a run of {name}", remedy=f"pre-train {name} with this output folder.")
    return Run(name, folder, checkpoints.read_run(folder), tracking.read_metrics(folder), model)


def _floors(unseen: SplitData, behaviour: Behaviour, blind: Run | None) -> dict[str, Float[np.ndarray, " N"]]:
    closed = closed_form_floor(unseen, behaviour.inputs.shape[1])
    floors = {} if closed is None else {CLOSED_FORM: closed[DISTANCE]}
    if blind is not None:
        floors[BLIND] = emulation_fidelity(blind.model.encoder, blind.model.emulator, behaviour)[DISTANCE]
    if not floors:
        raise UsageError(
            f"no task-blind floor: {unseen.family.name} has none in closed form",
            remedy=f"pre-train the encoder {BLIND} too.",
        )
    return floors


@torch.no_grad()
def _probe(run: Run, unseen: SplitData, behaviour: Behaviour, example: int) -> Probing:
    encoder, emulator = run.model.encoder, run.model.emulator
    representations = encoder(unseen.rnns)
    return Probing(
        run=run,
        representations=representations,
        distances=emulation_fidelity(encoder, emulator, behaviour)[DISTANCE],
        projection=project(representations.numpy()),
        performance=compare_performance(
            unseen.rnns,
            emulator,
            representations,
            family=unseen.family,
            tasks=unseen.tasks,
            num_episodes=_EPISODES,
        ),
        transcript=transcribe(encoder, unseen.rnns.select([example]), unseen.family),
        strings=_strings(unseen, example, lambda rows: Emulation(emulator, representations[rows])),
    )


def _strings(unseen: SplitData, number: int, stepper: Callable[[list[int]], Stepper]) -> list[tuple[str, bool]]:
    """Decode a few episodes of one RNN or its emulation, each with True for success; both use the same draws."""
    copies = [number] * _STRINGS  # one episode per copy, so that each gets a performance of its own
    tasks = [unseen.tasks[number]] * _STRINGS
    world = act(stepper(copies), unseen.family, tasks, 1, numbers=range(_STRINGS), seed=1)
    texts = [unseen.family.decode(codes[0]) for codes in world.codes()]
    return list(zip(texts, [bool(success) for success in world.performance() > 0], strict=True))


def _findings(
    unseen: SplitData,
    is_last: Bool[np.ndarray, " N"],
    floors: Mapping[str, Float[np.ndarray, " N"]],
    interactive: Probing,
    static: Probing,
) -> TourFindings:
    def headline(chosen: Bool[np.ndarray, " N"]) -> Headline:
        groups = [task for task, is_chosen in zip(unseen.tasks, chosen, strict=True) if is_chosen]
        here = {name: floor[chosen] for name, floor in floors.items()}

        def compare(probing: Probing) -> FloorComparison:
            return compare_with_floor(probing.distances[chosen], here, groups)

        return Headline(static=compare(static), interactive=compare(interactive))

    return TourFindings(
        all_snapshots=headline(np.ones_like(is_last)),
        last_snapshots=headline(is_last),
        static_r_squared=static.performance.r_squared,
        interactive_r_squared=interactive.performance.r_squared,
    )
