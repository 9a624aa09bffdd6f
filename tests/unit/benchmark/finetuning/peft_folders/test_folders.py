"""Adapters as `peft` opens them on top of an export: the same predictions as our own classifier."""

import json
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

import dnalm.huggingface  # noqa: F401 -- registers the second generation
from dnalm.benchmark.finetuning.classifier import (
    FoldClassifiers,
    build_classifier,
    classifier_state,
)
from dnalm.benchmark.finetuning.peft_folders.base_models import PeftBase, describe_export
from dnalm.benchmark.finetuning.peft_folders.folders import export_adapters
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.methods import LORA_TARGETS
from dnalm.model.adapters import add_adapter, merge_adapter
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.export import export_model
from dnalm.model.initialise import initialise
from dnalm.model.loading import load_model
from dnalm.model.weights import save_tensors, save_weights

SEQUENCES = ["ACGTGTACGTGCACGGACGACTAG", "ACGTGTACNTGCACGGANCGACT", "ATGCA", "NNTTACGNAC"]
RIGHTS = {"source": None, "licence": "CC BY-NC-SA 4.0", "citation": None}
GENERATIONS = {
    "v1": {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True, "token_dropout": 0.12},
    "v2": {
        "positions": "rotary",
        "feed_forward": "swiglu",
        "ffn_bias": False,
        "token_dropout": None,
    },
}


OPTIONS = {
    "ia3": {},
    "lora": {"rank": 2, "alpha": 3, "dropout": 0.1, "targets": list(LORA_TARGETS)},
}
COMBINATIONS = [(generation, adapter) for generation in GENERATIONS for adapter in OPTIONS]


@pytest.fixture(params=COMBINATIONS, ids="-".join)
def tuned(request, tmp_path: Path) -> dict:
    """An exported model, two folds of an adapter with other numbers and heads, and their folders.

    LoRA is added to all that it can be added to.
    """
    generation, adapter = request.param
    words = Vocabulary(3, generation)
    config = EncoderConfig(
        layers=2,
        heads=2,
        width=16,
        ffn_width=24,
        max_tokens=30,
        vocabulary_size=words.size,
        pad_id=words.pad,
        mask_id=words.mask,
        dropout=0.0,
        layer_norm_eps=1e-5,
        initialisation="haiku",
        **GENERATIONS[generation],
    )
    encoder = Encoder(config)
    initialise(encoder, 3)
    files = {"run": tmp_path / "run.json", "weights": tmp_path / "weights.safetensors"}
    run = {"model": "small", "encoder": asdict(config), "k": 3, "vocabulary": generation}
    files["run"].write_text(json.dumps(run))
    save_weights(encoder, files["weights"], {})
    export = tmp_path / "export"
    names = {"weights": "model.safetensors", "settings": "config.json"}
    names |= {"vocabulary": "vocab.txt", "tokenizer": "tokenizer_config.json"}
    export_model(run, files["weights"], **{key: export / name for key, name in names.items()})

    add_adapter(encoder, adapter, OPTIONS[adapter])
    facts = {"kind": "multiclass", "classes": 3, "pooling": "mean", "centre_bases": 24}
    classifier, tensors = build_classifier(encoder, words, facts), {}
    generator = torch.Generator().manual_seed(4)
    for fold in range(2):
        for name, tensor in classifier_state(classifier).items():
            drawn = torch.randn(tensor.shape, generator=generator)
            if name.startswith("adapter."):  # so that no rounding grows through softmaxes
                drawn = 1 + 0.5 * drawn if "scale" in name else 0.3 * drawn
            tensors[f"fold.{fold}.{name}"] = drawn
    metadata = {
        "adapter": adapter,
        "options": json.dumps(OPTIONS[adapter]),
        "classifier": json.dumps(facts),
        "identity": json.dumps({"method": adapter, "task": "mine.x", "model": "small"}),
        "folds": "[0, 1]",
        "scores": json.dumps([{"mcc": 0.5}, {"mcc": 0.25}]),
    }
    adapters = tmp_path / "adapters.safetensors"
    save_tensors(tensors, adapters, metadata)
    export_adapters(adapters, describe_export(run, str(export)), RIGHTS, tmp_path / "peft")
    return {**files, "adapters": adapters, "folder": tmp_path / "peft", "export": export}


def test_peft_predicts_what_we_predict_with_every_fold(tuned) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tuned["export"])
    tokens = tokenizer(SEQUENCES, return_tensors="pt", padding=True)
    outputs = []
    for fold in range(2):
        folder = tuned["folder"] / f"fold.{fold}"
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # as of keys that are missing
            encoder = AutoModel.from_pretrained(tuned["export"], add_pooling_layer=False)
            encoder = PeftModel.from_pretrained(encoder, folder).eval()
        head, facts = (
            load_file(folder / "head.safetensors"),
            json.loads((folder / "head.json").read_text()),
        )
        with torch.no_grad():
            states = encoder(**tokens).last_hidden_state
        # As the card of the folder says.
        with torch.no_grad():
            merged = encoder.merge_and_unload()(**tokens).last_hidden_state
        torch.testing.assert_close(merged, states, atol=3e-5, rtol=0)
        real = ~torch.isin(tokens["input_ids"], torch.tensor(facts["not_pooled"]))
        weights = real / real.sum(1, keepdim=True)
        theirs = torch.einsum("bt,btd->bd", weights, states) @ head["weight"].T + head["bias"]

        plain, words = load_model(tuned["run"], tuned["weights"])
        classifier, _ = FoldClassifiers(plain, words, tuned["adapters"]).load(fold)
        for sequence, row in zip(SEQUENCES, theirs, strict=True):
            ids = torch.from_numpy(encode(to_codes(sequence), words).astype(np.int64))
            with torch.no_grad():
                ours = classifier(ids[None])[0]
            torch.testing.assert_close(ours, row, atol=3e-5, rtol=0)
        merge_adapter(classifier.encoder)
        for sequence, row in zip(SEQUENCES, theirs, strict=True):
            ids = torch.from_numpy(encode(to_codes(sequence), words).astype(np.int64))
            with torch.no_grad():
                torch.testing.assert_close(classifier(ids[None])[0], row, atol=3e-5, rtol=0)
        outputs.append(theirs)
    assert (outputs[0] - outputs[1]).abs().max() > 0.1
    assert outputs[0].shape == (len(SEQUENCES), 3)


def test_the_code_on_the_card_runs(tuned) -> None:
    folder = tuned["folder"] / "fold.1"
    card = ModelCard.load(folder / "README.md")
    assert card.data.license == "cc-by-nc-sa-4.0"
    assert "Licence of the weights of `small`: CC BY-NC-SA 4.0. What is made" in card.text
    assert "Scores on the test rows: mcc 0.2500" in card.text
    code = card.text.split("```python\n")[1].split("```")[0].replace('"..."', f'"{folder}"')
    scope: dict = {}
    exec(code, scope)
    assert scope["outputs"].shape == (1, 3)


def test_an_adapter_without_a_form_in_peft_is_refused(tuned, tmp_path: Path) -> None:
    metadata = {"adapter": "head", "classifier": "{}"}
    save_tensors({"x": torch.zeros(2)}, tmp_path / "x.safetensors", metadata)
    base = PeftBase(model="small", place="b")
    with pytest.raises(InputError, match="head is not written for peft"):
        export_adapters(tmp_path / "x.safetensors", base, RIGHTS, tmp_path / "new")


def test_what_is_no_file_of_adapters_leaves_nothing(tuned, tmp_path: Path) -> None:
    save_tensors({"x": torch.zeros(2)}, tmp_path / "x.safetensors", {})
    run = json.loads(tuned["run"].read_text())
    base = describe_export(run, "b")
    with pytest.raises(InputError, match="is no file of adapters"):
        export_adapters(tmp_path / "x.safetensors", base, RIGHTS, tmp_path / "new")
    assert not (tmp_path / "new").exists()
