"""LoRA against peft: outputs, gradients, counts and merged weights."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch import nn

from dnalm.model.adapters import adapter_state, add_adapter, merge_adapter
from dnalm.model.encoder import Encoder

# Ours and peft's names of what can be a target.
PEFT_NAMES = {
    "query": ("attention.query", "attention.self.query"),
    "key": ("attention.key", "attention.self.key"),
    "value": ("attention.value", "attention.self.value"),
    "output": ("attention.output", "attention.output.dense"),
    "ffn_output": ("feed_forward.output", "output.dense"),
}


def add_both(
    encoder: Encoder, make_reference, targets: list[str], rank: int, dropout: float = 0.0
) -> tuple[nn.Module, dict[str, nn.Parameter]]:
    """Add LoRA to `encoder`; return peft's model of equal weights, and its parameters by our names.

    Both get the same random matrices.
    """
    pattern = "|".join(rf".*\.layer\.\d+\.{PEFT_NAMES[name][1]}" for name in targets)
    reference = get_peft_model(
        make_reference(encoder),
        LoraConfig(r=rank, lora_alpha=32, lora_dropout=dropout, target_modules=pattern),
    )
    options = {"rank": rank, "alpha": 32, "dropout": dropout, "targets": targets}
    add_adapter(encoder, "lora", options)
    modules = dict(reference.named_modules())
    theirs = {}
    for block in range(encoder.config.layers):
        for target in targets:
            ours, name = PEFT_NAMES[target]
            layer = modules[f"base_model.model.esm.encoder.layer.{block}.{name}"]
            theirs[f"blocks.{block}.{ours}.down"] = layer.lora_A["default"].weight
            theirs[f"blocks.{block}.{ours}.up"] = layer.lora_B["default"].weight
    parameters = dict(encoder.named_parameters())
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name in adapter_state(encoder):
            drawn = 0.1 * torch.randn(parameters[name].shape, generator=generator)
            parameters[name].copy_(drawn)
            theirs[name].copy_(drawn)
    return reference.eval(), theirs


@pytest.mark.parametrize(
    ("targets", "rank"),
    [(["query", "value"], 1), (["query", "key", "value", "output", "ffn_output"], 4)],
)
def test_outputs_gradients_and_counts_equal_peft(
    encoder: Encoder, batch, make_reference, targets, rank
) -> None:
    plain = encoder(batch.tokens).logits
    reference, theirs = add_both(encoder, make_reference, targets, rank)
    trainable = [values for values in reference.parameters() if values.requires_grad]
    assert {id(values) for values in theirs.values()} == {id(values) for values in trainable}
    own = adapter_state(encoder)
    assert sum(values.numel() for values in own.values()) == sum(map(torch.numel, trainable))

    logits = encoder(batch.tokens).logits
    expected = reference(batch.tokens, attention_mask=batch.real.long()).logits
    assert (logits - plain).abs().max() > 0.1
    torch.testing.assert_close(logits[batch.real], expected[batch.real], atol=1e-4, rtol=0)
    logits[batch.real].square().mean().backward()
    expected[batch.real].square().mean().backward()
    parameters = dict(encoder.named_parameters())
    for name in own:
        assert parameters[name].grad.abs().max() > 1e-5
        torch.testing.assert_close(parameters[name].grad, theirs[name].grad, atol=1e-4, rtol=1e-3)


def test_merged_weights_equal_those_that_peft_merges(
    encoder: Encoder, batch, make_reference
) -> None:
    reference, _ = add_both(encoder, make_reference, ["query", "value"], 2)
    merge_adapter(encoder)
    merged = dict(reference.merge_and_unload().named_parameters())
    for block in range(encoder.config.layers):
        for target in ("query", "value"):
            ours, name = PEFT_NAMES[target]
            torch.testing.assert_close(
                encoder.get_parameter(f"blocks.{block}.{ours}.weight"),
                merged[f"esm.encoder.layer.{block}.{name}.weight"],
            )


def test_dropout_is_of_training_alone_and_of_the_update_alone(encoder: Encoder, batch) -> None:
    options = {"rank": 1, "alpha": 32, "dropout": 0.5, "targets": ["query", "value"]}
    add_adapter(encoder, "lora", options)
    plain = encoder(batch.tokens).logits
    encoder.train()
    assert torch.equal(encoder(batch.tokens).logits, plain)  # up is 0: there is nothing to drop
    with torch.no_grad():
        for name, values in encoder.named_parameters():
            if name.endswith(".up"):
                values.fill_(0.1)
    torch.manual_seed(1)
    first, second = encoder(batch.tokens).logits, encoder(batch.tokens).logits
    assert not torch.equal(first, second)
    encoder.eval()
    assert torch.equal(encoder(batch.tokens).logits, encoder(batch.tokens).logits)
