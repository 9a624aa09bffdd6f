"""What stock transformers opens gives transformers' own states, and the bases of its tokens."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from transformers import AutoModel, AutoTokenizer, BigBirdModel

from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.model.embedders.agreement import check_agreement
from dnalm.model.embedders.contract import check_lengths, count_tokens
from dnalm.model.embedders.opening import hash_weights, open_embedder
from dnalm.model.embedders.spans import pool_spans
from dnalm.model.encoder import Encoder
from dnalm.model.export import export_model
from dnalm.model.heads import pool
from dnalm.model.weights import save_weights

SEQUENCES = ["ACGTAAAAAAACGT" * 12, "GATTACA", "ACGNNNTAAAAAAC", "A"]
NAMES = ["modernbert", "big_bird", "llama"]
FILES = {
    "weights": "model.safetensors",
    "settings": "config.json",
    "vocabulary": "vocab.txt",
    "tokenizer": "tokenizer_config.json",
}
STOCK = {"attention_type": "original_full"}


@pytest.mark.parametrize("name", NAMES)
def test_states_are_the_hidden_states_of_transformers(save, name):
    folder = save(name)
    embedder = open_embedder({"transformers": folder}, "cpu")
    options = STOCK if name == "big_bird" else {}
    model = AutoModel.from_pretrained(folder, **options).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for sequence, (states, _) in zip(SEQUENCES, embedder.embed(SEQUENCES), strict=True):
        with torch.no_grad():
            theirs = model(**tokenizer(sequence, return_tensors="pt"), output_hidden_states=True)
        assert len(states) == embedder.layers == len(theirs.hidden_states) - 1
        for own, hidden in zip(states, theirs.hidden_states[1:], strict=True):
            torch.testing.assert_close(own, hidden[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_states_do_not_depend_on_the_batch(save, name):
    embedder = open_embedder({"transformers": save(name)}, "cpu")
    rows = [str(row) for row in range(len(SEQUENCES))]
    with torch.inference_mode():
        assert check_agreement(embedder, name, SEQUENCES, rows, "float32") < 1e-5


def test_spans_are_the_letters_of_tokens_of_unequal_length(save):
    folder = save("modernbert")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ((_, spans),) = open_embedder({"transformers": folder}, "cpu").embed([SEQUENCES[0]])
    tokens = tokenizer.convert_ids_to_tokens(tokenizer(SEQUENCES[0])["input_ids"])
    assert spans[0].tolist() == spans[-1].tolist() == [-1, -1]
    assert [SEQUENCES[0][start:end] for start, end in spans[1:-1]] == tokens[1:-1]
    assert len({end - start for start, end in spans[1:-1]}) > 2


def test_an_unknown_letter_covers_its_base(save):
    ((_, spans),) = open_embedder({"transformers": save("big_bird")}, "cpu").embed(["ACNNG"])
    covered = [base for start, end in spans if start >= 0 for base in range(start, end)]
    assert covered == [0, 1, 2, 3, 4]


def test_sparse_attention_that_a_short_batch_ends_for_good_is_not_used(save):
    """Of one sequence stock big_bird tells other states before a short one than after it."""
    folder, long = save("big_bird"), "ACGTAGGCT" * 30
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = BigBirdModel.from_pretrained(folder).eval()
    with torch.no_grad():
        before, _, after = (
            model(**tokenizer(sequence, return_tensors="pt")).last_hidden_state
            for sequence in (long, "ACGT", long)
        )
    assert (before - after).abs().max() > 1e-3
    ((states, _),) = open_embedder({"transformers": folder}, "cpu").embed([long])
    torch.testing.assert_close(states[-1], after[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
@pytest.mark.parametrize("pooling", ["mean", "centre", "cls"])
def test_our_own_exported_encoder_has_our_pooled_states(
    encoder: Encoder, vocabulary: Vocabulary, tmp_path: Path, pooling: str
):
    """By a slow tokenizer of k-mers, whose spans are found by going through its tokens."""
    run = {"model": "mine", "encoder": asdict(encoder.config), "corpus": None, "pretrain": None}
    run |= {"k": vocabulary.k, "vocabulary": vocabulary.version}
    save_weights(encoder, tmp_path / "trained.safetensors", {"step": "7"})
    outputs = {key: tmp_path / "export" / file for key, file in FILES.items()}
    export_model(run, tmp_path / "trained.safetensors", **outputs)
    embedder = open_embedder({"transformers": str(tmp_path / "export")}, "cpu")
    assert embedder.max_tokens == encoder.config.max_tokens
    for sequence in ("ACGTGTACGTGCACGGACGACTAG", "ACGTGTACNTGCACGGANCGACT", "NNACGTAC", "NN"):
        ((states, spans),) = embedder.embed([sequence])
        pooled = pool_spans(states, spans, sequence, pooling, 8)
        tokens = torch.tensor(encode(to_codes(sequence), vocabulary)[None].astype(np.int64))
        with torch.no_grad():
            own = encoder.eval().compute_states(tokens, [1, 2, 3])
        for layer, states in own.items():
            expected = pool(states, tokens, vocabulary, pooling, 8)[0]
            torch.testing.assert_close(pooled[layer - 1], expected, atol=1e-5, rtol=0)


def copy(folder: str, to: Path) -> Path:
    shutil.copytree(folder, to)
    return to


def test_a_sequence_over_the_limit_is_counted_in_tokens(save):
    embedder = open_embedder({"transformers": save("modernbert")}, "cpu")
    assert embedder.max_tokens == 600
    sequences = ["ACGT", "CGT" * 1000]
    with pytest.raises(InputError, match=r"row b has 3,000 bases, .* tokens of .* at most 600"):
        check_lengths(embedder, "x", sequences, ["a", "b"], count_tokens(embedder, sequences))


def test_the_hash_follows_weights_and_tokenizer(save, tmp_path):
    folder = copy(save("modernbert"), tmp_path / "copy")
    entry = {"transformers": str(folder)}
    hashes = [hash_weights(open_embedder({"transformers": save("modernbert")}, "cpu"), {})]
    hashes.append(hash_weights(open_embedder(entry, "cpu"), entry))
    assert hashes[0] == hashes[1]
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text + "\n")
    hashes.append(hash_weights(open_embedder(entry, "cpu"), entry))
    with safe_open(folder / "model.safetensors", "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    arrays["model.final_norm.weight"] = arrays["model.final_norm.weight"] + 1
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    hashes.append(hash_weights(open_embedder(entry, "cpu"), entry))
    assert len(set(hashes)) == 3


def refuse(folder: Path, match: str) -> None:
    with pytest.raises(InputError, match=match):
        open_embedder({"transformers": str(folder)}, "cpu")


def test_a_pickle_is_never_opened(save, tmp_path):
    folder = copy(save("modernbert"), tmp_path / "copy")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refuse(folder, "pytorch_model.bin is a pickle, which can run code")


def test_code_in_a_folder_is_never_run(save, tmp_path):
    folder, ran = copy(save("modernbert"), tmp_path / "copy"), tmp_path / "ran"
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "theirs", "auto_map": {"AutoConfig": "theirs.C", "AutoModel": "t.M"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "theirs.py").write_text(f"open({str(ran)!r}, 'w')")
    refuse(folder, "without code of its own .*name modules that register its classes as `imports`")
    assert not ran.exists()


def test_a_stock_class_stands_in_for_code_of_a_folder_only_when_told(save, tmp_path):
    """As of a bert with its tensors, and its norms in another order."""
    folder, ran = copy(save("bert"), tmp_path / "copy"), tmp_path / "ran"
    config = json.loads((folder / "config.json").read_text())
    config |= {"auto_map": {"AutoModel": "modeling.BertModel"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "modeling.py").write_text(f"open({str(ran)!r}, 'w')")
    refuse(folder, r"code of its own \(modeling.BertModel\), .* the stock bert may compute other")
    entry = {"transformers": str(folder), "ignore_code": True}
    found, expected = (
        open_embedder(one, "cpu").embed(["ACGT"])[0][0]
        for one in (entry, {"transformers": save("bert")})
    )
    torch.testing.assert_close(found, expected)
    assert not ran.exists()


def test_weights_that_lack_a_tensor_are_not_filled_with_random_ones(save, tmp_path):
    folder = copy(save("modernbert"), tmp_path / "copy")
    with safe_open(folder / "model.safetensors", "np") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del arrays["model.layers.1.mlp.Wi.weight"]
    save_file(arrays, folder / "model.safetensors", {"format": "pt"})
    refuse(folder, "1 tensors of the model are not in the weights .*layers.1.mlp.Wi.weight")


def test_a_folder_that_is_none_is_refused(tmp_path):
    refuse(tmp_path, "has no config.json")


def test_an_encoder_decoder_is_refused(save, tmp_path):
    folder = copy(save("modernbert"), tmp_path / "copy")
    (folder / "config.json").write_text(json.dumps({"model_type": "t5"}))
    refuse(folder, "has an encoder and a decoder")
