"""Hours of interpretation follow from the windows, SNPs, alleles and bases that are asked for."""

import numpy as np
import pytest

from dnalm.configuration.interpretation.amounts import count_table_rows
from dnalm.genome.kmers import Vocabulary, encode
from dnalm.interpretation.likelihoods.tracks import cut_windows
from dnalm.interpretation.reconstruction import rounds_of_all
from dnalm.report.estimates.hours import list_work, summarise, tabulate

MODEL, BASES, LAYERS, WIDTH = "500m-human-ref", 5994, 24, 1280
TOKENS = 1 + BASES // 6
BLOCK = 2 * (4 * WIDTH**2 + 2 * WIDTH * 5120)
FORWARD = LAYERS * TOKENS * (BLOCK + 4 * WIDTH * TOKENS)
HEAD = 2 * WIDTH * (WIDTH + 4105)  # of a token: the dense layer, and the words of v1
GENOME = {"contigs": {"grch38": {"chr1": 30_000_000, "chr22": 6_000_000}}}
ANNOTATION = {"genome": "grch38", "models": [MODEL], "transcripts": "genes.gtf"}
FOREIGN = {"theirs": {"embedder": {"call": "a:b"}, "licence": "mit"}}


def amounts(works):
    return {(work.stage, work.model): work.amount for work in works}


def test_windows_around_elements_are_those_asked_for_of_each(resolve):
    entry = ANNOTATION | {"bed": {"CpG": "cpg.bed"}, "each": 50}
    works = list_work(resolve({"annotations": ["genes"]}, annotations={"genes": entry}))
    windows = 50 * 7  # six of transcripts, one of a file
    found = amounts(works)
    assert found["attention", MODEL] == found["maps", MODEL] == windows * FORWARD
    masked = 1 + 0.15 * (TOKENS - 1)
    expected = windows * (2 * FORWARD + masked * HEAD)
    assert found["reconstruction", MODEL] == pytest.approx(expected)
    (attention,) = (work for work in works if work.stage == "attention")
    assert attention.disk == windows * 2 * 2 * 2 * LAYERS * 20 * TOKENS  # int16, ends, thresholds
    entry |= {"elements": ["CDS"], "analyses": ["maps"]}
    (work,) = list_work(resolve({"annotations": ["genes"]}, annotations={"genes": entry}))
    assert work.amount == 50 * FORWARD


def test_maps_are_computed_up_to_their_last_layer(resolve):
    entry = ANNOTATION | {"analyses": ["maps"], "elements": ["CDS"], "each": 1}
    overlay = {"annotations": {"genes": entry}, "maps": {"layers": ["first", 12]}}
    (work,) = list_work(resolve({"annotations": ["genes"]}, **overlay))
    assert work.amount == FORWARD / 2


def test_windows_in_a_row_are_those_of_the_contigs(resolve):
    entry = ANNOTATION | {"windows": "tile", "contigs": ["chr22"], "analyses": ["attention"]}
    overlay = {"annotations": {"genes": entry}}
    (work,) = list_work(resolve({"annotations": ["genes"]}, GENOME, **overlay))
    assert work.amount == 6_000_000 // BASES * FORWARD
    (work,) = list_work(resolve({"annotations": ["genes"]}, **overlay))
    assert work.amount is None
    assert work.unknown.startswith("bases: the genome is not here")
    overlay["annotations"]["genes"]["contigs"] = None  # as estimate.bases says
    (work,) = list_work(resolve({"annotations": ["genes"]}, **overlay))
    assert work.amount == 3_088_269_832 // BASES * FORWARD


def test_masked_snps_are_a_pass_for_each_allele_and_carrier(resolve):
    entry = {"panel": "1000g", "models": [MODEL], "each": 10, "carriers": 3}
    (work,) = list_work(resolve({"snps": ["p"]}, snps={"p": entry}))
    assert work.amount == 4 * 10 * 2 * 3 * (FORWARD + HEAD)
    (work,) = list_work(resolve({"snps": ["p"]}, snps={"p": entry | {"by": "population"}}))
    assert (work.amount, work.unknown.split(":")[0]) == (None, "haplotypes")


def test_alleles_of_an_assay_cost_what_those_of_variants_do(resolve, tmp_path):
    (tmp_path / "exon.tsv").write_text("contig\tposition\n" + "chr1\t5\n" * 30 + "\n")
    known = {"assays": {"exon": count_table_rows(tmp_path / "exon.tsv")}}
    scores = {"scores": ["llr", "cosine"], "window": 600, "frames": "all", "strands": "both"}
    assay = {"table": "exon.tsv", "genome": "grch38", "models": [MODEL]} | scores
    variants = {"vcf": "x.vcf", "genome": "grch38", "models": [MODEL]} | scores
    overlay = {"assays": {"exon": assay}, "variants": {"x": variants}}
    overlay["estimate"] = {"variants": {"x": 30}}
    works = list_work(resolve({"assays": ["exon"], "variants": ["x"]}, known, **overlay))
    found = amounts(works)
    assert found["assays", MODEL] == found["variants", MODEL] > 0
    (work,) = list_work(resolve({"assays": ["exon"]}, **overlay))
    assert work.unknown == "alleles: the table is not here"
    assert count_table_rows(tmp_path / "none.tsv") is None


def test_tracks_read_their_windows_as_often_as_a_share_takes(resolve):
    entry = {"genome": "grch38", "models": [MODEL], "contigs": ["chr22"], "frames": [0, 3]}
    load = resolve({"tracks": ["t"]}, GENOME, tracks={"t": entry})
    (work,) = list_work(load)
    words, codes = Vocabulary(6, "v1"), np.zeros(BASES, dtype=np.uint8)
    windows = len(list(cut_windows(0, 6_000_000, 6, BASES // 6)))
    passes = windows * len(rounds_of_all(encode(codes, words).astype(np.int64), words, 0.15))
    expected = 2 * (passes * FORWARD + 6_000_000 / 6 * HEAD)
    assert work.amount == pytest.approx(expected, rel=1 / windows)
    assert work.jobs == 2


def test_what_is_not_known_of_models_that_are_not_ours_is_said(resolve):
    overlay = {
        "models": FOREIGN,
        "annotations": {"genes": ANNOTATION | {"models": ["theirs"]}},
        "snps": {"p": {"panel": "1000g", "models": ["theirs"]}},
        "predictions": {"n": {"method": "bpnet", "task": "revised.H3K4me3", "path": "x.fa"}},
    }
    selected = {"annotations": ["genes"], "snps": ["p"], "predictions": ["n"]}
    load = resolve(selected, {"predictions": {"n": 1000.0}}, **overlay)
    works = list_work(load)
    assert [(work.stage, work.amount) for work in works] == [
        *(("predictions", None), ("reconstruction", None), ("maps", None), ("SNPs", None)),
    ]
    text = "\n".join(summarise(load, tabulate(load, works, {}, 0.0)))
    assert "Not counted: 1 × SNPs theirs (what a model that is not ours computes)." in text
    assert "Not counted: 1 × predictions (what a network from scratch computes)." in text
