"""Exported folders: opened by transformers with equal logits, and by our own import."""

import logging
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    EsmForMaskedLM,
    EsmTokenizer,
)

import dnalm.huggingface
from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.model.encoder import Encoder
from dnalm.model.export import export_config, export_model
from dnalm.model.published_weights import load_published
from dnalm.model.weights import save_weights

SEQUENCES = ["ACGTGTACGTGCACGGACGACTAGTCAGCA", "ACGTGTACNTGCACGGANCGACT", "NNACGTAC", "ATGCA"]
FILES = {
    "weights": "model.safetensors",
    "settings": "config.json",
    "vocabulary": "vocab.txt",
    "tokenizer": "tokenizer_config.json",
}


def export(encoder: Encoder, vocabulary: Vocabulary, folder: Path) -> tuple[Path, dict]:
    """Export an encoder; return the folder and the run that describes it."""
    run = {"model": "mine", "encoder": asdict(encoder.config), "corpus": None, "pretrain": None}
    run |= {"k": vocabulary.k, "vocabulary": vocabulary.version}
    save_weights(encoder, folder / "trained.safetensors", {"step": "7"})
    outputs = {key: folder / "export" / file for key, file in FILES.items()}
    export_model(run, folder / "trained.safetensors", **outputs)
    return folder / "export", run


def assert_equal_outputs(model, encoder: Encoder, batch) -> None:
    with torch.no_grad():
        theirs = model.eval()(
            batch.tokens, attention_mask=batch.real.long(), output_hidden_states=True
        )
        ours = encoder(batch.tokens)
    real = batch.real
    torch.testing.assert_close(ours.logits[real], theirs.logits[real], atol=3e-5, rtol=0)
    for state, hidden in zip(ours.states, theirs.hidden_states, strict=True):
        torch.testing.assert_close(state[real], hidden[real], atol=3e-5, rtol=0)


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
def test_stock_transformers_opens_v1_with_equal_logits(
    encoder: Encoder, vocabulary: Vocabulary, batch, tmp_path: Path, caplog
) -> None:
    folder, _ = export(encoder, vocabulary, tmp_path)
    with caplog.at_level(logging.WARNING):
        model, report = EsmForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert not [record for record in caplog.records if "transformers" in record.name]
    assert (batch.tokens == vocabulary.mask).any()
    assert not batch.real.all()
    assert_equal_outputs(model, encoder, batch)
    assert type(AutoModelForMaskedLM.from_pretrained(folder)) is EsmForMaskedLM


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_transformers_opens_v2_after_our_import_with_equal_logits(
    encoder: Encoder, vocabulary: Vocabulary, batch, tmp_path: Path, caplog
) -> None:
    folder, _ = export(encoder, vocabulary, tmp_path)
    with caplog.at_level(logging.WARNING):
        model, report = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert type(model) is dnalm.huggingface.GatedEsmForMaskedLM
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert not [record for record in caplog.records if "transformers" in record.name]
    assert_equal_outputs(model, encoder, batch)
    # What transformers saves itself is opened again by both.
    model.save_pretrained(tmp_path / "saved")
    again = AutoModelForMaskedLM.from_pretrained(tmp_path / "saved")
    assert_equal_outputs(again, encoder, batch)
    bare = AutoModel.from_pretrained(folder, add_pooling_layer=False).eval()
    with torch.no_grad():
        state = bare(batch.tokens, attention_mask=batch.real.long()).last_hidden_state
        ours = encoder(batch.tokens).states[-1]
    torch.testing.assert_close(state[batch.real], ours[batch.real], atol=3e-5, rtol=0)


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_an_opened_v2_is_fine_tuned_and_saved_as_any_model(
    encoder: Encoder, vocabulary: Vocabulary, batch, tmp_path: Path
) -> None:
    folder, _ = export(encoder, vocabulary, tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=3)
    labels = torch.arange(len(batch.tokens)) % 3
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = model(batch.tokens, attention_mask=batch.real.long(), labels=labels).loss
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    gate = model.esm.encoder.layer[0].intermediate.dense.weight
    assert gate.grad.abs().max() > 0
    assert losses[-1] < 0.5 * losses[0]
    model.eval().save_pretrained(tmp_path / "tuned")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "tuned").eval()
    with torch.no_grad():
        ours, theirs = (m(batch.tokens, batch.real.long()).logits for m in (model, again))
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_a_gate_with_biases_is_opened_too(
    encoder: Encoder, vocabulary: Vocabulary, batch, tmp_path: Path
) -> None:
    biased = Encoder(replace(encoder.config, ffn_bias=True)).eval()
    biased.load_state_dict(encoder.state_dict(), strict=False)
    folder, _ = export(biased, vocabulary, tmp_path)
    model = AutoModelForMaskedLM.from_pretrained(folder)
    assert model.esm.encoder.layer[0].intermediate.dense.bias.abs().max() > 0
    assert_equal_outputs(model, biased, batch)


def test_a_feed_forward_that_nobody_has_is_not_exported(encoder: Encoder) -> None:
    bare = replace(encoder.config, feed_forward="gelu", ffn_bias=False)
    with pytest.raises(InputError, match="gelu without biases"):
        export_config(bare)


def test_the_tokenizer_of_transformers_makes_our_tokens(
    encoder: Encoder, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    folder, _ = export(encoder, vocabulary, tmp_path)
    tokenizer = EsmTokenizer.from_pretrained(folder)
    for sequence in SEQUENCES:
        tokens = tokenizer(sequence)["input_ids"]
        assert tokens == AutoTokenizer.from_pretrained(folder)(sequence)["input_ids"]
        assert tokens == encode(to_codes(sequence), vocabulary).tolist()
    padded = tokenizer(SEQUENCES, padding=True)["input_ids"]
    assert len({len(row) for row in padded}) == 1
    assert padded[-1][-1] == vocabulary.pad
    assert tokenizer.eos_token is None
    assert tokenizer.model_max_length == encoder.config.max_tokens
    assert tokenizer.mask_token_id == vocabulary.mask


def test_what_is_exported_is_imported_bit_for_bit(
    encoder: Encoder, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    folder, run = export(encoder, vocabulary, tmp_path)
    files = {key: str(folder / FILES[key]) for key in ("settings", "vocabulary")}
    loaded = load_published(run, weights=[str(folder / "model.safetensors")], **files)
    state = encoder.state_dict()
    assert loaded.state_dict().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in loaded.state_dict().items())
    again, _ = export(loaded, vocabulary, tmp_path / "again")
    for file in FILES.values():
        assert sha256_of(again / file) == sha256_of(folder / file)


def test_weights_of_another_model_are_not_exported(
    encoder: Encoder, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    _, run = export(encoder, vocabulary, tmp_path)
    run["encoder"]["layers"] = 4
    outputs = {key: tmp_path / "other" / file for key, file in FILES.items()}
    with pytest.raises(InputError, match="missing"):
        export_model(run, tmp_path / "trained.safetensors", **outputs)
    assert not (tmp_path / "other").exists()
