"""The transformer keeps scikit-learn's convention, and works in its pipelines and searches."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any
from unittest import SkipTest

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

from rnn2vec._errors import UsageError
from rnn2vec.embedding.rnn2vec import Rnn2Vec
from rnn2vec.emulation.config import PretrainConfig
from rnn2vec.inspection.scikit_learn import Rnn2VecTransformer
from rnn2vec.zoo.store import Zoo

_MATRIX = "it fits on a matrix of random numbers, which is no RNNs; checked on RNNs below"
_SPARSE = "it fits on sparse matrices, which hold no RNNs"
CANNOT_APPLY = {
    "check_fit_score_takes_y": _MATRIX,
    "check_estimators_overwrite_params": _MATRIX,
    "check_dont_overwrite_parameters": _MATRIX,
    "check_estimators_fit_returns_self": _MATRIX,
    "check_readonly_memmap_input": _MATRIX,
    "check_positive_only_tag_during_fit": _MATRIX,
    "check_estimators_dtypes": "vectors are single precision whatever the numbers come in",
    "check_pipeline_consistency": _MATRIX,
    "check_estimator_sparse_tag": _SPARSE,
    "check_estimator_sparse_array": _SPARSE,
    "check_estimator_sparse_matrix": _SPARSE,
    "check_estimators_pickle": _MATRIX,
    "check_array_api_input": "scikit-learn skips it unless it is switched on",
    "check_f_contiguous_array_estimator": _MATRIX,
    "check_transformer_general": _MATRIX,
    "check_transformer_preserve_dtypes": "vectors are single precision whatever the numbers come in",
    "check_methods_sample_order_invariance": _MATRIX,
    "check_methods_subset_invariance": _MATRIX,
    "check_fit2d_1sample": _MATRIX,
    "check_fit2d_1feature": _MATRIX,
    "check_dict_unchanged": _MATRIX,
    "check_fit_idempotent": _MATRIX,
    "check_fit_check_is_fitted": _MATRIX,
}
"""Checks of scikit-learn that cannot hold, with the reason."""


class ClaimsMatrices(Rnn2VecTransformer):
    """scikit-learn runs hardly any check on an estimator whose tags say that it takes no matrices: this one says it."""

    def __sklearn_tags__(self) -> Any:
        tags: Any = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.one_d_array = True, False
        return tags


@pytest.mark.usefixtures("without_type_checks")
def test_scikit_learns_own_checks_pass_but_for_those_that_cannot_apply() -> None:
    failed: set[str] = set()
    passed: set[str] = set()
    for estimator, check in estimator_checks_generator(ClaimsMatrices()):
        name = check.func.__name__
        try:
            check(estimator)
        except (Exception, SkipTest):  # noqa: BLE001 (whatever it is that fails)
            failed.add(name)
        else:
            passed.add(name)
    assert failed <= set(CANNOT_APPLY)
    assert len(passed) >= 14
    assert {
        "check_estimator_cloneable",
        "check_estimators_unfitted",
        "check_parameters_default_constructible",
    } <= passed


def test_what_those_checks_check_holds_for_rnns(tiny_run: Path, tiny_zoo: Zoo) -> None:
    stack = tiny_zoo.rnns(range(6))
    transformer = Rnn2VecTransformer(tiny_run)
    before = dict(transformer.get_params())
    assert transformer.fit(stack, y=[0, 1, 0, 1, 0, 1]) is transformer
    vectors = transformer.transform(stack)
    fitted = set(vars(transformer))
    np.testing.assert_array_equal(transformer.fit(stack).transform(stack), vectors)
    assert set(vars(transformer)) == fitted
    assert transformer.get_params() == before
    np.testing.assert_allclose(transformer.transform(stack.select([4, 2])), vectors[[4, 2]], atol=1e-6)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(transformer)).transform(stack), vectors)


def test_it_gives_the_encoders_vectors_and_names_them(tiny_run: Path, tiny_zoo: Zoo) -> None:
    transformer = Rnn2VecTransformer(tiny_run)
    stack = tiny_zoo.rnns(range(6))
    np.testing.assert_array_equal(transformer.fit_transform(stack), Rnn2Vec.from_pretrained(tiny_run).embed(stack))
    assert transformer.get_feature_names_out()[:2].tolist() == ["rnn2vectransformer0", "rnn2vectransformer1"]
    assert len(transformer.get_feature_names_out()) == 16


def test_parameters_are_cloned_and_nothing_else(tiny_run: Path, tiny_zoo: Zoo) -> None:
    transformer = Rnn2VecTransformer(tiny_run, cell="lstm").fit(tiny_zoo)
    copy = clone(transformer)
    assert copy.get_params() == transformer.get_params()
    with pytest.raises(NotFittedError, match="is not fitted yet"):
        copy.transform(tiny_zoo)


def test_from_checkpoints_to_a_classifier(tiny_run: Path, tiny_zoo: Zoo) -> None:
    modules = tiny_zoo.rnns(range(len(tiny_zoo))).to_modules()
    checkpoints = np.empty(len(modules), dtype=object)
    checkpoints[:] = [module.state_dict() for module in modules]
    is_trained = tiny_zoo.column("step") > 0
    pipeline = make_pipeline(Rnn2VecTransformer(tiny_run), LogisticRegression(C=100))
    scores = cross_val_score(pipeline, checkpoints, is_trained, cv=3)
    assert scores.mean() > 0.8


def test_it_pre_trains_where_inputs_are_given(tiny_zoo: Zoo) -> None:
    config = PretrainConfig(
        encoder_options={"hidden_size": 8, "sequence_length": 4}, emulator_hidden_size=8, num_steps=2
    )
    tokens = np.random.default_rng(0).integers(6, size=(5, 7))
    transformer = Rnn2VecTransformer(inputs=tokens, fit_options={"config": config})
    vectors = transformer.fit_transform(tiny_zoo.rnns(range(6)))
    assert vectors.shape == (6, 16)
    assert transformer.rnn2vec_.report is not None


def test_without_model_and_inputs_it_says_what_to_give(tiny_zoo: Zoo) -> None:
    with pytest.raises(UsageError, match=r"neither a model nor inputs\n.*give model="):
        Rnn2VecTransformer().fit(tiny_zoo)
