"""Embedders that stock `transformers` opens: AutoModel and a tokenizer, never remote code.

Shapes: B batch, T tokens, L layers, D width.
"""

import logging
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, AutoTokenizer

from dnalm.devices import is_out_of_memory
from dnalm.download.weight_files import (
    NO_PICKLE,
    PICKLES,
    SETTINGS,
    SUFFIX,
    choose_weight_files,
    list_tokenizer_files,
)
from dnalm.errors import InputError
from dnalm.model.embedders.contract import NO_BASE
from dnalm.model.embedders.linear_layers import find_linear
from dnalm.model.embedders.stock_checks import (
    check_depth,
    check_tokenizer,
    check_weights,
    read_weight_types,
)

# Heads of sentences, which checkpoints of masked language models lack and no state goes through.
UNUSED = ("pooler.", "pooler_")
MASKED_HEAD = "ForMaskedLM"  # in names of classes with a masked-language head
WORD_MARK = re.compile("^(##|Ġ|▁)")  # of tokens that go on in a word, or begin one
ADAPTER = "adapter_config.json"  # of peft, of which transformers says nothing
RETURNS = {"return_dict": True}  # whatever config.json says
UNBOUNDED = 10**9  # what tokenizers without a limit say is larger
log = logging.getLogger(__name__)


class StockEmbedder:
    """A model of `transformers` in a folder: safetensors, `config.json` and the tokenizer's files.

    A layer's states are the `hidden_states` of `transformers` without the first, the token table.
    Spans are the offsets that a fast tokenizer gives; of a slow one, whose tokens have to be pieces
    of the sequence, they are found by going through these. `logits` is None of a model without a
    masked-language head, or of a tokenizer without a mask token, and so are `spellings`. `module`
    is what fine-tuning trains, `linear` names its linear layers; `longest_token` counts the letters
    of the longest token of the vocabulary.
    """

    def __init__(
        self,
        folder: str,
        device: str,
        linear: Mapping[str, str] | None = None,
        ignore_code: bool = False,
    ) -> None:
        """Open a folder; raise InputError for what stock `transformers` does not open.

        `linear` are names of linear layers that are not those of `STYLES`. With `ignore_code` the
        stock class is taken where `config.json` names code of its own.
        """
        transformers.utils.logging.disable_progress_bar()
        self.folder, self.device = folder, torch.device(device)
        self.weights = _list_files(Path(folder))
        types = read_weight_types(path for path in self.weights if path.endswith(SUFFIX))
        with _opened(folder):
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            if not ignore_code:
                _refuse_code(config, folder)
            options = _choose_options(config, folder)
            check_depth(config, folder)
            self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model, self.head, unexpected = _load(config, folder, options)
            tokens = _count_tokens(model)
            check_weights(model if self.head is None else self.head, types, unexpected, folder)
            check_tokenizer(self.tokenizer, tokens, folder)
        if getattr(model, "pooler", None) is not None:
            model.pooler = None  # whose weights no state goes through
        self.module = self.model = model.eval().to(self.device)
        self.linear = find_linear(model, linear or {})
        self._pad_id = _within(self.tokenizer.pad_token_id, tokens) or 0  # masked: any would do
        has_mask = self.head is not None and (
            _within(self.tokenizer.mask_token_id, tokens) is not None
        )
        self.head = self.head.eval().to(self.device) if has_mask else None
        self.logits = self._compute_logits if has_mask else None
        spellings = self._spell(tokens)
        self.spellings = spellings if has_mask else None
        self.longest_token = max(map(len, spellings), default=1)
        self.max_bases, self.max_tokens = None, self._find_limit()
        with _opened(folder):
            states = self._compute([self._tokenize(["ACGT"])[0]])
        if not states:
            raise InputError(f"{folder}: its {SETTINGS} says that it has no layers: correct it.")
        self.layers, self.width = len(states), states[0].shape[-1]
        widths = {state.shape[-1] for state in states}
        if len(widths) > 1:
            raise InputError(
                f"{folder} has layers of the widths {sorted(widths)}: embeddings need one width;"
                " wire it by `call`."
            )

    def count_tokens(self, sequences: Sequence[str]) -> list[int]:
        """Return how many tokens each sequence makes, special ones included."""
        return [len(ids) for ids, _ in self._tokenize(sequences)]

    @torch.inference_mode()
    def embed(self, sequences: Sequence[str]) -> list[tuple[Tensor, np.ndarray]]:
        """Return (states [L, T, D], spans [T, 2]) of each sequence, as `Embedder.embed`."""
        rows = self._tokenize(sequences)
        layers = torch.stack(self._compute(rows), dim=1)
        return [(layers[place, :, : len(ids)], spans) for place, (ids, spans) in enumerate(rows)]

    def tokenize(self, sequences: Sequence[str]) -> list[tuple[list[int], np.ndarray]]:
        """Return the ids and spans [T, 2] of each sequence, special tokens included."""
        return self._tokenize(sequences)

    @torch.inference_mode()
    def _compute_logits(
        self, sequences: Sequence[str], masked: Sequence[Sequence[int]]
    ) -> list[Tensor]:
        """Return the logits [T, vocabulary] of each sequence, the tokens at `masked` masked."""
        rows = self._tokenize(sequences)
        for (ids, _), places in zip(rows, masked, strict=True):
            for place in places:
                ids[place] = self.tokenizer.mask_token_id
        logits = self.head(**self._pad(rows)).logits
        return [logits[place, : len(ids)] for place, (ids, _) in enumerate(rows)]

    def _spell(self, tokens: int | None) -> list[str]:
        """Return what each id of the vocabulary stands for, nothing of special tokens.

        `tokens` is how many the model has, None: it does not say.
        """
        vocabulary, special = self.tokenizer.get_vocab(), set(self.tokenizer.all_special_tokens)
        texts = [""] * min(tokens or UNBOUNDED, max(vocabulary.values()) + 1)
        for token, number in vocabulary.items():
            if token not in special and number < len(texts):
                texts[number] = WORD_MARK.sub("", token).upper()
        return texts

    def _compute(self, rows: Sequence[tuple[list[int], np.ndarray]]) -> Sequence[Tensor]:
        """Return the states of every layer, [B, T, D] each, padded on the right."""
        with torch.inference_mode():
            return self.model(**self._pad(rows), output_hidden_states=True).hidden_states[1:]

    def compute_states(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the last layer's states [B, T, D] of ids [B, T], with gradients."""
        return self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state

    def _pad(self, rows: Sequence[tuple[list[int], np.ndarray]]) -> dict[str, Tensor]:
        """Return what a model reads of ids: these, padded on the right, and which are no pads."""
        longest = max(len(ids) for ids, _ in rows)
        tokens = torch.full((len(rows), longest), self._pad_id, dtype=torch.int64)
        mask = torch.zeros_like(tokens)
        for place, (ids, _) in enumerate(rows):
            tokens[place, : len(ids)] = torch.tensor(ids)
            mask[place, : len(ids)] = 1
        return {"input_ids": tokens.to(self.device), "attention_mask": mask.to(self.device)}

    def _tokenize(self, sequences: Sequence[str]) -> list[tuple[list[int], np.ndarray]]:
        """Return ids and spans [T, 2] of each sequence, special tokens included."""
        if not self.tokenizer.is_fast:
            return [self._walk(sequence) for sequence in sequences]
        try:
            found = self.tokenizer(
                list(sequences), return_offsets_mapping=True, return_special_tokens_mask=True
            )
        except Exception as error:  # which is what it raises
            raise InputError(
                f"{self.folder}: its tokenizer cannot read a sequence ({error}): it may know no N,"
                " nor a token for what it does not know."
            ) from error
        rows = []
        for ids, offsets, special in zip(
            found["input_ids"],
            found["offset_mapping"],
            found["special_tokens_mask"],
            strict=True,
        ):
            spans = np.array(offsets, dtype=np.int64).reshape(-1, 2)
            # An unknown letter is a special token to some tokenizers, but it covers that letter.
            bare = (spans[:, 0] == spans[:, 1]) | (np.array(special) == 1) & (spans == 0).all(1)
            spans[bare] = NO_BASE
            rows.append((ids, spans))
        return rows

    def _walk(self, sequence: str) -> tuple[list[int], np.ndarray]:
        ids = self.tokenizer(sequence)["input_ids"]
        special, spans, place = set(self.tokenizer.all_special_ids), [], 0
        for number, token in zip(ids, self.tokenizer.convert_ids_to_tokens(ids), strict=True):
            if sequence.startswith(token, place):
                spans.append((place, place + len(token)))
                place += len(token)
            elif number in special:
                spans.append((NO_BASE, NO_BASE))
            else:
                raise InputError(
                    f"{self.folder}: its slow tokenizer makes {token!r} at base {place} of a"
                    f" sequence that goes on {sequence[place : place + 12]!r}, so the bases of its"
                    " tokens are not known: get a tokenizer.json, or wire it by `call`."
                )
        return ids, np.array(spans, dtype=np.int64).reshape(-1, 2)

    def _find_limit(self) -> int | None:
        """Return the most tokens of a sequence by position table, settings and tokenizer."""
        limits = [self.tokenizer.model_max_length]
        for name, module in self.model.named_modules():
            if name.endswith("position_embeddings") and isinstance(module, nn.Embedding):
                # Tables that count from the pad on, as ESM's and RoBERTa's, lose these rows.
                unused = 0 if module.padding_idx is None else module.padding_idx + 1
                limits.append(module.num_embeddings - unused)
        if len(limits) == 1:
            limits.append(getattr(self.model.config, "max_position_embeddings", None) or UNBOUNDED)
        limit = min(limits)
        return None if limit >= UNBOUNDED else int(limit)


@contextmanager
def _opened(folder: str) -> Iterator[None]:
    """Turn what `transformers` raises for files that it does not open into one sentence.

    What that is depends on where they are damaged, and on its version.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or is_out_of_memory(error):
            raise
        reason = " ".join(str(error).split())[:300]
        raise InputError(
            f"{folder} is not opened by transformers {transformers.__version__} without code of"
            f" its own ({reason}): get its files again if they are damaged, name modules that"
            " register its classes as `imports`, or wire it by `call`,"
            " docs/how-to/foreign-models.md."
        ) from error


def _count_tokens(model: Any) -> int | None:
    """Return how many tokens a model has a vector for, None where it does not say."""
    try:
        table = model.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None
    return table.num_embeddings if isinstance(table, nn.Embedding) else None


def _within(number: int | None, tokens: int | None) -> int | None:
    """Return the id of a special token, None where the model has no such token."""
    return None if number is None or (tokens is not None and number >= tokens) else number


def _refuse_code(config: Any, folder: str) -> None:
    """Raise InputError where a stock class would stand in for one of another program.

    It may compute other states with the same tensors. A class that `imports` registered is no such.
    """
    own = getattr(config, "auto_map", None)
    if own and type(config).__module__.startswith("transformers."):
        first = str(next(iter(own.values()))) if isinstance(own, Mapping) else str(own)
        raise InputError(
            f"{folder}: its {SETTINGS} names code of its own ({first[:80]}), which is never run,"
            f" and the stock {config.model_type} may compute other states with the same weights:"
            " name a package that registers its classes as `imports`, wire it by `call`, or, if"
            " you know that the stock class is right, write ignore_code: true into `embedder`."
        )


def _choose_options(config: Any, folder: str) -> dict[str, Any]:
    """Return settings under which a state depends on its own sequence alone."""
    if config.is_encoder_decoder:
        raise InputError(
            f"{folder} has an encoder and a decoder ({config.model_type}): which of them to embed"
            " by is not known; wire it by `call`."
        )
    if getattr(config, "attention_type", None) == "block_sparse":
        # Sparse blocks depend on the length of the batch, and are given up for good after a short
        # one.
        log.info("%s: full attention in the place of block_sparse", folder)
        return {"attention_type": "original_full", **RETURNS}
    return RETURNS


def _list_files(folder: Path) -> list[str]:
    """Return the files that decide the numbers: weights, settings and the tokenizer's."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if SETTINGS not in names:
        raise InputError(
            f"{folder} has no {SETTINGS}: give a folder in the layout of transformers."
        )
    if ADAPTER in names:
        raise InputError(
            f"{folder} holds an adapter ({ADAPTER}), which transformers would put into the model:"
            " merge it where it was trained (`merge_and_unload`), or move its files elsewhere."
        )
    try:
        weights = choose_weight_files(names, lambda name: folder / name)
    except InputError as error:
        pickles = sorted(name for name in names if name.endswith(PICKLES))
        more = f"; {pickles[0]} {NO_PICKLE}: convert it where it comes from" if pickles else ""
        raise InputError(f"{folder}: {error}{more}.") from None
    return [str(folder / name) for name in [*weights, SETTINGS, *list_tokenizer_files(names)]]


def _load(config: Any, folder: str, options: Mapping[str, Any]) -> tuple[Any, Any, Collection[str]]:
    """Return the encoder, what holds it with its masked-language head, and names of other tensors.

    The second is None where there is no such head.
    """
    common = {
        "trust_remote_code": False,
        "use_safetensors": True,
        "ignore_mismatched_sizes": True,  # which the report names, and the message does not
        "dtype": torch.float32,
        "output_loading_info": True,
        **options,
    }
    if MASKED_HEAD in str(config.architectures):
        whole, report = AutoModelForMaskedLM.from_pretrained(folder, **common)
        if not report["missing_keys"] and not report["mismatched_keys"]:
            return whole.base_model, whole, report["unexpected_keys"]
    model, report = AutoModel.from_pretrained(folder, **common)
    _refuse_missing(report, folder)
    return model, None, report["unexpected_keys"]


def _refuse_missing(report: Any, folder: str) -> None:
    missing = sorted(n for n in report["missing_keys"] if not n.startswith(UNUSED))
    shapes = report["mismatched_keys"]  # names, or of some versions with both shapes
    wrong = [*missing, *sorted(key if isinstance(key, str) else str(key[0]) for key in shapes)]
    if wrong:
        raise InputError(
            f"{folder}: {len(wrong)} tensors of the model are not in the weights or of another"
            f" shape, and would be random (first: {wrong[0]}): get the weights of this config.json."
        )
