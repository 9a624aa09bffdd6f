"""Maps of planted clusters, of none, and of clusters that only follow GC content."""

import numpy as np
import pandas as pd
import pytest

from dnalm.errors import InputError
from dnalm.interpretation.maps import (
    MapConfig,
    check_rows,
    draw_map,
    match_gc,
    neighbour_accuracy,
    probe_accuracy,
)

PENALTIES = (0.01, 0.1)
CONFIG = MapConfig(components=10, perplexity=15.0, neighbours=5, penalties=PENALTIES, seed=42)
ROWS, NAMES = 150, ("exon", "intron", "intergenic")


def draw(apart, seed=0):
    random = np.random.default_rng(seed)
    labels = np.array([NAMES[i % 3] for i in range(ROWS)])
    centres = random.normal(size=(3, 20)) * apart
    embeddings = centres[[NAMES.index(label) for label in labels]] + random.normal(size=(ROWS, 20))
    contigs = [f"chr{i // 50}" for i in range(ROWS)]
    return embeddings, labels, contigs, random.random(ROWS)


def test_planted_clusters_lie_apart_on_held_out_contigs():
    embeddings, labels, contigs, gc = draw(apart=3)
    found = draw_map(embeddings, labels, contigs, range(ROWS), gc, CONFIG)
    assert found.coordinates.shape == (ROWS, 2)
    assert found.neighbour_accuracy > 0.95
    assert found.probe_accuracy > 0.95
    assert found.gc_accuracy < 0.5
    assert found.chance == pytest.approx(1 / 3)
    assert found.silhouette > 0.3
    again = draw_map(embeddings, labels, contigs, range(ROWS), gc, CONFIG)
    np.testing.assert_array_equal(found.coordinates, again.coordinates)


def test_without_clusters_the_accuracy_is_chance():
    accuracies = [draw_map_accuracy(seed) for seed in range(20)]
    assert abs(np.mean(accuracies) - 1 / 3) < 0.03


def draw_map_accuracy(seed):
    embeddings, labels, contigs, _ = draw(apart=0, seed=seed)
    return neighbour_accuracy(embeddings, labels, np.array(contigs), 5)


def test_a_single_contig_is_held_out_in_stretches_of_it():
    """Rows come element by element: held out by their order no element would be left to vote."""
    embeddings, labels, _, gc = draw(apart=3)
    order = np.argsort(labels, kind="stable")
    places = np.random.default_rng(4).permutation(ROWS)
    found = draw_map(
        embeddings[order], [labels[i] for i in order], ["c"] * ROWS, places, gc[order], CONFIG
    )
    assert found.neighbour_accuracy > 0.95
    assert found.probe_accuracy > 0.95


def test_neighbours_on_the_same_contig_do_not_vote():
    """Rows of a contig are alike and of one element: without holding it out all would be right."""
    groups = np.repeat(["a", "b", "c", "d"], 10)
    labels = np.repeat(["exon", "intron", "exon", "intron"], 10)
    features = np.repeat([[0.0], [1.0], [100.0], [101.0]], 10, axis=0)
    assert neighbour_accuracy(features, labels, groups, 5) == 0.0


def test_a_probe_finds_what_neighbours_do_not_and_nothing_where_nothing_is():
    """One direction of forty tells elements; the others are noise that distances drown in."""
    random = np.random.default_rng(3)
    labels = np.array(["exon", "intron"] * 200)
    embeddings = random.normal(size=(400, 40))
    groups = np.repeat(["a", "b", "c", "d"], 100)
    nothing = probe_accuracy(embeddings, labels, groups, PENALTIES)
    assert abs(nothing - 0.5) < 0.1
    embeddings[:, 7] += np.where(labels == "exon", 1.0, -1.0)
    found = probe_accuracy(embeddings, labels, groups, PENALTIES)
    assert found > neighbour_accuracy(embeddings, labels, groups, 5) + 0.03
    assert found > 0.78  # the best possible is 0.84


def test_a_probe_has_not_seen_the_contig_that_it_is_scored_on():
    """An element looks different on every contig, so that another contig tells nothing of it."""
    looks = np.arange(160) // 20  # contigs a to d, of each twenty exons and twenty introns
    features = np.eye(8)[looks]
    labels = np.array(["exon", "intron"])[looks % 2]
    groups = np.array(list("abcd"))[looks // 2]
    assert probe_accuracy(features, labels, groups, PENALTIES) <= 0.5
    assert probe_accuracy(features, labels, np.arange(160) % 4, PENALTIES) == 1.0


@pytest.mark.filterwarnings("error")
def test_contigs_of_one_element_are_no_obstacle():
    labels = np.repeat(["exon", "intron"], 40)
    features = np.random.default_rng(1).normal(size=(80, 4))
    assert probe_accuracy(features, labels, labels, PENALTIES) == 0.0
    four = np.repeat(["a", "b", "c", "d"], 20)
    assert 0 <= probe_accuracy(features, labels, four, PENALTIES) <= 1


def test_elements_of_equal_gc_have_equal_histograms():
    random = np.random.default_rng(1)
    table = pd.DataFrame({"element": ["exon"] * 300 + ["intron"] * 300})
    gc = np.concatenate([random.normal(0.55, 0.06, 300), random.normal(0.45, 0.06, 300)])
    rows, left_out = match_gc(table, gc, seed=3)
    kept = table.iloc[rows]["element"].to_numpy()
    bins = (gc[rows] * 10).astype(int)
    for number in np.unique(bins):
        inside = kept[bins == number]
        assert (inside == "exon").sum() == (inside == "intron").sum()
    assert left_out == {name: 300 - (kept == name).sum() for name in ("exon", "intron")}
    with pytest.raises(InputError, match="no GC content in common"):
        match_gc(table, np.repeat([0.1, 0.9], 300), seed=3)


def test_too_little_is_told():
    embeddings, labels, contigs, gc = draw(apart=1)
    with pytest.raises(InputError, match="at least two elements"):
        draw_map(embeddings, ["exon"] * ROWS, contigs, range(ROWS), gc, CONFIG)
    with pytest.raises(InputError, match="too few for a perplexity"):
        draw_map(embeddings[:30], labels[:30], contigs[:30], range(30), gc[:30], CONFIG)
    with pytest.raises(InputError, match=r"900 left out to match GC content, .*match_gc: false"):
        check_rows(list(labels[:30]), CONFIG.perplexity, 900)
