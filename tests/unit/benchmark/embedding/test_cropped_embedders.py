"""Sequences beyond the context of a model that is not ours: its middle, on both strands."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import random_transformers
import torch
import toy_embedder
from transformers import AutoModel, AutoTokenizer

from dnalm.benchmark.embedding.embed import EmbedConfig
from dnalm.benchmark.embedding.embed import embed as embed_natively
from dnalm.benchmark.embedding.embedders import EmbedderEmbedding, describe_embedder
from dnalm.benchmark.embedding.shards import embed_task
from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.export import export_model
from dnalm.model.initialise import initialise
from dnalm.model.token_batches import Limits
from dnalm.model.weights import save_weights

RIGHTS = {"source": None, "licence": "mit", "citation": None}
SETTINGS = {
    "layers": "all",
    "pooling": "mean",
    "centre_bases": 7,
    "strands": "both",
    "precision": "float32",
    "dtype": "float32",
    "batch_tokens": 700,
    "shard_rows": 4,
    "too_long": "centre",
}
KMERS = {"call": "random_transformers:open_kmers", "options": {}}
TOY = {"call": "toy_embedder:open_one_hot", "options": {"max_bases": 300}}
PAIRS = 40  # tokens that a model of byte pairs reads
FILES = {
    "weights": "model.safetensors",
    "settings": "config.json",
    "vocabulary": "vocab.txt",
    "tokenizer": "tokenizer_config.json",
}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """The packages of these models, for processes too, which get their paths by the environment."""
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_embedder.__file__).parent), prepend=":")


def draw_rows(lengths):
    """Rich in A, so that runs of it are long tokens and those of T on the other strand are not."""
    random = np.random.default_rng(11)
    shares = [0.45, 0.15, 0.15, 0.2, 0.05]
    rows = ["".join(random.choice(list("ACGTN"), size, p=shares)) for size in lengths]
    return [*rows, "A" * 90 + rows[0]]


def write_task(path, sequences):
    rows = len(sequences)
    columns = {"id": [f"row.{row}" for row in range(rows)], "sequence": sequences}
    columns |= {"label": [0] * rows, "split": ["train"] * rows, "provenance": ["here"] * rows}
    pd.DataFrame(columns | {"folds": [[0]] * rows}).to_parquet(path)
    return path


def embed(folder, sequences, entry, **settings):
    """Describe and embed as the two rules do; return layers and metadata."""
    described, task = folder / "embedder.json", write_task(folder / "task.parquet", sequences)
    describe_embedder(entry, {"model": "theirs", **RIGHTS}, "cpu", described)
    job = EmbedderEmbedding(
        entry=entry, described=str(described), table=str(task), threads=1, rights=RIGHTS,
        config=EmbedConfig(**SETTINGS | settings),
    )  # fmt: skip
    embed_task(job, folder / "out.safetensors", folder / "partial", ["cpu"])
    return read_embeddings(folder / "out.safetensors", task)


def reverse(sequence):
    return sequence[::-1].translate(str.maketrans("ACGT", "TGCA"))


def cut_by_hand(sequence, fits):
    """Return the longest middle of a sequence that fits; of two of them the one to the left."""
    for size in range(len(sequence), 0, -1):
        start = (len(sequence) - size) // 2
        if fits(middle := sequence[start : start + size]):
            return middle
    raise AssertionError


def save_pairs(folder, name):
    tokenizer = random_transformers.train_tokenizer(random_transformers.draw_texts())
    random_transformers.save_short(name, folder, tokenizer, PAIRS)
    return {"transformers": str(folder)}


def pool_plainly(folder, sequence, pooling):
    """Return the mean states of a sequence by stock `transformers`, float32 [L, D]."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    text = tokenizer(sequence, return_tensors="pt", return_offsets_mapping=True)
    offsets = text.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
        states = model.eval()(**text, output_hidden_states=True).hidden_states[1:]
    return take(torch.stack(states)[:, 0], offsets, sequence, pooling)


def take(states, offsets, sequence, pooling):
    first = (len(sequence) - 7) // 2 if pooling == "centre" else 0
    last = first + 7 if pooling == "centre" else len(sequence)
    kept = [
        end > start and start < last and end > first and set(sequence[start:end]) != {"N"}
        for start, end in offsets
    ]
    return states[:, kept].mean(1).numpy()


@pytest.mark.parametrize("pooling", ["mean", "centre"])
@pytest.mark.parametrize("strands", ["forward", "both"])
@pytest.mark.parametrize("name", ["bert", "esm"])
def test_byte_pairs_of_the_middle_are_those_of_transformers(tmp_path, name, strands, pooling):
    entry = save_pairs(tmp_path / "weights", name)
    folder, rows = entry["transformers"], draw_rows([60, 150, 151, 400, 10])
    layers, metadata = embed(tmp_path, rows, entry, strands=strands, pooling=pooling)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    most = PAIRS - (name == "esm")  # whose positions count from the pad on

    def fits(text):
        read = [text, reverse(text)] if strands == "both" else [text]
        return all(len(tokenizer(own)["input_ids"]) <= most for own in read)

    assert any(fits(row) for row in rows)
    assert metadata["cropped"] == str(sum(not fits(row) for row in rows))
    middles = [cut_by_hand(row, fits) for row in rows]
    expected = np.array([pool_plainly(folder, own, pooling) for own in middles])
    if strands == "both":
        others = [pool_plainly(folder, reverse(own), pooling) for own in middles]
        expected = (expected + np.array(others)) / 2
        forward = [len(tokenizer(own)["input_ids"]) for own in middles]
        assert min(n for n, row in zip(forward, rows, strict=True) if not fits(row)) < most
    for number, own in enumerate(layers.values()):
        np.testing.assert_allclose(own, expected[:, number], atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "centre"])
def test_of_600_bases_a_model_of_overlapping_6_mers_reads_the_middle_515(tmp_path, pooling):
    rows = draw_rows([600, 601, 515, 516])
    layers, metadata = embed(tmp_path, rows, KMERS, pooling=pooling)
    assert metadata["cropped"] == "4"
    model = random_transformers.open_kmers("cpu")
    for place, row in enumerate(rows):
        start = max(0, len(row) - 515) // 2
        middle, found = row[start : start + 515], []
        for text in (middle, reverse(middle)):
            with torch.no_grad():
                ids = torch.tensor([model.make_ids(text)])
                states = model.model(ids, output_hidden_states=True).hidden_states[1:]
            offsets = [(0, 0), *((at, at + 6) for at in range(510)), (0, 0)]
            found.append(take(torch.cat(states), offsets, text, pooling))
        for number, own in enumerate(layers.values()):
            np.testing.assert_allclose(own[place], np.mean(found, 0)[number], atol=1e-5)


def test_bases_are_a_limit_as_well(tmp_path):
    rows = ["A" * 100 + "C" * 150 + "G" * 150 + "T" * 101, "C" * 300]
    layers, metadata = embed(tmp_path, rows, TOY, strands="forward")
    assert metadata["cropped"] == "1"
    expected = [[0, 0.5, 0.5, 0, 0], [0, 1, 0, 0, 0]]
    np.testing.assert_allclose(layers["layer.1"], expected, atol=1e-5)


def test_our_encoder_reads_as_much_by_transformers_as_by_itself(tmp_path):
    """By an ESM and a slow tokenizer, whose tokens of 6 bases leave single ones over."""
    vocabulary = Vocabulary(6, "v1")
    shape = {"layers": 2, "heads": 2, "width": 16, "ffn_width": 24, "max_tokens": 30}
    shape |= {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True, "dropout": 0.0}
    shape |= {"pad_id": vocabulary.pad, "mask_id": vocabulary.mask, "token_dropout": 0.12}
    shape |= {"layer_norm_eps": 1e-5, "initialisation": "haiku"}
    encoder = Encoder(EncoderConfig(vocabulary_size=vocabulary.size, **shape)).eval()
    initialise(encoder, 3)
    run = {"model": "mine", "encoder": asdict(encoder.config), "corpus": None, "pretrain": None}
    run |= {"k": 6, "vocabulary": "v1"}
    save_weights(encoder, tmp_path / "trained.safetensors", {"step": "7"})
    outputs = {key: tmp_path / "export" / file for key, file in FILES.items()}
    export_model(run, tmp_path / "trained.safetensors", **outputs)
    rows = draw_rows([60, 100, *range(160, 190), 300, 1000])
    layers, metadata = embed(tmp_path, rows, {"transformers": str(tmp_path / "export")})
    names = [str(row) for row in range(len(rows))]
    expected = embed_natively(encoder, vocabulary, rows, names, [1, 2], EmbedConfig(**SETTINGS))
    np.testing.assert_allclose(np.array([*layers.values()]), expected, atol=1e-5)
    limits = Limits(vocabulary=vocabulary, max_tokens=30)
    assert metadata["cropped"] == str(limits.find_long(rows).sum())


def test_what_refuses_long_rows_says_how_they_are_read_and_names_nothing_more(tmp_path):
    rows = ["A" * 100, "C" * 300]
    _, metadata = embed(tmp_path, rows, TOY, too_long="refuse")
    assert "cropped" not in metadata  # as in files that were made before rows were cropped
    with pytest.raises(InputError, match=r"row row.2 .* or set embed.too_long to centre, which"):
        embed(tmp_path, [*rows, "A" * 301], TOY, too_long="refuse")
    assert json.loads((tmp_path / "embedder.json").read_text())["max_bases"] == 300
