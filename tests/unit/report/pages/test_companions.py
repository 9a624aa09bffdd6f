"""The other pages of a run: what they found, and nothing where there are none."""

import pandas as pd

from dnalm.report.pages.companions import interpretation_findings, read_companions
from dnalm.report.tables.catalogue import list_columns

NAMES = {"annotation": "genes", "model": "big"}


def test_heads_masks_and_maps_are_told_in_a_sentence_each():
    heads = pd.DataFrame(
        {"layer": [1, 1, 2, 2], "attention_head": [1, 1, 1, 2]}
        | {"element": ["exon", "intron"] * 2, "significant_shift": [False, True, False, False]}
    )
    masked = pd.DataFrame({"element": ["all", "exon"], "mask": "random", "accuracy": [0.25, 0.5]})
    masked = masked.assign(markov_accuracy=0.125)
    maps = pd.DataFrame({"layer": [1, 4], "neighbour_accuracy": [0.5, 0.75], "gc_accuracy": 0.4})
    tables = {"attention": heads, "reconstruction": masked, "map_facts": maps.assign(chance=0.2)}
    found = list(interpretation_findings({k: v.assign(**NAMES) for k, v in tables.items()}))
    assert "1 of 3 heads" in found[0]
    assert "25.00% are guessed right, by a Markov chain 12.50%" in found[1]
    assert "75.00% of the cases at most (layer 4)" in found[2]
    assert "40.00%, by chance in 20.00%" in found[2]
    assert len(found) == 3


def test_variants_are_told_by_the_findings_of_their_page(tmp_path):
    score = {"entry": "s", "model": "m", "score": "cosine", "subset": "all", "variants": 90}
    score |= {"positives": 9, "auroc": 0.7, "auroc_low": 0.6, "auroc_high": 0.8}
    tables = {"variant_scores": score, "variant_sets": {"entry": "s", "variants": 90}}
    paths = []
    for name, row in tables.items():
        paths.append(str(tmp_path / f"{name}.tsv"))
        table = pd.DataFrame([row], columns=list_columns(name))
        table.to_csv(paths[-1], sep="\t", index=False)
    (page,) = read_companions(paths, [])
    assert page.file == "variants.html"
    assert "1 of 1 scores tell positives from negatives (cosine)" in page.sentences[0]


def test_a_run_without_them_has_no_other_page():
    assert read_companions([], []) == []
