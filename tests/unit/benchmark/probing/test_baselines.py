"""Features of the simple baselines."""

import itertools

import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.preprocessing import OneHotEncoder
from transformers import EsmTokenizer

from dnalm.benchmark.probing.baselines import baseline_features, one_hot, token_ids
from dnalm.benchmark.probing.linear.probe import ProbeConfig, probe
from dnalm.benchmark.tasks.folds import CrossValidationConfig, assign_folds
from dnalm.errors import InputError
from dnalm.genome.composition import gc_content, kmer_counts
from dnalm.genome.kmers import Vocabulary


def test_counts_of_a_short_sequence_equal_those_counted_by_hand():
    counts = kmer_counts(["AATC"], 2)[0]
    # Letters in the order A T C G: AA = 0, AT = 1, TC = 1 * 4 + 2.
    assert np.flatnonzero(counts).tolist() == [0, 1, 6]
    assert counts.sum() == 3


@pytest.mark.parametrize("k", [1, 3, 5])
def test_counts_equal_those_of_scikit_learn(k):
    generator = np.random.default_rng(k)
    sequences = [
        "".join(generator.choice(list("ACGTN"), size, p=[0.3, 0.2, 0.2, 0.25, 0.05]))
        for size in (200, 37, k, k - 1)
    ]
    words = ["".join(letters) for letters in itertools.product("ATCG", repeat=k)]
    vectorizer = CountVectorizer(
        analyzer="char", ngram_range=(k, k), lowercase=False, vocabulary=words
    )
    expected = vectorizer.transform(sequences).toarray()
    np.testing.assert_array_equal(kmer_counts(sequences, k), expected)


def test_gc_content_counts_no_n():
    np.testing.assert_allclose(gc_content(["GCNN", "ATGN", "NNNN"]), [[1.0], [1 / 3], [0.0]])


def test_each_k_is_a_feature_set_of_its_own():
    features = baseline_features("kmers", {"kmers": {"k": [2, 3]}}, ["ACGTACGT", "AAAAAAAA"])
    assert {name: array.shape for name, array in features.items()} == {
        "k=2": (2, 16),
        "k=3": (2, 64),
    }


def test_one_hot_of_a_short_sequence_is_that_written_by_hand():
    found = one_hot(["aTN", "CGTA"], None)
    # Four columns a base, letters A T C G; an N and what is missing are zeros.
    assert found[0].tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]
    assert found[1].tolist() == [0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 0, 0]
    assert one_hot(["aTN", "CGTA"], 1).tolist() == [[1, 0, 0, 0], [0, 0, 1, 0]]
    assert one_hot(["AT"], 3)[0].tolist() == [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]


def test_one_hot_equals_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    letters = generator.choice(list("ACGTN"), (50, 30), p=[0.3, 0.2, 0.2, 0.25, 0.05])
    encoder = OneHotEncoder(
        categories=[list("ATCG")] * 30, handle_unknown="ignore", sparse_output=False
    )
    expected = encoder.fit_transform(letters)
    features = baseline_features("one_hot", {"one_hot": {"bases": None}}, map("".join, letters))
    np.testing.assert_array_equal(features["one_hot"], expected)


def test_token_ids_equal_those_of_transformers_padded(tmp_path):
    generator = np.random.default_rng(1)
    sequences = ["".join(generator.choice(list("ACGT"), n)) for n in (60, 47, 5)]
    sequences += [sequences[0][:20] + "N" + sequences[0][20:]]
    for version in ("v1", "v2"):
        path = tmp_path / f"{version}.txt"
        path.write_text("\n".join(Vocabulary(6, version).tokens()))
        tokenizer = EsmTokenizer(str(path), eos_token=None)
        expected = tokenizer(sequences, padding=True, return_tensors="np")["input_ids"]
        config = {"token_ids": {"k": 6, "vocabulary": version}}
        found = baseline_features("token_ids", config, sequences)["token_ids"]
        np.testing.assert_array_equal(found, expected)
    assert token_ids(["ATN"], Vocabulary(2, "v1"))[0].tolist() == [3, 5, 24]


def test_an_unknown_baseline_is_named():
    with pytest.raises(
        InputError, match="baseline: 'svm' is not allowed; choose one of majority, gc_content"
    ):
        baseline_features("svm", {}, ["ACGT"])


def test_on_real_h3_a_strong_penalty_beats_the_default_of_one(data_folder):
    folder = data_folder / "tasks" / "H3"
    train, test = (pd.read_csv(folder / f"{name}.csv.gz") for name in ("dev", "test"))
    folds = CrossValidationConfig.of(
        {"scheme": "kfold", "splits": 3, "validation_share": 0.1, "seed": 42}
    )
    table = pd.concat([train.assign(split="train"), test.assign(split="test")], ignore_index=True)
    table["id"] = table.index.astype(str)
    table["folds"] = [
        *assign_folds(train["sequence"].tolist(), train["label"].tolist(), folds),
        *([] for _ in range(len(test))),
    ]
    features = baseline_features("kmers", {"kmers": {"k": [5]}}, table["sequence"])
    scores = {}
    for penalty in (1e-3, 1.0):
        config = ProbeConfig(
            penalties=[penalty], max_iterations=2000, solver="lbfgs", device="cpu", metric="mcc"
        )
        scores[penalty] = probe(features, table, "binary", config, threads=1).scores["mcc"].mean()
    assert scores[1e-3] > scores[1.0] + 0.05
