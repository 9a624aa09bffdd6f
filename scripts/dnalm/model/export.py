"""Export of a model as a repository of `transformers`: weights, config, tokenizer, card.

`EsmForMaskedLM` and `EsmTokenizer` open it, except for gated feed-forwards (v2): its files have the
names and the layout of the published v2 files, which stock ESM does not know.
"""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dnalm.files import atomic_path, write_json
from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import EncoderConfig, count_parameters
from dnalm.model.weights import load_weights, published_config, save_weights

log = logging.getLogger(__name__)
UNKNOWN_LICENCE = "unknown"
V2_LAYOUT = (
    "Gated feed-forward without biases: intermediate.dense.weight is (2F, D), its first F rows "
    "make a and the others b of output.dense(swish(a) * b), output.dense.weight is (D, F); "
    "positions are rotary, base 10000, dimension i of a head of width h paired with i + h/2. "
    "Stock EsmForMaskedLM has no such gate and refuses these weights."
)
USAGE_EXAMPLE = """```python
from transformers import EsmForMaskedLM, EsmTokenizer

model = EsmForMaskedLM.from_pretrained(folder).eval()
tokenizer = EsmTokenizer.from_pretrained(folder)
logits = model(**tokenizer("ACGTGTACGTGC", return_tensors="pt")).logits
```
"""


def export_model(
    run: Mapping[str, Any],
    trained: str | Path,
    rights: Mapping[str, str | None],
    *,
    weights: str | Path,
    settings: str | Path,
    vocabulary: str | Path,
    tokenizer: str | Path,
    card: str | Path,
) -> None:
    """Write the model of a run.json with the weights in `trained` as a repository of five files.

    `rights` are its source, licence and citation, each None where there is none. Raises
    `InputError` when the weights do not fit, or for a token dropout that `transformers` lacks.
    """
    config = EncoderConfig(**run["encoder"])
    words = Vocabulary(run["k"], run["vocabulary"])
    described = published_config(config)
    save_weights(load_weights(config, trained), weights, {})
    own = {"model": run["model"], "k": words.k, "vocabulary": words.version}
    note = {} if opens_in_transformers(config) else {"layout": V2_LAYOUT}
    write_json(settings, {**described, "dtype": "float32", "dnalm": {**own, **note}})
    _write(vocabulary, "\n".join(words.tokens()) + "\n")
    write_json(tokenizer, tokenizer_settings(config))
    _write(card, "\n".join(model_card(run, config, rights)))
    reader = "transformers" if opens_in_transformers(config) else "code of its own layout"
    log.info("%s is exported for %s", run["model"], reader)


def opens_in_transformers(config: EncoderConfig) -> bool:
    """Return whether stock `EsmForMaskedLM` has the encoder's feed-forward."""
    return config.feed_forward == "gelu" and config.ffn_bias


def tokenizer_settings(config: EncoderConfig) -> dict[str, Any]:
    """Return the tokenizer_config.json of `EsmTokenizer`: <cls> first, nothing at the end."""
    return {
        "tokenizer_class": "EsmTokenizer",
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
        "cls_token": "<cls>",
        "eos_token": None,
        "model_max_length": config.max_tokens,
    }


def model_card(
    run: Mapping[str, Any], config: EncoderConfig, rights: Mapping[str, str | None]
) -> Iterator[str]:
    """Yield the lines of the model card: what the model is, how it is opened, whose it is."""
    licence = rights["licence"] or UNKNOWN_LICENCE
    yield from ("---", f"license: {licence.lower().replace(' ', '-')}", "tags: [dna]", "---")
    yield f"# {run['model']}\n"
    yield (
        f"A DNA language model of {count_parameters(config):,} parameters: {config.layers} layers "
        f"of width {config.width} with {config.heads} heads, {config.positions} positions, "
        f"{config.feed_forward} feed-forwards of width {config.ffn_width}, LayerNorm eps "
        f"{config.layer_norm_eps:g}. It reads up to {config.max_tokens} tokens, {run['k']}-mers of "
        f"vocabulary {run['vocabulary']}, in upper case.\n"
    )
    yield USAGE_EXAMPLE if opens_in_transformers(config) else f"{V2_LAYOUT}\n"
    if rights["source"]:
        trained_on = f", trained on with the corpus {run['corpus']}" if run["pretrain"] else ""
        yield f"The weights are those of {rights['source']}{trained_on}.\n"
    elif run["corpus"]:
        yield f"Pretrained on the corpus {run['corpus']}.\n"
    yield (
        f"Licence of the weights: {licence}. What is made from them carries it.\n"
        if rights["licence"]
        else "No licence was given for these weights; whoever trained them has to choose one.\n"
    )
    if rights["citation"]:
        yield f"To cite: {rights['citation']}\n"


def _write(path: str | Path, text: str) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
