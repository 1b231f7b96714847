"""Search for an RNN among those that an emulator can become: over a short representation instead of its weights.

Without gradients the search is CMA-ES (Hansen and Ostermeier 2001, the package `cmaes`); where the objective can be
differentiated, Adam follows the gradient through the decoded weights.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor

from rnn2vec._errors import DataError, UsageError
from rnn2vec._progress import Progress, silent
from rnn2vec._seeding import numpy_generator
from rnn2vec.rnn.stack import RNNStack
from rnn2vec.training.recipe import require_choice

Method = Literal["evolution", "gradient"]
Objective = Callable[[RNNStack], Any]
"""Takes N RNNs and returns N scores, an array or a tensor; lower is better."""
_LARGEST_SEED = 2**31 - 1


@dataclass(frozen=True)
class Found:
    """The best RNN that a search came upon."""

    representation: Float32[np.ndarray, " Z"]
    """Representation of the best RNN."""
    rnn: RNNStack
    """The RNN, a stack of one."""
    score: float
    """Score of the best RNN."""
    evaluations: int
    """RNNs that were scored."""
    history: tuple[float, ...]
    """The best score after each generation or step."""


def search(
    decode: Callable[[Float[Tensor, "N Z"]], RNNStack],
    objective: Objective,
    start: Float[np.ndarray, " Z"],
    *,
    on_sphere: bool,
    method: Method = "evolution",
    evaluations: int = 2000,
    population: int = 16,
    spread: float = 0.3,
    goal: float | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> Found:
    """Look for the representation whose RNN has the lowest score.

    Args:
        decode: from representations to RNNs.
        objective: scores RNNs.
        start: where to begin, `(Z,)`.
        on_sphere: whether representations have length 1.
        method: `evolution`, or `gradient` for an objective that returns a tensor with gradients.
        evaluations: RNNs to score, at most.
        population: RNNs of a generation (`evolution`), or searches side by side from points around the start
            (`gradient`).
        spread: standard deviation of the first generation, in units of a representation; a tenth of it is the learning
            rate of `gradient`.
        goal: the search ends when a score is at most this.
        seed: everything random follows from it.
        progress: callback that receives the number of RNNs scored.

    Raises:
        UsageError: if an option is out of range, or there is no gradient.
        DataError: if a score is NaN.
    """
    require_choice("method", method, get_args(Method))
    for name, value in {"evaluations": evaluations, "population": population, "spread": spread}.items():
        if value <= 0:
            raise UsageError(f"{name}={value}", remedy="give a number above 0.")
    best = _Best(decode, objective, on_sphere)
    step = (_evolution if method == "evolution" else _gradient)(best, start, population, spread, seed)
    history: list[float] = []
    while best.evaluations < evaluations and (goal is None or best.score > goal):
        step()
        history.append(best.score)
        progress(min(best.evaluations, evaluations), evaluations, f"best score {best.score:.4g}")
    with torch.no_grad():
        rnn = decode(torch.from_numpy(best.representation[None]))
    return Found(best.representation, rnn, best.score, best.evaluations, tuple(history))


class _Best:
    """Scores RNNs and keeps the best."""

    def __init__(self, decode: Callable[[Tensor], RNNStack], objective: Objective, on_sphere: bool) -> None:
        self._decode, self._objective, self._on_sphere = decode, objective, on_sphere
        self.representation = np.zeros(0, dtype=np.float32)
        self.score = float("inf")
        self.evaluations = 0

    def scores(self, points: Float[Tensor, "N Z"]) -> Tensor:
        """Return the scores of points `(N, Z)`, with gradients where the objective has them."""
        representations = torch.nn.functional.normalize(points, dim=1) if self._on_sphere else points
        scores = torch.as_tensor(self._objective(self._decode(representations)))
        if scores.shape != (len(points),):
            raise UsageError(
                f"the objective returned scores of shape {tuple(scores.shape)} for {len(points)} RNNs",
                remedy="return one number for each RNN of the stack.",
            )
        values = scores.detach().double().numpy()
        if np.isnan(values).any():
            raise DataError("the objective returned NaN", remedy="return a large number for an RNN that fails.")
        self.evaluations += len(points)
        best = int(values.argmin())
        if values[best] < self.score or not len(self.representation):
            self.score, self.representation = float(values[best]), representations[best].detach().numpy().copy()
        return scores


def _evolution(best: _Best, start: np.ndarray, population: int, spread: float, seed: int) -> Callable[[], None]:
    """Return a function that makes one generation."""
    try:
        from cmaes import CMA  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            "a search without gradients needs the package cmaes", remedy="pip install 'rnn2vec[search]'"
        ) from error
    number = int(numpy_generator(seed, "search").integers(_LARGEST_SEED))
    strategy = CMA(mean=start.astype(np.float64), sigma=spread, population_size=max(2, population), seed=number)

    def generation() -> None:
        points = np.stack([strategy.ask() for _ in range(strategy.population_size)])
        with torch.no_grad():
            scores = best.scores(torch.from_numpy(points.astype(np.float32)))
        strategy.tell(list(zip(points, scores.double().numpy(), strict=True)))

    return generation


def _gradient(best: _Best, start: np.ndarray, population: int, spread: float, seed: int) -> Callable[[], None]:
    """Return a function that makes one step of every search."""
    noise = spread * numpy_generator(seed, "search").standard_normal((population, len(start)))
    noise[0] = 0.0
    points = torch.from_numpy((start + noise).astype(np.float32)).requires_grad_()
    optimizer = torch.optim.Adam([points], lr=spread / 10)

    def step() -> None:
        scores = best.scores(points)
        if not scores.requires_grad:
            raise UsageError(
                "method='gradient', but the objective returns scores without a gradient",
                remedy="return a tensor computed from the RNNs' outputs, or take method='evolution'.",
            )
        (points.grad,) = torch.autograd.grad(scores.sum(), points)
        optimizer.step()

    return step
