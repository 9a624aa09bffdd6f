"""Which linear layers of a module are queries, keys, values and feed-forwards, by their names."""

import re
from collections.abc import Mapping

from torch import nn

from dnalm.errors import InputError
from dnalm.suggestions import listing

# Names of linear layers within a module, as regular expressions, by the names of `LORA_TARGETS`. A
# fused projection stands for all that it computes.
STYLES: tuple[Mapping[str, str], ...] = (
    {  # bert, big_bird, esm, megatron_bert, roberta
        "query": r"(.+\.)?attention\.self\.query",
        "key": r"(.+\.)?attention\.self\.key",
        "value": r"(.+\.)?attention\.self\.value",
        "output": r"(.+\.)?attention\.output\.dense",
        "ffn_input": r"(.+\.)?intermediate\.dense",
        "ffn_output": r"(.+\.)?layer\.\d+\.output\.dense",
    },
    {  # modernbert
        "query": r"(.+\.)?attn\.Wqkv",
        "key": r"(.+\.)?attn\.Wqkv",
        "value": r"(.+\.)?attn\.Wqkv",
        "output": r"(.+\.)?attn\.Wo",
        "ffn_input": r"(.+\.)?mlp\.Wi",
        "ffn_output": r"(.+\.)?mlp\.Wo",
    },
    {  # llama and many behind it
        "query": r"(.+\.)?self_attn\.q_proj",
        "key": r"(.+\.)?self_attn\.k_proj",
        "value": r"(.+\.)?self_attn\.v_proj",
        "output": r"(.+\.)?self_attn\.o_proj",
        "ffn_input": r"(.+\.)?mlp\.(gate|up)_proj",
        "ffn_output": r"(.+\.)?mlp\.down_proj",
    },
)


def is_linear(module: nn.Module) -> bool:
    """Return whether an adapter can be put on a module: a linear layer with float weights."""
    return isinstance(module, nn.Linear) and module.weight.is_floating_point()


def find_linear(module: nn.Module, named: Mapping[str, str]) -> dict[str, list[str]]:
    """Return the names of linear layers of a module by those of `LORA_TARGETS`.

    `named` are regular expressions of whole names; what is not among them follows the first of
    `STYLES` of which the module has a query. Raises InputError for a name that fits no layer.
    """
    for key, text in named.items():
        try:
            re.compile(text)
        except re.error as error:
            raise InputError(
                f"embedder.linear.{key}: {text!r} is no regular expression ({error}): correct it."
            ) from None
    layers = [path for path, layer in module.named_modules() if is_linear(layer)]
    own = {
        key: [path for path in layers if re.fullmatch(text, path)] for key, text in named.items()
    }
    for key, found in own.items():
        if not found:
            raise InputError(
                f"embedder.linear.{key}: {named[key]!r} is the name of no linear layer; they are"
                f" called {listing(layers)}."
            )
    for style in STYLES:
        found = {key: [p for p in layers if re.fullmatch(text, p)] for key, text in style.items()}
        if found["query"]:
            return found | own
    return own
