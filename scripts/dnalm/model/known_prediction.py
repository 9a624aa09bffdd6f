"""A prediction that is known of published weights, compared with what they predict here.

One number that others have printed of the same weights covers all at once: names, shapes, order of
tokens, and every step of the forward pass.
"""

import logging
from collections.abc import Mapping
from typing import Any

import torch

from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.model.encoder import Encoder

log = logging.getLogger(__name__)


def check_prediction(
    encoder: Encoder, run: Mapping[str, Any], known: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return {known_prediction: {token: [known, found] in percent}}, nothing where none is known.

    `known` has a `sequence`, of which nothing is masked, the number of one of its `token`s, from 0,
    the probabilities of tokens there in `percent`, and a `tolerance` in percentage points.

    Raises InputError when one of them differs by more.
    """
    if known is None:
        return {}
    vocabulary = Vocabulary(run["k"], run["vocabulary"])
    tokens = encode(to_codes(known["sequence"]), vocabulary)
    place, words = known["token"] + 1, vocabulary.tokens()  # behind <cls>
    unknown = [token for token in known["percent"] if token not in words]
    if unknown or place >= len(tokens):
        what = known["token"] if place >= len(tokens) else unknown[0]
        raise InputError(
            f"known_prediction of {run['model']}: there is no token {what}, k is {vocabulary.k};"
            " correct it."
        )
    with torch.inference_mode():
        logits = encoder.eval()(torch.from_numpy(tokens.astype("int64"))[None]).logits
    percent = 100 * logits[0, place].softmax(-1)
    pairs = {
        token: [expected, round(percent[words.index(token)].item(), 3)]
        for token, expected in known["percent"].items()
    }
    told = ", ".join(f"{token} {found:.2f} % ({one})" for token, (one, found) in pairs.items())
    if any(abs(found - one) > known["tolerance"] for one, found in pairs.values()):
        raise InputError(
            f"The weights of {run['model']} do not predict what is known of them: {told} at token"
            f" {known['token']} of {known['sequence']}; they are other weights, or their preset or"
            " layer_norm_eps is another one."
        )
    log.info("known predictions are met: %s", told)
    return {"known_prediction": pairs}
