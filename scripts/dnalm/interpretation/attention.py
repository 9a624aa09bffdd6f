"""Attention on annotated elements: counts of all windows in one file, then a table of heads.

Counting takes a forward pass of every window and keeps no annotation; testing takes the counts and
an annotation, and no forward pass. Shape letters: W windows, M thresholds, L layers, H heads,
T tokens of a window without `<cls>`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.files import atomic_path
from dnalm.genome.arrays import create_array
from dnalm.interpretation.annotated import BATCH_TOKENS, Annotated
from dnalm.interpretation.enrichment import ALPHA, Enrichment
from dnalm.jobs.progress import progress

DIRECTIONS = ("receiver", "sender")  # which end of a pair lies in the element
HEAD_COLUMNS = (
    *("element", "direction", "threshold", "layer", "attention_head", "windows", "windows_without"),
    *("pairs", "hits", "share", "mean_share", "natural_share", "log2_enrichment", "z", "p_z"),
    *("z_shift", "p_shift", "rank_shift", "significant_z", "significant_shift"),
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AttentionConfig:
    """How attention is tested.

    thresholds: a weight counts above each of them.
    shifts, seed: of the null model.
    alpha: of both tests, divided by the number of heads (Bonferroni).
    """

    thresholds: Sequence[float]
    shifts: int
    seed: int
    alpha: float = ALPHA


def write_attention_counts(
    encoder: Any,
    tokens: NDArray[np.int64],
    thresholds: Sequence[float],
    path: str | Path,
    device: Any,
) -> None:
    """Write the counts of all windows: int16 [W, 2, M, L, H, T] as .npy, receiver before sender.

    `encoder` is on `device`; `tokens` are int64[W, T + 1] without pads.
    """
    import torch

    from dnalm.interpretation.attention_counts import count_attention

    number, columns = tokens.shape
    config = encoder.config
    shape = (number, 2, len(thresholds), config.layers, config.heads, columns - 1)
    batch = max(1, BATCH_TOKENS // columns) if device.type == "cuda" else 1
    starts = range(0, number, batch)
    with atomic_path(path) as temporary:
        counts = create_array(temporary, np.int16, shape)
        for start in progress(starts, "count attention", "windows", number, size=lambda _: batch):
            part = torch.from_numpy(tokens[start : start + batch]).to(device)
            found = count_attention(encoder, part, thresholds, padded=False)
            for place, own in enumerate((found.received, found.sent)):
                counts[start : start + batch, place] = own[..., 1:].cpu().numpy()
        counts.flush()
    log.info("%s: %s bytes of counts", path, f"{counts.nbytes:,}")


def compare_heads(
    counts: NDArray[np.int16],
    masks: Sequence[Mapping[str, NDArray[np.bool_]]],
    windows: pd.DataFrame,
    config: AttentionConfig,
) -> pd.DataFrame:
    """Return one row per element, direction, threshold, layer and head; `HEAD_COLUMNS`.

    `counts` are those of `write_attention_counts`. A window counts for an element where it holds
    any token of it and, of windows laid around elements, where it was laid around this one.
    """
    _, _, _, layers, heads, _ = counts.shape
    laid_around = windows["element"].to_numpy()
    tables = []
    names = list(masks[0]) if len(masks) else []
    for name in progress(names, "test attention on elements", "elements"):
        used = [
            index
            for index, own in enumerate(masks)
            if own[name].any() and laid_around[index] in ("", name)
        ]
        if not used:
            log.warning("no window holds a token of %s: it is not tested.", name)
            continue
        for side, direction in enumerate(DIRECTIONS):
            for place, threshold in enumerate(config.thresholds):
                enrichment = Enrichment(
                    layers=layers, heads=heads, shifts=config.shifts, seed=config.seed
                )
                for index in used:
                    enrichment.add(counts[index, side, place], masks[index][name])
                tables.append(_describe(enrichment, name, direction, threshold, config.alpha))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=HEAD_COLUMNS)


def _describe(
    enrichment: Enrichment, element: str, direction: str, threshold: float, alpha: float
) -> pd.DataFrame:
    layers, heads = enrichment.hits.shape
    layer, head = np.indices((layers, heads))
    z, p_z = enrichment.test_paper()
    z_shift, p_shift = enrichment.test_shifts()
    corrected = alpha / (layers * heads)
    columns = {
        "element": element,
        "direction": direction,
        "threshold": threshold,
        "layer": layer.ravel() + 1,
        "attention_head": head.ravel(),
        "windows": enrichment.sequences,
        "windows_without": (enrichment.sequences - enrichment.scored).ravel(),
        "pairs": enrichment.above.ravel().astype(np.int64),
        "hits": enrichment.hits.ravel().astype(np.int64),
        "share": enrichment.pooled().ravel(),
        "mean_share": enrichment.mean_of_ratios().ravel(),
        "natural_share": enrichment.natural_hits / enrichment.natural,
        "log2_enrichment": enrichment.effect().ravel(),
        "z": z.ravel(),
        "p_z": p_z.ravel(),
        "z_shift": z_shift.ravel(),
        "p_shift": p_shift.ravel(),
        "rank_shift": enrichment.rank_among_shifts().ravel(),
        "significant_z": (p_z < corrected).ravel(),
        "significant_shift": (p_shift < corrected).ravel(),
    }
    return pd.DataFrame(columns, columns=HEAD_COLUMNS)


def count_attention_of(
    files: Mapping[str, str], settings: Mapping[str, Any], output: str | Path
) -> None:
    """Write how often attention exceeds the thresholds in every window; no annotation is read."""
    annotated = Annotated(files, settings)
    encoder = annotated.open_encoder()
    device = encoder.tokens.weight.device
    write_attention_counts(encoder, annotated.tokens, settings["thresholds"], output, device)


def compare_heads_of(
    files: Mapping[str, str], settings: Mapping[str, Any], output: str | Path
) -> None:
    """Write the table of heads on elements; no forward pass is made."""
    annotated = Annotated(files, settings)
    config = AttentionConfig(
        thresholds=settings["thresholds"], shifts=settings["shifts"], seed=settings["seed"]
    )
    counts = np.load(files["counts"], mmap_mode="r")
    if len(counts) != len(annotated.windows) or counts.shape[2] != len(config.thresholds):
        raise InputError(
            f"{files['counts']} is of other windows or thresholds; delete it and run again."
        )
    table = compare_heads(counts, annotated.masks(), annotated.windows, config)
    table = annotated.name_rows(table)
    with atomic_path(output) as temporary:
        table.to_csv(temporary, sep="\t", index=False)
    found = int(table["significant_shift"].sum())
    log.info("%s: of %d tests of heads %d are significant by shifts", output, len(table), found)
