"""Adapters in the folder of `peft`, to be opened on top of an export, or of a stock model.

`peft` holds what an adapter adds to an encoder. Pooling and the linear layer behind it are not part
of any class of `transformers`: they lie beside it, `head.safetensors` and `head.json`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from dnalm.benchmark.finetuning.peft_folders.base_models import PeftBase
from dnalm.benchmark.tasks.kinds import find_kind
from dnalm.errors import InputError
from dnalm.files import atomic_path, json_text
from dnalm.methods import ADAPTER_NAMES, find_adapter, find_function
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
encoder = AutoModel.from_pretrained("{place}"{options})
encoder = PeftModel.from_pretrained(encoder, folder).eval()
head, facts = load_file(folder + "/head.safetensors"), json.load(open(folder + "/head.json"))
tokenizer = AutoTokenizer.from_pretrained("{place}"{revision})
{tokens}
states = encoder(**tokens).last_hidden_state  # [sequences, tokens, width]
{pooling}
```
"""
HEAD_CODE = """
outputs = torch.einsum("bt,btd->bd", weights, states) @ head["weight"].T + head["bias"]
# facts["kind"] says of what these are the logits. Of a regression the targets are
# outputs * head["targets.deviation"] + head["targets.mean"]."""
OTHER = """# Here the pooling `cls`. `centre` is the mean over tokens that overlap the middle
# `centre_bases` bases. The kind per_base has no pooling, and a group of classes for each base of a
# token, that of its first base first.
outputs = states[:, 0] @ head["weight"].T + head["bias"]"""

BINNED = """
# Here these are {number} logits of each target, and the target is the expectation of their values.
outputs = outputs.unflatten(-1, head["values"].shape).softmax(-1)
outputs = (outputs * head["values"]).sum(-1)"""


def export_adapters(
    adapters: str | Path, base: PeftBase, rights: Mapping[str, str | None], folder: str | Path
) -> None:
    """Write every fold of an adapters file below `folder`, as `peft` reads it, each with its head.

    `base` is the model that they are put on, `rights` are its source, licence and citation. All or
    nothing is written.

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
    base.check(adapters, identity)
    folds, scores = json.loads(metadata["folds"]), json.loads(metadata["scores"])
    # Without `base_model`, which on a hub is a repository: where the export goes is not known.
    front = {"library_name": "peft", **licence_keys(rights["licence"]), "tags": ["dna"]}
    pool = base.pools.get(facts["pooling"]) if find_kind(facts["kind"]).pooled else None
    shared = {
        "front": yaml.safe_dump(front, sort_keys=False),
        "licence": f"Licence of the weights of `{base.model}`: {rights['licence']}. What is made "
        "from them carries it."
        if rights["licence"]
        else f"No licence was given for the weights of `{base.model}`.",
        "model": base.model,
        "place": base.place,
        "revision": base.revision_code,
        "register": base.register,
        "options": base.revision_code + base.options,
        "tokens": base.tokens,
        "pooling": pool + HEAD_CODE if pool else OTHER,
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
            settings, converted = convert(_below("adapter.", own), linear=base.linear, **options)
            _write_adapter(place, settings, converted, base)
            head = {name: t for name, t in own.items() if not name.startswith("adapter.")}
            _save(place / HEAD, {name.removeprefix("head."): t for name, t in head.items()})
            (place / "head.json").write_text(json_text({**facts, **base.told}))
            shown = ", ".join(f"{key} {value:.4f}" for key, value in own_scores.items())
            (place / "README.md").write_text(CARD.format(fold=fold, scores=shown, **shared))


def _write_adapter(
    place: Path, settings: Mapping[str, Any], tensors: Mapping[str, Tensor], base: PeftBase
) -> None:
    common = {"base_model_name_or_path": base.place, "task_type": "FEATURE_EXTRACTION"}
    common |= {"revision": base.revision} if base.revision else {}
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
