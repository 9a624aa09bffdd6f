"""Adapters in the folder of `peft`, to be opened on top of an exported model.

`peft` holds what an adapter adds to an encoder. Pooling and the linear layer behind it are not part
of any class of `transformers`: they lie beside it, `head.safetensors` and `head.json`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.errors import InputError
from dnalm.files import atomic_path, json_text
from dnalm.genome.kmers import Vocabulary, bases_per_token
from dnalm.methods import ADAPTER_NAMES, find_adapter, find_function
from dnalm.model.config import EncoderConfig, is_gated
from dnalm.model.licences import licence_keys
from dnalm.model.tensors import FORMAT, sort_metadata
from dnalm.model.weights import read_tensors

ADAPTER, HEAD = "adapter_model.safetensors", "head.safetensors"
CARD = """---
{front}---
# {model}, {method} on {task}, fold {fold}

An adapter of `{model}` and a head, both trained here on the training rows of `{task}` outside
of fold {fold}. Scores on the test rows: {scores}. {licence}

```python
import json
import torch
{register}from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel, AutoTokenizer

folder = "..."  # this one
encoder = AutoModel.from_pretrained("{base}", add_pooling_layer=False)
encoder = PeftModel.from_pretrained(encoder, folder).eval()
head, facts = load_file(folder + "/head.safetensors"), json.load(open(folder + "/head.json"))
tokenizer = AutoTokenizer.from_pretrained("{base}")
tokens = tokenizer(["ACGTACGTACGT"], return_tensors="pt", padding=True)
states = encoder(**tokens).last_hidden_state  # [sequences, tokens, width]
{pooling}
```
"""
MEAN = """# The mean over tokens of real bases: no <cls>, <pad> and N.
real = ~torch.isin(tokens["input_ids"], torch.tensor(facts["not_pooled"]))
weights = real / real.sum(1, keepdim=True)
outputs = torch.einsum("bt,btd->bd", weights, states) @ head["weight"].T + head["bias"]
# facts["kind"] says of what these are the logits. Of a regression the targets are
# outputs * head["targets.deviation"] + head["targets.mean"]."""
OTHER = """# Here the pooling `cls`. `centre` is the mean over tokens that overlap the middle
# `centre_bases` bases. The kind per_base has k * classes numbers of each token, and no pooling: the
# classes of its first base come first.
outputs = states[:, 0] @ head["weight"].T + head["bias"]"""

BINNED = """
# Here these are {number} logits of each target, and the target is the expectation of their values.
outputs = outputs.unflatten(-1, head["values"].shape).softmax(-1)
outputs = (outputs * head["values"]).sum(-1)"""


def export_adapters(
    adapters: str | Path,
    run: Mapping[str, Any],
    rights: Mapping[str, str | None],
    folder: str | Path,
    *,
    base: str,
) -> None:
    """Write every fold of an adapters file below `folder`, as `peft` reads it, each with its head.

    `run` is the run.json of the model, `rights` are its source, licence and citation, `base` is the
    folder of its export. All or nothing is written.

    Raises InputError for an adapter that `peft` has none for, and a file without folds.
    """
    tensors, metadata = read_tensors(adapters), _read_metadata(adapters)
    adapter = find_adapter(metadata.get("adapter", ADAPTER_NAMES[0]))
    if adapter.in_peft is None:
        raise InputError(f"{adapter.name} is not written for peft; {adapters} stays as it is.")
    if "classifier" not in metadata:
        raise InputError(f"{adapters} is no file of adapters; make it with the target finetunes.")
    options = json.loads(metadata.get("options", "{}"))
    facts, identity = json.loads(metadata["classifier"]), json.loads(metadata["identity"])
    folds, scores = json.loads(metadata["folds"]), json.loads(metadata["scores"])
    words = Vocabulary(run["k"], run["vocabulary"])
    unread = np.flatnonzero(bases_per_token(np.arange(words.size), words) == 0)
    told = {**facts, "k": words.k, "not_pooled": [*unread.tolist(), words.n_id]}
    gated = is_gated(EncoderConfig(**run["encoder"]))
    # Without `base_model`, which on a hub is a repository: where the export goes is not known.
    front = {"library_name": "peft", **licence_keys(rights["licence"]), "tags": ["dna"]}
    shared = {
        "front": yaml.safe_dump(front, sort_keys=False),
        "base": base,
        "licence": f"Licence of the weights of `{run['model']}`: {rights['licence']}. What is made "
        "from them carries it."
        if rights["licence"]
        else f"No licence was given for the weights of `{run['model']}`.",
        "model": run["model"],
        "register": "import dnalm.huggingface\n" if gated else "",
        "pooling": MEAN
        if facts["pooling"] == "mean" and find_kind(facts["kind"]).pooled
        else OTHER,
        **{key: identity[key] for key in ("method", "task")},
    }
    if "bins" in facts:
        shared["pooling"] += BINNED.format(number=facts["bins"])
    convert = find_function(adapter.in_peft)
    with atomic_path(folder) as temporary:
        for fold, own_scores in zip(folds, scores, strict=True):
            place = temporary / f"fold.{fold}"
            place.mkdir(parents=True)
            own = _below(f"fold.{fold}.", tensors)
            settings, converted = convert(_below("adapter.", own), **options)
            _write_adapter(place, settings, converted, base)
            head = {name: t for name, t in own.items() if not name.startswith("adapter.")}
            _save(place / HEAD, {name.removeprefix("head."): t for name, t in head.items()})
            (place / "head.json").write_text(json_text(told))
            shown = ", ".join(f"{key} {value:.4f}" for key, value in own_scores.items())
            (place / "README.md").write_text(CARD.format(fold=fold, scores=shown, **shared))


def _write_adapter(
    place: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], base: str
) -> None:
    common = {"base_model_name_or_path": base, "task_type": "FEATURE_EXTRACTION"}
    settings = {**common, "inference_mode": True, **settings}
    (place / "adapter_config.json").write_text(json_text(settings))
    _save(place / ADAPTER, tensors)


def _save(path: Path, tensors: Mapping[str, Tensor]) -> None:
    save_file({name: t.contiguous().to(torch.float32) for name, t in tensors.items()}, path, FORMAT)
    sort_metadata(path)


def _read_metadata(path: str | Path) -> dict[str, str]:
    with safe_open(path, framework="pt") as file:
        return file.metadata() or {}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)}
