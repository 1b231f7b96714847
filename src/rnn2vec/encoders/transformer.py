"""The parameter transformer (Schürholt et al. 2021; paper, Section 3): attention over the rows of the weight matrices.

A row is what one neuron (one gate of it) reads, with its bias. Each row is a token, mapped to the transformer's width
by a linear map that all rows of a matrix share. Learned positions say which row it is, so that a renumbered hidden
unit is a stranger: train it with permutation augmentation. A learned summary token attends to all of them, and what
it has become after the last layer is mapped to the representation.

Layers are post-norm with ReLU, as in Vaswani et al. (2017), without dropout. They are written out here: PyTorch's
`nn.TransformerEncoderLayer` computes the same (a test compares both) but takes another path in evaluation.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec._shapes import Representation
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.interface import Interface
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

Tokens = Float[Tensor, "N S width"]


class TransformerLayer(nn.Module):
    """Self-attention, then a small network on each token; each with a residual connection and a norm after it.

    Args:
        width: entries of a token.
        num_heads: attention heads; they divide `width`.
        mlp_size: hidden layer of the network.
    """

    def __init__(self, width: int, num_heads: int, mlp_size: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, mlp_size)
        self.mlp_out = nn.Linear(mlp_size, width)
        self.mlp_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tokens, num_queries: int | None = None) -> Float[Tensor, "N Q width"]:
        """One layer.

        Args:
            tokens: `(N, S, width)`.
            num_queries: how many tokens, from the first, are wanted after the layer; all by default. Every token is
                attended to in any case.
        """
        queries, keys, values = (part.transpose(1, 2) for part in self._heads(tokens).unbind(2))
        attended = nn.functional.scaled_dot_product_attention(queries[:, :, :num_queries], keys, values)
        tokens = tokens[:, :num_queries] + self.attention_out(attended.transpose(1, 2).flatten(2))
        tokens = self.attention_norm(tokens)
        return self.mlp_norm(tokens + self.mlp_out(self.mlp_in(tokens).relu()))

    def _heads(self, tokens: Tokens) -> Float[Tensor, "N S 3 heads size"]:
        return self.attention_in(tokens).unflatten(-1, (3, self.num_heads, -1))


class ParameterTransformer(WeightEncoder):
    """A transformer on the rows of the weight matrices.

    Args:
        spec: the architecture of the RNNs.
        interface: not looked at; every encoder has it.
        representation_size: entries of a representation.
        unit_norm: whether representations are scaled to length 1.
        hidden_size: entries of a token.
        mlp_size: hidden layer of each layer's network.
        num_layers: layers.
        num_heads: attention heads.

    Raises:
        UsageError: `hidden_size` cannot be divided among the heads.
    """

    name = "parameter-transformer"
    augmentable = True
    sign_augmentable = True

    def __init__(
        self,
        spec: RNNSpec,
        *,
        interface: Interface,
        representation_size: int = 16,
        unit_norm: bool = True,
        hidden_size: int = 128,
        mlp_size: int = 512,
        num_layers: int = 6,
        num_heads: int = 2,
    ) -> None:
        super().__init__(spec, interface=interface, representation_size=representation_size, unit_norm=unit_norm)
        if hidden_size % num_heads:
            raise UsageError(
                f"hidden_size={hidden_size} with num_heads={num_heads}",
                remedy="give a hidden_size that the heads can share evenly.",
            )
        matrices = {name: shape for name, shape in spec.parameter_shapes.items() if len(shape) == 2}
        self.matrices = tuple(matrices)
        self.read_rows = nn.ModuleList(nn.Linear(columns + 1, hidden_size) for _, columns in matrices.values())
        num_tokens = 1 + sum(rows for rows, _ in matrices.values())
        self.summary = nn.Parameter(0.02 * torch.randn(hidden_size))
        self.positions = nn.Parameter(0.02 * torch.randn(num_tokens, hidden_size))
        self.layers = nn.ModuleList(TransformerLayer(hidden_size, num_heads, mlp_size) for _ in range(num_layers))
        self.to_representation = nn.Linear(hidden_size, representation_size)

    def encode(self, rnns: RNNs) -> Representation:
        """See `WeightEncoder.encode`."""
        assert isinstance(rnns, RNNStack)
        tokens = self.tokens(rnns)
        for number, layer in enumerate(self.layers, 1):
            # Nobody looks at the rows after the last layer: only the summary goes through it.
            tokens = layer(tokens, 1 if number == len(self.layers) else None)
        return self.to_representation(tokens[:, 0])

    def tokens(self, stack: RNNStack) -> Tokens:
        """What goes into the first layer: the summary token, then one token for each row, with positions added."""
        rows = [self.summary.expand(len(stack), 1, -1)]
        for matrix, read in zip(self.matrices, self.read_rows, strict=True):
            bias = stack.weights[matrix.replace("weight", "bias")]
            rows.append(read(torch.cat([stack.weights[matrix], bias.unsqueeze(-1)], dim=-1)))
        return torch.cat(rows, dim=1) + self.positions
