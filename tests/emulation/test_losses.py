"""Distances between distributions: by hand, against SciPy, with zeros, and with gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor

from rnn2vec._errors import UsageError
from rnn2vec.emulation import losses

P, Q = (0.5, 0.5, 0.0), (0.25, 0.5, 0.25)
BY_HAND = {
    "total-variation": 0.25,
    "forward-kl": 0.5 * math.log(2),
    "reverse-kl": math.inf,  # the emulator does what the RNN never does
    "js": 0.5 * (0.5 * math.log(4 / 3) + 0.25 * math.log(2 / 3) + 0.25 * math.log(2)),
}
SCIPY: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "total-variation": lambda p, q: scipy.spatial.distance.cityblock(p, q) / 2,
    "forward-kl": scipy.stats.entropy,
    "reverse-kl": lambda p, q: scipy.stats.entropy(q, p),
    "js": lambda p, q: scipy.spatial.distance.jensenshannon(p, q) ** 2,
}
NAMES = list(SCIPY)
NEVER_INFINITE = ["total-variation", "forward-kl", "js"]  # when it is the RNN that never does something


def _logits(probabilities: object) -> Tensor:
    """Log-probabilities, which are logits too: minus infinity where a probability is 0."""
    return torch.as_tensor(np.asarray(probabilities, dtype=np.float64)).log()


def _distribution(draws: np.ndarray) -> np.ndarray:
    """Probabilities from about 1e-8, the smallest that half precision keeps."""
    return (draws + 1e-8) / (draws + 1e-8).sum()


draws = hnp.arrays(np.float64, 6, elements=st.floats(0, 1) | st.sampled_from([0.0, 1e-8, 1e-4, 1.0]))


# -- values ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: str) -> None:
    value = losses.distance(name, "categorical")(_logits(P), _logits(Q))
    assert value.item() == pytest.approx(BY_HAND[name], abs=1e-12)


def test_reverse_kl_by_hand_where_it_is_finite() -> None:
    assert losses.reverse_kl(_logits(Q), _logits(P)).item() == pytest.approx(0.5 * math.log(2), abs=1e-12)


def test_squared_error_by_hand() -> None:
    value = losses.squared_error(torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 4.0], [0.0, 0.0]]))
    assert value.tolist() == [2.5, 0.0]


@pytest.mark.parametrize("name", NAMES)
@given(p=draws, q=draws, zeros=st.booleans())
@pytest.mark.filterwarnings("ignore:invalid value encountered in sqrt")  # SciPy's own: equal distributions, rounded
def test_scipy_says_the_same(name: str, p: np.ndarray, q: np.ndarray, zeros: bool) -> None:
    rnn, emulator = p / p.sum() if zeros and p.sum() > 0 else _distribution(p), _distribution(q)
    value = losses.distance(name, "categorical")(_logits(rnn), _logits(emulator)).item()
    assert value == pytest.approx(np.nan_to_num(SCIPY[name](rnn, emulator), posinf=math.inf), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@given(p=draws, q=draws)
@pytest.mark.filterwarnings("ignore:invalid value encountered in sqrt")  # SciPy's own: equal distributions, rounded
def test_scipy_says_the_same_of_half_precision_with_zeros_on_both_sides(
    name: str, p: np.ndarray, q: np.ndarray
) -> None:
    """Rounded to half precision, what is below 3e-8 is 0: for the RNN, for the emulator, or for both."""
    sides = [one.astype(np.float16).astype(np.float64) for one in (_distribution(p), _distribution(q))]
    rnn, emulator = (one / one.sum() for one in sides)
    value = losses.distance(name, "categorical")(_logits(rnn), _logits(emulator)).item()
    assert value == pytest.approx(np.nan_to_num(SCIPY[name](rnn, emulator), posinf=math.inf), rel=1e-9, abs=1e-12)


# -- laws ------------------------------------------------------------------------------------------


@given(p=draws, q=draws, shift=st.floats(-50, 50))
def test_laws(p: np.ndarray, q: np.ndarray, shift: float) -> None:
    one, other = _logits(_distribution(p)), _logits(_distribution(q))
    values = {name: distance(one, other).item() for name, distance in losses.distances("categorical").items()}
    back = {name: distance(other, one).item() for name, distance in losses.distances("categorical").items()}

    assert all(value >= -1e-12 for value in values.values())
    assert values["total-variation"] <= 1 + 1e-12
    assert values["js"] <= math.log(2) + 1e-12
    assert values["total-variation"] <= math.sqrt(max(values["forward-kl"], 0) / 2) + 1e-9  # Pinsker
    assert values["forward-kl"] == pytest.approx(back["reverse-kl"], abs=1e-12)
    for name in ("total-variation", "js"):
        assert values[name] == pytest.approx(back[name], abs=1e-12)
    for name, distance in losses.distances("categorical").items():
        assert distance(one, one).item() == pytest.approx(0, abs=1e-12)
        assert distance(one + shift, other - shift).item() == pytest.approx(values[name], abs=1e-9)


@pytest.mark.parametrize("name", [*NAMES, "mse"])
def test_one_number_per_step(name: str, generator: torch.Generator) -> None:
    one, other = torch.randn(2, 3, 4, 5, 6, generator=generator)
    distance = losses.distance(name, "continuous" if name == "mse" else "categorical")
    values = distance(one, other)
    assert values.shape == (3, 4, 5)
    assert values[1, 2, 3].item() == pytest.approx(distance(one[1, 2, 3], other[1, 2, 3]).item(), abs=1e-6)


# -- gradients -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1.0, 20.0, 100.0])
def test_gradients_are_finite(name: str, dtype: torch.dtype, scale: float, generator: torch.Generator) -> None:
    rnn = scale * torch.randn(50, 6, generator=generator, dtype=dtype)
    emulator = (scale * torch.randn(50, 6, generator=generator, dtype=dtype)).requires_grad_()
    value = losses.distance(name, "categorical")(rnn, emulator)
    value.sum().backward()
    assert value.isfinite().all()
    assert emulator.grad is not None
    assert emulator.grad.isfinite().all()


@pytest.mark.parametrize("name", NEVER_INFINITE)
@pytest.mark.parametrize("p", [(1.0, 0.0, 0.0), (0.5, 0.5, 0.0)])
def test_gradients_are_finite_where_an_rnn_never_does_something(name: str, p: tuple[float, ...]) -> None:
    emulator = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    losses.distance(name, "categorical")(_logits(p), emulator).backward()
    assert emulator.grad is not None
    assert emulator.grad.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_formula(name: str, generator: torch.Generator) -> None:
    rnn = torch.randn(4, 6, generator=generator, dtype=torch.float64)
    emulator = torch.randn(4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    distance = losses.distance(name, "categorical")
    assert torch.autograd.gradcheck(lambda logits: distance(rnn, logits), (emulator,))


# -- names -----------------------------------------------------------------------------------------


def test_the_papers_and_the_fields_distances_are_there() -> None:
    assert set(losses.distances("categorical")) == {"total-variation", "forward-kl", "reverse-kl", "js"}
    assert set(losses.distances("continuous")) == {"mse"}


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("total-varation", "categorical", "did you mean 'total-variation'"),
        ("mse", "categorical", "Known: forward-kl, js, reverse-kl, total-variation"),
        ("js", "continuous", "Known: mse"),
    ],
)
def test_an_unknown_loss_is_refused(name: str, kind: losses.Kind, words: str) -> None:
    with pytest.raises(UsageError, match=rf"unknown loss for {kind} outputs '{name}'\n(.|\n)*{words}"):
        losses.distance(name, kind)
