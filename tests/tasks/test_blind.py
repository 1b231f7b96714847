"""The prediction that knows the languages but not which one: optimal, by two other ways of computing it."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from rnn2vec.tasks.blind import PrefixTree, nearest_in_total_variation
from rnn2vec.tasks.formal_languages import FormalLanguages, Language

SMALL = FormalLanguages(alphabet_size=2, smallest_offset=-1, largest_offset=1, n_max=3, sequence_length=9)


def _loss(prediction: np.ndarray, distributions: np.ndarray, weights: np.ndarray) -> float:
    return float((weights / weights.sum()) @ np.abs(distributions - prediction).sum(axis=1) / 2)


def _by_linear_program(distributions: np.ndarray, weights: np.ndarray) -> float:
    """The smallest weighted mean total variation. Variables: q (O), and |p - q| from above (M x O)."""
    m, o = distributions.shape
    cost = np.concatenate([np.zeros(o), np.repeat(weights / weights.sum(), o) / 2])
    q, gap = np.tile(np.eye(o), (m, 1)), np.eye(m * o)
    bounds = np.concatenate([np.hstack([q, -gap]), np.hstack([-q, -gap])])
    levels = np.concatenate([distributions.ravel(), -distributions.ravel()])
    total = np.concatenate([np.ones(o), np.zeros(m * o)])[None]
    return float(linprog(cost, bounds, levels, total, [1.0], bounds=(0, None)).fun)


@st.composite
def mixtures(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """M distributions over O tokens with many ties and zeros, as languages have, and their weights."""
    m, o = draw(st.integers(1, 6)), draw(st.integers(2, 5))
    parts = st.lists(st.integers(0, 3), min_size=o, max_size=o).filter(any)
    counts = np.array(draw(st.lists(parts, min_size=m, max_size=m)), dtype=float)
    weights = draw(st.lists(st.sampled_from([0.1, 1.0, 1.0, 2.5]), min_size=m, max_size=m))
    return counts / counts.sum(axis=1, keepdims=True), np.array(weights)


@given(mixtures())
def test_no_distribution_is_nearer_says_a_linear_program(mixture: tuple[np.ndarray, np.ndarray]) -> None:
    distributions, weights = mixture
    nearest = nearest_in_total_variation(distributions, weights)
    assert nearest.sum() == pytest.approx(1)
    assert (nearest >= -1e-12).all()
    assert _loss(nearest, *mixture) == pytest.approx(_by_linear_program(*mixture), abs=1e-9)


@given(mixtures(), st.randoms(use_true_random=False))
def test_tokens_and_languages_have_no_order(mixture: tuple[np.ndarray, np.ndarray], random: Random) -> None:
    distributions, weights = mixture
    rows, columns = list(range(len(weights))), list(range(distributions.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    shuffled = nearest_in_total_variation(distributions[rows][:, columns], weights[rows])
    np.testing.assert_allclose(shuffled, nearest_in_total_variation(distributions, weights)[columns], atol=1e-9)


def test_one_language_is_its_own_best_prediction() -> None:
    p = np.array([0.2, 0.0, 0.8])
    np.testing.assert_allclose(nearest_in_total_variation(p[None], np.ones(1)), p)


# -- prefixes --------------------------------------------------------------------------------------


def _exact(language: Language, family: FormalLanguages) -> np.ndarray:
    """Next-token probabilities `(E, T, O)` of the language itself along its strings."""
    sequences = family.sequences(language).astype(int)
    alike = (sequences[:, None, :-1] == sequences[None, :, :-1]).cumprod(axis=2)  # (E, E, T): the same so far
    after = np.eye(family.output_size)[sequences[:, 1:]]
    return np.einsum("eft,fto->eto", alike, after) / alike.sum(axis=1)[..., None]


def _loss_by_brute_force(family: FormalLanguages, prefix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The languages that can have begun like this: how each goes on, and how likely each is."""
    distributions, weights = [], []
    for language in family.languages:
        sequences = family.sequences(language)
        alike = sequences[(sequences[:, : len(prefix)] == prefix).all(axis=1)]
        if len(alike):
            distributions.append(np.bincount(alike[:, len(prefix)], minlength=family.output_size) / len(alike))
            weights.append(len(alike) / len(sequences))
    return np.array(distributions), np.array(weights)


def test_every_prefix_is_predicted_as_well_as_brute_force_can() -> None:
    tree = PrefixTree([SMALL.sequences(language) for language in SMALL.languages], SMALL.output_size)
    for language in SMALL.languages:
        for sequence in SMALL.sequences(language):
            for end in range(1, len(sequence)):
                prediction = tree.predict(sequence[None, : end + 1])[0, -1].astype(float)
                known = _loss_by_brute_force(SMALL, sequence[:end])
                assert _loss(prediction, *known) == pytest.approx(_by_linear_program(*known), abs=1e-6)


def test_a_prefix_of_no_language_is_judged_by_its_last_token_and_nonsense_is_uniform() -> None:
    tree = PrefixTree([np.array([[2, 0, 1, 3]], dtype=np.uint8)], 5)
    predictions = tree.predict(np.array([[2, 1, 0, 4, 0]], dtype=np.uint8))[0]
    assert predictions[0].tolist() == [1, 0, 0, 0, 0]  # BOS -> a, as the language has it
    assert predictions[1].tolist() == [0, 0, 0, 1, 0]  # BOS b never happens; after b comes EOS
    assert predictions[2].tolist() == [0, 1, 0, 0, 0]
    np.testing.assert_allclose(predictions[3], 0.2)  # token 4 is in no language


def test_predictions_use_nothing_but_the_prefix() -> None:
    codes = torch.from_numpy(SMALL.sequences(SMALL.languages[0])[None])
    predictions = SMALL.task_blind_prediction(codes)
    changed = codes.clone()
    changed[:, :, 5:] = 0
    again = SMALL.task_blind_prediction(changed)
    assert predictions.shape == (1, codes.shape[1], 8, 4)
    assert torch.equal(again[:, :, :5], predictions[:, :, :5])
    torch.testing.assert_close(predictions.sum(dim=-1), torch.ones(predictions.shape[:-1]))


def test_the_floor_of_the_papers_family(paper: FormalLanguages) -> None:
    """Well-trained RNNs are their languages: 0.061 over all of them, 0.0545 to 0.0614 over 31 seeded ones."""
    exact = [_exact(language, paper) for language in paper.languages]
    codes = torch.from_numpy(np.concatenate([paper.sequences(language) for language in paper.languages])[None])
    blind = paper.task_blind_prediction(codes)[0].numpy()
    distances = np.abs(np.concatenate(exact) - blind).sum(axis=-1) / 2
    means = [part.mean() for part in np.split(distances, np.cumsum([len(one) for one in exact])[:-1])]
    assert np.mean(means) == pytest.approx(0.0613, abs=0.0005)

    place = {language: number for number, language in enumerate(paper.languages)}
    validation = [means[place[language]] for language in paper.splits(0)["validation"]]
    assert np.mean(validation) == pytest.approx(0.0594, abs=0.0005)
