"""The single pass over the entries equals the separate operations, gradients included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rnn2vec.encoders import entries

Arguments = tuple[Tensor, Tensor, Tensor, Tensor]


@pytest.fixture(params=[1, 2 * 3 * 4 * 5 * 8, 1 << 20], ids=["one by one", "in twos", "all at once"])
def blocks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the block size to one, two or all of five RNNs."""
    monkeypatch.setattr(entries, "_BLOCK_BYTES", request.param)


@pytest.fixture
def arguments(generator: torch.Generator) -> Arguments:
    """Draw arguments for 5 RNNs, with 3 rows, 4 columns, 2 input features and 5 output features."""
    shapes = [(5, 3, 4, 2), (5, 2), (5, 3, 5), (5, 4, 5)]
    made = [torch.randn(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]
    return made[0], made[1], made[2], made[3]


def _linear(seen: Tensor, weight: Tensor, row: Tensor, column: Tensor) -> Tensor:
    return seen @ weight.T + row.unsqueeze(2) + column.unsqueeze(1)


def _rectified(*arguments: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    made = _linear(*arguments).relu()
    return made, made.mean(dim=2), made.mean(dim=1)


def _gradients(results: tuple[Tensor, ...], arguments: Arguments) -> tuple[Tensor, ...]:
    """Compute the gradients of a sum in which every number of the results has a different weight."""
    loss = sum((result.sin() * torch.arange(result.numel()).view_as(result)).sum() for result in results)
    return torch.autograd.grad(loss, arguments)


@pytest.mark.usefixtures("blocks")
def test_the_linear_map(arguments: Arguments) -> None:
    made, expected = entries.linear_on_entries(*arguments), _linear(*arguments)
    torch.testing.assert_close(made, expected)
    torch.testing.assert_close(_gradients((made,), arguments), _gradients((expected,), arguments))


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("used", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_the_rectified_map_and_its_means(arguments: Arguments, used: tuple[int, ...]) -> None:
    made, expected = entries.rectified_on_entries(*arguments), _rectified(*arguments)
    torch.testing.assert_close(made, expected)
    some, others = (tuple(results[number] for number in used) for results in (made, expected))
    torch.testing.assert_close(_gradients(some, arguments), _gradients(others, arguments))


@pytest.mark.parametrize("used", [(0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_means_alone(arguments: Arguments, used: tuple[int, ...]) -> None:
    features = arguments[0]
    made, expected = entries.with_means(features), (features, features.mean(dim=2), features.mean(dim=1))
    some, others = (tuple(results[number] for number in used) for results in (made, expected))
    torch.testing.assert_close(some, others)
    (gradient,), (wanted,) = (
        torch.autograd.grad(sum(result.sin().sum() for result in results), (features,)) for results in (some, others)
    )
    torch.testing.assert_close(gradient, wanted)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("compute", [entries.linear_on_entries, entries.rectified_on_entries])
def test_what_is_seen_may_lie_in_memory_in_any_way(
    arguments: Arguments, compute: Callable[..., Tensor | tuple[Tensor, ...]]
) -> None:
    seen, *rest = arguments
    transposed = seen.detach().transpose(1, 2).contiguous().transpose(1, 2)
    assert not transposed.is_contiguous()
    torch.testing.assert_close(compute(transposed, *rest), compute(seen, *rest))


@pytest.mark.usefixtures("blocks")
def test_weights_of_rnns_need_no_gradient(arguments: Arguments) -> None:
    seen, *rest = arguments
    made = entries.linear_on_entries(seen.detach(), *rest)
    gradients = torch.autograd.grad(made.square().sum(), rest)
    expected = torch.autograd.grad(_linear(*arguments).square().sum(), rest)
    torch.testing.assert_close(gradients, expected)
