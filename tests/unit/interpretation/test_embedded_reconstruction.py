"""Masked tokens of models that are not ours: equal to a plain loop with transformers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import random_transformers
import torch
import toy_embedder
from transformers import AutoModelForMaskedLM, AutoTokenizer

from dnalm.errors import InputError
from dnalm.genome.kmers import to_codes
from dnalm.interpretation.embedded_reconstruction import choose_tokens
from dnalm.interpretation.markov import MarkovModel
from dnalm.interpretation.reconstruct import reconstruct_windows
from dnalm.model.embedders.spellings import Spellings

BASES, ORDER = 120, 2
SETTINGS = {
    "annotation": "a",
    "model": "m",
    "elements": None,
    "masks": ["centre", "random"],
    "share": 0.15,
    "seed": 7,
    "markov_order": ORDER,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of random models: bert has a token for each base, modernbert such of many lengths."""
    made = {}
    for name in ("bert", "modernbert"):
        made[name] = tmp_path_factory.mktemp("foreign") / name
        random_transformers.save_model(name, made[name])
    return made


@pytest.fixture
def files(tmp_path, store, sequence):
    """Windows on one of two contigs, and an element on the left half of every second window."""
    texts = {"one": sequence(3, 2000), "two": sequence(4, 3000)}
    folder = store("g", texts)
    rows = [("one", start, start + BASES, "left") for start in range(100, 1900, 300)]
    pd.DataFrame(rows, columns=["contig", "start", "end", "element"]).to_parquet(
        tmp_path / "windows.parquet"
    )
    bed = "".join(f"one\t{start}\t{start + 61}\n" for _, start, _, _ in rows[::2])
    (tmp_path / "left.bed").write_text(bed)
    return (
        {
            "bases": f"{folder}/bases.npy",
            "contigs": f"{folder}/contigs.tsv",
            "windows": str(tmp_path / "windows.parquet"),
            "bed.left": str(tmp_path / "left.bed"),
        },
        texts,
        rows,
    )


def reconstruct(files, tmp_path, entry, **settings):
    outputs = {"summary": tmp_path / "r.tsv", "tokens": tmp_path / "r.parquet"}
    reconstruct_windows(files, SETTINGS | {"embedder": entry} | settings, outputs)
    return pd.read_csv(outputs["summary"], sep="\t"), pd.read_parquet(outputs["tokens"])


@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_masked_tokens_are_those_of_a_loop_with_transformers(name, files, folders, tmp_path):
    files, texts, rows = files
    torch.set_num_threads(1)
    summary, found = reconstruct(files, tmp_path, {"transformers": str(folders[name])})
    tokenizer = AutoTokenizer.from_pretrained(folders[name])
    model = AutoModelForMaskedLM.from_pretrained(folders[name]).eval()
    markov = MarkovModel.train([to_codes(texts["two"])], ORDER)
    assert set(found["mask"]) == {"centre", "random"}
    assert found.groupby("mask")["window"].nunique().tolist() == [len(rows)] * 2
    for (mask, window), own in found.groupby(["mask", "window"]):
        text = texts["one"][rows[window][1] : rows[window][2]]
        coded = tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
        offsets = coded.pop("offset_mapping")[0]
        truth = coded["input_ids"].clone()
        if mask == "centre":
            (place,) = own["token"]
            assert offsets[place][0] <= BASES // 2 < offsets[place][1]
        else:
            assert len(own) == max(1, round(0.15 * (truth.shape[1] - 2)))
            assert own["token"].between(1, truth.shape[1] - 2).all()
        coded["input_ids"][0, own["token"].tolist()] = tokenizer.mask_token_id
        with torch.inference_mode():
            likely = model(**coded).logits[0].log_softmax(-1)
        for row in own.itertuples():
            assert [row.start, row.end] == offsets[row.token].tolist()
            assert row.truth == truth[0, row.token]
            assert row.loss == pytest.approx(-float(likely[row.token, row.truth]), abs=1e-4)
            assert row.base_loss == pytest.approx(row.loss / (row.end - row.start), rel=1e-6)
            assert row.predicted == int(likely[row.token].argmax())
            said = tokenizer.convert_ids_to_tokens(row.predicted)
            said = "" if said in tokenizer.all_special_tokens else said
            bases = text[row.start : row.end]
            right = sum(one == other for one, other in zip(said, bases, strict=False))
            assert row.base_accuracy == pytest.approx(right / len(bases))
            if row.start < ORDER:
                assert np.isnan(row.markov_loss)
                continue
            chain, word = 0.0, to_codes(text)[: row.end].astype(int)
            for at in range(row.start, row.end):
                chain -= markov.log_probabilities[4 * word[at - 2] + word[at - 1], word[at]]
            assert row.markov_loss == pytest.approx(chain, abs=1e-6)
    lengths = found["end"] - found["start"]
    assert (lengths.max() == 1) == (name == "bert")
    for line in summary.itertuples():
        own = found[found["mask"] == line.mask]
        if line.element == "left":
            inside = (own["window"] % 2 == 0) & ((own["start"] + own["end"]) / 2 <= 61)
            own = own[inside]
        size = own["end"] - own["start"]
        assert (line.tokens, line.bases) == (len(own), size.sum())
        assert line.accuracy == pytest.approx((own["predicted"] == own["truth"]).mean())
        assert line.base_accuracy == pytest.approx((own["base_accuracy"] * size).sum() / size.sum())
        assert line.perplexity == pytest.approx(np.exp(own["loss"].mean()), rel=1e-5)
        assert line.base_loss == pytest.approx(own["loss"].sum() / size.sum(), rel=1e-5)
        by_window = own.groupby("window")["loss"].mean()
        assert line.median_perplexity == pytest.approx(np.exp(by_window.median()), rel=1e-5)
        known = own[own["markov_loss"].notna()]
        assert line.markov_base_loss == pytest.approx(
            known["markov_loss"].sum() / (known["end"] - known["start"]).sum()
        )
        assert np.isnan(line.frequencies_accuracy)


def test_bases_of_a_longer_or_shorter_prediction_are_compared_over_the_true_token():
    spelled = Spellings(["", "A", "ACG", "ACGTT", "CCG", "NN", "[X]"])
    truth = np.full(6, 2)
    predicted = np.array([2, 1, 3, 4, 5, 99])
    shares = spelled.share_right(predicted, truth)
    np.testing.assert_allclose(shares, [1, 1 / 3, 1, 2 / 3, 0, 0])
    # A single base is in the longer word, but not the word itself.
    assert spelled.share_right(np.array([3]), np.array([1])).tolist() == [1.0]


def test_special_and_unknown_tokens_and_those_with_n_are_never_masked():
    spelled = Spellings(["", "", "A", "ACG", "N"])
    codes = to_codes("AACGNACGT")
    ids = np.array([0, 2, 3, 4, 3, 1])
    spans = np.array([(-1, -1), (0, 1), (1, 4), (4, 5), (5, 8), (8, 9)])
    known = spelled.find_known(ids, spans, codes)
    assert known.tolist() == [1, 2, 4]
    random = np.random.default_rng(0)
    # The base in the middle, at 4, is an N: the token next to it is the nearest.
    assert choose_tokens(known, spans, "centre", 0.15, random).tolist() == [2]
    assert choose_tokens(known, spans, "random", 1.0, random).tolist() == [1, 2, 4]
    wrong = spelled.find_known(np.array([3, 3, 3, 4, 3, 1]), spans, codes)
    assert wrong.tolist() == [2, 4]


class Overlapping(toy_embedder.OneHot):
    """Every base begins a token of three, as of a tokenizer with a stride of one."""

    spellings = ("ACG",)

    def tokenize(self, sequences):
        made = []
        for sequence in sequences:
            starts = np.arange(len(sequence) - 2)
            made.append((np.zeros(len(starts)), np.stack([starts, starts + 3], axis=1)))
        return made

    def logits(self, sequences, masked):
        raise AssertionError("nothing is asked")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (toy_embedder.OneHot, "offers no logits of masked tokens.* with analyses: .maps."),
        (Overlapping, "Tokens of toy_embedder:open_made share bases"),
        (type("Mute", (Overlapping,), {"spellings": None}), "offers logits, but no `spellings`"),
    ],
)
def test_a_model_that_cannot_reconstruct_is_refused_in_a_sentence(
    made, said, files, tmp_path, monkeypatch
):
    monkeypatch.setattr(toy_embedder, "open_made", lambda device: made(None, 3), raising=False)
    with pytest.raises(InputError, match=said):
        reconstruct(files[0], tmp_path, {"call": "toy_embedder:open_made"})
    assert not list(Path(tmp_path).glob("r.*"))


def test_windows_over_the_longest_input_are_named(files, folders, tmp_path):
    files = files[0]
    windows = pd.DataFrame([("two", 0, 900, "left")], columns=["contig", "start", "end", "element"])
    windows.to_parquet(files["windows"])
    with pytest.raises(InputError, match=r"row two:1-900 has 900 bases, 902 tokens"):
        reconstruct(files, tmp_path, {"transformers": str(folders["bert"])})
