"""Embedders that stock `transformers` opens: AutoModel and a tokenizer, never remote code.

Shapes: B batch, T tokens, L layers, D width.
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer

from dnalm.download.weight_files import (
    NO_PICKLE,
    PICKLES,
    SETTINGS,
    choose_weight_files,
    list_tokenizer_files,
)
from dnalm.errors import InputError
from dnalm.model.embedders.contract import NO_BASE

# Heads of sentences, which checkpoints of masked language models lack and no state goes through.
UNUSED = ("pooler.", "pooler_")
UNBOUNDED = 10**9  # what tokenizers without a limit say is larger
log = logging.getLogger(__name__)


class StockEmbedder:
    """A model of `transformers` in a folder: safetensors, `config.json` and the tokenizer's files.

    A layer's states are the `hidden_states` of `transformers` without the first, the token table.
    Spans are the offsets that a fast tokenizer gives; of a slow one, whose tokens have to be pieces
    of the sequence, they are found by going through these.
    """

    def __init__(self, folder: str, device: str) -> None:
        """Open a folder; raise InputError for what stock `transformers` does not open."""
        transformers.utils.logging.disable_progress_bar()
        self.folder, self.device = folder, torch.device(device)
        self.weights = _list_files(Path(folder))
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
            options = _choose_options(config, folder)
            self.tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
            model, report = AutoModel.from_pretrained(
                folder,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
                **options,
            )
        except (ValueError, OSError, ImportError, KeyError) as error:
            if isinstance(error, InputError):
                raise
            reason = " ".join(str(error).split())[:300]
            raise InputError(
                f"{folder} is not opened by transformers {transformers.__version__} without code of"
                f" its own ({reason}): name modules that register its classes as `imports`, or wire"
                " it by `call`, docs/how-to/foreign-models.md."
            ) from error
        _refuse_missing(report, folder)
        self.model = model.eval().to(self.device)
        self.max_bases, self.max_tokens = None, self._find_limit()
        states = self._compute([self._tokenize(["ACGT"])[0]])
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

    def _compute(self, rows: Sequence[tuple[list[int], np.ndarray]]) -> Sequence[Tensor]:
        """Return the states of every layer, [B, T, D] each, padded on the right."""
        pad = self.tokenizer.pad_token_id or 0  # masked, so any would do
        longest = max(len(ids) for ids, _ in rows)
        tokens = torch.full((len(rows), longest), pad, dtype=torch.int64)
        mask = torch.zeros_like(tokens)
        for place, (ids, _) in enumerate(rows):
            tokens[place, : len(ids)] = torch.tensor(ids)
            mask[place, : len(ids)] = 1
        with torch.inference_mode():
            output = self.model(
                input_ids=tokens.to(self.device),
                attention_mask=mask.to(self.device),
                output_hidden_states=True,
            )
        return output.hidden_states[1:]

    def _tokenize(self, sequences: Sequence[str]) -> list[tuple[list[int], np.ndarray]]:
        """Return ids and spans [T, 2] of each sequence, special tokens included."""
        if not self.tokenizer.is_fast:
            return [self._walk(sequence) for sequence in sequences]
        found = self.tokenizer(
            list(sequences), return_offsets_mapping=True, return_special_tokens_mask=True
        )
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
        return {"attention_type": "original_full"}
    return {}


def _list_files(folder: Path) -> list[str]:
    """Return the files that decide the numbers: weights, settings and the tokenizer's."""
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    if SETTINGS not in names:
        raise InputError(
            f"{folder} has no {SETTINGS}: give a folder in the layout of transformers."
        )
    try:
        weights = choose_weight_files(names, lambda name: folder / name)
    except InputError as error:
        pickles = sorted(name for name in names if name.endswith(PICKLES))
        more = f"; {pickles[0]} {NO_PICKLE}: convert it where it comes from" if pickles else ""
        raise InputError(f"{folder}: {error}{more}.") from None
    return [str(folder / name) for name in [*weights, SETTINGS, *list_tokenizer_files(names)]]


def _refuse_missing(report: Any, folder: str) -> None:
    missing = sorted(n for n in report["missing_keys"] if not n.startswith(UNUSED))
    wrong = [*missing, *sorted(map(str, report["mismatched_keys"]))]
    if wrong:
        raise InputError(
            f"{folder}: {len(wrong)} tensors of the model are not in the weights or of another"
            f" shape, and would be random (first: {wrong[0]}): get the weights of this config.json."
        )
