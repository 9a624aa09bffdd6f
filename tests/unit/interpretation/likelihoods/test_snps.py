"""SNPs on personal haplotypes: which are found, who carries them, and what transformers gives."""

import numpy as np
import pandas as pd
import pytest
import torch

from dnalm.errors import InputError
from dnalm.genome.haplotypes.panel import describe_panel
from dnalm.genome.kmers import to_codes
from dnalm.interpretation.likelihoods.snp_perplexity import (
    count_trained_on,
    score_snps,
    summarise_snps,
)
from dnalm.interpretation.likelihoods.snp_sites import Contig, choose_snps, list_snps

BASES = 60
SETTINGS = {
    "snps": "mine",
    "model": "small",
    "frequencies": [0.25, 0.5],
    "tolerance": 0.1,
    "each": 100,
    "carriers": 2,
    "by": None,
    "bases": BASES,
    "seed": 1,
    "corpus_known": True,
}


def other(letter):
    return "CGTA"["ACGT".index(letter)]


def snp(text, position, *genotypes):
    return (position + 1, text[position], other(text[position]), ".", *genotypes)


def describe(panel, tmp_path, populations=None):
    """Return the files of a panel as the rule has them."""
    found = {"manifest": tmp_path / "manifest.json", "samples": tmp_path / "samples.tsv"}
    describe_panel("p", [panel.folder / "store"], populations, genome="g", **found)
    return {
        "stores": [panel.folder / "store"],
        "samples": found["samples"],
        "bases": panel.genome.bases_path,
        "contigs": panel.genome.contigs_path,
    }


def test_only_biallelic_snps_with_room_around_them_are_found(make_panel, sequence):
    text = sequence(1, 900)
    text = text[:800] + "N" * 10 + text[810:]
    records = [
        snp(text, 20, "0|1", "0|1"),  # no room on its left
        snp(text, 100, "0|1", "0|0"),
        (201, text[200], f"{other(text[200])},{other(other(text[200]))}", ".", "1|2", "0|0"),
        (251, text[250:260], text[250], ".", "1|0", "0|0"),
        snp(text, 255, "0|0", "0|1"),  # a deletion of another person lies across it
        (300, text[299], text[299] + "GG", ".", "1|0", "0|0"),
        snp(text, 300, "0|1", "0|0"),  # an insertion before it does not touch it
        (351, text[350], text[350], ".", "0|1", "0|0"),  # no change
        snp(text, 400, "0|1", "1|1"),
        snp(text, 790, "0|1", "1|1"),  # next to N
        snp(text, 880, "0|1", "1|1"),  # no room on its right
    ]
    panel = make_panel(text, records)
    found = list_snps(Contig(panel.folder / "store", panel.genome), panel.genome, BASES)
    assert found["position"].tolist() == [100, 300, 400]
    assert found["frequency"].tolist() == [0.25, 0.25, 0.75]
    assert found["ref"].tolist() == [text[place] for place in (100, 300, 400)]


def test_people_are_drawn_who_carry_the_allele_and_those_that_lack_are_counted(
    make_panel, sequence, tmp_path, caplog
):
    text = sequence(2, 700)
    records = [
        snp(text, 100, "0|1", "0|0", "0|1", "0|0"),
        snp(text, 300, "1|1", "1|1", "0|0", "0|0"),
        snp(text, 500, "0|0", "1|0", "0|0", "0|0"),
    ]
    table = tmp_path / "people.tsv"
    table.write_text("sample\tpopulation\n" + "s0\tX\ns1\tX\ns2\tY\ns3\tY\n")
    files = describe(make_panel(text, records), tmp_path, table)
    chosen = choose_snps(files, SETTINGS, tmp_path / "all.parquet")
    assert set(chosen["position"]) == {100, 300}  # 1/8 is no frequency that was asked for
    assert len(chosen) == 2 * 2 * 2
    carriers = {100: {("s0", 2), ("s2", 2)}, 300: {("s0", 1), ("s0", 2), ("s1", 1), ("s1", 2)}}
    for row in chosen.itertuples():
        is_alt = (row.sample, row.haplotype) in carriers[row.position]
        assert is_alt == (row.allele == "alt")
    by = {**SETTINGS, "by": "population"}
    grouped = choose_snps(files, by, tmp_path / "by.parquet")
    counts = grouped.groupby(["position", "group", "allele"]).size().to_dict()
    assert counts == {
        (100, "X", "ref"): 2,
        (100, "X", "alt"): 1,
        (100, "Y", "ref"): 2,
        (100, "Y", "alt"): 1,
        (300, "X", "alt"): 2,
        (300, "Y", "ref"): 2,
    }
    scored = grouped.assign(loss=0.0, predicted=1, truth=1, base_loss=0.0, base_right=True)
    summary = summarise_snps(scored, grouped, 2).set_index(["bin", "group", "allele"])
    missing = summary["carriers_missing"]
    assert missing[0.25, "X", "alt"] == 1
    assert missing[0.5, "X", "ref"] == 2
    assert missing[0.5, "X", "alt"] == 0
    assert "0.5, X, ref: 2 of 2 haplotypes that were asked for are not there" in caplog.text
    assert np.isnan(summary["perplexity"][0.5, "X", "ref"])


def test_a_frequency_that_no_snp_has_and_people_without_population_are_refused(
    make_panel, sequence, tmp_path
):
    text = sequence(3, 500)
    files = describe(make_panel(text, [snp(text, 200, "0|1", "0|0")]), tmp_path)
    with pytest.raises(InputError, match=r"of 1 SNPs none has a frequency within 10% of 0.01, 0.5"):
        choose_snps(files, {**SETTINGS, "frequencies": [0.01, 0.5]}, tmp_path / "x.parquet")
    with pytest.raises(InputError, match="no sample has a population"):
        choose_snps(files, {**SETTINGS, "by": "population"}, tmp_path / "x.parquet")
    assert not (tmp_path / "x.parquet").exists()


def test_masked_snps_have_the_probabilities_of_transformers_on_haplotypes_of_bcftools(
    make_panel, bcftools, sequence, tmp_path, esm
):
    text = sequence(4, 600)
    records = [
        (80, text[79], text[79] + "TTG", ".", "1|0", "0|1"),  # shifts what lies behind it
        (95, text[94:99], text[94], ".", "1|0", "0|0"),
        snp(text, 110, "1|0", "0|1"),
        (120, text[119], text[119] + "A", ".", "0|1", "1|1"),
        snp(text, 300, "1|0", "0|0"),
    ]
    panel = make_panel(text, records)
    files = describe(panel, tmp_path)
    chosen = choose_snps(files, SETTINGS, tmp_path / "chosen.parquet")
    outputs = {"summary": tmp_path / "s.tsv", "tokens": tmp_path / "s.parquet"}
    given = {**files, **esm.files, "chosen": tmp_path / "chosen.parquet"}
    score_snps(given, SETTINGS, outputs)
    found = pd.read_parquet(outputs["tokens"])
    assert len(found) == len(chosen) == 7  # of the SNP at 300 there is one carrier
    vocabulary, left = esm.vocabulary, BASES // 2
    for row in found.itertuples():
        whole = bcftools(text, records, row.sample, row.haplotype)
        sample = int(row.sample[1:])
        place = row.position + sum(
            len(alt) - len(ref)
            for position, ref, alt, _, *genotypes in records
            if position - 1 + len(ref) <= row.position
            and genotypes[sample].split("|")[row.haplotype - 1] == "1"
        )
        window = whole[place - left : place - left + BASES]
        assert window[left] == (row.ref if row.allele == "ref" else row.alt)
        words = [window[at : at + 3] for at in range(0, BASES, 3)]
        ids = torch.tensor([[vocabulary.cls, *(kmer_id(word, vocabulary) for word in words)]])
        token = 1 + left // 3
        masked = ids.clone()
        masked[0, token] = vocabulary.mask
        with torch.inference_mode():
            logits = esm.reference(masked, attention_mask=torch.ones_like(masked)).logits
        likely = logits[0, token].log_softmax(-1)
        assert row.truth == ids[0, token]
        assert row.loss == pytest.approx(-float(likely[ids[0, token]]), abs=1e-4)
        assert row.predicted == int(likely.argmax())
        shares = dict.fromkeys("ACGT", 0.0)
        for word in (a + b + c for a in "ACGT" for b in "ACGT" for c in "ACGT"):
            shares[word[left % 3]] += float(likely[kmer_id(word, vocabulary)].exp())
        share = shares[window[left]] / sum(shares.values())
        assert row.base_loss == pytest.approx(-np.log(share), abs=1e-4)
        assert row.base_right == (max(shares, key=shares.get) == window[left])
    summary = pd.read_csv(outputs["summary"], sep="\t")
    both = found[(found["bin"] == 0.5) & (found["allele"] == "alt")]
    line = summary[(summary["bin"] == 0.5) & (summary["allele"] == "alt")].iloc[0]
    assert line["perplexity"] == pytest.approx(np.exp(both["loss"].mean()), rel=1e-5)
    assert (summary["people_trained_on"] == 0).all()
    assert line["people"] == found["sample"].nunique()


def kmer_id(word, vocabulary):
    place = 0
    for code in to_codes(word).tolist():
        place = 4 * place + code
    return vocabulary.kmer_offset + place


def test_people_that_a_model_was_trained_on_are_counted_by_name(tmp_path, caplog):
    trained = tmp_path / "samples.tsv"
    trained.write_text("sample\tpopulation\nHG1\tX\nHG1\tX\nHG2\tX\n")
    assert count_trained_on(["HG1", "NA9", "HG2"], trained, SETTINGS) == 2
    assert "small was trained on 2 of these 3 people" in caplog.text
    assert count_trained_on(["NA9"], trained, SETTINGS) == 0
    assert count_trained_on(["HG1"], None, SETTINGS) == 0
    unknown = {**SETTINGS, "corpus_known": False}
    assert count_trained_on(["HG1"], None, unknown) is None
    assert "is not known" in caplog.text


def test_windows_that_the_model_cannot_read_are_refused(make_panel, sequence, tmp_path, esm):
    text = sequence(5, 600)
    files = describe(make_panel(text, [snp(text, 300, "1|0", "0|1")]), tmp_path)
    settings = {**SETTINGS, "bases": 120}
    choose_snps(files, settings, tmp_path / "chosen.parquet")
    given = {**files, **esm.files, "chosen": tmp_path / "chosen.parquet"}
    outputs = {"summary": tmp_path / "s.tsv", "tokens": tmp_path / "s.parquet"}
    with pytest.raises(InputError, match="windows of 120 bases are too long for the model small"):
        score_snps(given, settings, outputs)
