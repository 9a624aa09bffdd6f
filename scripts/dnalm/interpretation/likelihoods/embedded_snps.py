"""Masked SNPs by models that are not ours: the token that covers the SNP, of any length."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from dnalm.devices import best_device
from dnalm.genome.kmers import to_sequence
from dnalm.model.embedders.contract import check_lengths
from dnalm.model.embedders.logits import compute_likelihoods, tokenize_checked
from dnalm.model.embedders.opening import name_embedder, open_embedder
from dnalm.model.embedders.spellings import check_apart, read_spellings


class EmbeddedSnps:
    """An embedder that predicts the token of one base of windows; `places` name them in errors."""

    def __init__(self, entry: Mapping[str, Any]) -> None:
        """Open it; raise InputError for one without logits or spellings."""
        self.name = name_embedder(entry)
        self._embedder = open_embedder(entry, str(best_device()))
        self._spellings = read_spellings(self._embedder, self.name)

    @torch.inference_mode()
    def predict(
        self, windows: Sequence[NDArray[np.uint8]], left: int, places: Sequence[str]
    ) -> pd.DataFrame:
        """Return what `score_token` does of the token that covers base `left` of each window.

        It is masked alone. p of a base is the sum over all tokens that have it at this place, among
        all that have any there. The index is the window's number: one whose token does not stand
        for the bases that it covers is left out. Raises InputError for windows over the limits, and
        for tokens that share bases.
        """
        texts = [to_sequence(codes) for codes in windows]
        cut = tokenize_checked(self._embedder, self.name, texts)
        counts = np.array([len(ids) for ids, _ in cut], dtype=np.int64)
        check_lengths(self._embedder, self.name, texts, places, counts)
        tokens = {}
        for number, (codes, (ids, spans)) in enumerate(zip(windows, cut, strict=True)):
            check_apart(self.name, spans)
            known = self._spellings.find_known(ids, spans, codes)
            covers = known[(spans[known, 0] <= left) & (left < spans[known, 1])]
            if len(covers):
                tokens[number] = int(covers[0])
        asked = [texts[number] for number in tokens]
        masked = [[token] for token in tokens.values()]
        answers = compute_likelihoods(self._embedder, self.name, asked, masked) if asked else []
        rows = []
        for (number, token), likelihoods in zip(tokens.items(), answers, strict=True):
            ids, spans = cut[number]
            own = likelihoods[token]
            bases = self._spellings.base_log_probabilities(own, left - int(spans[token, 0]))
            base = int(windows[number][left])
            rows.append(
                {
                    "loss": -float(own[ids[token]]),
                    "predicted": int(own.argmax()),
                    "truth": int(ids[token]),
                    "base_loss": -float(bases[base]),
                    "base_right": int(bases.argmax()) == base,
                }
            )
        return pd.DataFrame(rows, index=pd.Index(list(tokens), dtype=np.int64))
