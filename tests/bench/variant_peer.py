"""Scores of variants by `transformers` and plain strings, window by window: nothing is shared.

The rules are those of docs/how-to/variants.md, written down a second time.
"""

import numpy as np
import torch
from transformers import EsmConfig, EsmForMaskedLM

from dnalm.model.weights import published_config, to_published

LETTERS = "ATCG"
COMPLEMENT = str.maketrans("ACGTN", "TGCAN")
CLS, MASK, FIRST = 3, 2, {"v1": 4, "v2": 6}


def tokenise(text: str, k: int, version: str) -> list[int]:
    """Return token ids: k-mers from the left end, what remains as single bases; each N alone."""
    ids, offset = [CLS], FIRST[version]
    single = offset + 4**k
    for piece in text.replace("N", " N ").split():
        if piece == "N":
            ids.append(single + 4)
            continue
        whole = len(piece) // k * k
        for at in range(0, whole, k):
            number = 0
            for letter in piece[at : at + k]:
                number = 4 * number + LETTERS.index(letter)
            ids.append(offset + number)
        ids += [single + LETTERS.index(letter) for letter in piece[whole:]]
    return ids


def make_esm(encoder) -> EsmForMaskedLM:
    """Return `EsmForMaskedLM` with the weights that we export of an encoder."""
    settings = EsmConfig(**published_config(encoder.config), attn_implementation="eager")
    model = EsmForMaskedLM(settings).eval()
    outcome = model.load_state_dict(to_published(encoder.state_dict()), strict=False)
    assert not outcome.unexpected_keys
    assert all("position_ids" in key or "contact_head" in key for key in outcome.missing_keys)
    return model


def measure(one: torch.Tensor, other: torch.Tensor) -> dict[str, float]:
    """Return the four distances of two vectors."""
    one, other = one.double().flatten(), other.double().flatten()
    return {
        "cosine": float(torch.nn.functional.cosine_similarity(one, other, dim=0, eps=0)),
        "dot": float(torch.dot(one, other)),
        "l1": float(torch.cdist(one[None], other[None], p=1)),
        "l2": float(torch.sqrt(((one - other) ** 2).sum())),
    }


def place_windows(length, position, longest, bases, refill, lefts, k) -> list[int]:
    """Return where windows begin: moved by whole tokens at an end of the contig, if that does."""
    starts, last = [], length - bases - refill
    for left in lefts:
        start = position - left
        while start < 0:
            start += k
        while start > last:
            start -= k
        if not start <= position <= start + bases - longest:
            start = max(0, min(last, position - left))
        starts.append(start)
    return starts


@torch.no_grad()
def score(model, contig, position, ref, alt, *, bases, k, version, layer, lefts, strands) -> dict:
    """Return all scores of one allele at a 0-based position of a contig, a string."""
    assert contig[position : position + len(ref)] == ref
    edited = contig[:position] + alt + contig[position + len(ref) :]
    refill = max(0, len(ref) - len(alt))
    found: list[dict[str, float]] = []
    longest = max(len(ref), len(alt))
    for start in place_windows(len(contig), position, longest, bases, refill, lefts, k):
        pair = contig[start : start + bases], edited[start : start + bases]
        assert len(pair[1]) == bases
        for reverse in {"forward": [False], "reverse": [True], "both": [False, True]}[strands]:
            texts = [text.translate(COMPLEMENT)[::-1] if reverse else text for text in pair]
            ids = [torch.tensor([tokenise(text, k, version)]) for text in texts]
            found.append(_score_pair(model, *ids, len(ref) == len(alt), layer))
    return {name: float(np.mean([one[name] for one in found])) for name in found[0]}


def _score_pair(model, reference, alternative, same_length, layer) -> dict[str, float]:
    outputs = [model(ids, output_hidden_states=True) for ids in (reference, alternative)]
    one, other = (output.hidden_states[layer][0] for output in outputs)
    scores = dict(measure(one[1:].mean(0), other[1:].mean(0)))
    if not same_length:
        return scores
    changed = (reference != alternative)[0].nonzero()[:, 0]
    means = (states[changed].mean(0) for states in (one, other))
    scores |= {f"{name}_token": value for name, value in measure(*means).items()}
    scores |= {f"{name}_flat": value for name, value in measure(one, other).items()}
    losses = [
        float(torch.nn.functional.cross_entropy(output.logits[0, 1:], ids[0, 1:]))
        for output, ids in zip(outputs, (reference, alternative), strict=True)
    ]
    scores |= {"loss_alt": losses[1], "loss_difference": losses[1] - losses[0]}
    masked = reference.clone()
    masked[0, changed] = MASK
    likelihoods = model(masked).logits[0, changed].log_softmax(-1)
    own = [likelihoods.gather(1, ids[0, changed][:, None]) for ids in (reference, alternative)]
    ratio = float((own[1] - own[0]).sum())
    return scores | {
        "llr": ratio,
        "llr_own_tokens": ratio,
        "masked_loss_alt": float(-own[1].mean()),
    }
