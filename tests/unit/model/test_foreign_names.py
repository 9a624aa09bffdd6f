"""Weights as other programs save them: read where nothing is lost, else told what can be done."""

import json
import logging
from pathlib import Path

import pytest
import torch

from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.benchmark.finetuning.classifier import FoldClassifiers
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.model.loading import load_model
from dnalm.model.tensors import read_arrays, save_arrays
from dnalm.model.weights import from_published, load_weights, save_tensors, to_published

DECODER, TOKENS = "lm_head.decoder.weight", "esm.embeddings.word_embeddings.weight"


@pytest.fixture
def model(small_model):
    encoder, _ = load_model(small_model["run"], small_model["weights"])
    return encoder


@pytest.fixture
def published(model):
    return to_published(model.state_dict())


def renamed(tensors, change):
    return {change(name): tensor for name, tensor in tensors.items()}


def assert_equal(state, model):
    for name, tensor in model.state_dict().items():
        assert torch.equal(state[name], tensor), name


def sentence_of(tensors, model, **options) -> str:
    with pytest.raises(InputError) as caught:
        from_published(tensors, model.config, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    "prefix",
    ["module.", "_orig_mod.", "base_model.", "base_model.model.", "module._orig_mod.", "model."],
)
def test_the_prefix_of_a_wrapper_is_left_out_and_told(published, model, caplog, prefix):
    caplog.set_level(logging.INFO)
    assert_equal(from_published(renamed(published, lambda n: prefix + n), model.config), model)
    assert f"prefix '{prefix}' is left out" in caplog.text


def test_a_part_that_was_compiled_alone_is_read(published, model):
    inner = renamed(published, lambda n: n.replace("layer.1.", "layer.1._orig_mod."))
    assert_equal(from_published(inner, model.config), model)


def test_names_without_esm_are_read(published, model):
    bare = renamed(published, lambda name: name.removeprefix("esm."))
    assert_equal(from_published(bare, model.config), model)


def test_a_prefix_of_some_names_is_told(published, model):
    some = renamed(published, lambda n: f"module.{n}" if n.startswith("lm_head") else n)
    assert "the prefix 'module.' of a wrapper" in sentence_of(some, model)


def test_a_tied_decoder_is_the_table_of_tokens(published, model):
    published[TOKENS] = published[DECODER]  # as where both are trained as one
    tied = {name: tensor for name, tensor in published.items() if name != DECODER}
    state = from_published(tied, model.config, tied=True)
    assert torch.equal(state["head.decoder.weight"], state["tokens.weight"])
    assert "the decoder is missing and config.json says" in sentence_of(tied, model)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.pop("lm_head.bias"), ["1 missing (lm_head.bias)", "or add zeros"]),
        (
            lambda t: [t.pop(name) for name in list(t) if name.startswith("lm_head")],
            ["the head of masked-token prediction is missing", "EsmForMaskedLM"],
        ),
        (
            lambda t: t.update({"esm.pooler.dense.weight": torch.zeros(2)}),
            ["1 not part of the model (esm.pooler.dense.weight)", "saved with a pooler"],
        ),
        (
            lambda t: t.update({"classifier.weight": torch.zeros(2)}),
            ["saved with the head of a task"],
        ),
        (
            lambda t: t.update({"esm.x.lora_A.weight": torch.zeros(2)}),
            ["an adapter that is not merged", "merge_and_unload"],
        ),
        (
            lambda t: t.update({TOKENS: t[TOKENS].to(torch.float8_e4m3fn)}),
            ["1 not of real numbers", "numbers of 8 bits", "with their scales"],
        ),
    ],
)
def test_what_cannot_be_read_is_told_with_what_can_be_done(published, model, change, words):
    change(published)
    sentence = sentence_of(published, model, tied=True)
    for word in words:
        assert word in sentence


def test_float8_in_a_file_is_a_sentence(published, model, tmp_path):
    path = tmp_path / "x.safetensors"
    save_tensors({n: t.to(torch.float8_e5m2).contiguous() for n, t in published.items()}, path, {})
    with pytest.raises(InputError, match="numbers of 8 bits"):
        load_weights(model.config, path)


def test_a_model_of_single_bases_is_refused(draw_model):
    files = draw_model(k=2, layers=1, seed=0)
    facts = json.loads(Path(files["run"]).read_text())
    Path(files["run"]).write_text(json.dumps(facts | {"k": 1}))
    with pytest.raises(InputError, match="k is 1, where each base has two ids"):
        load_model(files["run"], files["weights"])


# -- Adapters and embeddings that are damaged or of another program


def damage(path, number):
    """Change a byte of a file in place."""
    data = bytearray(path.read_bytes())
    data[number] ^= 1 << (number % 8)
    path.write_bytes(data)


def test_adapters_that_are_damaged_or_foreign_are_a_sentence(model, tmp_path):
    path = tmp_path / "adapters.safetensors"
    vocabulary = Vocabulary(2, "v2")
    facts = '{"kind": "binary", "classes": 2, "pooling": "mean", "centre_bases": 12}'
    name = "fold.0.head.weight"
    arrays = {name: torch.zeros(2, 16).numpy(), "fold.0.head.bias": torch.zeros(2).numpy()}
    for wrong in ({}, {"classifier": facts[:40]}, {"classifier": facts.replace("kind", "kund")}):
        save_arrays(arrays, path, wrong)
        with pytest.raises(InputError, match=r"adapters.safetensors|does not fit the model"):
            FoldClassifiers(model, vocabulary, path).load(0)
    save_arrays({"x": arrays[name]}, path, {})
    with pytest.raises(InputError, match="holds no fold 0: choose one of none"):
        FoldClassifiers(model, vocabulary, path).load(0)


def test_embeddings_with_any_byte_changed_are_right_or_a_sentence(tmp_path):
    path, table = tmp_path / "e.safetensors", tmp_path / "t.parquet"
    table.write_bytes(b"no table")
    ids = torch.frombuffer(bytearray(b'["a", "b"]'), dtype=torch.uint8).numpy()
    save_arrays({"ids": ids, "layer.1": torch.zeros(2, 3).numpy()}, path, {"task_sha256": "0"})
    whole = path.read_bytes()
    for number in range(len(whole)):
        damage(path, number)
        with pytest.raises(InputError, match=r"e.safetensors"):
            read_embeddings(path, table)
        path.write_bytes(whole)
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(InputError, match=r"e.safetensors"):
            read_embeddings(path, table)
    path.write_bytes(whole)
    assert read_arrays(path)[1]["task_sha256"] == "0"
