"""Adapters on models that are not ours: equal to those of peft, by the layers that are named."""

import json
import warnings

import numpy as np
import pytest
import torch
from peft import IA3Config, LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer

from dnalm.errors import InputError
from dnalm.methods import find_adapter, find_function
from dnalm.model.adapters import adapter_state, add_adapter, remove_adapter, trained_parameters
from dnalm.model.embedders.linear_layers import find_linear
from dnalm.model.embedders.opening import open_embedder
from dnalm.model.embedders.spans import pool_spans
from dnalm.model.embedders.tunable import (
    PAD,
    ForeignBaseClassifier,
    ForeignClassifier,
    ForeignEncoder,
    ForeignTokens,
    open_tunable,
)

SEQUENCES = ["ACGTAAAAAAACGT" * 3, "GATTACA", "ACGNNNTAAAAAAC", "ACGT"]
ROWS = [str(row) for row in range(len(SEQUENCES))]
LORA = {"rank": 2, "alpha": 8.0, "dropout": 0.0, "targets": ["query", "value"]}
# What peft is told, written down a second time.
PEFT = {
    "bert": {
        "ia3": r".*attention\.self\.(key|value)|.*layer\.\d+\.output\.dense",
        "feed_forward": r".*layer\.\d+\.output\.dense",
        "lora": r".*attention\.self\.(query|value)",
    },
    "modernbert": {
        "ia3": r".*attn\.Wqkv|.*mlp\.Wo",
        "feed_forward": r".*mlp\.Wo",
        "lora": r".*attn\.Wqkv",
    },
    "llama": {
        "ia3": r".*self_attn\.(k_proj|v_proj)|.*mlp\.down_proj",
        "feed_forward": r".*mlp\.down_proj",
        "lora": r".*self_attn\.(q_proj|v_proj)",
    },
}
PEFT["big_bird"] = PEFT["bert"]


def make_rows(tokens, pooling="mean"):
    return tokens.make_rows(SEQUENCES, ROWS, pooling, 4).batch(np.arange(len(SEQUENCES)))[0]


def wrap(folder, name, method):
    """Return what peft makes of the stock model."""
    options = {"attention_type": "original_full"} if name == "big_bird" else {}
    model = AutoModel.from_pretrained(folder, **options)
    own = PEFT[name]
    if method == "ia3":
        config = IA3Config(target_modules=own["ia3"], feedforward_modules=own["feed_forward"])
    else:
        config = LoraConfig(r=2, lora_alpha=8, lora_dropout=0.0, target_modules=own["lora"])
    return get_peft_model(model, config).eval()


def find_theirs(wrapped, name: str) -> nn.Parameter:
    """Return peft's parameter for one of ours, module.<path>.{scale,down,up}."""
    path, _, own = name.removeprefix("module.").rpartition(".")
    layer = wrapped.get_submodule(f"base_model.model.{path}")
    if own == "scale":
        return layer.ia3_l["default"]
    return {"down": layer.lora_A, "up": layer.lora_B}[own]["default"].weight


@pytest.mark.parametrize("method", ["ia3", "lora"])
@pytest.mark.parametrize("name", sorted(PEFT))
def test_states_gradients_and_counts_equal_those_of_peft(save, tmp_path, name, method):
    encoder, tokens = open_tunable({"transformers": save(name)})
    wrapped = wrap(save(name), name, method)
    learned = add_adapter(encoder, method, LORA if method == "lora" else {})
    theirs = [values for values in wrapped.parameters() if values.requires_grad]
    assert sum(v.numel() for v in learned) == sum(v.numel() for v in theirs) > 0
    torch.manual_seed(3)
    with torch.no_grad():
        for key, values in trained_parameters(encoder).items():
            values.copy_(torch.randn_like(values) * 0.3 + (method == "ia3"))
            other = find_theirs(wrapped, key)
            other.copy_(values.view_as(other))
    coded = make_rows(tokens)
    (states,) = encoder.train().compute_states(coded, ()).values()
    mask = coded != PAD
    ids = torch.where(mask, coded % (1 << 32), 0)
    expected = wrapped(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(states[mask], expected[mask], atol=2e-6, rtol=1e-6)
    states[mask].square().mean().backward()
    expected[mask].square().mean().backward()
    for key, values in trained_parameters(encoder).items():
        own, other = values.grad, find_theirs(wrapped, key).grad
        torch.testing.assert_close(own, other.view_as(own), atol=1e-6, rtol=1e-5)
        assert own.abs().max() > 0
    check_in_peft(encoder, method, save(name), tmp_path, ids, mask, expected)
    before = states.detach()
    remove_adapter(encoder)
    (plain,) = encoder.eval().compute_states(coded, ()).values()
    assert (plain - before).abs().max() > 1e-3
    assert adapter_state(encoder) == {}


def check_in_peft(encoder, method, folder, adapter, ids, mask, expected):
    """What is written for peft is opened by it on the stock model, and gives the same states."""
    convert = find_function(find_adapter(method).in_peft)
    options = LORA if method == "lora" else {}
    settings, tensors = convert(adapter_state(encoder), linear=encoder.linear, **options)
    common = {"base_model_name_or_path": folder, "task_type": "FEATURE_EXTRACTION"}
    (adapter / "adapter_config.json").write_text(json.dumps(common | settings))
    own = {key: values.contiguous() for key, values in tensors.items()}
    save_file(own, adapter / "adapter_model.safetensors")
    stock = AutoModel.from_pretrained(folder)
    if stock.config.model_type == "big_bird":
        stock.set_attention_type("original_full")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # as of keys that are missing
        opened = PeftModel.from_pretrained(stock, adapter).eval()
    with torch.no_grad():
        states = opened(input_ids=ids, attention_mask=mask.long()).last_hidden_state
    torch.testing.assert_close(states[mask], expected[mask], atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize("pooling", ["mean", "centre", "cls"])
@pytest.mark.parametrize("name", sorted(PEFT))
def test_a_head_sees_the_pooled_states_that_embeddings_hold(save, name, pooling):
    if name == "llama" and pooling == "cls":
        pooling = "mean"
    encoder, tokens = open_tunable({"transformers": save(name)})
    classifier = ForeignClassifier(encoder, 3, pooling, tokens, 4).eval()
    with torch.no_grad():
        found = classifier(make_rows(tokens, pooling))
    embedder = open_embedder({"transformers": save(name)}, "cpu")
    with torch.inference_mode():
        answers = embedder.embed(SEQUENCES)
        for row, sequence, (states, spans) in zip(found, SEQUENCES, answers, strict=True):
            pooled = pool_spans(states[-1:], spans, sequence, pooling, 4)[0]
            torch.testing.assert_close(row, classifier.output(pooled), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", ["modernbert", "bert"])
def test_a_base_is_given_the_state_of_its_token_and_the_classes_of_its_place_in_it(save, name):
    """By a plain loop over the states and offsets of `transformers`, a sequence at a time."""
    encoder, tokens = open_tunable({"transformers": save(name)})
    classifier = ForeignBaseClassifier(encoder, 3, tokens).eval()
    rows = tokens.make_base_rows(SEQUENCES, ROWS)
    everyone = np.arange(len(SEQUENCES))
    coded, padded = rows.batch(everyone)
    with torch.no_grad():
        found = classifier(coded, padded=padded, longest=rows.count_bases(everyone))
    model = AutoModel.from_pretrained(save(name)).eval()
    tokenizer = AutoTokenizer.from_pretrained(save(name))
    weight = classifier.output.weight.view(-1, 3, encoder.config.width)
    bias = classifier.output.bias.view(-1, 3)
    lengths = set()
    for row, sequence in zip(found, SEQUENCES, strict=True):
        given = tokenizer(sequence, return_offsets_mapping=True, return_tensors="pt")
        offsets = given.pop("offset_mapping")[0].tolist()
        with torch.no_grad():
            states = model(**given).last_hidden_state[0]
            for state, (start, end) in zip(states, offsets, strict=True):
                lengths.add(end - start)
                for place in range(end - start):
                    expected = weight[place] @ state + bias[place]
                    torch.testing.assert_close(row[start + place], expected, atol=1e-5, rtol=1e-5)
        assert (row[len(sequence) :] == 0).all()
    assert len(lengths - {0}) > 2 if name == "modernbert" else lengths == {0, 1}
    longest = max(map(len, set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens)))
    assert tokens.longest_token == len(weight) == longest >= max(lengths)


def test_bases_behind_the_last_place_of_a_head_share_its_classes(save, monkeypatch):
    monkeypatch.setattr("dnalm.model.embedders.tunable.MAX_PLACES", 2)
    encoder, tokens = open_tunable({"transformers": save("modernbert")})
    classifier = ForeignBaseClassifier(encoder, 3, tokens).eval()
    coded, _ = tokens.make_base_rows(["AAAAAAAAAAAAAAAA"], ["0"]).batch(np.arange(1))
    with torch.no_grad():
        (found,) = classifier(coded)
    sizes = (coded[0] // (1 << 32)).tolist()
    start, size = sum(sizes[: np.argmax(sizes)]), max(sizes)
    assert size > 3
    own = found[start : start + size]
    assert (own[1:] == own[1]).all()
    assert (own[0] != own[1]).any()


def test_tokens_that_overlap_and_an_embedder_that_says_not_how_long_they_are_have_no_bases():
    class Overlapping:
        max_bases = None

        def tokenize(self, sequences):
            spans = np.array([[0, 3], [2, 4]])
            return [(np.array([1, 2]), spans) for _ in sequences]

    tokens = ForeignTokens(embedder=Overlapping(), name="odd")
    with pytest.raises(InputError, match="row r1: tokens of odd overlap or are not in the order"):
        tokens.make_base_rows(["ACGT"], ["r1"])
    with pytest.raises(InputError, match="odd does not say how many bases its longest token has"):
        tokens.longest_token  # noqa: B018


def test_all_that_is_trained_of_a_whole_model_has_a_gradient(save):
    for name in sorted(PEFT):
        encoder, tokens = open_tunable({"transformers": save(name)})
        learned = add_adapter(encoder, "full", {})
        classifier = ForeignClassifier(encoder, 2, "mean", tokens, 4).train()
        classifier(make_rows(tokens)).square().sum().backward()
        assert [own for own in learned if own.grad is None] == []
        assert len(learned) == len(list(encoder.parameters()))


def test_names_of_layers_are_taken_and_wrong_ones_told(save):
    model = AutoModel.from_pretrained(save("bert"))
    found = find_linear(model, {"query": r"encoder\.layer\.1\.attention\.self\.query"})
    assert found["query"] == ["encoder.layer.1.attention.self.query"]
    assert len(found["value"]) == 2
    with pytest.raises(InputError, match=r"embedder.linear.key: 'keys' is the name of no linear"):
        find_linear(model, {"key": "keys"})
    assert find_linear(nn.Sequential(nn.Linear(2, 2)), {"value": "0"}) == {"value": ["0"]}


class Mixed:
    """What a factory may return: a module, its tokens, and what its layers are called."""

    layers, width, max_bases, weights = 1, 3, None, ()

    def __init__(self, linear):
        self.module = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 3))
        self.linear = linear

    def tokenize(self, sequences):
        spans = [np.stack([np.arange(len(s)), np.arange(len(s)) + 1], 1) for s in sequences]
        return [
            (["ACGTN".index(base) for base in s], own)
            for s, own in zip(sequences, spans, strict=True)
        ]

    def compute_states(self, ids, mask):
        return self.module(ids) * mask.unsqueeze(-1)


def test_a_called_model_is_tuned_by_the_layers_that_it_names():
    encoder = ForeignEncoder(Mixed({"query": ["1"]}), "mixed")
    assert len(add_adapter(encoder, "lora", LORA | {"targets": ["query"]})) == 2
    with pytest.raises(
        InputError, match=r"mixed: which linear layers are `key` is not known .*query"
    ):
        add_adapter(encoder, "ia3", {})
    with pytest.raises(InputError, match=r"mixed names '0' as query, which is no linear layer"):
        ForeignEncoder(Mixed({"query": ["0"]}), "mixed")
    lacking = Mixed({})
    lacking.module = None
    with pytest.raises(InputError, match="mixed cannot be fine-tuned, it has no module"):
        ForeignEncoder(lacking, "mixed")
