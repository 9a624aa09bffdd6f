"""The table of zero-shot scores: name, place, the passes that each needs, the sign of its effect.

Loads nothing, so that the configuration reads it before any job.
"""

from dataclasses import dataclass

POOLED, TOKEN, FLAT = "pooled", "token", "flat"
UNMASKED, MASKED = "unmasked", "masked"  # passes of a window
SKIP = "skip"  # the column of reasons
OTHER_TOKENS = "other_tokens"  # the reason that is known when a model has read both alleles


@dataclass(frozen=True, kw_only=True)
class Score:
    """A score of an allele, a column of the table of variants and a field of the VCF file.

    `place`: of which vectors a distance is taken, those pooled over the window, those of the
    tokens that the allele changes, or all of the window; None of a score that is no distance.
    `sign` is 1 where a larger value means more effect, -1 where a smaller one does: fixed, never
    chosen by labels. `logits`: only models with a masked-language head have it.
    """

    name: str
    words: str
    place: str | None
    pass_: str
    sign: int
    logits: bool


def _distances() -> tuple[Score, ...]:
    places = {
        POOLED: ("", "of the pooled vectors"),
        TOKEN: ("_token", "of the vectors of the changed tokens"),
        FLAT: ("_flat", "of the vectors of all tokens, one behind the other"),
    }
    measures = {
        "cosine": ("cosine similarity", -1),
        "dot": ("dot product", -1),
        "l1": ("L1 distance", 1),
        "l2": ("L2 distance", 1),
    }
    return tuple(
        Score(
            name=f"{measure}{ending}",
            words=f"{words} {whose}, reference and alternative",
            place=place,
            pass_=UNMASKED,
            sign=sign,
            logits=False,
        )
        for place, (ending, whose) in places.items()
        for measure, (words, sign) in measures.items()
    )


SCORES = (
    *_distances(),
    Score(
        name="llr",
        words="log-likelihood ratio, ln p(alternative) - ln p(reference), changed tokens masked",
        place=None,
        pass_=MASKED,
        sign=-1,
        logits=True,
    ),
    Score(
        name="llr_own_tokens",
        words="ln p of the alternative's tokens less that of the reference's, each in its own "
        "window, where those that the other window lacks are masked",
        place=None,
        pass_=MASKED,
        sign=-1,
        logits=True,
    ),
    Score(
        name="masked_loss_alt",
        words="-ln p(alternative), mean over the changed tokens, which are masked",
        place=None,
        pass_=MASKED,
        sign=1,
        logits=True,
    ),
    Score(
        name="loss_alt",
        words="mean -ln p of the alternative window's own tokens, none masked",
        place=None,
        pass_=UNMASKED,
        sign=1,
        logits=True,
    ),
    Score(
        name="loss_difference",
        words="loss_alt less the same of the reference window",
        place=None,
        pass_=UNMASKED,
        sign=1,
        logits=True,
    ),
)
BY_NAME = {score.name: score for score in SCORES}
SCORE_NAMES = tuple(BY_NAME)
# Why an allele has no score, or, of an indel, not all of them.
REASONS = {
    "no_alt": "ALT is '.', the record names no other allele",
    "symbolic": "a symbolic allele such as <DEL>, or a breakend",
    "star": "ALT is '*', the position is deleted by another record",
    "not_dna": "REF or ALT holds other letters than A, C, G, T",
    "no_change": "ALT is REF",
    "contig_missing": "the genome has no such contig",
    "outside_contig": "REF reaches beyond the contig, or the piece of it that is stored",
    "ref_mismatch": "REF is not what the genome has there",
    "too_long": "REF or ALT does not fit into the window",
    "n_in_window": "the window holds more N than `max_n`",
    "too_many_tokens": "the window makes more tokens than the model reads, by its N",
    OTHER_TOKENS: "the model's tokens of both alleles do not cover the same bases, or are the"
    " same: scores that compare token with token are not defined",
    "indel": "scores of single tokens are not defined for an indel; pooled ones are there if asked",
}
