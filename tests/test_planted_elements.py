"""Planted truth and planted null: elements of a genome that a model has learned to look at.

The genome is random letters with copies of a few motifs, whose bases tell each other. On contigs
that were held out, attention falls on the motifs, masked bases are guessed in them and nowhere
else, and their vectors lie apart. Where elements are shifted along the contig, or labels shuffled,
nothing may be found more often than chance says.
"""

import json

import numpy as np
import pandas as pd
import pybigtools
import pytest
import yaml
from scipy.stats import binomtest
from sklearn.neighbors import KNeighborsClassifier
from test_planted_variants import CONFIGURATION, LENGTHS, plant_genome

from dnalm.genome.kmers import Vocabulary, bases_per_token
from dnalm.interpretation.attention import AttentionConfig, compare_heads
from dnalm.interpretation.elements import mask_tokens

pytestmark = pytest.mark.slow

BASES = 128
SEEDS = 100
MOST = 11  # of 100 at α 0.05: with more, the chance of a right test is below 0.005
APART = 3  # every third window: motifs are nearly periodic, so that neighbours are not independent
THRESHOLD = 0.1  # three times what 32 tokens get of uniform attention
MODELS = ("planted", "planted.untrained")
HELD_OUT = ("validation", "test")


def write_bed(path, contigs, inside):
    """Write the runs of bases in a motif, or those of bases in none."""
    with open(path, "w") as file:
        for name in HELD_OUT:
            marked = contigs[name][1] == inside
            edges = np.flatnonzero(np.diff(marked, prepend=False, append=False))
            for start, end in zip(edges[::2], edges[1::2], strict=True):
                file.write(f"{name}\t{start}\t{end}\n")


@pytest.fixture(scope="module")
def run(make_workflow):
    """Return the folder of results, and which bases of the test contig lie in motifs."""
    random = np.random.default_rng(1)
    workflow = make_workflow()
    contigs = plant_genome(workflow.folder / "planted.fa", random)
    write_bed(workflow.folder / "motif.bed", contigs, inside=True)
    write_bed(workflow.folder / "between.bed", contigs, inside=False)
    entry = {
        "genome": "planted",
        "bed": {"motif": "motif.bed", "between": "between.bed"},
        "models": list(MODELS),
        "bases": BASES,
    }
    changed = {
        "variants": {},
        "annotations": {
            "tiled": {
                **entry,
                "contigs": ["test"],
                "windows": "tile",
                "analyses": ["attention", "reconstruction"],
            },
            "around": {**entry, "contigs": list(HELD_OUT), "each": 120, "analyses": ["maps"]},
        },
        "attention": {"thresholds": [THRESHOLD], "shifts": 500},
        "maps": {"layers": ["last"], "perplexity": 20, "match_gc": False},
        "tracks": {"along": {"genome": "planted", "contigs": ["test"], "models": ["planted"]}},
    }
    configuration = {**CONFIGURATION, **changed}
    (workflow.folder / "planted.yaml").write_text(yaml.safe_dump(configuration))
    done = workflow.run("interpretation", "--configfile", "planted.yaml")
    assert done.returncode == 0, done.stdout[-3000:]
    return workflow.folder / "results/planted/interpretation", contigs["test"][1]


def read_heads(folder, model):
    heads = pd.read_csv(folder / f"attention/tiled/{model}.tsv", sep="\t")
    return heads[(heads["element"] == "motif") & (heads["direction"] == "receiver")]


def test_heads_of_a_trained_model_look_at_the_planted_motifs(run):
    folder, _ = run
    trained = read_heads(folder, "planted")
    assert len(trained) == 8
    found = trained[trained["significant_shift"]]
    assert len(found)
    assert found["log2_enrichment"].max() > 0.3
    assert not read_heads(folder, "planted.untrained")["significant_shift"].any()


def test_masked_kmers_are_guessed_where_their_context_tells_them(run):
    folder, _ = run
    trained, untrained = (
        pd.read_csv(folder / f"reconstruction/tiled/{model}.tsv", sep="\t").set_index(
            ["element", "mask"]
        )
        for model in MODELS
    )
    for mask in ("centre", "random"):
        motif, between = trained.loc["motif", mask], trained.loc["between", mask]
        assert motif["perplexity"] < between["perplexity"] / 3
        assert motif["perplexity"] < motif["markov_perplexity"]
        # Between motifs nothing tells: no better than 256 4-mers, here and in an untrained model.
        assert between["perplexity"] > 150
        assert untrained.loc["motif", mask]["perplexity"] > 200


def test_a_track_of_probabilities_is_high_within_motifs_alone(run):
    folder, inside = run
    track = pybigtools.open(str(folder / "tracks/along/planted.frame0/base.bw"))
    assert track.chroms() == {"test": LENGTHS["test"]}
    values = np.array(track.values("test", fillna=None))
    assert np.nanmean(values[inside]) > np.nanmean(values[~inside]) + 0.15
    assert np.nanmean(values[~inside]) == pytest.approx(0.25, abs=0.05)


def count_findings(counts, windows, inside):
    """Return in how many of SEEDS any head is significant on motifs that were shifted."""
    config = AttentionConfig(thresholds=[THRESHOLD], shifts=200, seed=0)
    vocabulary = Vocabulary(4, "v2")
    tokens = np.full(BASES // 4, vocabulary.kmer_offset)
    bases = bases_per_token(tokens, vocabulary).astype(np.int64)
    found = 0
    for seed in range(SEEDS):
        shift = int(np.random.default_rng(seed).integers(BASES, len(inside) - BASES))
        moved = np.roll(inside, shift)
        masks = [
            {"motif": mask_tokens(moved[row.start : row.end], bases)}
            for row in windows.itertuples()
        ]
        heads = compare_heads(counts, masks, windows, config)
        found += heads.loc[heads["direction"] == "receiver", "significant_shift"].any()
    return found


def test_heads_find_nothing_on_shifted_motifs_more_often_than_chance(run):
    folder, inside = run
    counts = np.load(folder / "attention/tiled/planted.counts.npy")[::APART]
    windows = pd.read_parquet(folder / "windows/tiled.parquet").iloc[::APART]
    assert count_findings(counts, windows, inside) <= MOST


def test_a_map_parts_motifs_and_shuffled_labels_it_does_not(run):
    folder, _ = run
    facts = json.loads((folder / "maps/around/planted.json").read_text())["layers"][0]
    assert facts["neighbour_accuracy"] > 0.8
    table = pd.read_csv(folder / "maps/around/planted.tsv", sep="\t")
    features, labels = table[["x", "y"]].to_numpy(), table["element"].to_numpy()
    # One contig votes on the other: the votes of both on each other would not be independent.
    voting = (table["contig"] == "validation").to_numpy()
    found = 0
    for seed in range(SEEDS):
        shuffled = np.random.default_rng(seed).permutation(labels)
        classifier = KNeighborsClassifier(9).fit(features[voting], shuffled[voting])
        right = classifier.predict(features[~voting]) == shuffled[~voting]
        found += binomtest(right.sum(), right.size, 0.5, alternative="greater").pvalue < 0.05
    assert found <= MOST
