"""Masked SNPs and mutagenesis by models that are not ours: plain loops with transformers."""

import numpy as np
import pandas as pd
import pytest
import random_transformers
import torch
import toy_embedder
from scipy import stats
from transformers import AutoModelForMaskedLM, AutoTokenizer

from dnalm.benchmark.embedding.embedders import describe_embedder
from dnalm.errors import InputError
from dnalm.genome.haplotypes.panel import describe_panel
from dnalm.interpretation.likelihoods.assay import score_assay
from dnalm.interpretation.likelihoods.snp_perplexity import score_snps
from dnalm.interpretation.likelihoods.snp_sites import choose_snps

BASES = 60
LEFT = BASES // 2
SNPS = {
    "snps": "mine",
    "model": "theirs",
    "frequencies": [0.25, 0.5],
    "tolerance": 0.1,
    "each": 100,
    "carriers": 2,
    "by": None,
    "bases": BASES,
    "seed": 1,
    "corpus_known": False,
}
ASSAY = {
    "assay": "mine",
    "model": "theirs",
    "genome": "g",
    "columns": {name: name for name in ("contig", "position", "ref", "alt", "effect")},
    "interval": None,
    "published_as": None,
    "bootstrap": {"draws": 20, "seed": 3, "level": 0.95},
    "window": BASES,
    "layer": "last",
    "pooling": "mean",
    "scores": ["llr", "llr_own_tokens", "masked_loss_alt", "l2"],
    "frames": 1,
    "strands": "forward",
    "shared_bases": 1,
    "max_n": 0,
    "contig_names": "exact",
    "largest_mismatch": 0.05,
    "index": "tbi",
    "part_records": 256,
    "features": False,
    "precision": "float32",
    "batch_tokens": 4096,
}


class Peer:
    """A model as a user of transformers has it."""

    def __init__(self, folder):
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForMaskedLM.from_pretrained(folder).eval()
        self.words = {
            number: word
            for word, number in self.tokenizer.get_vocab().items()
            if set(word) <= set("ACGT")
        }

    def cut(self, text):
        coded = self.tokenizer(text, return_offsets_mapping=True)
        return coded["input_ids"], [tuple(pair) for pair in coded["offset_mapping"]]

    def ask(self, text, places):
        """Return ids, offsets and ln p of a text with some tokens masked."""
        ids, offsets = self.cut(text)
        masked = torch.tensor([ids])
        masked[0, places] = self.tokenizer.mask_token_id
        with torch.inference_mode():
            output = self.model(masked, attention_mask=torch.ones_like(masked))
        return ids, offsets, output.logits[0].log_softmax(-1)


@pytest.fixture(scope="module", params=["bert", "modernbert"])
def folder(request, tmp_path_factory):
    """Return a random model: bert has a token for each base, modernbert such of many lengths."""
    made = tmp_path_factory.mktemp("foreign") / request.param
    random_transformers.save_model(request.param, made)
    torch.set_num_threads(1)
    return made


def other(letter):
    return "CGTA"["ACGT".index(letter)]


@pytest.fixture
def chosen(make_panel, sequence, tmp_path):
    """Return the files of six SNPs of two people, and the text of each of their haplotypes."""
    text = sequence(4, 700)
    genotypes = ["1|0", "0|1"]
    places = range(100, 640, 90)
    records = [(p + 1, text[p], other(text[p]), ".", *genotypes) for p in places]
    panel = make_panel(text, records)
    described = {"manifest": tmp_path / "manifest.json", "samples": tmp_path / "samples.tsv"}
    describe_panel("p", [panel.folder / "store"], None, genome="g", **described)
    files = {
        "stores": [panel.folder / "store"],
        "samples": described["samples"],
        "bases": panel.genome.bases_path,
        "contigs": panel.genome.contigs_path,
        "chosen": tmp_path / "chosen.parquet",
    }
    choose_snps(files, SNPS, files["chosen"])
    altered = "".join(other(one) if at in places else one for at, one in enumerate(text))
    carries = {("s0", 1): altered, ("s0", 2): text, ("s1", 1): text, ("s1", 2): altered}
    return files, carries


def predict(files, entry, tmp_path):
    outputs = {"summary": tmp_path / "s.tsv", "tokens": tmp_path / "s.parquet"}
    score_snps(files, SNPS | {"embedder": entry}, outputs)
    return pd.read_csv(outputs["summary"], sep="\t"), pd.read_parquet(outputs["tokens"])


def test_masked_snps_have_the_probabilities_of_transformers(folder, chosen, tmp_path):
    files, carries = chosen
    summary, found = predict(files, {"transformers": str(folder)}, tmp_path)
    assert len(found) == 6 * 2 * 2
    peer = Peer(folder)
    for row in found.itertuples():
        whole = carries[row.sample, row.haplotype]
        window = whole[row.position - LEFT : row.position - LEFT + BASES]
        assert window[LEFT] == (row.ref if row.allele == "ref" else row.alt)
        _, offsets = peer.cut(window)
        (place,) = [at for at, (start, end) in enumerate(offsets) if start <= LEFT < end]
        ids, _, likely = peer.ask(window, [place])
        assert row.truth == ids[place]
        assert row.loss == pytest.approx(-float(likely[place, row.truth]), abs=1e-4)
        assert row.predicted == int(likely[place].argmax())
        within, shares = LEFT - offsets[place][0], dict.fromkeys("ACGT", 0.0)
        for number, word in peer.words.items():
            if len(word) > within:
                shares[word[within]] += float(likely[place, number].exp())
        share = shares[window[LEFT]] / sum(shares.values())
        assert row.base_loss == pytest.approx(-np.log(share), abs=1e-4)
        assert row.base_right == (max(shares, key=shares.get) == window[LEFT])
    for line in summary[summary["bin"] == 0.5].itertuples():
        own = found[found["allele"] == line.allele]
        assert line.perplexity == pytest.approx(np.exp(own["loss"].mean()), rel=1e-5)
        assert line.base_perplexity == pytest.approx(np.exp(own["base_loss"].mean()), rel=1e-5)
        assert np.isnan(line.people_trained_on)


def test_a_model_without_logits_has_no_snps(chosen, tmp_path):
    with pytest.raises(InputError, match="open_one_hot offers no logits of masked tokens"):
        predict(chosen[0], {"call": "toy_embedder:open_one_hot"}, tmp_path)
    assert toy_embedder.open_one_hot("cpu").layers == 2  # the module was found


def test_mutagenesis_is_scored_as_by_transformers(folder, store, sequence, tmp_path):
    text = sequence(7, 300)
    peer, ratios, losses = Peer(folder), [], []
    changes = [(p, alt) for p in range(120, 140) for alt in "ACGT" if alt != text[p]]
    for position, alt in changes:
        own = text[position - LEFT : position - LEFT + BASES]
        changed = own[:LEFT] + alt + own[LEFT + 1 :]
        sides = []
        for one, two in ((own, changed), (changed, own)):
            (ids, offsets), theirs = peer.cut(one), set(zip(*peer.cut(two), strict=True))
            apart = [
                at
                for at, key in enumerate(zip(ids, offsets, strict=True))
                if key not in theirs and key[1][1] > key[1][0]
            ]
            likely = peer.ask(one, apart)[2]
            sides.append([float(likely[at, ids[at]]) for at in apart])
        ratios.append(sum(sides[1]) - sum(sides[0]))
        losses.append(-np.mean(sides[1]))
    effects = np.array(ratios) + np.random.default_rng(5).normal(0, np.std(ratios), len(ratios))
    table = tmp_path / "assay.csv"
    rows = [
        f"c,{position + 1},{text[position]},{alt},{effect}"
        for (position, alt), effect in zip(changes, effects, strict=True)
    ]
    table.write_text("\n".join(["contig,position,ref,alt,effect", *rows]) + "\n")
    genome, entry = store("g", {"c": text}), {"transformers": str(folder)}
    described = tmp_path / "embedder.json"
    rights = {"model": "theirs", "source": None, "licence": "mit", "citation": None}
    describe_embedder(entry, rights, "cpu", described)
    files = {"table": str(table), "described": str(described), "bases": str(genome / "bases.npy")}
    files |= {"contigs": str(genome / "contigs.tsv"), "manifest": str(genome / "manifest.json")}
    outputs = {"summary": tmp_path / "a.tsv", "variants": tmp_path / "a.parquet"}
    score_assay(files, ASSAY | {"embedder": entry}, outputs)
    found = pd.read_parquet(outputs["variants"])
    np.testing.assert_allclose(found["llr_own_tokens"], ratios, atol=1e-4)
    np.testing.assert_allclose(found["masked_loss_alt"], losses, atol=1e-4)
    equal = found["llr"].notna()
    assert equal.all() == (folder.name == "bert")
    assert equal.any()
    np.testing.assert_allclose(found["llr"][equal], np.array(ratios)[equal], atol=1e-4)
    summary = pd.read_csv(outputs["summary"], sep="\t").set_index(["score", "level", "effect"])
    line = summary.loc["llr_own_tokens", "variant", "signed"]
    assert line["points"] == 60
    assert line["pearson"] == pytest.approx(stats.pearsonr(-np.array(ratios), effects)[0], abs=1e-3)
