"""Weight files: published names both ways, opened by transformers, refused when they misfit."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import EsmForMaskedLM

from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.model.adapters import adapter_state, add_adapter, remove_adapter
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.weights import (
    from_published,
    load_weights,
    published_config,
    save_weights,
    to_published,
)


def test_weights_return_bit_for_bit(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_weights(encoder, path, {"model": "demo"})
    loaded = load_weights(encoder.config, path)
    state = encoder.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "model": "demo"}


def test_published_names_are_those_of_the_paper_notes(encoder: Encoder, generation: str) -> None:
    names = to_published(encoder.state_dict()).keys()
    layer = "esm.encoder.layer.2"
    both = {
        "esm.embeddings.word_embeddings.weight",
        f"{layer}.attention.LayerNorm.weight",
        f"{layer}.attention.self.query.bias",
        f"{layer}.attention.output.dense.weight",
        f"{layer}.LayerNorm.bias",
        f"{layer}.intermediate.dense.weight",
        f"{layer}.output.dense.weight",
        "esm.encoder.emb_layer_norm_after.bias",
        "lm_head.dense.weight",
        "lm_head.layer_norm.bias",
        "lm_head.decoder.weight",
        "lm_head.bias",
    }
    v1 = {"esm.embeddings.position_embeddings.weight", f"{layer}.intermediate.dense.bias"}
    assert both <= names
    assert v1 <= names if generation == "v1" else not v1 & names
    assert len(names) == len(encoder.state_dict())


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
def test_transformers_opens_an_exported_folder(encoder: Encoder, batch, tmp_path: Path) -> None:
    save_weights(encoder, tmp_path / "model.safetensors", {})
    (tmp_path / "config.json").write_text(json.dumps(published_config(encoder.config)))
    model, report = EsmForMaskedLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    assert all(".contact_head." in key for key in report["missing_keys"])
    with torch.no_grad():
        theirs = model.eval()(batch.tokens, attention_mask=batch.real.long()).logits
        ours = encoder(batch.tokens).logits
    torch.testing.assert_close(ours[batch.real], theirs[batch.real], atol=3e-5, rtol=0)


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
def test_a_file_that_transformers_wrote_loads(
    encoder: Encoder, batch, make_reference, tmp_path: Path
) -> None:
    make_reference(encoder).save_pretrained(tmp_path)
    path = tmp_path / "model.safetensors"
    written = load_file(path)
    assert any(".contact_head." in name for name in written)
    loaded = load_weights(encoder.config, path)
    assert torch.equal(loaded(batch.tokens).logits, encoder(batch.tokens).logits)


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_unused_tensors_of_published_v2_files_are_ignored(encoder: Encoder) -> None:
    published = to_published(encoder.state_dict())
    published["esm.embeddings.position_embeddings.weight"] = torch.zeros(2050, 32)
    published["esm.encoder.layer.0.attention.self.rotary_embeddings.inv_freq"] = torch.zeros(4)
    published["esm.rotary_embeddings.inv_freq"] = torch.zeros(4)
    published["esm.contact_head.regression.weight"] = torch.zeros(1, 12)
    state = from_published(published, encoder.config)
    assert state.keys() == encoder.state_dict().keys()


def test_old_names_of_layer_norms_load(encoder: Encoder) -> None:
    published = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): tensor
        for name, tensor in to_published(encoder.state_dict()).items()
    }
    state = from_published(published, encoder.config)
    assert all(torch.equal(state[name], own) for name, own in encoder.state_dict().items())


def test_every_mismatch_is_named_in_one_sentence(encoder: Encoder, tmp_path: Path) -> None:
    published = to_published(encoder.state_dict())
    del published["lm_head.bias"]
    published["esm.pooler.dense.weight"] = torch.zeros(2, 2)
    published["lm_head.dense.weight"] = torch.zeros(4, 5)
    path = tmp_path / "other.safetensors"
    save_file(published, path)
    with pytest.raises(InputError) as caught:
        load_weights(encoder.config, path)
    sentence = str(caught.value)
    assert str(path) in sentence
    assert "1 missing (lm_head.bias)" in sentence
    assert "1 not part of the model (esm.pooler.dense.weight)" in sentence
    assert "1 of another shape (lm_head.dense.weight [4, 5] instead of [32, 32])" in sentence
    assert "\n" not in sentence


def test_what_would_spoil_every_result_is_refused(encoder: Encoder) -> None:
    published = to_published(encoder.state_dict())
    broken = published["lm_head.bias"].clone()
    broken[3] = torch.nan
    with pytest.raises(InputError, match=r"1 not finite \(lm_head\.bias\)"):
        from_published(published | {"lm_head.bias": broken}, encoder.config)
    old = "esm.encoder.layer.0.LayerNorm.gamma"
    with pytest.raises(InputError, match=rf"1 there under two names \({old}\)"):
        from_published(published | {old: torch.ones(32)}, encoder.config)


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
def test_a_missing_position_table_is_not_ignored_in_v1(encoder: Encoder) -> None:
    published = to_published(encoder.state_dict())
    del published["esm.embeddings.position_embeddings.weight"]
    with pytest.raises(InputError, match=r"1 missing .*position_embeddings"):
        from_published(published, encoder.config)


def test_a_long_list_of_mismatches_is_cut(encoder: Encoder) -> None:
    deeper = replace(encoder.config, layers=4)
    with pytest.raises(InputError, match=r"missing \(esm\.encoder\.layer\.3.* and \d+ more\)"):
        from_published(to_published(encoder.state_dict()), deeper)


@pytest.mark.parametrize("content", [None, b"", b"<html>404</html>"])
def test_an_unreadable_file_is_refused(
    encoder: Encoder, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "broken.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"broken\.safetensors cannot be read"):
        load_weights(encoder.config, path)


def test_half_precision_files_load_as_float32(encoder: Encoder, tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_file(
        {name: tensor.half() for name, tensor in to_published(encoder.state_dict()).items()}, path
    )
    loaded = load_weights(encoder.config, path)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.head.dense.weight, encoder.head.dense.weight.half().float())


def test_equal_weights_give_equal_bytes(config, tmp_path: Path) -> None:
    metadata = {letter: letter for letter in "zyxwvutsrq"} | {"ä": '"\\\n\x01é'}
    sums = set()
    for _ in range(4):
        encoder = Encoder(config)
        initialise(encoder, seed=3)
        save_weights(encoder, tmp_path / "weights.safetensors", metadata)
        sums.add(sha256_of(tmp_path / "weights.safetensors"))
    assert len(sums) == 1
    with safe_open(tmp_path / "weights.safetensors", "pt") as file:
        assert file.metadata() == metadata | {"format": "pt"}
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]


def test_removing_adapters_makes_the_encoder_savable_again(
    encoder: Encoder, tmp_path: Path
) -> None:
    before, after = tmp_path / "before.safetensors", tmp_path / "after.safetensors"
    save_weights(encoder, before, {})
    add_adapter(encoder, "ia3", {})
    assert adapter_state(encoder)
    remove_adapter(encoder)
    save_weights(encoder, after, {})
    assert sha256_of(before) == sha256_of(after)


def test_a_token_dropout_that_transformers_lacks_is_not_exported(config) -> None:
    with pytest.raises(InputError, match=r"token_dropout is 0\.2"):
        published_config(replace(config, token_dropout=0.2))
