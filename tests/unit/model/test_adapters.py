"""What every adapter of the table owes: it starts from the model, and its state is complete."""

import copy

import pytest
import torch

from dnalm.errors import InputError
from dnalm.methods import ADAPTERS
from dnalm.model.adapters import adapter_state, add_adapter, load_adapter
from dnalm.model.encoder import Encoder


@pytest.mark.parametrize("name", [adapter.name for adapter in ADAPTERS])
def test_an_adapter_changes_nothing_at_first_and_comes_back_from_its_state(
    name: str, encoder: Encoder, batch
) -> None:
    plain, again = encoder(batch.tokens).logits, copy.deepcopy(encoder)
    trained = add_adapter(encoder, name)
    assert torch.equal(encoder(batch.tokens).logits, plain)
    gradients = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    assert {id(parameter) for parameter in gradients} == {id(parameter) for parameter in trained}
    with torch.no_grad():
        for parameter in trained:
            parameter.add_(torch.linspace(0.1, 0.9, parameter.numel()).view_as(parameter))
    state = adapter_state(encoder)
    assert len(state) == len(trained)
    add_adapter(again, name)
    load_adapter(again, state)
    assert torch.equal(again(batch.tokens).logits, encoder(batch.tokens).logits)


def test_a_frozen_encoder_without_an_adapter_takes_no_state(encoder: Encoder) -> None:
    encoder.requires_grad_(False)
    assert adapter_state(encoder) == {}
    load_adapter(encoder, {})
    with pytest.raises(InputError, match=r"1 of its tensors differ .* \(first: x\)"):
        load_adapter(encoder, {"x": torch.ones(1)})
