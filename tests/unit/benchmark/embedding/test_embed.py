"""Embeddings: which tokens are pooled, and what they do not depend on."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import EsmConfig, EsmModel, EsmTokenizer

from dnalm.benchmark.embedding.embed import EmbedConfig, choose_layers, embed
from dnalm.errors import InputError
from dnalm.files import read_json, write_json
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.heads import choose_pooling
from dnalm.model.initialise import initialise
from dnalm.model.loading import load_model
from dnalm.model.weights import published_config, save_weights, to_published

SHAPES = {
    "v1": {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True, "token_dropout": 0.12},
    "v2": {
        "positions": "rotary",
        "feed_forward": "swiglu",
        "ffn_bias": False,
        "token_dropout": None,
    },
}


@pytest.fixture
def config() -> EmbedConfig:
    return EmbedConfig(
        layers="all",
        pooling="mean",
        centre_bases=6,
        strands="forward",
        precision="float32",
        dtype="float32",
        batch_tokens=256,
        shard_rows=8,
        too_long="refuse",
    )


def make_model(version: str, max_tokens: int = 64) -> tuple[Encoder, Vocabulary]:
    vocabulary = Vocabulary(3, version)
    encoder = Encoder(
        EncoderConfig(
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
    )
    initialise(encoder, 1)
    return encoder.eval(), vocabulary


def make_sequences(rows: int, seed: int = 0) -> list[str]:
    generator = np.random.default_rng(seed)
    return [
        "".join(generator.choice(list("ACGTN"), size, p=[0.24, 0.24, 0.24, 0.24, 0.04]))
        for size in generator.integers(4, 90, rows)
    ]


@pytest.fixture
def saved(tmp_path):
    """Return the two files of a model, and the model."""
    encoder, _ = make_model("v2")
    run, weights = tmp_path / "run.json", tmp_path / "weights.safetensors"
    save_weights(encoder, weights, {})
    write_json(run, {"encoder": vars(encoder.config), "k": 3, "vocabulary": "v2"})
    return run, weights, encoder


def embed_layers(model, sequences, layers, config, names=None) -> dict[int, np.ndarray]:
    encoder, vocabulary = model
    names = [str(row) for row in range(len(sequences))] if names is None else names
    vectors = embed(encoder, vocabulary, sequences, names, layers, config)
    return dict(zip(layers, vectors, strict=True))


def tokens_of(sequence: str, vocabulary: Vocabulary) -> torch.Tensor:
    return torch.from_numpy(encode(to_codes(sequence), vocabulary).astype(np.int64))


def states_of(encoder: Encoder, sequence: str, vocabulary: Vocabulary) -> tuple:
    """Return all states [T, D] of one sequence alone, without a pad."""
    with torch.no_grad():
        output = encoder(tokens_of(sequence, vocabulary)[None])
    return tuple(states[0] for states in output.states)


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize(("pooling", "centre"), [("mean", 1), ("centre", 12), ("cls", 1)])
def test_embeddings_do_not_depend_on_batch_size_or_padding(config, version, pooling, centre):
    model, sequences = make_model(version), make_sequences(40)
    config = replace(config, pooling=pooling, centre_bases=centre)
    alone, some, all_at_once = (
        embed_layers(model, sequences, [1, 3], replace(config, batch_tokens=most))
        for most in (1, 100, 10**6)
    )
    for layer in (1, 3):
        assert alone[layer].dtype == np.float32
        np.testing.assert_allclose(some[layer], alone[layer], atol=1e-5)
        np.testing.assert_allclose(all_at_once[layer], alone[layer], atol=1e-5)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_mean_is_over_the_tokens_of_real_bases_only(config, version):
    encoder, vocabulary = model = make_model(version)
    sequences = make_sequences(12)
    found = embed_layers(model, sequences, [0, 2, 3], config)
    for row, sequence in enumerate(sequences):
        tokens = tokens_of(sequence, vocabulary)
        real = (tokens != vocabulary.cls) & (tokens != vocabulary.n_id)
        states = states_of(encoder, sequence, vocabulary)
        for layer in (0, 2, 3):
            expected = states[layer][real].mean(0).numpy()
            np.testing.assert_allclose(found[layer][row], expected, atol=1e-5)


def test_every_layer_and_pooling_equals_the_hidden_states_of_transformers(config, tmp_path):
    encoder, vocabulary = model = make_model("v1")
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary.tokens()))
    tokenizer = EsmTokenizer(str(tmp_path / "vocab.txt"), eos_token=None)
    peer = EsmModel(EsmConfig(**published_config(encoder.config)), add_pooling_layer=False)
    weights = {
        name.removeprefix("esm."): tensor
        for name, tensor in to_published(encoder.state_dict()).items()
        if name.startswith("esm.")
    }
    outcome = peer.load_state_dict(weights, strict=False)
    assert not outcome.unexpected_keys
    assert all("contact_head" in name for name in outcome.missing_keys)

    sequences = [sequence.replace("N", "G") for sequence in make_sequences(30)]
    tokens = tokenizer(sequences, return_tensors="pt", padding=True)
    with torch.no_grad():
        states = peer.eval()(**tokens, output_hidden_states=True).hidden_states
    layers = list(range(encoder.config.layers + 1))
    bases = tokens["attention_mask"].clone()
    bases[:, 0] = 0
    means, firsts = (
        embed_layers(model, sequences, layers, replace(config, pooling=pooling))
        for pooling in ("mean", "cls")
    )
    for layer in layers:
        summed = (states[layer] * bases[..., None]).sum(1)
        expected = (summed / bases.sum(1, keepdim=True)).numpy()
        np.testing.assert_allclose(means[layer], expected, atol=1e-5)
        np.testing.assert_allclose(firsts[layer], states[layer][:, 0].numpy(), atol=1e-5)
    # The last is behind the head's first LayerNorm, whose weight and bias here are 1 and 0.
    np.testing.assert_allclose(firsts[layers[-1]].mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(firsts[layers[-1]].std(axis=1), 1, atol=1e-3)


def test_the_centre_is_the_tokens_around_the_middle_of_each_sequence(config):
    encoder, vocabulary = model = make_model("v2")
    # 8 and 4 tokens of 3 bases; the central 6 bases are 9 … 15 and 3 … 9: tokens 4, 5 and 2, 3
    # when <cls> is token 0.
    sequences = ["ACGTTACCAGGATTACAGATACCC", "TTGACCAGTAAC"]
    config = replace(config, pooling="centre", centre_bases=6)
    found = embed_layers(model, sequences, [3], config)[3]
    for row, place in enumerate([slice(4, 6), slice(2, 4)]):
        expected = states_of(encoder, sequences[row], vocabulary)[3][place].mean(0).numpy()
        np.testing.assert_allclose(found[row], expected, atol=1e-5)


def test_both_strands_are_the_mean_of_a_sequence_and_its_reverse_complement(config):
    encoder, vocabulary = model = make_model("v2")
    sequences, others = ["ACGTTNACCAG", "TTGACC", "AACG"], ["CTGGTNAACGT", "GGTCAA", "CGTT"]
    found = embed_layers(model, sequences, [2, 3], replace(config, strands="both"))
    for row, strands in enumerate(zip(sequences, others, strict=True)):
        for layer in (2, 3):
            means = []
            for strand in strands:
                tokens = tokens_of(strand, vocabulary)
                real = (tokens != vocabulary.cls) & (tokens != vocabulary.n_id)
                means.append(states_of(encoder, strand, vocabulary)[layer][real].mean(0).numpy())
            np.testing.assert_allclose(found[layer][row], sum(means) / 2, atol=1e-5)
            assert np.abs(means[0] - means[1]).max() > 1e-2
    turned = embed_layers(model, others, [3], replace(config, strands="both"))
    np.testing.assert_allclose(turned[3], found[3], atol=1e-5)


@pytest.mark.parametrize("precision", ["auto", "float32", "tf32"])  # on a CPU all the same
def test_products_are_rounded_as_is_asked_for_and_only_meanwhile(config, precision):
    encoder, vocabulary = make_model("v2")
    seen = []
    encoder.blocks[0].register_forward_hook(
        lambda *_: seen.append(torch.get_float32_matmul_precision())
    )
    torch.set_float32_matmul_precision("medium")  # by whoever computes beside
    try:
        low = replace(config, precision=precision)
        embed_layers((encoder, vocabulary), make_sequences(4), [1], low)
        assert set(seen) == {"highest"}
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


def test_bf16_computes_other_numbers_that_are_close(config):
    model, sequences = make_model("v1"), make_sequences(20)
    exact = embed_layers(model, sequences, [1, 3], config)
    low = embed_layers(model, sequences, [1, 3], replace(config, precision="bf16"))
    for layer in (1, 3):
        assert low[layer].dtype == np.float32
        error = np.abs(low[layer] - exact[layer]).mean() / np.abs(exact[layer]).mean()
        assert 1e-4 < error < 3e-2


def test_one_forward_pass_serves_all_layers_and_goes_no_deeper_than_the_last(config):
    config = replace(config, batch_tokens=2048)
    encoder, _ = model = make_model("v2")
    passes = []
    for number, block in enumerate(encoder.blocks, start=1):
        block.register_forward_hook(lambda *_, number=number: passes.append(number))
    encoder.head.register_forward_hook(lambda *_: passes.append("head"))
    embed_layers(model, make_sequences(10), [1, 2], config)
    assert passes == [1, 2]
    embed_layers(model, make_sequences(10), [1, 3], config)
    assert passes == [1, 2, 1, 2, 3]


def test_a_sequence_longer_than_the_context_is_refused_by_its_name(config):
    model, names = make_model("v1", max_tokens=10), ["test.6", "test.7"]
    with pytest.raises(InputError, match=r"row test\.7 has 30 bases, which make 11 tokens"):
        embed_layers(model, ["ACGTAC", "ACG" * 10], [1], config, names)


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


def test_the_pooling_of_a_task_goes_before_that_of_the_section(config):
    section = vars(config)
    assert choose_pooling({"pooling": "centre"}, "mean") == "centre"
    assert EmbedConfig.for_task(section, {"pooling": "cls"}) == replace(config, pooling="cls")
    assert EmbedConfig.for_task(section, {"pooling": None}) == config
    assert EmbedConfig.for_task(section, {}) == config


@pytest.mark.parametrize("key", ["pooling", "strands", "precision", "dtype"])
def test_a_setting_without_meaning_is_refused(config, key):
    with pytest.raises(InputError, match=rf"embed\.{key}: 'max' is not allowed; choose one of "):
        replace(config, **{key: "max"})


def test_a_model_loads_from_its_run_and_weights(saved, config):
    run, weights, encoder = saved
    loaded, vocabulary = load_model(run, weights)
    assert vocabulary == Vocabulary(3, "v2")
    ours, theirs = (
        embed_layers((e, vocabulary), make_sequences(3), [3], config) for e in (loaded, encoder)
    )
    np.testing.assert_array_equal(ours[3], theirs[3])
    assert np.isfinite(ours[3]).all()


def test_a_run_whose_vocabulary_has_another_size_is_refused(saved):
    run, weights, _ = saved
    write_json(run, read_json(run) | {"k": 2})
    with pytest.raises(InputError, match="vocabulary_size is 75, but k = 2"):
        load_model(run, weights)
