"""What fine-tuning trains of an encoder, whichever adapter of `dnalm.methods` it is."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from dnalm.errors import InputError
from dnalm.methods import LORA_TARGETS, find_adapter, find_function
from dnalm.model.embedders.tunable import ForeignEncoder
from dnalm.model.encoder import Encoder
from dnalm.model.linear import Linear
from dnalm.model.weights import published_name
from dnalm.suggestions import listing

PEFT_PREFIX = "base_model.model."  # of what `peft` wraps


class AdaptedLinear(Linear):
    """A linear layer that shares another one's weights, and has parameters of its own beside."""

    def __init__(self, linear: Linear) -> None:
        bias = linear.bias is not None
        super().__init__(linear.in_features, linear.out_features, bias, device="meta")
        self.weight, self.bias = linear.weight, linear.bias

    def plain(self) -> Linear:
        """Return a plain linear layer with the same weights."""
        return _linear(self.weight, self.bias)

    def merged(self) -> Linear:
        """Return a plain linear layer with weights of its own that computes what this one does."""
        weight, bias = self.merge()
        return _linear(
            nn.Parameter(weight.detach(), requires_grad=False),
            None if bias is None else nn.Parameter(bias.detach(), requires_grad=False),
        )

    def merge(self) -> tuple[Tensor, Tensor | None]:
        """Return weight [N, K] and bias [N] of `merged`."""
        raise NotImplementedError


def add_adapter(encoder: nn.Module, name: str, options: Mapping[str, Any]) -> list[nn.Parameter]:
    """Prepare `encoder` in place and return the parameters to train, which may be none.

    `options` are those of the adapter's row in `dnalm.methods`. All other parameters are frozen and
    keep their names; what an earlier call has added is taken out. Raises InputError for an unknown
    adapter, and for options that are not its own.
    """
    adapter = find_adapter(name)
    if sorted(options) != sorted(adapter.options):
        raise InputError(
            f"The adapter {name} was given the options {listing(options)}: give "
            f"{listing(adapter.options)}."
        )
    remove_adapter(encoder)
    encoder.requires_grad_(False)
    return find_function(adapter.add)(encoder, **options)


def list_layers(encoder: nn.Module, targets: Sequence[str]) -> list[str]:
    """Return the paths of the linear layers of some of `LORA_TARGETS`, block after block.

    Raises InputError for one that the layers of a model that is not ours have no name for.
    """
    if isinstance(encoder, ForeignEncoder):
        return encoder.list_layers(targets)
    own = [LORA_TARGETS[target] for target in targets]
    return [f"blocks.{number}.{path}" for number in range(len(encoder.blocks)) for path in own]


def train_all(encoder: nn.Module) -> list[nn.Parameter]:
    """Let all of a frozen encoder be trained that a classifier uses, and return it.

    That is all but the masked-language head, which no classifier computes.
    """
    encoder.requires_grad_(True)
    if isinstance(encoder, Encoder):
        encoder.head.requires_grad_(False)
    return list(trained_parameters(encoder).values())


def train_none(encoder: nn.Module) -> list[nn.Parameter]:
    """Leave a frozen encoder as it is, and return nothing to train."""
    return []


def remove_adapter(encoder: nn.Module) -> None:
    """Take what was added to linear layers out of `encoder` in place; its weights stay frozen."""
    for name, layer in list(_adapted_layers(encoder)):
        encoder.set_submodule(name, layer.plain())


def merge_adapter(encoder: nn.Module) -> None:
    """Replace adapted layers of `encoder`, in place, by plain ones that compute the same.

    The weights that they shared stay as they are. Outputs are equal but for rounding.
    """
    for name, layer in list(_adapted_layers(encoder)):
        encoder.set_submodule(name, layer.merged())


def _adapted_layers(encoder: nn.Module) -> Iterator[tuple[str, AdaptedLinear]]:
    for name, module in encoder.named_modules():
        if isinstance(module, AdaptedLinear):
            yield name, module


def _linear(weight: nn.Parameter, bias: nn.Parameter | None) -> Linear:
    columns = weight.shape[1]
    linear = Linear(columns, len(weight), bias is not None, device="meta")
    linear.weight, linear.bias = weight, bias
    return linear


def adapter_state(encoder: nn.Module) -> dict[str, Tensor]:
    """Return copies of the trained parameters, e.g. {"blocks.0.attention.key.scale": float32[D]}.

    They are those that require a gradient.
    """
    trained = trained_parameters(encoder)
    return {name: values.detach().cpu().clone() for name, values in trained.items()}


def name_in_peft(name: str, *, foreign: bool) -> str:
    """Return the layer, as `peft` calls it, of a tensor of `adapter_state`.

    Ours is called as in `EsmModel`, that of a model that is not ours by its own name.
    """
    layer = name.rpartition(".")[0]
    if foreign:
        return PEFT_PREFIX + layer.removeprefix("module.")
    place = published_name(f"{layer}.weight").removesuffix(".weight")
    # The base is the encoder alone, in which names do not begin with "esm.".
    return PEFT_PREFIX + place.removeprefix("esm.")


def load_adapter(encoder: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Give an encoder with an adapter the parameters of `adapter_state`, in new tensors.

    So weights that it shares with another encoder stay as they are in that one. Raises
    `InputError` when `state` was made for an encoder or adapter of other names or sizes.
    """
    trained = trained_parameters(encoder)
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
    for name, values in trained.items():
        module, _, own = name.rpartition(".")
        loaded = state[name].detach().to(values.device, values.dtype, copy=True)
        setattr(encoder.get_submodule(module), own, nn.Parameter(loaded))


def stack_adapter(encoder: nn.Module, stacked: Mapping[str, Tensor]) -> None:
    """Give an encoder with an adapter, in place, the parameters of F folds, [F, ...], by name.

    A batch has then the rows of fold after fold, as many of each, and every row meets the
    parameters of its own fold.
    """
    for name in trained_parameters(encoder):
        module, _, own = name.rpartition(".")
        setattr(encoder.get_submodule(module), own, nn.Parameter(stacked[name]))


def of_rows(values: Tensor, x: Tensor) -> Tensor:
    """Return what x [B, T, N] is multiplied by: values [N]; of stacked ones each row's, [B, 1, N].

    Stacked values are [F, N], of F folds.
    """
    if values.ndim == 1:
        return values
    each = len(x) // len(values)
    return values[:, None, None].expand(-1, each, -1, -1).flatten(0, 1)


def trained_parameters(encoder: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained, those that require a gradient, by name."""
    return {name: values for name, values in encoder.named_parameters() if values.requires_grad}
