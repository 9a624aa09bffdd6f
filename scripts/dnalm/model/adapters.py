"""What fine-tuning trains of an encoder, whichever adapter of `dnalm.methods` it is."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dnalm.errors import InputError
from dnalm.methods import find_adapter, find_function
from dnalm.model.encoder import Encoder


def add_adapter(encoder: Encoder, name: str) -> list[nn.Parameter]:
    """Prepare `encoder` in place and return the parameters to train, which may be none.

    All others are frozen and keep their names. Raises InputError for an unknown adapter.
    """
    return find_function(find_adapter(name).add)(encoder)


def adapter_state(encoder: Encoder) -> dict[str, Tensor]:
    """Return copies of the trained parameters, e.g. {"blocks.0.attention.key.scale": float32[D]}.

    They are those that require a gradient.
    """
    return {name: values.detach().cpu().clone() for name, values in _trained(encoder).items()}


def load_adapter(encoder: Encoder, state: Mapping[str, Tensor]) -> None:
    """Give an encoder with an adapter the parameters of `adapter_state`.

    Raises `InputError` when `state` was made for an encoder or adapter of other names or sizes.
    """
    trained = _trained(encoder)
    shapes = {name: tuple(values.shape) for name, values in trained.items()}
    given = {name: tuple(values.shape) for name, values in state.items()}
    different = sorted(
        name for name in shapes.keys() | given.keys() if shapes.get(name) != given.get(name)
    )
    if different:
        raise InputError(
            f"The adapter does not fit the model, {len(different)} of its tensors differ in name "
            f"or shape (first: {different[0]}); load it into the model it was trained on."
        )
    with torch.no_grad():
        for name, values in trained.items():
            values.copy_(state[name])


def _trained(encoder: Encoder) -> dict[str, nn.Parameter]:
    return {name: values for name, values in encoder.named_parameters() if values.requires_grad}
