"""The parameter transformer (Schürholt et al. 2021; paper, Section 3): attention over the rows of the weight matrices.

A row holds the incoming weights of one gate of a hidden unit, with its bias. Each row is a token, mapped to the
transformer's width by a linear map that all rows of a matrix share. Learned positional embeddings identify the row, so
the encoder is not invariant to permutations of hidden units: train it with permutation augmentation. A learned summary
token attends to all rows, and its state after the last layer is mapped to the representation.

Layers are post-norm with ReLU, as in Vaswani et al. (2017). They are implemented here, because PyTorch's
`nn.TransformerEncoderLayer` computes the same (a test compares both) but uses another path in evaluation.

The released code trains with dropout 0.1 and draws positional embeddings with standard deviation 1, and so does the
preset `paper`. The defaults are no dropout and 0.02.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from rnn2vec._errors import UsageError
from rnn2vec._shapes import Representation
from rnn2vec.encoders.base import WeightEncoder
from rnn2vec.rnn.collection import RNNs
from rnn2vec.rnn.spec import RNNSpec
from rnn2vec.rnn.stack import RNNStack

Tokens = Float[Tensor, "N S width"]


class TransformerLayer(nn.Module):
    """Self-attention followed by an MLP on each token; each has a residual connection and a layer norm after it.

    Args:
        width: number of features of a token.
        num_heads: number of attention heads; must divide `width`.
        mlp_size: number of hidden units of the MLP.
        dropout: probability of dropping attention weights, hidden units and outputs of both parts in training.
    """

    def __init__(self, width: int, num_heads: int, mlp_size: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = nn.Dropout(dropout)
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.mlp_in = nn.Linear(width, mlp_size)
        self.mlp_out = nn.Linear(mlp_size, width)
        self.mlp_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tokens, num_queries: int | None = None) -> Float[Tensor, "N Q width"]:
        """Apply the layer.

        Args:
            tokens: tokens `(N, S, width)`, all of which are attended to.
            num_queries: number of tokens to return, starting with the first; all by default.
        """
        queries, keys, values = (part.transpose(1, 2) for part in self._heads(tokens).unbind(2))
        dropped = self.dropout.p if self.training else 0.0
        attended = nn.functional.scaled_dot_product_attention(
            queries[:, :, :num_queries], keys, values, dropout_p=dropped
        )
        tokens = tokens[:, :num_queries] + self.dropout(self.attention_out(attended.transpose(1, 2).flatten(2)))
        tokens = self.attention_norm(tokens)
        hidden = self.dropout(self.mlp_in(tokens).relu())
        return self.mlp_norm(tokens + self.dropout(self.mlp_out(hidden)))

    def _heads(self, tokens: Tokens) -> Float[Tensor, "N S 3 heads size"]:
        return self.attention_in(tokens).unflatten(-1, (3, self.num_heads, -1))


class ParameterTransformer(WeightEncoder):
    """A transformer on the rows of the weight matrices.

    Args:
        spec: architecture of the RNNs.
        hidden_size: number of features of a token.
        mlp_size: number of hidden units of each layer's MLP.
        num_layers: number of transformer layers.
        num_heads: number of attention heads.
        dropout: dropout probability in training, see `TransformerLayer`.
        position_deviation: initial standard deviation of the positional embeddings.
        **options: arguments of `WeightEncoder`.

    Raises:
        UsageError: if `hidden_size` is not a multiple of `num_heads`, or `dropout` is not in [0, 1).
    """

    name = "parameter-transformer"
    augmentable = True
    sign_augmentable = True

    def __init__(
        self,
        spec: RNNSpec,
        *,
        hidden_size: int = 128,
        mlp_size: int = 512,
        num_layers: int = 6,
        num_heads: int = 2,
        dropout: float = 0.0,
        position_deviation: float = 0.02,
        **options: Any,
    ) -> None:
        super().__init__(spec, **options)
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout={dropout}", remedy="give 0 (none) or a share below 1, such as 0.1.")
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
        self.positions = nn.Parameter(position_deviation * torch.randn(num_tokens, hidden_size))
        self.layers = nn.ModuleList(
            TransformerLayer(hidden_size, num_heads, mlp_size, dropout) for _ in range(num_layers)
        )
        self.to_representation = nn.Linear(hidden_size, self.representation_size)

    @classmethod
    def obstacle(cls, spec: RNNSpec) -> str | None:
        """See `WeightEncoder.obstacle`."""
        names = set(spec.cell_type.parameters)
        matrices = {name for name in names if name.startswith("weight")}
        is_paired = names - matrices == {name.replace("weight", "bias") for name in matrices}
        given = ", ".join(spec.cell_type.parameters)
        return None if is_paired else f"a token is a row of a matrix with its bias, but a layer has {given}"

    def encode(self, rnns: RNNs) -> Representation:
        """Encode RNNs as `WeightEncoder.encode` defines."""
        assert isinstance(rnns, RNNStack)
        tokens = self.tokens(rnns)
        for number, layer in enumerate(self.layers, 1):
            # The last layer computes the summary only, since the rows are not used after it.
            tokens = layer(tokens, 1 if number == len(self.layers) else None)
        return self.to_representation(tokens[:, 0])

    def tokens(self, stack: RNNStack) -> Tokens:
        """Build the input of the first layer: the summary token and a token for each row, with positions added."""
        rows = [self.summary.expand(len(stack), 1, -1)]
        for matrix, read in zip(self.matrices, self.read_rows, strict=True):
            bias = stack.weights[matrix.replace("weight", "bias")]
            rows.append(read(torch.cat([stack.weights[matrix], bias.unsqueeze(-1)], dim=-1)))
        return torch.cat(rows, dim=1) + self.positions
