"""Embeddings: which tokens are pooled, and what they do not depend on."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from dnalm.benchmark.embed import (
    choose_layers,
    choose_pooling,
    embed,
    embed_table,
    read_embeddings,
    write_embeddings,
)
from dnalm.benchmark.models import load_model
from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.weights import save_weights

SHAPES = {
    "v1": {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True, "token_dropout": 0.12},
    "v2": {
        "positions": "rotary",
        "feed_forward": "swiglu",
        "ffn_bias": False,
        "token_dropout": None,
    },
}


def make_encoder(version: str, max_tokens: int = 64) -> tuple[Encoder, Vocabulary]:
    vocabulary = Vocabulary(3, version)
    config = EncoderConfig(
        layers=3,
        heads=2,
        width=16,
        ffn_width=32,
        max_tokens=max_tokens,
        vocabulary_size=vocabulary.size,
        pad_id=vocabulary.pad,
        mask_id=vocabulary.mask,
        dropout=0.0,
        layer_norm_eps=1e-5,
        initialisation="haiku",
        **SHAPES[version],
    )
    encoder = Encoder(config)
    initialise(encoder, 1)
    return encoder.eval(), vocabulary


def make_sequences(rows: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [
        "".join(generator.choice(list("ACGTN"), size, p=[0.24, 0.24, 0.24, 0.24, 0.04]))
        for size in generator.integers(4, 90, rows)
    ]


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(("pooling", "centre"), [("mean", 0), ("centre", 12)])
def test_embeddings_do_not_depend_on_batch_size_or_padding(version, pooling, centre):
    encoder, vocabulary = make_encoder(version)
    sequences = make_sequences(40)
    alone, some, all_at_once = (
        embed(encoder, sequences, [1, 3], pooling, centre, vocabulary, batch_tokens)
        for batch_tokens in (1, 100, 10**6)
    )
    for layer in (1, 3):
        assert alone[layer].dtype == np.float32
        np.testing.assert_allclose(some[layer], alone[layer], atol=1e-5)
        np.testing.assert_allclose(all_at_once[layer], alone[layer], atol=1e-5)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_mean_is_over_the_tokens_of_real_bases_only(version):
    encoder, vocabulary = make_encoder(version)
    sequences = make_sequences(12)
    found = embed(encoder, sequences, [0, 2, 3], "mean", 0, vocabulary, 10**6)
    for row, sequence in enumerate(sequences):
        # One sequence alone has no pad; left out are <cls> and N.
        tokens = torch.from_numpy(encode(to_codes(sequence), vocabulary).astype(np.int64))
        real = (tokens != vocabulary.cls) & (tokens != vocabulary.n_id)
        with torch.no_grad():
            states = encoder(tokens[None]).states
        for layer in (0, 2, 3):
            expected = states[layer][0, real].mean(0).numpy()
            np.testing.assert_allclose(found[layer][row], expected, atol=1e-5)


def test_the_centre_is_the_tokens_around_the_middle_of_each_sequence():
    encoder, vocabulary = make_encoder("v2")
    # 8 and 4 tokens of 3 bases; the central 6 bases are 9 … 15 and 3 … 9: tokens 4, 5 and 2, 3
    # when <cls> is token 0.
    sequences = ["ACGTTACCAGGATTACAGATACCC", "TTGACCAGTAAC"]
    found = embed(encoder, sequences, [3], "centre", 6, vocabulary, 10**6)[3]
    for row, (sequence, place) in enumerate(
        zip(sequences, [slice(4, 6), slice(2, 4)], strict=True)
    ):
        tokens = torch.from_numpy(encode(to_codes(sequence), vocabulary).astype(np.int64))
        with torch.no_grad():
            expected = encoder(tokens[None]).states[3][0, place].mean(0).numpy()
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_one_forward_pass_serves_all_layers():
    encoder, vocabulary = make_encoder("v2")
    passes = []
    encoder.blocks[0].register_forward_hook(lambda *_: passes.append(1))
    embed(encoder, make_sequences(10), [1, 2, 3], "mean", 0, vocabulary, 10**6)
    assert len(passes) == 1


def test_a_sequence_longer_than_the_context_is_refused_by_its_name():
    encoder, vocabulary = make_encoder("v1", max_tokens=10)
    sequences = ["ACGTAC", "ACG" * 10]
    with pytest.raises(InputError, match=r"row test\.7 has 30 bases, which make 11 tokens"):
        embed(encoder, sequences, [1], "mean", 0, vocabulary, 64, ["test.6", "test.7"])


def test_a_table_whose_sequence_is_too_long_names_the_row_of_the_users_file():
    encoder, vocabulary = make_encoder("v1", max_tokens=10)
    table = pd.DataFrame(
        {
            "id": ["train.0"],
            "sequence": ["ACG" * 10],
            "provenance": ["data/mine.csv, row 1"],
        }
    )
    config = {"layers": "all", "pooling": "mean", "centre_bases": 6, "batch_tokens": 64}
    with pytest.raises(InputError, match=r"row train\.0 \(data/mine\.csv, row 1\) .* 10 tokens"):
        embed_table(encoder, vocabulary, table, config, {})


@pytest.mark.parametrize(
    ("layers", "total", "expected"),
    [
        ("all", 4, [1, 2, 3, 4]),
        (10, 24, [1, 4, 6, 9, 11, 14, 16, 19, 21, 24]),
        (2, 12, [1, 12]),
        (1, 12, [12]),
        (10, 4, [1, 2, 3, 4]),
        ([12, 0, 3, 3], 12, [0, 3, 12]),
    ],
)
def test_layers_are_evenly_spaced_from_the_first_to_the_last(layers, total, expected):
    assert choose_layers(layers, total) == expected


def test_evenly_spaced_layers_are_never_the_same_twice():
    for total in range(1, 40):
        for n in range(1, total + 1):
            assert len(set(choose_layers(n, total))) == n


@pytest.mark.parametrize("layers", [[5], [-1], [], 0])
def test_layers_that_do_not_exist_are_refused(layers):
    with pytest.raises(InputError, match=r"embed\.layers"):
        choose_layers(layers, 4)


def test_the_pooling_of_a_task_goes_before_that_of_the_section():
    assert choose_pooling({"pooling": "centre"}, "mean") == "centre"
    assert choose_pooling({"pooling": None}, "mean") == "mean"
    assert choose_pooling({}, "mean") == "mean"


def test_embeddings_read_back_with_hashes_and_refuse_another_table(tmp_path):
    weights, table = tmp_path / "weights.safetensors", tmp_path / "task.parquet"
    weights.write_bytes(b"weights")
    table.write_bytes(b"rows")
    path = tmp_path / "embeddings.safetensors"
    arrays = {layer: np.full((3, 2), layer, dtype=np.float32) for layer in (10, 2)}
    write_embeddings(arrays, path, weights=weights, table=table, pooling="mean")
    features, metadata = read_embeddings(path, table)
    assert list(features) == ["layer.2", "layer.10"]
    np.testing.assert_array_equal(features["layer.10"], arrays[10])
    assert metadata["weights_sha256"] == sha256_of(weights)
    assert metadata["task_sha256"] == sha256_of(table)
    assert metadata["pooling"] == "mean"
    table.write_bytes(b"other rows")
    with pytest.raises(InputError, match="made from other rows"):
        read_embeddings(path, table)


def write_model(folder: Path, **changes) -> tuple[Path, Path, Encoder]:
    encoder, _ = make_encoder("v2")
    save_weights(encoder, folder / "weights.safetensors", {})
    facts = {"encoder": vars(encoder.config), "k": 3, "vocabulary": "v2"} | changes
    (folder / "run.json").write_text(json.dumps(facts))
    return folder / "run.json", folder / "weights.safetensors", encoder


def test_a_model_loads_from_its_run_and_weights(tmp_path):
    run, weights, encoder = write_model(tmp_path)
    loaded, vocabulary = load_model(run, weights)
    assert vocabulary == Vocabulary(3, "v2")
    sequences = make_sequences(3)
    ours, theirs = (embed(e, sequences, [3], "mean", 0, vocabulary, 99) for e in (loaded, encoder))
    np.testing.assert_array_equal(ours[3], theirs[3])
    assert all(math.isfinite(value) for value in ours[3].ravel())


def test_a_run_whose_vocabulary_has_another_size_is_refused(tmp_path):
    run, weights, _ = write_model(tmp_path, k=2)
    with pytest.raises(InputError, match="vocabulary_size is 75, but k = 2"):
        load_model(run, weights)
