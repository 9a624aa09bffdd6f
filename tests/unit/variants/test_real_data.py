"""Scores of real variants: those that `transformers` gives, and every record of ClinVar kept."""

import gzip
import random
from pathlib import Path

import pandas as pd
import pysam.bcftools
import pytest
from bench.variant_peer import make_esm
from bench.variant_peer import score as score_by_peer

from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import to_sequence
from dnalm.model.loading import load_model
from dnalm.variants.score_table import SCORE_NAMES
from dnalm.variants.vcf_output import index_output

CLINVAR = "human_grch37_chr1_0-1Mb/clinvar_20230710.1_955001-1000000.vcf.gz"
SITES = "human_grch37_chr20_1-2Mb/1000G_phase3.sites.20_1000001-2000000.vcf.gz"
GENOMES = {CLINVAR: "human_grch37_chr1_0-1Mb/1_1-1000000.fa.gz"}
GENOMES[SITES] = "human_grch37_chr20_1-2Mb/20_1000001-2000000.fa.gz"
BASES, K = 600, 6


def read_lines(path) -> tuple[list[str], list[str]]:
    """Return the lines of the header, and those of records."""
    lines = gzip.decompress(Path(path).read_bytes()).decode().splitlines(keepends=True)
    return [one for one in lines if one[0] == "#"], [one for one in lines if one[0] != "#"]


def draw(records: list[str], count: int) -> list[str]:
    """Return so many records in their order: a quarter indels, some of several alleles."""
    random.seed(4)
    cells = {line: line.split("\t", 5) for line in records}
    plain = [line for line, own in cells.items() if "<" not in own[4]]
    several = [line for line in plain if "," in cells[line][4]][: count // 20]
    indels = [line for line in plain if len(cells[line][3]) != len(cells[line][4])]
    chosen = {*several, *random.sample(indels, count // 4)}
    rest = [line for line in plain if line not in chosen]
    chosen |= set(random.sample(rest, count - len(chosen)))
    return [line for line in records if line in chosen]


@pytest.mark.parametrize("source", [CLINVAR, SITES])
@pytest.mark.parametrize("count", [8, pytest.param(100, marks=pytest.mark.slow)])
def test_real_variants_have_the_scores_that_transformers_gives(
    make_files, score, data_folder, source, count
):
    files = make_files(data_folder / GENOMES[source], k=K, tokens=101)
    header, records = read_lines(data_folder / source)
    options = {"frames": "all", "strands": "both"} if count == 8 else {}
    table = score(files, "".join([*header, *draw(records, count)]), window=BASES, **options).table
    genome = GenomeBases(files["bases"], files["contigs"])
    row = genome.contigs.iloc[0]
    contig, first = to_sequence(genome.read_at(0, int(row["length"]))), int(row["start"])
    model = make_esm(load_model(files["run"], files["weights"])[0])
    lefts = [300 + frame for frame in range(6)] if options else [300]
    strands = options.get("strands", "forward")
    assert table["record"].nunique() == count
    assert (table["skip"] == "indel").sum() >= count // 4
    for one in table.itertuples():
        expected = score_by_peer(
            model, contig, one.pos - 1 - first, one.ref, one.alt,
            bases=BASES, k=K, version="v1", layer=2, lefts=lefts, strands=strands,
        )  # fmt: skip
        for name in SCORE_NAMES:
            value = getattr(one, name)
            if name in expected:
                assert value == pytest.approx(expected[name], rel=1e-5, abs=1e-5), (one, name)
            else:
                assert pd.isna(value)
                assert one.skip == "indel"


def test_every_record_of_clinvar_comes_out_with_its_header(make_files, score, data_folder):
    files = make_files(data_folder / GENOMES[CLINVAR], k=3, tokens=81)
    made = score(files, data_folder / CLINVAR, scores=["cosine", "llr"])
    assert (made.counts.records, made.counts.mismatches) == (815, 0)
    header, records = read_lines(data_folder / CLINVAR)
    ours, scored = read_lines(made.vcf)
    assert [line for line in ours if "DNALM" not in line and "##dnalm" not in line] == header
    assert [line.split(";DNALM_")[0].rstrip("\n") for line in scored] == [
        line.rstrip("\n") for line in records
    ]
    index_output(made.vcf, f"{made.vcf}.tbi")
    assert (
        len(pysam.bcftools.view("-H", "-r", "1:955001-1000000", str(made.vcf)).splitlines()) == 815
    )
    table = made.table
    assert table["skip"].value_counts().to_dict() == {"indel": (table["llr"].isna()).sum()}
    assert (table.loc[table["alt"].str.len() == table["ref"].str.len(), "llr"]).notna().all()


def test_a_file_of_the_other_assembly_is_recognised(make_files, score, data_folder):
    """The SNVs of chromosome 20 in GRCh37 on other bases of that name."""
    files = make_files(data_folder / GENOMES[SITES], k=3, tokens=11)
    header, records = read_lines(data_folder / SITES)
    moved = []
    for line in records[:200]:
        cells = line.split("\t")
        moved.append("\t".join([cells[0], str(int(cells[1]) + 1000), *cells[2:]]))
    with pytest.raises(ValueError, match=r"SNVs have another REF .* GRCh37 \(hg19\)"):
        score(files, "".join([*header, *moved]))
