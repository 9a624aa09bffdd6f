"""The model that adapters in `peft` are put on: an export of ours, or a stock model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dnalm.errors import InputError
from dnalm.files import read_facts, read_json
from dnalm.genome.kmers import Vocabulary, bases_per_token
from dnalm.model.config import EncoderConfig, is_gated
from dnalm.model.embedders.tunable import open_tunable

# Code on the card: how a sequence becomes tokens, and which of them are pooled.
TOKENS = 'tokens = tokenizer(["ACGTACGTACGT"], return_tensors="pt", padding=True)'
POOLS = {
    "mean": """# The mean over tokens of real bases: no <cls>, <pad> and N.
real = ~torch.isin(tokens["input_ids"], torch.tensor(facts["not_pooled"]))
weights = real / real.sum(1, keepdim=True)"""
}
FOREIGN_TOKENS = """sequences = ["ACGTACGTACGT"]
tokens = tokenizer(sequences, return_tensors="pt", padding=True, return_offsets_mapping=True)
tokens.pop("token_type_ids", None)
offsets = tokens.pop("offset_mapping").tolist()"""
BY_OFFSETS = """# The mean over tokens that {which}cover a base that is no N.
size, real = {size}, []
for text, own in zip(sequences, offsets):
    first = max(0, len(text) - size) // 2
    middle = [a < first + size and b > first for a, b in own]
    real.append([near and text[a:b].strip("N") != "" for near, (a, b) in zip(middle, own)])
weights = torch.tensor(real) / torch.tensor(real).sum(1, keepdim=True)"""
FOREIGN_POOLS = {
    "mean": BY_OFFSETS.format(which="", size="max(map(len, sequences))"),
    "centre": BY_OFFSETS.format(which="lie in the middle and\n# ", size='facts["centre_bases"]'),
}

SLOW_POOLS = {
    "mean": """# The mean over tokens of bases; those of N alone are to be left out, too.
real = ~torch.isin(tokens["input_ids"], torch.tensor(tokenizer.all_special_ids))
weights = real / real.sum(1, keepdim=True)"""
}


@dataclass(frozen=True, kw_only=True)
class PeftBase:
    """The model that adapters are put on: what it is called here, and where it is.

    `place` is a folder, or a repository of a hub at a `revision`. `linear` are the names of the
    linear layers of a model that is not ours, by those of `LORA_TARGETS`, `weights_sha256` its
    hash; `told` goes into head.json. The others are code for the card: before imports, beside the
    place, from sequences to tokens, and the weights of each pooling that is a mean.
    """

    model: str
    place: str
    revision: str | None = None
    linear: Mapping[str, Sequence[str]] | None = None
    weights_sha256: str | None = None
    told: Mapping[str, Any] = field(default_factory=dict)
    register: str = ""
    options: str = ""
    tokens: str = TOKENS
    pools: Mapping[str, str] = field(default_factory=lambda: POOLS)

    @property
    def revision_code(self) -> str:
        """The argument that names the revision."""
        return f', revision="{self.revision}"' if self.revision else ""

    def check(self, adapters: object, identity: Mapping[str, Any]) -> None:
        """Raise InputError for adapters of other weights of a model that is not ours."""
        if self.weights_sha256 not in (None, identity.get("weights_sha256")):
            raise InputError(
                f"{adapters} was made from other weights than those of {self.place}: make it again"
                " with the target finetunes."
            )


def find_base(
    files: Mapping[str, Any], place: Mapping[str, str | None], entry: Mapping[str, Any] | None
) -> PeftBase:
    """Return the base of a model: with `run` among its files ours, else `described`.

    `place` is {folder, revision}; `entry` is how an embedder is opened, which names its layers.
    Raises InputError for one that is not of `transformers`, which `peft` does not open.
    """
    folder, revision = str(place["folder"]), place["revision"]
    if "run" in files:
        return describe_export(read_json(files["run"]), folder)
    told = read_facts(files["described"], ("model", "weights_sha256"))
    entry = entry or {}
    if "transformers" not in entry:
        raise InputError(
            f"{told['model']} is opened by `call`, so that its adapters have no form in peft; they"
            " stay as they are."
        )
    encoder, tokens = open_tunable(entry)
    embedder = tokens.embedder
    attention = getattr(embedder.module.config, "attention_type", None)
    return PeftBase(
        model=told["model"],
        place=folder,
        revision=revision,
        linear=encoder.linear,
        weights_sha256=told["weights_sha256"],
        register="".join(f"import {name}\n" for name in entry.get("imports", ())),
        options=f', attention_type="{attention}"' if attention else "",
        tokens=FOREIGN_TOKENS if embedder.tokenizer.is_fast else TOKENS,
        pools=FOREIGN_POOLS if embedder.tokenizer.is_fast else SLOW_POOLS,
    )


def describe_export(run: Mapping[str, Any], folder: str) -> PeftBase:
    """Return the base of a model of ours, of its run.json and the folder of its export."""
    words = Vocabulary(run["k"], run["vocabulary"])
    unread = np.flatnonzero(bases_per_token(np.arange(words.size), words) == 0)
    return PeftBase(
        model=run["model"],
        place=folder,
        told={"k": words.k, "not_pooled": [*unread.tolist(), words.n_id]},
        register="import dnalm.huggingface\n" if is_gated(EncoderConfig(**run["encoder"])) else "",
        options=", add_pooling_layer=False",
    )
