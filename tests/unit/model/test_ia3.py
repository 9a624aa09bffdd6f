"""IA3 against peft with explicit targets, and what stays frozen."""

import pytest
import torch
from peft import IA3Config, get_peft_model
from torch import Tensor, nn

from dnalm.errors import InputError
from dnalm.model.adapters import adapter_state, add_adapter, load_adapter, remove_adapter
from dnalm.model.encoder import Encoder

# `output.dense` alone would hit the attention's output too.
FEED_FORWARD = r".*\.layer\.\d+\.output\.dense"
TARGETS = rf".*\.attention\.self\.(key|value)|{FEED_FORWARD}"
PEFT_NAMES = {
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "feed_forward.output": "output.dense",
}


def randomise(vectors: list[nn.Parameter]) -> None:
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for vector in vectors:
            vector.copy_(1 + 0.5 * torch.randn(vector.shape, generator=generator))


def peft_vectors(reference: nn.Module, encoder: Encoder) -> dict[str, nn.Parameter]:
    """Return peft's vectors under the names of `adapter_state`."""
    modules = dict(reference.named_modules())
    return {
        f"blocks.{block}.{ours}.scale": modules[
            f"base_model.model.esm.encoder.layer.{block}.{theirs}"
        ].ia3_l["default"]
        for block in range(encoder.config.layers)
        for ours, theirs in PEFT_NAMES.items()
    }


def test_outputs_and_gradients_equal_peft(encoder: Encoder, batch, make_reference) -> None:
    reference = get_peft_model(
        make_reference(encoder),
        IA3Config(target_modules=TARGETS, feedforward_modules=FEED_FORWARD),
    )
    plain = encoder(batch.tokens).logits
    vectors = add_adapter(encoder, "ia3", {})
    randomise(vectors)
    theirs = peft_vectors(reference, encoder)
    trainable = [parameter for parameter in reference.parameters() if parameter.requires_grad]
    assert {id(vector) for vector in theirs.values()} == {id(vector) for vector in trainable}
    with torch.no_grad():
        for name, values in adapter_state(encoder).items():
            theirs[name].copy_(values.view_as(theirs[name]))

    ours = encoder(batch.tokens)
    output = reference(batch.tokens, attention_mask=batch.real.long(), output_hidden_states=True)
    for state, hidden in zip(ours.states, output.hidden_states, strict=True):
        assert_close(state[batch.real], hidden[batch.real])
    assert_close(ours.logits[batch.real], output.logits[batch.real])
    assert (ours.logits - plain).abs().max() > 0.1

    ours.logits[batch.real].square().mean().backward()
    output.logits[batch.real].square().mean().backward()
    names = list(adapter_state(encoder))
    for name, vector in zip(names, vectors, strict=True):
        assert vector.grad.abs().max() > 1e-4
        assert_close(vector.grad, theirs[name].grad.view_as(vector))


def test_new_vectors_change_nothing_and_count_as_published(encoder: Encoder, batch) -> None:
    before = encoder(batch.tokens).logits
    vectors = add_adapter(encoder, "ia3", {})
    assert torch.equal(encoder(batch.tokens).logits, before)
    config = encoder.config
    count = config.layers * (2 * config.width + config.ffn_width)
    assert sum(vector.numel() for vector in vectors) == count
    trainable = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    assert [id(parameter) for parameter in trainable] == [id(vector) for vector in vectors]


def test_training_leaves_every_other_bit_alone(encoder: Encoder, batch) -> None:
    before = {name: tensor.clone() for name, tensor in encoder.state_dict().items()}
    optimizer = torch.optim.Adam(add_adapter(encoder, "ia3", {}), lr=3e-3)
    for _ in range(3):
        encoder(batch.tokens).logits.square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    after = encoder.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert after.keys() - before.keys() == adapter_state(encoder).keys()
    assert all((vector != 1).any() for vector in adapter_state(encoder).values())


def test_a_saved_adapter_gives_the_same_outputs(encoder: Encoder, batch) -> None:
    plain = encoder(batch.tokens).logits
    randomise(add_adapter(encoder, "ia3", {}))
    adapted, state = encoder(batch.tokens).logits, adapter_state(encoder)
    remove_adapter(encoder)
    assert torch.equal(encoder(batch.tokens).logits, plain)
    assert adapter_state(encoder) == {}
    add_adapter(encoder, "ia3", {})
    load_adapter(encoder, state)
    assert torch.equal(encoder(batch.tokens).logits, adapted)
    assert all(torch.equal(adapter_state(encoder)[name], state[name]) for name in state)


def test_adding_again_starts_from_ones(encoder: Encoder, batch) -> None:
    plain = encoder(batch.tokens).logits
    randomise(add_adapter(encoder, "ia3", {}))
    add_adapter(encoder, "ia3", {})
    assert torch.equal(encoder(batch.tokens).logits, plain)


def test_an_adapter_of_another_model_is_refused(encoder: Encoder) -> None:
    add_adapter(encoder, "ia3", {})
    state = adapter_state(encoder)
    state["blocks.1.attention.key.scale"] = torch.ones(31)
    with pytest.raises(InputError, match=r"1 of its tensors .* blocks\.1\.attention\.key"):
        load_adapter(encoder, state)
    del state["blocks.1.attention.key.scale"]
    with pytest.raises(InputError, match="1 of its tensors"):
        load_adapter(encoder, state)


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=3e-5, rtol=0)
