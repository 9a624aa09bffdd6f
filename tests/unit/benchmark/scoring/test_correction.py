import numpy as np
import pytest
from scipy.stats import false_discovery_control

from dnalm.benchmark.scoring.correction import adjust
from dnalm.errors import InputError

P_VALUES = np.array([0.01, 0.04, 0.03, 0.005])


def test_holm_multiplies_by_the_number_that_is_left_and_never_falls():
    # In order 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1, which is raised to the one before.
    assert adjust(P_VALUES, "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust(np.array([0.6, 0.7]), "holm").tolist() == [1, 1]


def test_benjamini_hochberg_multiplies_by_the_number_over_the_rank():
    # In order 0.005 * 4 / 1, 0.01 * 4 / 2, 0.03 * 4 / 3, 0.04 * 4 / 4.
    found = adjust(P_VALUES, "benjamini_hochberg")
    assert found == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert found == pytest.approx(false_discovery_control(P_VALUES))


def test_nothing_is_corrected_where_nothing_is_to_be():
    assert adjust(P_VALUES, "none").tolist() == P_VALUES.tolist()
    for correction in ("holm", "benjamini_hochberg", "none"):
        assert adjust(np.array([]), correction).tolist() == []


@pytest.mark.parametrize("correction", ["holm", "benjamini_hochberg"])
def test_missing_p_values_stay_missing_and_are_not_counted(correction):
    found = adjust(np.array([0.01, np.nan, 0.02]), correction)
    assert np.isnan(found).tolist() == [False, True, False]
    assert found[[0, 2]].tolist() == adjust(np.array([0.01, 0.02]), correction).tolist()


def test_holm_keeps_the_chance_of_any_mistake_below_the_level():
    random, trials = np.random.default_rng(0), 2000
    mistakes = sum(adjust(random.random(18), "holm").min() < 0.05 for _ in range(trials))
    assert mistakes / trials <= 0.05 + 4 * np.sqrt(0.05 * 0.95 / trials)


def test_an_unknown_correction_is_named():
    with pytest.raises(InputError, match="bonferroni"):
        adjust(P_VALUES, "bonferroni")
