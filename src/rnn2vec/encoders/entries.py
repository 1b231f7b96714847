"""The operations of equivariant layers on all entries of a matrix's feature map, with few passes over memory.

A layer's matrix products are small compared with its feature maps (48 features for each of 14,000 weights of each of
64 RNNs). As separate operations, they are limited by memory bandwidth: the sum along rows and columns is written and
copied, the product is added, ReLU is applied, two means read the result again, and so does the backward pass. Here
all operations are applied to a few RNNs at a time, which stay in the processor's cache. The forward pass then reads the
source once and writes the result once; the backward pass reads the gradient and both maps and writes once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

FeatureMap = Float[Tensor, "N rows columns C"]
WithMeans = tuple[FeatureMap, Float[Tensor, "N rows C"], Float[Tensor, "N columns C"]]
"""A feature map, its mean over columns and its mean over rows."""

_BLOCK_BYTES = 1 << 20  # of one feature map; an operation has two or three of them in the cache


def linear_on_entries(
    seen: Float[Tensor, "N rows columns seen"],
    weight: Float[Tensor, "C seen"],
    row: Float[Tensor, "N rows C"],
    column: Float[Tensor, "N columns C"],
) -> FeatureMap:
    """Compute `seen[n,j,k] @ weight.T + row[n,j] + column[n,k]`.

    Args:
        seen: input features of the linear map at each entry.
        weight: weight of the linear map.
        row: term added along rows.
        column: term added along columns.
    """
    return _OnEntries.apply(*_alike(seen, weight, row, column), False)  # pyright: ignore[reportReturnType]


def rectified_on_entries(
    seen: Float[Tensor, "N rows columns seen"],
    weight: Float[Tensor, "C seen"],
    row: Float[Tensor, "N rows C"],
    column: Float[Tensor, "N columns C"],
) -> WithMeans:
    """Compute the ReLU of `linear_on_entries`, and its means over columns and over rows."""
    return _OnEntries.apply(*_alike(seen, weight, row, column), True)  # pyright: ignore[reportReturnType]


def with_means(features: FeatureMap) -> WithMeans:
    """Return a feature map unchanged, with its means over columns and over rows."""
    return _Means.apply(features)  # pyright: ignore[reportReturnType]


def _alike(seen: Tensor, weight: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, ...]:
    """Convert all tensors to the parameters' precision, since autocast does not cover operations in place."""
    return tuple(one.to(weight.dtype) for one in (seen, weight, row, column))


class _OnEntries(torch.autograd.Function):
    """The matrix product plus the terms along rows and columns; with `rectify`, also ReLU and means."""

    @staticmethod
    def forward(
        ctx: Any, seen: Tensor, weight: Tensor, row: Tensor, column: Tensor, rectify: bool
    ) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        made = seen.new_empty(*seen.shape[:3], len(weight))
        over_columns, over_rows = torch.empty_like(row), torch.empty_like(column)
        for block in _blocks(made):
            part = made[block]
            torch.add(row[block].unsqueeze(2), column[block].unsqueeze(1), out=part)
            part.flatten(0, 2).addmm_(seen[block].flatten(0, 2), weight.T)
            if rectify:
                part.relu_()
                torch.mean(part, dim=2, out=over_columns[block])
                torch.mean(part, dim=1, out=over_rows[block])
        ctx.set_materialize_grads(False)
        ctx.rectify = rectify
        ctx.save_for_backward(seen, weight, made if rectify else None)
        return (made, over_columns, over_rows) if rectify else made

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        if all(grad is None for grad in grads):
            return (None,) * 5
        seen, weight, made = ctx.saved_tensors
        size = (*seen.shape[:3], len(weight))
        of_seen = seen.new_empty(seen.shape) if ctx.needs_input_grad[0] else None
        of_weight = torch.zeros_like(weight)
        of_row, of_column = seen.new_empty(size[0], size[1], size[3]), seen.new_empty(size[0], size[2], size[3])
        for block in _blocks(seen.new_empty(()).expand(size)):
            total = _total(size[1:], *(grad if grad is None else grad[block] for grad in grads))
            assert total is not None, "at least one gradient arrived"
            if ctx.rectify:
                total = torch.ops.aten.threshold_backward(total, made[block], 0)
            torch.sum(total, dim=2, out=of_row[block])
            torch.sum(total, dim=1, out=of_column[block])
            flat = total.flatten(0, 2)
            of_weight.addmm_(flat.T, seen[block].flatten(0, 2))
            if of_seen is not None:
                torch.mm(flat, weight, out=of_seen[block].flatten(0, 2))
        return of_seen, of_weight, of_row, of_column, None


class _Means(torch.autograd.Function):
    """A matrix, its mean over columns and its mean over rows.

    Autograd would expand the gradient of each mean to the size of the matrix and then add them up, in five passes over
    memory. This function needs two.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        ctx.size = features.shape[1:]
        return features.view_as(features), features.mean(dim=2), features.mean(dim=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> Tensor | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _total(ctx.size, *grads)


def _blocks(like: Tensor) -> Iterator[slice]:
    """Divide the RNNs into blocks whose feature map fits in the cache; on a GPU, use a single block."""
    if like.device.type == "cpu":
        bytes_of_one = like.numel() * like.element_size() // max(1, len(like))
        count = max(1, _BLOCK_BYTES // max(1, bytes_of_one))
    else:
        count = len(like)
    return (slice(start, start + count) for start in range(0, len(like), count))


def _total(
    size: tuple[int, ...], whole: Tensor | None, over_columns: Tensor | None = None, over_rows: Tensor | None = None
) -> Tensor | None:
    """Combine the gradients of feature maps and of their means into the gradient of the maps.

    Args:
        size: rows, columns and features of a map.
        whole: gradient of the maps, `(N, rows, columns, C)`.
        over_columns: gradient of their means over columns, `(N, rows, C)`.
        over_rows: gradient of their means over rows, `(N, columns, C)`.
    """
    rows, columns, _ = size
    means: list[Tensor] = []
    if over_columns is not None:
        means.append((over_columns / columns).unsqueeze(2))
    if over_rows is not None:
        means.append((over_rows / rows).unsqueeze(1))
    if not means:
        return whole
    total = (means[0] + means[1] if len(means) == 2 else means[0]).expand(-1, *size)
    if whole is None:
        return total
    return total.add_(whole) if len(means) == 2 else total + whole
