"""Names of tensors as other programs save them: wrappers of the model, and parts that are missing.

What a wrapper puts before every name is taken away. Whatever else makes a file one that the encoder
cannot be made of is named, with what can be done where the weights come from.
"""

import logging
import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from dnalm.errors import InputError

# DataParallel and DDP, torch.compile, PEFT, Lightning, and trainers that hold the model by a name.
WRAPPERS = ("module.", "_orig_mod.", "base_model.model.", "base_model.", "model.", "net.")
COMPILED = "_orig_mod."  # also inside a name, where a part alone was compiled
OUTER, HEAD = "esm.", "lm_head."
INNER_PARTS = ("embeddings.", "encoder.", "pooler.", "contact_head.")
TOKENS = "esm.embeddings.word_embeddings.weight"
DECODER, BIAS, DECODER_BIAS = "lm_head.decoder.weight", "lm_head.bias", "lm_head.decoder.bias"
LOW_RANK = re.compile(r"\.(lora_|base_layer\.|modules_to_save\.)")
CLASSIFIER = re.compile(r"(classifier|score|qa_outputs)\.")
AGAIN = "save it anew with `save_pretrained` of EsmForMaskedLM"

log = logging.getLogger(__name__)


def without_wrappers(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors by their names in `EsmForMaskedLM`, whatever the model was wrapped in.

    Raises:
        InputError: the names hold adapters that are not merged, or become the same.
    """
    if adapter := next((name for name in published if LOW_RANK.search(name)), None):
        raise InputError(
            f"the weights hold an adapter that is not merged into the model ({adapter}); merge it"
            " where it was trained (`merge_and_unload`) and save the model alone."
        )
    prefix = ""
    while found := next((one for one in WRAPPERS if _all_begin(published, prefix + one)), None):
        prefix += found
    names = {name: name.removeprefix(prefix).replace(COMPILED, "") for name in published}
    if not any(name.startswith(OUTER) for name in names.values()):
        names = {
            name: OUTER + plain if plain.startswith(INNER_PARTS) else plain
            for name, plain in names.items()
        }
    if DECODER_BIAS in names.values() and BIAS not in names.values():
        names = {name: BIAS if plain == DECODER_BIAS else plain for name, plain in names.items()}
    plain = {names[name]: tensor for name, tensor in published.items()}
    if len(plain) < len(published):
        raise InputError("the weights hold tensors twice, with and without a wrapper's prefix.")
    if prefix:
        log.info("the weights were saved from a wrapper; its prefix '%s' is left out", prefix)
    return plain


def tie_decoder(published: Mapping[str, Tensor], *, tied: bool) -> dict[str, Tensor]:
    """Return the tensors with the decoder that is the table of tokens, where that is left out.

    Files of models whose two matrices are one hold it once, under the name of the tokens.
    """
    if tied and DECODER not in published and TOKENS in published:
        log.info("%s is not in the file: it is tied to %s", DECODER, TOKENS)
        return {**published, DECODER: published[TOKENS]}
    return dict(published)


def advise(missing: Iterable[str], extra: Iterable[str]) -> str:
    """Return what can be done about tensors that are missing or not part of the model."""
    missing, extra = sorted(missing), sorted(extra)
    wrapped = next((one for name in extra for one in WRAPPERS if name.startswith(one)), None)
    if wrapped:
        return f"some names begin with the prefix '{wrapped}' of a wrapper; {AGAIN}, unwrapped"
    if any(name.startswith("esm.pooler.") for name in extra):
        return f"the model was saved with a pooler, as EsmModel is; {AGAIN}"
    if any(CLASSIFIER.match(name) for name in extra):
        return f"the model was saved with the head of a task; {AGAIN}"
    if missing and all(name.startswith(HEAD) for name in missing):
        if missing == [BIAS]:
            return f"the head's bias ({BIAS}) is missing; {AGAIN}, or add zeros if it had none"
        if missing == [DECODER]:
            return (
                f"the decoder is missing and config.json says that it is not tied; {AGAIN}, or set"
                " tie_word_embeddings to true if it is"
            )
        return f"the head of masked-token prediction is missing or incomplete; {AGAIN}"
    return "choose the preset that these weights were trained with"


def _all_begin(published: Mapping[str, Tensor], prefix: str) -> bool:
    return bool(published) and all(name.startswith(prefix) for name in published)
