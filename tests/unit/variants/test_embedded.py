"""Scores by models that are not ours: equal to plain loops with transformers, or not given."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest
import random_transformers
import torch
import toy_embedder
from bench.variant_peer import measure
from transformers import AutoModelForMaskedLM, AutoTokenizer

from dnalm.benchmark.embedding.embedders import describe_embedder
from dnalm.errors import InputError
from dnalm.variants.score_table import BY_NAME, SCORE_NAMES

RIGHTS = {"source": None, "licence": "mit", "citation": None}
BASES, LAYER = 60, 1
TOY = {"call": "toy_embedder:open_one_hot", "options": {"token_bases": 3}}
COMPLEMENT = str.maketrans("ACGT", "TGCA")
# An SNV, two alleles of one base, an MNV, a deletion, an insertion.
EDITS = [
    (100, 1, "C"),
    (180, 1, "A"),
    (180, 1, "G"),
    (250, 3, "GTA"),
    (300, 3, "A"),
    (350, 1, "TTT"),
]


@pytest.fixture(scope="module")
def contig(sequence):
    return sequence(21, 500)


@pytest.fixture(scope="module")
def genome(make_files, contig):
    files = make_files({"c": contig})
    return {key: files[key] for key in ("bases", "contigs", "manifest")}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of random models: bert has a token for each base, modernbert such of many lengths."""
    made = {}
    for name in ("bert", "modernbert", "llama"):
        made[name] = tmp_path_factory.mktemp("foreign") / name
        random_transformers.save_model(name, made[name])
    return made


@pytest.fixture
def score_by(score, genome, tmp_path, monkeypatch):
    """Return a function that describes an embedder, and scores variants by it as the rules do."""
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_embedder.__file__).parent), prepend=":")

    def compute(entry, variants, **options):
        described = tmp_path / "embedder.json"
        describe_embedder(entry, {"model": "m", **RIGHTS}, "cpu", described)
        settings = {"window": BASES, "layer": LAYER, "embedder": entry} | options
        return score(genome | {"described": str(described)}, variants, **settings)

    return compute


@pytest.fixture(scope="module")
def alleles(contig):
    found = []
    for start, size, alternative in EDITS:
        reference = contig[start : start + size]
        other = alternative if alternative != reference else "T" * size
        found.append((start, reference, other))
    return found


@pytest.fixture(scope="module")
def variants(vcf, alleles):
    return vcf(*(f"c {start + 1} {ref} {alt}" for start, ref, alt in alleles))


class Peer:
    """Scores of one pair of windows by transformers and strings, nothing shared."""

    def __init__(self, folder):
        self.model = AutoModelForMaskedLM.from_pretrained(folder).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def read(self, text, masked=()):
        """Return ids, offsets, states of the layer and ln p of a window's tokens of bases."""
        found = self.tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
        offsets = found.pop("offset_mapping")[0].tolist()
        ids = found["input_ids"][0].tolist()
        for place in masked:
            found["input_ids"][0, place] = self.tokenizer.mask_token_id
        with torch.no_grad():
            output = self.model(**found, output_hidden_states=True)
        return ids, offsets, output.hidden_states[LAYER][0], output.logits[0].log_softmax(-1)

    def score(self, pair, first, size, is_indel):
        one, other = (self.read(text) for text in pair)
        ends = slice(1, -1)  # [CLS] and [SEP]
        scores = dict(measure(*(side[2][ends].mean(0) for side in (one, other))))
        if is_indel:
            return scores
        changed = {at for at, (own, new) in enumerate(zip(*pair, strict=True)) if own != new}
        assert changed <= set(range(first, first + size))
        covers = [
            [place for place, (start, end) in enumerate(side[1]) if changed & {*range(start, end)}]
            for side in (one, other)
        ]
        means = [side[2][at].mean(0) for side, at in zip((one, other), covers, strict=True)]
        scores |= {f"{name}_token": value for name, value in measure(*means).items()}
        losses = [
            -float(np.mean([float(side[3][at, side[0][at]]) for at in range(1, len(side[0]) - 1)]))
            for side in (one, other)
        ]
        scores |= {"loss_alt": losses[1], "loss_difference": losses[1] - losses[0]}
        keys = [
            [(*span, i) for i, span in zip(side[0], side[1], strict=True)] for side in (one, other)
        ]
        own = []
        for text, side, mine, theirs in zip(pair, (one, other), keys, reversed(keys), strict=True):
            masked = [at for at in range(1, len(mine) - 1) if mine[at] not in theirs]
            likelihoods = self.read(text, masked)[3]
            own.append([float(likelihoods[at, side[0][at]]) for at in masked])
        scores |= {"llr_own_tokens": sum(own[1]) - sum(own[0]), "masked_loss_alt": -np.mean(own[1])}
        if one[1] == other[1]:
            flat = measure(one[2], other[2])
            scores |= {f"{name}_flat": value for name, value in flat.items()}
            scores["llr"] = scores["llr_own_tokens"]
        return scores


@pytest.mark.parametrize("strands", ["forward", "both"])
@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_scores_equal_a_plain_loop_with_transformers(
    score_by, folders, contig, alleles, variants, name, strands
):
    made = score_by({"transformers": str(folders[name])}, variants, strands=strands)
    peer, seen = Peer(folders[name]), set()
    for row, (start, ref, alt) in zip(made.table.itertuples(), alleles, strict=True):
        left = start - BASES // 2
        edited = contig[:start] + alt + contig[start + len(ref) :]
        pair = contig[left : left + BASES], edited[left : left + BASES]
        found = [peer.score(pair, start - left, len(ref), len(ref) != len(alt))]
        if strands == "both":
            pair = tuple(text.translate(COMPLEMENT)[::-1] for text in pair)
            first = BASES - (start - left) - len(ref)
            found.append(peer.score(pair, first, len(ref), len(ref) != len(alt)))
        expected = {
            key: np.mean([one[key] for one in found])
            for key in found[0]
            if all(key in one for one in found)
        }
        for key in SCORE_NAMES:
            if key in expected:
                assert getattr(row, key) == pytest.approx(expected[key], rel=1e-4, abs=1e-5), key
            else:
                assert pd.isna(getattr(row, key)), key
        seen.add(row.skip)
        if len(ref) == len(alt):
            reason = "" if "llr" in expected else "other_tokens"
            assert (row.skip if isinstance(row.skip, str) else "") == reason
    # Of bases the tokens of both alleles always cover the same ones.
    assert ("other_tokens" in seen) == (name != "bert")


def test_the_files_say_what_they_are_of_and_readers_take_them(score_by, folders, variants):
    made = score_by({"transformers": str(folders["bert"])}, variants)
    with pysam.VariantFile(str(made.vcf)) as file:
        records = list(file)
        assert 'licence="mit"' in str(file.header)
    assert len(records) == len(EDITS)
    assert records[0].info["DNALM_A_SMALL_1_LLR"][0] == pytest.approx(
        made.table["llr"][0], abs=1e-5
    )
    assert records[-1].info["DNALM_SKIP"] == ("indel",)


def test_a_model_without_logits_gives_distances_and_no_columns_of_others(
    score_by, folders, variants, caplog
):
    for entry in (TOY, {"transformers": str(folders["llama"])}):
        table = score_by(entry, variants).table
        lost = [name for name in SCORE_NAMES if BY_NAME[name].logits]
        assert not set(lost) & set(table.columns)
        assert table["cosine"].notna().all()
        assert "offers no logits, and so has no llr" in caplog.text
        with pytest.raises(InputError, match="has none of the scores llr: name distances"):
            score_by(entry, variants, scores=["llr"])


class Composed(toy_embedder.OneHot):
    """One-hot states with a head: ln p of a base is its share among the tokens not masked."""

    def tokenize(self, sequences):
        return [
            ([toy_embedder.ALPHABET.index(base) for base in sequence], self.embed_one(sequence)[1])
            for sequence in sequences
        ]

    def logits(self, sequences, masked):
        found = []
        for sequence, hidden in zip(sequences, masked, strict=True):
            seen = [base for place, base in enumerate(sequence) if place not in set(hidden)]
            shares = np.array([seen.count(base) + 1.0 for base in toy_embedder.ALPHABET])
            found.append(np.tile(np.log(shares), (len(sequence), 1)))
        return found


def open_composed(device):
    return Composed(None, 1)


def test_a_called_model_offers_logits_and_its_ratio_is_that_of_the_shares(
    score_by, contig, alleles, variants, monkeypatch
):
    monkeypatch.setattr(toy_embedder, "open_composed", open_composed, raising=False)
    made = score_by({"call": "toy_embedder:open_composed"}, variants, scores=["llr"])
    start, ref, alt = alleles[0]
    left = start - BASES // 2
    seen = contig[left:start] + contig[start + 1 : left + BASES]
    expected = np.log((seen.count(alt) + 1) / (seen.count(ref) + 1))
    assert made.table["llr"][0] == pytest.approx(expected, abs=1e-6)


def test_a_window_of_more_tokens_than_the_model_reads_is_told(
    score_by, folders, tmp_path, variants
):
    folder = folders["bert"]
    facts = json.loads((folder / "tokenizer_config.json").read_text())
    short = tmp_path / "short"
    short.mkdir()
    for path in folder.iterdir():
        (short / path.name).write_bytes(path.read_bytes())
    (short / "tokenizer_config.json").write_text(json.dumps(facts | {"model_max_length": 40}))
    entry = {"transformers": str(short)}
    assert (score_by(entry, variants).table["skip"] == "too_many_tokens").all()
    assert score_by(entry, variants, window="auto").table["skip"].isna().sum() == 4
