"""From files of scores and labels to evaluations, percentiles and rows beside a table, by name."""

import json

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from sklearn.metrics import roc_auc_score

from dnalm.benchmark.parquet import write_parquet
from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.errors import InputError
from dnalm.files import read_json
from dnalm.variants.prioritisation.evaluation import EvaluationConfig
from dnalm.variants.prioritisation.labelled_set import write_set
from dnalm.variants.prioritisation.results import (
    align_scores,
    evaluate_set,
    make_distribution,
    place_variants,
    supervise,
)
from dnalm.variants.prioritisation.supervised import SupervisedConfig

VARIANTS = 200
CONFIG = EvaluationConfig(
    bootstrap=BootstrapConfig(draws=200, seed=1, level=0.95),
    correction="holm",
    min_class=5,
    chromosome_draws=50,
)
SETTINGS = {
    "set": "s",
    "published_as": "ClinVar",
    "rises": {"cadd": True, "none": True},
    "severity": ["intron_variant", "missense_variant"],
}


@pytest.fixture
def files(tmp_path):
    """Return paths of a set's labels and of a model's scores, which stand in another order."""
    random = np.random.default_rng(0)
    label = random.random(VARIANTS) < 0.4
    table = pd.DataFrame(
        {
            "chrom": np.repeat(["1", "2", "3", "4"], VARIANTS // 4),
            "pos": np.arange(VARIANTS) * 10 + 1,
            "ref": "A",
            "alt": "C",
            "id": ".",
            "label": pd.array(label, dtype="boolean"),
            "consequence": random.choice(["intron_variant", "missense_variant", ""], VARIANTS),
            "match_group": "",
            "external.cadd": label + random.normal(size=VARIANTS),
            "external.none": np.nan,
        }
    )
    table.loc[:9, "label"] = pd.NA
    paths = {"labels": str(tmp_path / "labels.parquet"), "summary": str(tmp_path / "labels.json")}
    write_set(table, {"positives": 1, "negatives": 2, "without_label": 3}, "s", paths)
    cosine = 1 - 0.1 * label - random.uniform(0, 0.2, VARIANTS)
    scores = table[["chrom", "pos", "ref", "alt", "id"]].assign(
        record=np.arange(VARIANTS), alt_index=0, cosine=cosine, llr=random.normal(size=VARIANTS)
    )
    scores["skip"] = pd.array([pd.NA] * VARIANTS, dtype="string")
    scores.loc[20:24, "skip"] = "indel"
    scores.loc[20:24, "llr"] = np.nan
    shuffled = scores.sample(frac=1, random_state=1).assign(chrom=lambda own: "chr" + own["chrom"])
    return {**paths, "table": table, "scores": write_scores(shuffled, tmp_path / "m.parquet")}


def write_scores(table, path, **options):
    facts = {"set": "s", "model": "m", "layer": 3, "vcf_sha256": "0", "scores": [], "licence": None}
    write_parquet(table, path, {"dnalm": json.dumps({**facts, **options})})
    return str(path)


def test_scores_are_joined_by_variant_and_missing_ones_are_told(files, tmp_path):
    out = str(tmp_path / "evaluation.json")
    evaluate_set(files["labels"], [files["scores"]], [], SETTINGS, CONFIG, out)
    found = read_json(out)
    known = files["table"]["label"].notna().to_numpy()
    scores = pd.read_parquet(files["scores"]).sort_values("record")
    labels = files["table"]["label"][known].astype(bool)
    rows = {(row["model"], row["score"], row["subset"]): row for row in found["metrics"]}
    cosine = rows["m", "cosine", "all"]
    assert cosine["auroc"] == roc_auc_score(labels, -scores["cosine"][known])
    assert cosine["auroc"] > 0.6
    assert rows["m", "llr", "all"]["missing"] == 5
    assert rows["external", "cadd", "common to all scores"]["variants"] == known.sum() - 5
    assert rows["external", "none", "all"]["auroc"] is None
    positives = int(files["table"]["label"][20:25].sum())
    assert found["skipped"] == [
        {"model": "m", "reason": "indel", "variants": 5, "positives": positives}
        | {"negatives": 5 - positives}
    ]
    assert [row["score"] for row in found["severity"]] == ["cosine", "llr", "cadd"]


def test_indels_are_scored_apart_from_snvs(files, tmp_path):
    table = pd.read_parquet(files["labels"])
    is_indel = np.arange(VARIANTS) % 3 == 0
    table["alt"] = np.where(is_indel, "CA", "C")
    table["label"] = table["label"].astype("boolean")
    write_set(table, {"positives": 1, "negatives": 2, "without_label": 3}, "s", files)
    scores = pd.read_parquet(files["scores"])
    scores["alt"] = np.where(is_indel[scores["record"]], "CA", "C")
    out = str(tmp_path / "e.json")
    path = write_scores(scores, tmp_path / "indels.parquet")
    evaluate_set(files["labels"], [path], [], SETTINGS, CONFIG, out)
    found = read_json(out)
    known = table["label"].notna()
    sizes = {r["subset"]: r["variants"] for r in found["metrics"] if r["score"] == "cosine"}
    assert sizes["indels"] == (known & is_indel).sum()
    assert sizes["SNVs"] == (known & ~is_indel).sum()
    assert found["counts"]["positive_indels"] == (table["label"][known & is_indel]).sum()


def test_scores_that_lack_a_variant_are_refused_by_its_name(files, tmp_path):
    table = pd.read_parquet(files["scores"]).query("pos != 51")
    path = write_scores(table, tmp_path / "fewer.parquet")
    with pytest.raises(InputError, match="1 variants of the set are not in it, first 1:51 A>C"):
        evaluate_set(files["labels"], [path], [], SETTINGS, CONFIG, str(tmp_path / "e.json"))


def test_percentiles_come_from_scores_made_alike_and_no_others(files, tmp_path):
    distribution = str(tmp_path / "d.parquet")
    make_distribution(files["labels"], files["scores"], distribution)
    out = str(tmp_path / "p.parquet")
    place_variants(files["labels"], files["scores"], distribution, 20, out)
    placed = pd.read_parquet(out)
    assert placed.loc[placed["consequence"] == "", "cosine_percentile"].isna().all()
    assert (placed.loc[placed["consequence"] != "", "reference_variants"] > 20).all()
    own = placed[placed["consequence"] == "missense_variant"]
    # Of the very variants of the reference the mean percentile is 50, with half of each its own.
    assert own["cosine_percentile"].mean() == pytest.approx(50)
    assert own.loc[own["cosine"].idxmin(), "cosine_percentile"] > 98
    table = pd.read_parquet(files["scores"])
    other = write_scores(table, tmp_path / "other.parquet", layer=2)
    with pytest.raises(InputError, match="layer 3, the scores with 2"):
        place_variants(files["labels"], other, distribution, 20, out)


def test_probes_read_the_vectors_of_the_variant_and_not_of_its_row(files, tmp_path):
    scores = pd.read_parquet(files["scores"])
    label = files["table"]["label"].to_numpy(dtype=float, na_value=0.5)[scores["record"]]
    random = np.random.default_rng(2)
    reference = random.normal(size=(VARIANTS, 4)).astype(np.float32)
    alternative = reference + random.normal(size=(VARIANTS, 4)).astype(np.float32)
    alternative[:, 0] += 4 * label.astype(np.float32)
    reference[7] = np.nan  # scored by nothing
    vectors = str(tmp_path / "f.safetensors")
    save_file({"reference": reference, "alternative": alternative}, vectors)
    config = SupervisedConfig(groups=4, inner_groups=3, penalties=[1e-2, 1.0])
    out = str(tmp_path / "supervised.parquet")
    supervise(files["labels"], files["scores"], vectors, config, out)
    values = pd.read_parquet(out)["supervised"]
    known = values.notna()
    without = int(scores["record"].iloc[7])
    lost = int(pd.notna(files["table"]["label"][without]))
    assert known.sum() == VARIANTS - 10 - lost
    assert roc_auc_score(files["table"]["label"][known].astype(bool), values[known]) > 0.9
    evaluation = str(tmp_path / "e.json")
    evaluate_set(files["labels"], [files["scores"]], [out], SETTINGS, CONFIG, evaluation)
    rows = [row for row in read_json(evaluation)["metrics"] if row["score"] == "supervised"]
    assert rows[0]["auroc"] > 0.9
    assert rows[0]["chromosomes"] == 4


def test_aligned_scores_have_a_row_for_each_row_of_the_table(files, tmp_path):
    rows = files["table"].iloc[[5, 3, 5, 100]][["chrom", "pos", "ref", "alt"]]
    rows.to_parquet(tmp_path / "test.parquet")
    align_scores(str(tmp_path / "test.parquet"), files["scores"], str(tmp_path / "a.parquet"))
    aligned = pd.read_parquet(tmp_path / "a.parquet")
    scores = pd.read_parquet(files["scores"]).set_index("record")
    np.testing.assert_array_equal(aligned["cosine"], scores["cosine"].loc[[5, 3, 5, 100]])
