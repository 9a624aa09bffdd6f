"""What every adapter of the table owes: it starts from the model, and its state is complete."""

import copy
from pathlib import Path

import pytest
import torch
import yaml

from dnalm.errors import InputError
from dnalm.methods import ADAPTERS
from dnalm.model.adapters import (
    adapter_state,
    add_adapter,
    load_adapter,
    merge_adapter,
    remove_adapter,
)
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.linear import Linear

CONFIG = yaml.safe_load((Path(__file__).parents[3] / "config.yaml").read_text())
OPTIONS = {
    method["adapter"]: method.get("options", {})
    for method in CONFIG["finetune"]["methods"].values()
}
NAMES = [adapter.name for adapter in ADAPTERS]
# Of 500M v1, 2.5B v1 and v2-500M: IA3, LoRA of rank 1 on query and value, of rank 8 on four.
COUNTS = {
    "v1-500m": (184_320, 122_880, 1_966_080),
    "v1-2.5b": (491_520, 327_680, 5_242_880),
    "v2-500m": (178_176, 118_784, 1_900_544),
}


def randomise(encoder: Encoder) -> None:
    """Change every trained parameter by numbers that are no two alike."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for values in encoder.parameters():
            if values.requires_grad:
                values.add_(0.1 * torch.randn(values.shape, generator=generator))


@pytest.mark.parametrize("name", NAMES)
def test_an_adapter_changes_nothing_at_first_and_comes_back_from_its_state(
    name: str, encoder: Encoder, batch
) -> None:
    again = copy.deepcopy(encoder)
    plain = encoder(batch.tokens).logits
    trained = add_adapter(encoder, name, OPTIONS[name])
    assert torch.equal(encoder(batch.tokens).logits, plain)
    gradients = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    assert {id(parameter) for parameter in gradients} == {id(parameter) for parameter in trained}
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(torch.linspace(0.1, 0.9, parameter.numel()).view_as(parameter))
    state = adapter_state(encoder)
    assert len(state) == len(trained)
    add_adapter(again, name, OPTIONS[name])
    load_adapter(again, state)
    assert torch.equal(again(batch.tokens).logits, encoder(batch.tokens).logits)


def test_a_frozen_encoder_without_an_adapter_takes_no_state(encoder: Encoder) -> None:
    encoder.requires_grad_(False)
    assert adapter_state(encoder) == {}
    load_adapter(encoder, {})
    with pytest.raises(InputError, match=r"1 of its tensors differ .* \(first: x\)"):
        load_adapter(encoder, {"x": torch.ones(1)})


@pytest.mark.parametrize("name", NAMES)
def test_a_merged_adapter_gives_the_same_outputs_from_plain_layers(
    name: str, encoder: Encoder, batch
) -> None:
    # In float64: how far float32 rounds depends on the processor.
    encoder.double()
    shared = {key: values.clone() for key, values in encoder.state_dict().items()}
    add_adapter(encoder, name, OPTIONS[name])
    if name in ("ia3", "lora"):
        randomise(encoder.double())
    kept = copy.deepcopy(encoder)
    adapted = encoder(batch.tokens).logits
    merge_adapter(encoder)
    merged = encoder(batch.tokens).logits
    torch.testing.assert_close(merged[batch.real], adapted[batch.real], atol=1e-12, rtol=0)
    layers = [layer for layer in encoder.modules() if isinstance(layer, Linear)]
    assert {type(layer) for layer in layers} == {Linear}
    assert encoder.state_dict().keys() == shared.keys()
    # Merging makes new weights: those that were shared are still the model's.
    remove_adapter(kept)
    assert all(torch.equal(kept.state_dict()[key], shared[key]) for key in shared)


def test_adding_another_adapter_takes_the_first_one_out(encoder: Encoder, batch) -> None:
    plain = encoder(batch.tokens).logits
    for name in [*NAMES, *NAMES]:
        add_adapter(encoder, name, OPTIONS[name])
        assert torch.equal(encoder(batch.tokens).logits, plain)
    assert adapter_state(encoder) == {}  # the last one trains nothing


def test_loaded_state_leaves_an_encoder_that_shares_the_weights_alone(encoder: Encoder) -> None:
    other = copy.deepcopy(encoder)
    other.load_state_dict(encoder.state_dict(), assign=True)
    before = {key: values.clone() for key, values in encoder.state_dict().items()}
    add_adapter(other, "full", {})
    load_adapter(other, {key: values + 1 for key, values in adapter_state(other).items()})
    assert all(torch.equal(values, before[key]) for key, values in encoder.state_dict().items())
    assert torch.equal(other.tokens.weight, encoder.tokens.weight + 1)


def test_full_is_all_but_the_masked_language_head(encoder: Encoder) -> None:
    add_adapter(encoder, "full", {})
    frozen = {name for name, values in encoder.named_parameters() if not values.requires_grad}
    assert frozen == {f"head.{name}" for name, _ in encoder.head.named_parameters()}


@pytest.mark.parametrize("preset", COUNTS)
def test_full_sized_models_train_as_many_numbers_as_published(preset: str) -> None:
    sizes = dict(CONFIG["model"]["presets"][preset])
    sizes |= CONFIG["model"]["generations"][sizes.pop("generation")]
    sizes.pop("vocabulary")
    common = {key: CONFIG["model"][key] for key in ("layer_norm_eps", "initialisation", "dropout")}
    config = EncoderConfig(vocabulary_size=4107, pad_id=1, mask_id=2, **common, **sizes)
    with torch.device("meta"):
        encoder = Encoder(config)
    four = OPTIONS["lora"] | {"rank": 8, "targets": ["query", "key", "value", "output"]}
    found = (
        sum(values.numel() for values in add_adapter(encoder, name, options))
        for name, options in (("ia3", {}), ("lora", OPTIONS["lora"]), ("lora", four))
    )
    assert tuple(found) == COUNTS[preset]


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        ("ia3", {"rank": 1}, "adapter ia3 was given the options rank: give none"),
        ("lora", {"rank": 1}, "adapter lora was given the options rank: give rank, alpha, dropout"),
        (
            "lora",
            OPTIONS["lora"] | {"targets": ["valeu"]},
            "targets: 'valeu' is not allowed; choose one of value, ",
        ),
        ("lora", OPTIONS["lora"] | {"targets": []}, "targets are empty"),
    ],
)
def test_options_that_an_adapter_has_not_are_refused(
    encoder: Encoder, name: str, options: dict, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        add_adapter(encoder, name, options)
