"""Exported folders: opened by transformers with equal logits, and by our own import."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from transformers import EsmForMaskedLM, EsmTokenizer

from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.model.encoder import Encoder
from dnalm.model.export import export_model
from dnalm.model.published_weights import load_published
from dnalm.model.weights import save_weights

SEQUENCES = ["ACGTGTACGTGCACGGACGACTAGTCAGCA", "ACGTGTACNTGCACGGANCGACT", "NNACGTAC", "ATGCA"]
RIGHTS = {"source": "A/b@main", "licence": "CC BY-NC-SA 4.0", "citation": "Somebody, 2025"}
FILES = {
    "weights": "model.safetensors",
    "settings": "config.json",
    "vocabulary": "vocab.txt",
    "tokenizer": "tokenizer_config.json",
    "card": "README.md",
}


def export(
    encoder: Encoder, vocabulary: Vocabulary, folder: Path, rights: dict = RIGHTS
) -> tuple[Path, dict]:
    """Export an encoder; return the folder and the run that describes it."""
    run = {"model": "mine", "encoder": asdict(encoder.config), "corpus": None, "pretrain": None}
    run |= {"k": vocabulary.k, "vocabulary": vocabulary.version}
    save_weights(encoder, folder / "trained.safetensors", {"step": "7"})
    outputs = {key: folder / "export" / file for key, file in FILES.items()}
    export_model(run, folder / "trained.safetensors", rights, **outputs)
    return folder / "export", run


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
def test_transformers_opens_v1_with_equal_logits(
    encoder: Encoder, vocabulary: Vocabulary, batch, tmp_path: Path
) -> None:
    folder, _ = export(encoder, vocabulary, tmp_path)
    model, report = EsmForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not report["unexpected_keys"]
    assert not report["mismatched_keys"]
    assert all(".contact_head." in key for key in report["missing_keys"])
    assert (batch.tokens == vocabulary.mask).any()
    assert not batch.real.all()
    with torch.no_grad():
        theirs = model.eval()(
            batch.tokens, attention_mask=batch.real.long(), output_hidden_states=True
        )
        ours = encoder(batch.tokens)
    real = batch.real
    torch.testing.assert_close(ours.logits[real], theirs.logits[real], atol=1e-5, rtol=0)
    for state, hidden in zip(ours.states, theirs.hidden_states, strict=True):
        torch.testing.assert_close(state[real], hidden[real], atol=1e-5, rtol=0)


def test_the_tokenizer_of_transformers_makes_our_tokens(
    encoder: Encoder, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    folder, _ = export(encoder, vocabulary, tmp_path)
    tokenizer = EsmTokenizer.from_pretrained(folder)
    for sequence in SEQUENCES:
        assert tokenizer(sequence)["input_ids"] == encode(to_codes(sequence), vocabulary).tolist()
    padded = tokenizer(SEQUENCES, padding=True)["input_ids"]
    assert len({len(row) for row in padded}) == 1
    assert padded[-1][-1] == vocabulary.pad
    assert tokenizer.eos_token is None
    assert tokenizer.model_max_length == encoder.config.max_tokens
    assert tokenizer.mask_token_id == vocabulary.mask


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_stock_transformers_refuses_v2_and_its_settings_say_why(
    encoder: Encoder, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    folder, _ = export(encoder, vocabulary, tmp_path)
    settings = json.loads((folder / "config.json").read_text())
    assert settings["add_bias_fnn"] is False
    assert "Stock EsmForMaskedLM has no such gate" in settings["dnalm"]["layout"]
    with pytest.raises(RuntimeError, match="mismatched"):
        EsmForMaskedLM.from_pretrained(folder)


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


def test_the_card_says_whose_weights_they_are(
    encoder: Encoder, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    folder, _ = export(encoder, vocabulary, tmp_path)
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-nc-sa-4.0\n")
    assert "The weights are those of A/b@main." in card
    assert "Licence of the weights: CC BY-NC-SA 4.0. What is made from them carries it." in card
    assert "Somebody, 2025" in card
    nothing = dict.fromkeys(RIGHTS)
    folder, _ = export(encoder, vocabulary, tmp_path / "own", nothing)
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlicense: unknown\n")
    assert "No licence was given" in card


def test_weights_of_another_model_are_not_exported(
    encoder: Encoder, vocabulary: Vocabulary, tmp_path: Path
) -> None:
    _, run = export(encoder, vocabulary, tmp_path)
    run["encoder"]["layers"] = 4
    outputs = {key: tmp_path / "other" / file for key, file in FILES.items()}
    with pytest.raises(InputError, match="missing"):
        export_model(run, tmp_path / "trained.safetensors", RIGHTS, **outputs)
    assert not (tmp_path / "other").exists()
