"""A corpus of haplotypes: its samples against bcftools, its panel, and what a change of it does."""

import json

import numpy as np
import pytest

from dnalm.corpus.build import CorpusConfig, build_corpus, describe_corpus
from dnalm.corpus.reader import WindowReader
from dnalm.corpus.token_shards import write_token_shards
from dnalm.corpus.training_windows import TrainingWindows
from dnalm.errors import InputError
from dnalm.files import read_json
from dnalm.genome.haplotypes.panel import describe_panel
from dnalm.genome.kmers import Vocabulary, encode, to_codes

LENGTH, TOKENS, SAMPLES = 920, 17, 3  # the last window ends with the contig


@pytest.fixture
def records(sequence):
    """Variants on `c`: a deletion near its end shortens what follows for some haplotypes."""
    text = sequence(1, LENGTH)
    random = np.random.default_rng(1)
    found = []
    for position in range(5, LENGTH - 60, 37):
        reference = text[position : position + int(random.integers(1, 5))]
        alternative = random.choice([reference[0] + "GATTACA", "T" if reference[0] != "T" else "G"])
        genotypes = ["|".join(random.integers(0, 2, 2).astype(str)) for _ in range(SAMPLES)]
        found.append((position + 1, reference, str(alternative), ".", *genotypes))
    end = LENGTH - 40
    found.append((end + 1, text[end : end + 30], text[end], ".", "1|1", "1|0", "0|1"))
    return found


def make_config(**changes) -> CorpusConfig:
    return CorpusConfig(
        genomes=["g"],
        windows={"length": 120, "stride": 80, "start_max": 20},
        split={"by": "contig", "validation": ["v"], "test": ["t"]},
        k=6,
        vocabulary="v2",
        max_tokens=TOKENS,
        min_kmers=5,
        evaluation_windows=5,
        **changes,
    )


@pytest.fixture
def corpus(tmp_path, store, make_panel, sequence, records):
    """Return a built corpus: its files, its genomes, and the panel with the same contig `c`."""
    text = sequence(1, LENGTH)
    genome = store("g", {"c": text, "plain": sequence(2, 500), "v": sequence(3, 400), "t": text})
    panel = make_panel(text, records)
    stores = tmp_path / "haplotypes/p/contigs"
    stores.mkdir(parents=True)
    (panel.folder / "store").rename(stores / "c")
    settings = {"panel": "p", "genome": "g", "draw": "random", "contigs": ["c"]}
    config = make_config(haplotypes=settings)
    files = {"manifest": "json", "validation": "npy", "test": "npy", "kmer_counts": "npy"}
    paths = {key: tmp_path / f"{key}.{kind}" for key, kind in files.items()}
    build_corpus(config, {"g": genome}, name="corpus", panel=stores, **paths)
    return read_json(paths["manifest"]), {"g": genome}, stores, panel


def test_samples_are_the_tokens_of_bcftools_haplotypes_from_their_place_on(
    corpus, bcftools, sequence, records
):
    manifest, genomes, stores, _ = corpus
    windows = TrainingWindows(manifest, genomes, seed=5, panel=stores)
    vocabulary, text = Vocabulary(6, "v2"), sequence(1, LENGTH)
    tokens = windows.draw(np.arange(200))
    seen, short = set(), 0
    for n in range(200):
        place = windows.locate(n)
        if place["contig"] == "plain":
            assert "sample" not in place
            bases = sequence(2, 500)[place["start"] :]
        else:
            sample, haplotype = int(place["sample"][1:]), place["haplotype"]
            seen.add((sample, haplotype))
            # The haplotype from the window's start on, by bcftools: records before it are left out.
            later = [r for r in records if r[0] > place["start"]]
            inside = [r for r in records if r[0] <= place["start"] < r[0] - 1 + len(r[1])]
            if inside or not later:
                continue
            whole = bcftools(text, later, sample, haplotype)
            bases = whole[place["start"] :]
        expected = encode(to_codes(bases), vocabulary)[:TOKENS]
        padding = TOKENS - len(expected)
        short += padding > 0
        assert tokens[n].tolist() == [*expected.tolist(), *[vocabulary.pad] * padding], place
    assert seen == {(sample, haplotype) for sample in range(SAMPLES) for haplotype in (1, 2)}
    assert short, "no window reached the end of a shortened haplotype"


def test_a_sample_does_not_hang_on_its_batch(corpus):
    manifest, genomes, stores, _ = corpus
    windows = TrainingWindows(manifest, genomes, seed=5, panel=stores)
    rows = np.arange(40)
    alone = np.concatenate([windows.draw(rows[i : i + 1]) for i in reversed(rows)])[::-1]
    assert (alone == windows.draw(rows)).all()


def test_shards_hold_what_the_trainer_draws(corpus, tmp_path):
    manifest, genomes, stores, _ = corpus
    folder = tmp_path / "shards"
    write_token_shards(manifest, genomes, folder, epochs=2, shard_windows=100, seed=7, panel=stores)
    drawn = TrainingWindows(manifest, genomes, seed=7, panel=stores)
    assert (np.load(folder / "shard-00000.npy") == drawn.draw(np.arange(2 * drawn.windows))).all()


def test_other_haplotypes_than_the_corpus_was_built_with_are_refused(corpus):
    manifest, genomes, stores, _ = corpus
    path = stores / "c/manifest.json"
    path.write_text(json.dumps(read_json(path) | {"digest": "another"}))
    with pytest.raises(InputError, match="not the ones that the corpus was built with"):
        TrainingWindows(manifest, genomes, seed=5, panel=stores)


def test_a_store_of_a_contig_that_left_the_panel_is_not_read(corpus):
    _, genomes, stores, _ = corpus
    settings = {"panel": "p", "genome": "g", "draw": "random", "contigs": []}
    manifest = describe_corpus(
        make_config(haplotypes=settings), genomes, name="corpus", panel=stores
    )
    assert manifest["haplotypes"]["contigs"] == {}
    assert not WindowReader(manifest, genomes, "train", stores).has_haplotypes


def test_a_panel_sums_its_contigs_and_knows_the_populations(corpus, tmp_path):
    _, _, stores, _ = corpus
    table = tmp_path / "samples.txt"
    table.write_text(
        "FamilyID SampleID Sex Population Superpopulation\nf s1 2 FIN EUR\nf x 1 A B\n"
    )
    describe_panel(
        "p",
        [stores / "c"],
        table,
        genome="g",
        manifest=tmp_path / "p.json",
        samples=tmp_path / "p.tsv",
    )
    facts, single = read_json(tmp_path / "p.json"), read_json(stores / "c/manifest.json")
    assert (facts["samples"], facts["haplotypes"]) == (SAMPLES, 2 * SAMPLES)
    assert facts["alleles"] == single["alleles"]
    assert facts["missing_alleles"] == single["missing"]["alleles"]
    rows = [line.split("\t") for line in (tmp_path / "p.tsv").read_text().splitlines()]
    assert rows[0][:4] == ["sample", "population", "superpopulation", "haplotype"]
    assert [row[:4] for row in rows[1:5]] == [
        ["s0", "", "", "1"],
        ["s0", "", "", "2"],
        ["s1", "FIN", "EUR", "1"],
        ["s1", "FIN", "EUR", "2"],
    ]
    carried = sum(int(cell) for row in rows[1:] for cell in row[4:])
    assert carried == single["alleles"]
