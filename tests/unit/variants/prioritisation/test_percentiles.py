"""Percentiles among common variants of a class: counted by hand, refused for other options."""

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.parquet import write_parquet
from dnalm.errors import InputError
from dnalm.variants.prioritisation.evaluation import ScoreColumn
from dnalm.variants.prioritisation.percentiles import (
    find_percentiles,
    read_distribution,
    write_distribution,
)

OPTIONS = {"model": "m", "weights_sha256": "aa", "layer": 3, "window": 5994}
CLASSES = np.array(["intron"] * 4 + ["missense"] * 2 + [""])


def scored(values, sign=1):
    return ScoreColumn(model="m", name="cosine", sign=sign, values=np.array(values, dtype=float))


@pytest.fixture
def distribution(tmp_path):
    common = scored([0.9, 0.8, 0.8, 0.6, 0.5, 0.1, np.nan], sign=-1)
    write_distribution([common], CLASSES, OPTIONS, tmp_path / "d.parquet")
    return tmp_path / "d.parquet"


def test_a_percentile_is_the_share_of_common_variants_with_less_effect(distribution):
    reference = read_distribution(distribution, OPTIONS)
    new = scored([0.95, 0.8, 0.3, 0.3, np.nan], sign=-1)
    classes = np.array(["intron", "intron", "intron", "missense", "intron"])
    found, sizes = find_percentiles(new, classes, reference, min_reference=2)
    # Of four: none has less effect; one less and two equal; all; of the two others one; none.
    np.testing.assert_allclose(found, [0, 50, 100, 50, np.nan])
    assert sizes.tolist() == [4, 4, 4, 2, 0]


def test_a_class_with_too_few_common_variants_has_no_percentile(distribution):
    reference = read_distribution(distribution, OPTIONS)
    found, sizes = find_percentiles(
        scored([0.3, 0.3], -1), np.array(["missense", "stop"]), reference, min_reference=3
    )
    assert np.isnan(found).all()
    assert sizes.tolist() == [0, 0]


def test_without_any_class_all_common_variants_are_the_reference(distribution):
    reference = read_distribution(distribution, OPTIONS)
    found, sizes = find_percentiles(scored([0.55], -1), np.array([""]), reference, 3)
    np.testing.assert_allclose(found, 100 * 4 / 6)
    assert sizes.tolist() == [6]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({**OPTIONS, "layer": 2}, "with layer 3, the scores with 2"),
        ({**OPTIONS, "strands": "both"}, 'strands null, the scores with "both"'),
    ],
)
def test_a_distribution_of_other_options_is_refused_by_name(distribution, other, said):
    with pytest.raises(InputError, match=said):
        read_distribution(distribution, other)


@pytest.mark.parametrize(
    ("table", "options", "said"),
    [
        (b"score\tvalue\n", None, "that can be read"),
        (None, "", "that can be read"),
        ({"score": ["a"]}, "{}", "that can be read"),
        (
            {"score": ["a"], "consequence": [""], "value": ["high"]},
            "{}",
            "value are of (large_)?string, ",
        ),
        ({"score": [["a"]], "consequence": [""], "value": [1.0]}, "{}", "value are of list<"),
        (
            {"score": ["a"], "consequence": [""], "value": [True]},
            "{}",
            "string, bool;",
        ),
        ({"score": ["a"], "consequence": [""], "value": [np.inf]}, "{}", "missing or infinite"),
        ({"score": ["a", None], "consequence": [""] * 2, "value": [1.0, 2.0]}, "{}", "missing or"),
        ({"score": ["a"], "consequence": [""], "value": [1.0]}, "[" * 10**5, "that can be read"),
        ({"score": ["a"], "consequence": [""], "value": [None]}, "{}", "a value is missing"),
        ({"score": ["a"], "consequence": [""], "value": [1.0]}, "{", "that can be read"),
        ({"score": ["a"], "consequence": [""], "value": [1.0]}, None, "no reference distribution"),
    ],
)
def test_a_file_that_is_no_distribution_is_refused_in_a_sentence(tmp_path, table, options, said):
    path = tmp_path / "d.parquet"
    if isinstance(table, bytes):
        path.write_bytes(table)
    elif table is None:
        path.mkdir()
    else:
        names = {} if options is None else {"dnalm_options": options}
        write_parquet(pd.DataFrame(table), path, names)
    with pytest.raises(InputError, match=f"{said}.*name one that this workflow wrote"):
        read_distribution(path, {})


def test_values_of_a_distribution_are_sorted_whoever_wrote_them(tmp_path):
    table = pd.DataFrame({"score": "a", "consequence": "any", "value": [3, 1, 2]})
    write_parquet(table, tmp_path / "d.parquet", {"dnalm_options": "{}"})
    assert read_distribution(tmp_path / "d.parquet", {})["a", "any"].tolist() == [1, 2, 3]
