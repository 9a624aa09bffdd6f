"""Attention on annotated elements: counts of all windows in one file, then a table of heads.

Counting takes a forward pass of every window and keeps no annotation; testing takes the counts and
an annotation, and no forward pass. Shape letters: W windows, M thresholds, L layers, H heads,
T tokens of a window without `<cls>`.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dnalm.errors import InputError
from dnalm.files import atomic_path
from dnalm.genome.arrays import create_array
from dnalm.genome.bases import GenomeBases
from dnalm.genome.kmers import Vocabulary, bases_per_token, encode
from dnalm.interpretation.elements import Elements, mask_bases, mask_tokens
from dnalm.interpretation.enrichment import ALPHA, Enrichment
from dnalm.interpretation.windows import read_codes
from dnalm.jobs.progress import progress

DIRECTIONS = ("receiver", "sender")  # which end of a pair lies in the element
MAX_BATCH_TOKENS = 16_384
HEAD_COLUMNS = (
    *("element", "direction", "threshold", "layer", "head", "windows", "windows_without"),
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


def tokens_of(
    windows: pd.DataFrame, genome: GenomeBases, vocabulary: Vocabulary, max_tokens: int
) -> NDArray[np.int64]:
    """Return the token ids int64[W, T + 1] of windows of one length without N, `<cls>` first.

    Raises InputError when the windows are longer than the model reads.
    """
    rows = [encode(read_codes(genome, row), vocabulary) for row in windows.itertuples(index=False)]
    tokens = np.stack(rows).astype(np.int64)
    if tokens.shape[1] > max_tokens:
        raise InputError(
            f"Windows of {int(windows['end'].iloc[0] - windows['start'].iloc[0]):,} bases make "
            f"{tokens.shape[1]:,} tokens with <cls>, but the model takes at most {max_tokens:,}; "
            "lower `bases` of the annotation."
        )
    return tokens


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
    batch = max(1, MAX_BATCH_TOKENS // columns) if device.type == "cuda" else 1
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


def element_masks(
    windows: pd.DataFrame, tokens: NDArray[np.int64], vocabulary: Vocabulary, elements: Elements
) -> Iterator[dict[str, NDArray[np.bool_]]]:
    """Yield for each window the masks bool[T] of its tokens by element, `<cls>` left out."""
    for row, ids in zip(windows.itertuples(index=False), tokens, strict=True):
        bases = bases_per_token(ids, vocabulary).astype(np.int64)
        masks = {}
        for name, by_contig in elements.items():
            spans = by_contig.get(row.contig)
            if spans is None:
                masks[name] = np.zeros(len(ids) - 1, dtype=bool)
            else:
                mask = mask_bases(spans, int(row.start), int(row.end))
                masks[name] = mask_tokens(mask, bases)[1:]
        yield masks


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
        "head": head.ravel(),
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
