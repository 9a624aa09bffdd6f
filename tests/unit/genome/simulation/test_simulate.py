"""A simulated genome: its annotation fits its bases, and its tasks are neither easy nor hard."""

import gzip
import hashlib
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pytest
import yaml
from pysam import FastxFile
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dnalm.benchmark.tasks.table import make_task
from dnalm.configuration.builds import resolve_build
from dnalm.errors import InputError
from dnalm.genome.annotation import read_gtf, splice_sites
from dnalm.genome.bases import write_bases
from dnalm.genome.intervals import Interval, read_bed
from dnalm.genome.simulation.grammar import CLUSTER_SITES
from dnalm.genome.simulation.simulate import SimulateConfig, simulate_genome, write_simulated

ROOT = Path(__file__).parents[4]
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
SETTINGS = {
    "contigs": {"one": 800_000, "two": 800_000, "three": 400_000, "four": 600_000},
    "seed": 42,
    "genes_per_mb": 260,
    "enhancers_per_mb": 260,
    "inactive_enhancers_per_mb": 200,
    "islands_per_mb": 60,
    "loners_per_mb": 400,
    "repeats_per_mb": 300,
    "gaps_per_mb": 3,
    "tata_share": 0.4,
    "island_share": 0.85,
    "motif_fidelity": 0.92,
}


@pytest.fixture(scope="module")
def simulated():
    return simulate_genome(SimulateConfig(**SETTINGS))


def read(genome, contig, start, end, strand="+"):
    text = genome.contigs[contig][start:end].upper()
    return text.translate(COMPLEMENT)[::-1] if strand == "-" else text


def small(seed, **changes):
    contigs = {"c": 60_000}
    return simulate_genome(
        SimulateConfig(**{**SETTINGS, "contigs": contigs, "seed": seed, **changes})
    )


def test_equal_configs_give_equal_genomes_and_files(tmp_path):
    first, again, other = (small(seed, clusters_per_mb=200) for seed in (1, 1, 2))
    assert first == again
    assert first.contigs["c"] != other.contigs["c"]
    for number, genome in enumerate((first, again)):
        folder = tmp_path / str(number)
        paths = (folder / name for name in ("g.fa.gz", "a.gtf.gz", "p.bed", "e.bed", "c.bed"))
        write_simulated(genome, *paths)
    for path in (tmp_path / "0").iterdir():
        assert path.read_bytes() == (tmp_path / "1" / path.name).read_bytes()


def intervals(path):
    rows = read_bed(path).drop(columns="summit").to_dict("records")
    return [Interval(**row) for row in rows]


def test_files_read_back_as_the_genome(tmp_path):
    genome = small(3, clusters_per_mb=200)
    assert genome.clusters
    paths = [tmp_path / name for name in ("g.fa.gz", "a.gtf.gz", "p.bed", "e.bed", "c.bed")]
    write_simulated(genome, *paths)
    with FastxFile(str(paths[0])) as records:
        assert {record.name: record.sequence for record in records} == genome.contigs
    with gzip.open(paths[0], "rt") as file:
        assert max(map(len, file)) == 61
    assert read_gtf(paths[1]) == genome.transcripts
    assert intervals(paths[2]) == genome.promoters
    assert intervals(paths[3]) == genome.enhancers
    assert intervals(paths[4]) == genome.clusters


def test_contigs_have_their_lengths_n_runs_and_soft_masked_repeats(simulated):
    assert {name: len(text) for name, text in simulated.contigs.items()} == SETTINGS["contigs"]
    for text in simulated.contigs.values():
        assert set(text) <= set("ACGTNacgt")
        assert 0.001 < text.count("N") / len(text) < 0.01
        assert 0.03 < sum(map(text.count, "acgt")) / len(text) < 0.2
    assert len(simulated.promoters) == len(simulated.transcripts) == 260 * 2.6
    assert len(simulated.enhancers) == 260 * 2.6


def test_elements_do_not_overlap_and_hold_no_n(simulated):
    for contig in simulated.contigs:
        spans = [
            (t.exons[0][0], t.exons[-1][1]) for t in simulated.transcripts if t.contig == contig
        ]
        spans += [(e.start, e.end) for e in simulated.enhancers if e.contig == contig]
        assert all(left[1] <= right[0] for left, right in pairwise(sorted(spans)))
        assert all("N" not in read(simulated, contig, *span) for span in spans)


def test_every_intron_begins_with_gt_and_ends_with_ag_on_both_strands(simulated):
    sites = list(splice_sites(simulated.transcripts, 10).itertuples())
    assert {site.strand for site in sites} == {"+", "-"}
    for site in sites:
        # The two intron bases lie from the site inwards.
        inwards = (site.kind == "donor") == (site.strand == "+")
        start = site.position if inwards else site.position - 1
        pair = read(simulated, site.contig, start, start + 2, site.strand)
        assert pair == {"donor": "GT", "acceptor": "AG"}[site.kind]


def test_donor_consensus_is_noisy(simulated):
    donors = [
        site
        for site in splice_sites(simulated.transcripts, 10).itertuples()
        if (site.kind, site.strand) == ("donor", "+")
    ]
    after = [read(simulated, s.contig, s.position + 2, s.position + 6) for s in donors]
    share = np.mean([[a == b for a, b in zip(text, "AAGT", strict=True)] for text in after], axis=0)
    assert (share > 0.85).all()
    assert (share < 0.99).all()


def test_coding_sequence_is_a_reading_frame_apart_from_the_exons_ends(simulated):
    stops, codons = 0, 0
    for transcript in simulated.transcripts[:200]:
        parts = [read(simulated, transcript.contig, *span) for span in transcript.coding]
        text = "".join(parts)
        text = text.translate(COMPLEMENT)[::-1] if transcript.strand == "-" else text
        assert len(text) % 3 == 0
        frame = [text[i : i + 3] for i in range(0, len(text), 3)]
        stops += sum(codon in ("TAA", "TAG", "TGA") for codon in frame[:-1])
        codons += len(frame) - 1
        for exon in transcript.coding:
            assert any(start <= exon[0] and exon[1] <= end for start, end in transcript.exons)
    # By chance 3 of 64; only the consensus at splice sites can break a codon.
    assert stops / codons < 0.01


def test_tata_boxes_stand_before_the_promoters_that_carry_the_name(simulated):
    def share(kind):
        found = []
        for p in simulated.promoters:
            if p.name.endswith(f"_{kind}"):
                start, end = (
                    (p.start - 36, p.start - 20) if p.strand == "+" else (p.end + 20, p.end + 36)
                )
                found.append("TATAAA" in read(simulated, p.contig, start, end, p.strand))
        return np.mean(found)

    assert share("TATA") > 0.4
    assert share("noTATA") < 0.1
    assert all(p.end == p.start + 1 for p in simulated.promoters)


def test_composition_varies_along_a_contig_and_cpg_is_rare_outside_of_islands(simulated):
    text = simulated.contigs["one"].upper()
    shares = [
        (part.count("G") + part.count("C")) / len(part.replace("N", "A"))
        for part in (text[i : i + 20_000] for i in range(0, len(text), 20_000))
    ]
    assert max(shares) - min(shares) > 0.08
    expected = text.count("C") * text.count("G") / len(text)
    assert text.count("CG") / expected < 0.75


def test_clusters_hold_sites_of_the_factor_that_they_are_named_after():
    genome = small(5, genes_per_mb=100, clusters_per_mb=1000)
    assert len(genome.clusters) == 60
    assert {c.strand for c in genome.clusters} == {"+", "-"}
    found = {name: np.zeros(2) for name in CLUSTER_SITES}
    for cluster in genome.clusters:
        text = read(genome, "c", cluster.start, cluster.end, cluster.strand)
        factor = cluster.name.rsplit("_", 1)[1]
        counts = {name: text.count(site) for name, site in CLUSTER_SITES.items()}
        assert max(counts, key=counts.get) == factor
        found[factor] += counts[factor], (len(text) - 6) // 12
    # 0.8 of the places hold a site, and 0.95 ** 12 of the sites all their letters; bases of the
    # background add to that.
    shares = [whole / places for whole, places in found.values()]
    assert all(0.35 < share < 0.65 for share in shares)


def test_a_genome_without_clusters_has_the_bases_that_it_had_before_there_were_any():
    genome = small(1)
    assert genome.clusters == []
    digest = hashlib.sha256(genome.contigs["c"].encode()).hexdigest()
    assert digest == "f88471dd65dc8df6e679bd0af6b2a4d91cc4efa3b024a013efe82e313bab40ec"


def test_too_dense_a_contig_is_one_sentence():
    with pytest.raises(
        InputError, match=r"contig c take \d+ of its 60000 bases: lower genes_per_mb"
    ):
        small(1, genes_per_mb=900)


@pytest.fixture(scope="module")
def sources(simulated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("simulated")
    named = {
        "fasta": "g.fa.gz",
        "annotation": "a.gtf.gz",
        "promoters": "p.bed",
        "enhancers": "e.bed",
        "clusters": "c.bed",
    }
    paths = {key: folder / name for key, name in named.items()}
    write_simulated(simulated, **paths)
    stored = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
    stored = {key: folder / name for key, name in stored.items()}
    write_bases(paths["fasta"], name="s", config={"simulate": SETTINGS}, **stored)
    return {**paths, **stored}


TASKS = {
    "promoters": (
        "promoters",
        {"placement": "tss", "upstream": 150, "downstream": 50, "tss_offset": 0},
    ),
    "splice_sites": ("annotation", {"length": 120}),
    "enhancers": ("enhancers", {"length": 200, "longer": "centre"}),
}


def best_kmer_mcc(name, sources, shuffle_labels=False):
    """Return the test MCC of the k-mer regression that validation chooses, and the test rows."""
    source, keys = TASKS[name]
    build = {
        "genome": "s",
        "recipe": name,
        "test_contigs": ["four"],
        "maximum": {"train": 1600, "test": 600},
        "avoid": "elements" if name == "splice_sites" else "windows",
        **keys,
    }
    files = {
        "bases": str(sources["bases"]),
        "contigs": str(sources["contigs"]),
        "genome": str(sources["manifest"]),
        "annotation" if source == "annotation" else "intervals": str(sources[source]),
    }
    task = {
        "build": resolve_build(yaml.safe_load((ROOT / "config.yaml").read_text()), build),
        "format": "auto",
        "sequence_column": "s",
        "label_column": "l",
        "shuffle_labels": shuffle_labels,
        "seed": 42,
    }
    folds = {"scheme": "kfold", "splits": 4, "validation_share": 0.25, "seed": 42}
    table, summary = make_task(files, task, f"simulated.{name}", folds)
    assert summary["simulated"] is True
    train, test = (table[table["split"] == split] for split in ("train", "test"))
    held = train["folds"].str[0].to_numpy() == 0
    scores = []
    for k, penalty in product((3, 5), (1e-4, 1e-3, 1e-2)):
        words = ["".join(letters) for letters in product("ACGT", repeat=k)]
        counts = CountVectorizer(
            analyzer="char", ngram_range=(k, k), lowercase=False, vocabulary=words
        )
        model = make_pipeline(StandardScaler(), LogisticRegression(C=penalty, max_iter=500))
        features = counts.transform(train["sequence"]).toarray().astype(float)
        model.fit(features[~held], train["label"][~held])
        tested = model.predict(counts.transform(test["sequence"]).toarray().astype(float))
        validated = matthews_corrcoef(train["label"][held], model.predict(features[held]))
        scores.append((validated, matthews_corrcoef(test["label"], tested)))
    return max(scores)[1], len(test)


@pytest.mark.parametrize("name", list(TASKS))
def test_the_best_kmer_regression_is_good_but_not_perfect(name, sources):
    mcc, _ = best_kmer_mcc(name, sources)
    assert 0.5 < mcc < 0.9


def test_shuffled_labels_cannot_be_learned(sources):
    mcc, rows = best_kmer_mcc("promoters", sources, shuffle_labels=True)
    # The MCC of a guess on n balanced rows has a standard deviation of about 1 / sqrt(n).
    assert abs(mcc) < 2 / np.sqrt(rows)
