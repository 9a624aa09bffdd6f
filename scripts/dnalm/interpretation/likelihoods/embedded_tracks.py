"""Probabilities of a genome's own bases by models that are not ours, with tokens of any length.

Shape letters: T tokens, S masked tokens, V vocabulary.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dnalm.devices import best_device
from dnalm.errors import InputError
from dnalm.genome.kmers import to_sequence
from dnalm.interpretation.annotated import BATCH_TOKENS
from dnalm.model.embedders.contract import MAX_SPECIAL, check_lengths
from dnalm.model.embedders.logits import compute_likelihoods, tokenize_checked
from dnalm.model.embedders.opening import name_embedder, open_embedder
from dnalm.model.embedders.spellings import check_apart, read_spellings

AUTO = "auto"


class TokenReader:
    """An embedder that predicts the tokens of windows of up to `bases`."""

    names, words, k = ("token", "base"), "tokens", 1

    def __init__(self, entry: Mapping[str, Any], settings: Mapping[str, Any], key: str) -> None:
        """Open it.

        Raises InputError, which names `key`, for one without logits or spellings, and for windows
        `auto` of one that reads any length.
        """
        self._name, self._share = name_embedder(entry), settings["share"]
        self._embedder = open_embedder(entry, str(best_device()))
        self._spellings = read_spellings(self._embedder, self._name)
        limits = [self._embedder.max_bases, getattr(self._embedder, "max_tokens", None)]
        if settings["bases"] == AUTO and limits == [None, None]:
            raise InputError(
                f"{key}.bases is auto, but {settings['model']} tells no longest sequence: give the"
                " number of bases of a window."
            )
        # A token has a base at least, so that these always fit.
        longest = min(filter(None, limits), default=0) - (MAX_SPECIAL if limits[1] else 0)
        self.bases = max(1, longest) if settings["bases"] == AUTO else settings["bases"]

    @torch.inference_mode()
    def read(self, codes: NDArray[np.uint8], first: int, window: str) -> NDArray[np.float32]:
        """Return p of the token and of the base, float32 [n, 2], of the bases from `first` on.

        Tokens are masked a share at a time. They are NaN for bases of tokens that do not stand for
        the bases that they cover. p of a base is the sum over all tokens that have it at this
        place, among all that have any there. Raises InputError for a window over the limits, which
        `window` names, and for tokens that share bases.
        """
        text = to_sequence(codes)
        ((ids, spans),) = tokenize_checked(self._embedder, self._name, [text])
        counts = np.array([len(ids)], dtype=np.int64)
        check_lengths(self._embedder, self._name, [text], [window], counts)
        check_apart(self._name, spans)
        known = self._spellings.find_known(ids, spans, codes)
        known = known[spans[known, 1] > first]
        turns = max(1, round(1 / self._share))
        rounds = [known[turn::turns].tolist() for turn in range(turns) if len(known[turn::turns])]
        values = np.full((len(codes), 2), np.nan, dtype=np.float32)
        size = max(1, BATCH_TOKENS // len(ids))
        for at in range(0, len(rounds), size):
            own = rounds[at : at + size]
            answers = compute_likelihoods(self._embedder, self._name, [text] * len(own), own)
            for masked, likelihoods in zip(own, answers, strict=True):
                for token in masked:
                    start, end = spans[token]
                    likelihood = likelihoods[token]
                    values[start:end, 0] = float(likelihood[ids[token]].exp())
                    for place in range(start, end):
                        bases = self._spellings.base_log_probabilities(likelihood, place - start)
                        values[place, 1] = float(bases[int(codes[place])].exp())
        return values[first:]
