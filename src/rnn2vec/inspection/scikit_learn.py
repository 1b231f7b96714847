"""A pre-trained encoder as a step of a scikit-learn pipeline: from checkpoints to whatever scikit-learn does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

from rnn2vec._errors import UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.rnn.spec import CellName


class Rnn2VecTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turns RNNs into vectors, in scikit-learn's manner.

    Examples:
        >>> transformer = Rnn2VecTransformer("model")
        >>> vectors = transformer.fit_transform(gru_stack)
        >>> vectors.shape
        (3, 16)

    `fit` with `inputs` pre-trains on the RNNs that it is given (labels are not looked at); without, it loads `model`.

    Args:
        model: folder of a run or a saved model, or the name of an encoder that comes with the package.
        inputs: sequences as `Rnn2Vec.fit` takes them; then `model` is not used.
        cell: which cell state dicts and files hold, where shapes leave it open (tanh or ReLU).
        fit_options: more arguments of `Rnn2Vec.fit`.
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        inputs: Any = None,
        cell: CellName | None = None,
        fit_options: dict[str, Any] | None = None,
    ) -> None:
        self.model = model
        self.inputs = inputs
        self.cell: CellName | None = cell
        self.fit_options = fit_options

    def fit(self, X: Any, y: Any = None) -> Rnn2VecTransformer:  # noqa: ARG002 (scikit-learn's signature)
        """Load or pre-train the encoder.

        Args:
            X: the RNNs: modules, state dicts, paths, a stack or a zoo.
            y: not looked at.

        Raises:
            UsageError: if there is neither a model nor inputs, or what `Rnn2Vec.fit` refuses.
        """
        if self.inputs is not None:
            options: dict[str, Any] = {"cell": self.cell, **(self.fit_options or {})}
            self.rnn2vec_ = Rnn2Vec.fit(_as_list(X), self.inputs, **options)
        elif self.model is not None:
            self.rnn2vec_ = Rnn2Vec.from_pretrained(self.model)
        else:
            raise UsageError(
                "an Rnn2VecTransformer with neither a model nor inputs",
                remedy="give model= a pre-trained encoder, or inputs= sequences to pre-train with.",
            )
        self._n_features_out = self.rnn2vec_.encoder.representation_size
        return self

    def transform(self, X: Any) -> Float32[np.ndarray, "N Z"]:
        """Return the vectors.

        Raises:
            sklearn.exceptions.NotFittedError: `fit` was not called.
            UsageError: if an RNN does not fit the encoder.
        """
        from sklearn.utils.validation import check_is_fitted  # noqa: PLC0415

        check_is_fitted(self)
        return self.rnn2vec_.embed(_as_list(X), cell=self.cell)

    def __sklearn_tags__(self) -> Any:
        tags: Any = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.one_d_array = True
        tags.no_validation = True
        return tags


def _as_list(rnns: Any) -> Any:
    """Cross-validation hands over parts of object arrays."""
    return list(rnns) if isinstance(rnns, np.ndarray) else rnns
