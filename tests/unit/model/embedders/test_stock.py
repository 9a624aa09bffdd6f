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
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors
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


def change_config(**changes):
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def change_weights(spoil):
    """Return what changes one matrix of queries, or the tensors of a file, in place."""

    def change(folder: Path) -> None:
        path = folder / "model.safetensors"
        tensors = load_tensors(path)
        name = next(name for name in tensors if name.endswith("0.attention.self.query.weight"))
        tensors[name] = spoil(tensors[name])
        save_tensors(tensors, path, {"format": "pt"})

    return change


def cut(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


def add_adapter(folder: Path) -> None:
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "r": 2}')


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (add_adapter, "holds an adapter .adapter_config.json., which transformers would put into"),
        (cut, "model.safetensors cannot be read as a safetensors file .*: get it again"),
        (
            change_weights(lambda w: w * torch.nan),
            "query.weight hold numbers that are not finite",
        ),
        (change_weights(lambda w: (w * 100).to(torch.int8)), "1 tensors .* type I8 .*query.weight"),
        (change_weights(lambda w: w[:-1].clone()), "of another shape, .*first: .*query.weight.:"),
        (change_config(num_hidden_layers=1), "16 tensors .* belong to layers that its config"),
        (change_config(num_hidden_layers=10**6), "has 1000000 layers, and the most"),
        (change_config(num_hidden_layers=0), "says that it has no layers"),
        (change_config(num_hidden_layers="2"), "is not opened by transformers .*expected int"),
        (change_config(num_attention_heads=0), "is not opened by transformers .*by zero"),
        (change_config(pad_token_id=99), "is not opened by transformers .*Padding_idx"),
        (change_config(auto_map="theirs.C"), r"code of its own \(theirs.C\)"),
        (change_config(model_type=["bert"]), "is not opened by transformers"),
    ],
)
def test_weights_and_settings_that_do_not_go_together_are_refused(save, tmp_path, change, match):
    folder = copy(save("bert"), tmp_path / "copy")
    change(folder)
    refuse(folder, match)


def change_tokens(change):
    def write(folder: Path) -> None:
        path = folder / "tokenizer.json"
        content = json.loads(path.read_text())
        change(content["model"]["vocab"])
        path.write_text(json.dumps(content))

    return write


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda folder: [path.unlink() for path in folder.glob("tokenizer*")], "unknown tokens of"),
        (change_tokens(lambda tokens: tokens.pop("T")), "unknown tokens of A, C, G and T"),
        (change_tokens(lambda tokens: tokens.update(T=tokens["A"])), "'A' and 'T' the same id 5"),
        (change_tokens(lambda tokens: tokens.update(T=4_000_000_000)), "'T' the id 4000000000, and"
         " the model has 10 tokens: get the tokenizer of this model"),
    ],
)  # fmt: skip
def test_a_tokenizer_of_another_model_is_refused(save, tmp_path, change, match):
    """`transformers` would make one unknown token of every sequence, and say nothing."""
    folder = copy(save("bert"), tmp_path / "copy")
    change(folder)
    refuse(folder, match)


def test_results_are_read_by_name_whatever_the_settings_say(save, tmp_path):
    folder = copy(save("bert"), tmp_path / "copy")
    change_config(return_dict=False)(folder)
    found, expected = (
        open_embedder({"transformers": str(one)}, "cpu").embed(["ACGT"])[0][0]
        for one in (folder, save("bert"))
    )
    torch.testing.assert_close(found, expected)


def test_a_special_token_that_the_model_has_not_is_not_used(save, tmp_path):
    folder = copy(save("bert"), tmp_path / "copy")
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    path.write_text(json.dumps(settings | {"pad_token": "<p>", "mask_token": "<m>"}))
    embedder = open_embedder({"transformers": str(folder)}, "cpu")
    assert embedder.logits is None
    expected = open_embedder({"transformers": save("bert")}, "cpu").embed(["ACGT", "GG"])
    for (states, _), (own, _) in zip(embedder.embed(["ACGT", "GG"]), expected, strict=True):
        torch.testing.assert_close(states, own)


def test_a_letter_that_a_tokenizer_cannot_read_is_a_sentence(save, tmp_path):
    folder = copy(save("bert"), tmp_path / "copy")
    change_tokens(lambda tokens: tokens.pop("N"))(folder)
    text = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(text.replace('"unk_token": "[UNK]"', '"unk_token": "x"'))
    embedder = open_embedder({"transformers": str(folder)}, "cpu")
    with pytest.raises(InputError, match=r"tokenizer cannot read a sequence .*know no N"):
        embedder.embed(["ACNT"])


def test_a_folder_that_is_none_is_refused(tmp_path):
    refuse(tmp_path, "has no config.json")


def test_an_encoder_decoder_is_refused(save, tmp_path):
    folder = copy(save("modernbert"), tmp_path / "copy")
    (folder / "config.json").write_text(json.dumps({"model_type": "t5"}))
    refuse(folder, "has an encoder and a decoder")
