"""Embeddings of a task's sequences: every requested layer, pooled, from one forward pass.

Shapes: N sequences, B batch, T tokens, D width, L layers of the encoder.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from safetensors import safe_open
from tqdm import tqdm

from dnalm.benchmark.models import best_device
from dnalm.benchmark.tokens import TokenRows, name_rows
from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import Encoder
from dnalm.model.heads import Pooling, pool
from dnalm.model.weights import save_tensors


def choose_layers(layers: Literal["all"] | int | Sequence[int], total: int) -> list[int]:
    """Return the layers to embed, ascending, counted from 1 to `total`.

    `"all"`: every one. A number n: n evenly spaced ones, the first and the last included (all if
    there are no more than n). A list is taken as it is. Raises InputError for a layer that the
    model does not have; layer 0, the token table, may be named in a list.
    """
    if layers == "all":
        return list(range(1, total + 1))
    if isinstance(layers, int):
        if layers < 1:
            raise InputError(f"embed.layers is {layers}: ask for 1 layer or more, or for `all`.")
        # One layer alone is the last one.
        spaced = np.linspace(total if layers == 1 else 1, total, min(layers, total))
        return [int(layer) for layer in spaced.round()]
    wrong = [layer for layer in layers if not 0 <= layer <= total]
    if wrong or not layers:
        raise InputError(
            f"embed.layers is {list(layers)}, but the model has layers 1 to {total}: name some of "
            "these."
        )
    return sorted(set(layers))


def choose_pooling(task: Mapping[str, Any], default: Pooling) -> Pooling:
    """Return the pooling that a task's config asks for, else `default`."""
    return task.get("pooling") or default


@torch.inference_mode()
def embed(
    encoder: Encoder,
    sequences: Sequence[str],
    layers: Sequence[int],
    pooling: Pooling,
    centre_bases: int,
    vocabulary: Vocabulary,
    batch_tokens: int,
    names: Sequence[str] | None = None,
) -> dict[int, np.ndarray]:
    """Return {layer: float32 [N, D]}: pooled states, rows in the order of `sequences`.

    Pooling is over the tokens of real bases (`dnalm.model.heads.pool`). Sequences of like length
    share a batch of at most `batch_tokens` tokens; the numbers do not depend on it but for
    rounding. `names` name rows in errors (default: their numbers from 0). The encoder is moved to
    the best device. Raises InputError for a sequence longer than the model's context.
    """
    names = range(len(sequences)) if names is None else names
    rows = TokenRows(sequences, names, vocabulary, encoder.config.max_tokens)
    device = best_device()
    encoder = encoder.to(device).eval()
    pooled = {
        layer: np.empty((len(rows), encoder.config.width), dtype=np.float32) for layer in layers
    }
    with tqdm(total=len(rows), desc="embed", unit="row", disable=None) as progress:
        for chosen in rows.by_length(np.arange(len(rows)), batch_tokens):
            tokens, padded = rows.batch(chosen)
            tokens = tokens.to(device)
            states = encoder.embed_states(tokens, layers, padded=padded)
            for layer in layers:
                vectors = pool(states[layer], tokens, vocabulary, pooling, centre_bases)
                pooled[layer][chosen] = vectors.float().cpu().numpy()
            progress.update(len(chosen))
    return pooled


def embed_table(
    encoder: Encoder,
    vocabulary: Vocabulary,
    table: pd.DataFrame,
    config: Mapping[str, Any],
    task: Mapping[str, Any],
) -> dict[int, np.ndarray]:
    """Return the embeddings of a task table by the section `embed` of the config.

    Its keys are layers, pooling, centre_bases and batch_tokens; the task's own pooling goes first.
    """
    return embed(
        encoder,
        table["sequence"].tolist(),
        choose_layers(config["layers"], encoder.config.layers),
        choose_pooling(task, config["pooling"]),
        config["centre_bases"],
        vocabulary,
        config["batch_tokens"],
        name_rows(table),
    )


def write_embeddings(
    embeddings: Mapping[int, np.ndarray],
    path: str | Path,
    *,
    weights: str | Path,
    table: str | Path,
    pooling: str,
) -> None:
    """Write tensors `layer.<i>`; the metadata holds the hashes of `weights` and `table`."""
    save_tensors(
        {f"layer.{layer}": torch.from_numpy(array) for layer, array in embeddings.items()},
        path,
        {
            "weights_sha256": sha256_of(weights),
            "task_sha256": sha256_of(table),
            "pooling": pooling,
        },
    )


def read_embeddings(
    path: str | Path, table: str | Path
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """Return {"layer.<i>": float32 [N, D]} by ascending layer, and the metadata.

    Raises InputError when the embeddings were made from another table than `table`.
    """
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
        names = sorted(file.keys(), key=lambda name: int(name.removeprefix("layer.")))
        features = {name: file.get_tensor(name) for name in names}
    if metadata["task_sha256"] != sha256_of(table):
        raise InputError(
            f"{path} was made from other rows than {table} holds: delete it and run again."
        )
    return features, metadata
