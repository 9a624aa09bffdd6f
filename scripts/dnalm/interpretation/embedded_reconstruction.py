"""Reconstruction by models that are not ours: their own tokens, of any length, are masked.

Shape letters: T tokens, S masked tokens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from dnalm.devices import best_device
from dnalm.errors import InputError
from dnalm.genome.kmers import to_sequence
from dnalm.interpretation.annotated import BATCH_TOKENS, AnnotatedWindows
from dnalm.interpretation.reconstruction import CENTRE, draw_share
from dnalm.interpretation.windows import read_codes
from dnalm.jobs.progress import progress
from dnalm.model.embedders.contract import check_lengths
from dnalm.model.embedders.logits import compute_likelihoods, take_own, tokenize_checked
from dnalm.model.embedders.opening import name_embedder, open_embedder
from dnalm.model.embedders.spellings import check_apart, read_spellings


def predict_tokens(annotated: AnnotatedWindows, settings: Mapping[str, Any]) -> pd.DataFrame:
    """Return a row per masked token of each window, and what the embedder of `settings` predicts.

    `mask` is how it was chosen, `window` and `token` are its place, `start` and `end` its bases
    within the window, 0-based; `predicted` and `truth` are ids, `loss` is −ln p of the true one
    among all of the vocabulary, `base_accuracy` the share of its bases that the predicted one has
    right. Raises InputError for an embedder without logits or spellings, for tokens that share
    bases, and for windows that it does not read or of which no token is known.
    """
    name = name_embedder(settings["embedder"])
    embedder = open_embedder(settings["embedder"], str(best_device()))
    spellings = read_spellings(embedder, name)
    rows = list(annotated.windows.itertuples(index=False))
    codes = [read_codes(annotated.genome, row) for row in rows]
    texts = [to_sequence(own) for own in codes]
    cut = tokenize_checked(embedder, name, texts)
    counts = np.array([len(ids) for ids, _ in cut], dtype=np.int64)
    where = [f"{row.contig}:{row.start + 1}-{row.end}" for row in rows]
    check_lengths(embedder, name, texts, where, counts)
    known = []
    for window, own, (ids, spans) in zip(where, codes, cut, strict=True):
        check_apart(name, spans)
        known.append(spellings.find_known(ids, spans, own))
        if not len(known[-1]):
            raise InputError(
                f"The window {window} has no token of {name} that stands for its own bases by"
                " `spellings`: choose windows with fewer N, or correct them."
            )
    size, parts = max(1, BATCH_TOKENS // int(counts.max())), []
    starts = range(0, len(texts), size)
    for how in settings["masks"]:
        random = np.random.default_rng([settings["seed"], *how.encode()])
        for start in progress(starts, f"reconstruct tokens ({how})", "batches", len(starts)):
            chosen = slice(start, start + size)
            places = [
                choose_tokens(own, spans, how, settings["share"], random)
                for own, (_, spans) in zip(known[chosen], cut[chosen], strict=True)
            ]
            with torch.inference_mode():
                found = compute_likelihoods(embedder, name, texts[chosen], _list(places))
            for window, at in enumerate(places, start=start):
                (ids, spans), likelihoods = cut[window], found[window - start]
                predicted = likelihoods[torch.from_numpy(at).to(likelihoods.device)].argmax(-1)
                guessed = predicted.cpu().numpy()
                parts.append(
                    pd.DataFrame(
                        {
                            "mask": how,
                            "window": window,
                            "token": at,
                            "start": spans[at, 0],
                            "end": spans[at, 1],
                            "predicted": guessed,
                            "truth": ids[at],
                            "loss": -take_own(likelihoods, ids, at).cpu().numpy(),
                            "base_accuracy": spellings.share_right(guessed, ids[at]),
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)


def _list(places: Sequence[NDArray[np.int64]]) -> list[list[int]]:
    return [own.tolist() for own in places]


def choose_tokens(
    known: NDArray[np.int64],
    spans: NDArray[np.int64],
    how: str,
    share: float,
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """Return which of a window's `known` tokens to mask, ascending; `spans` [T, 2] are of all.

    `centre`: the token that covers the base in the middle, or is nearest to it; `random`: a share
    of them, at least one.
    """
    if how != CENTRE:
        return draw_share(known, share, random)
    middle = spans.max() // 2
    away = np.maximum(spans[known, 0] - middle, middle - spans[known, 1] + 1)
    return known[[np.maximum(away, 0).argmin()]]
