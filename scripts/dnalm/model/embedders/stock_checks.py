"""Whether weights, settings and tokenizer of a folder that `transformers` opens belong together.

What it is silent about: numbers of 8 bits read as if they stood for themselves, layers that
config.json leaves out, NaN in the weights, and tokenizers of another model, which know no base.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from dnalm.errors import InputError
from dnalm.model.tensors import MAX_REASON, UNREADABLE, read_types

REAL_TYPES = ("F64", "F32", "F16", "BF16")
NUMBER = re.compile(r"(?<=\.)[0-9]+(?=\.)")  # of a layer, in the name of a tensor
# Bases in every order of three, of a length that words of one to six bases divide.
BASES = "AACAAGAATACCACGACTAGCAGGAGTATCATGATTCCCGCCTCGGCGTCTGCTTGGGTGTTTACA"[:60]

MOST_LAYERS = 1000  # several times what the deepest model has


def check_depth(config: Any, folder: str) -> None:
    """Raise InputError for more layers than any model has, before memory is filled by them."""
    layers = getattr(config, "num_hidden_layers", None)
    if isinstance(layers, int) and layers > MOST_LAYERS:
        raise InputError(
            f"{folder}: its config.json says that it has {layers} layers, and the most that is read"
            f" is {MOST_LAYERS}: correct num_hidden_layers."
        )


def read_weight_types(paths: Iterable[str | Path]) -> dict[str, str]:
    """Return the types of the tensors of safetensors files, such as F32, by their names.

    Raises InputError for a file that is none, or is cut off.
    """
    types = {}
    for path in paths:
        try:
            types |= read_types(path)
        except InputError:  # which is a ValueError
            raise
        except UNREADABLE as error:
            reason = " ".join(str(error).split())[:MAX_REASON]
            raise InputError(
                f"{path} cannot be read as a safetensors file ({reason}): get it again."
            ) from error
    return types


def check_weights(
    model: nn.Module, types: Mapping[str, str], unexpected: Iterable[str], folder: str
) -> None:
    """Raise InputError for weights that cannot be those of a model's settings.

    `types` are those of the tensors in the files, `unexpected` the names of such that the model has
    no place for. A head that is left out is no fault, a layer is.
    """
    parameters = dict(model.named_parameters())
    unreal = [
        name for name, kind in types.items() if kind not in REAL_TYPES and _is_of(name, parameters)
    ]
    if unreal:
        raise InputError(
            f"{folder}: {len(unreal)} tensors of the weights are of the type {types[unreal[0]]}"
            f" (first: {unreal[0]}), which are no weights as they stand: convert them to float32,"
            " with their scales if they have any, where they come from."
        )
    patterns = {NUMBER.sub("#", name) for name in parameters if NUMBER.search(name)}
    left_out = sorted(name for name in unexpected if _is_of(NUMBER.sub("#", name), patterns))
    if left_out:
        raise InputError(
            f"{folder}: {len(left_out)} tensors of the weights belong to layers that its"
            f" config.json does not have (first: {left_out[0]}): get the one of these weights."
        )
    for name, parameter in parameters.items():
        if not bool(parameter.isfinite().all()):
            raise InputError(
                f"{folder}: the weights {name} hold numbers that are not finite: get them again."
            )


def _is_of(name: str, names: Collection[str]) -> bool:
    """Return whether a tensor's name is among those of an encoder, whatever it has before it."""
    parts = name.split(".")
    return any(".".join(parts[at:]) in names for at in range(len(parts)))


def check_tokenizer(tokenizer: Any, tokens: int | None, folder: str) -> None:
    """Raise InputError for a tokenizer that is none of DNA, or of a model of other tokens.

    `tokens` is how many the model has, None: it does not say.
    """
    vocabulary = tokenizer.get_vocab()
    special = set(tokenizer.all_special_tokens)
    plain = {token: number for token, number in vocabulary.items() if token not in special}
    twice = [number for number, count in Counter(plain.values()).items() if count > 1]
    if twice:
        shared = sorted(token for token, number in plain.items() if number == twice[0])
        raise InputError(
            f"{folder}: its tokenizer gives {' and '.join(map(repr, shared[:2]))} the same id"
            f" {twice[0]}, so that the model cannot tell them apart: correct its vocabulary."
        )
    # Others, as <eos>, are added by tokenizers whose models have none, and are never made.
    beyond = [
        token
        for token, number in plain.items()
        if tokens is not None and number >= tokens and set(token) <= set("ACGTN")
    ]
    if beyond:
        raise InputError(
            f"{folder}: its tokenizer gives {beyond[0]!r} the id {plain[beyond[0]]}, and the model"
            f" has {tokens} tokens: get the tokenizer of this model."
        )
    limit = tokenizer.model_max_length
    if not isinstance(limit, int | float) or limit < 1:
        raise InputError(
            f"{folder}: its tokenizer_config.json has model_max_length {limit!r}: write a whole"
            " number from 1 on."
        )
    if tokenizer.unk_token_id in tokenizer(BASES, add_special_tokens=False)["input_ids"]:
        raise InputError(
            f"{folder}: its tokenizer makes unknown tokens of A, C, G and T: get the files of its"
            " tokenizer (tokenizer.json, tokenizer_config.json, vocab.txt) where these weights are"
            " from, or wire it by `call`, if it wants sequences to be written otherwise."
        )
