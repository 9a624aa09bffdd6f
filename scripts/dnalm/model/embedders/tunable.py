"""Fine-tuning of models that are not ours: their torch module, linear layers, rows of tokens.

Token ids travel coded, so that one tensor says what a head asks of each token, too: pads are -1;
where states are pooled, the ids of tokens that are left out are raised by `ABOVE`; where single
bases have classes, each id is raised by `ABOVE` times the bases of its token.
Shapes: B batch, T tokens, D width, C classes, L bases.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dnalm.errors import InputError
from dnalm.genome.kmers import other_strand
from dnalm.methods import LORA_TARGETS
from dnalm.model.embedders.contract import NO_BASE, check_lengths, count_tokens
from dnalm.model.embedders.linear_layers import is_linear
from dnalm.model.embedders.logits import Tokens, tokenize_checked
from dnalm.model.embedders.opening import name_embedder, open_embedder
from dnalm.model.embedders.spans import weigh_spans
from dnalm.model.heads import LONGEST, BaseClassifier, PooledClassifier, Pooling, weigh
from dnalm.model.token_batches import Limits, TokenRows
from dnalm.suggestions import listing

PAD, ABOVE = -1, 1 << 32
MAX_PLACES = 64  # of bases in a token that a head tells apart; those behind share the last one
NEAR, LEAP = 8, 0.9  # tokens over the limit; part of the bases of those further away
NEEDED = ("module", "tokenize", "compute_states")


@dataclass(frozen=True, kw_only=True)
class ForeignConfig:
    """The sizes of a foreign encoder that a classifier asks for."""

    layers: int
    width: int
    max_tokens: int | None


class ForeignEncoder(nn.Module):
    """The module of an embedder, as fine-tuning asks for an encoder.

    `linear` are the names of its linear layers by those of `LORA_TARGETS`. Its own dropout is off:
    it would draw from torch's one stream, so that a fold that goes on would end elsewhere.
    """

    def __init__(self, embedder: Any, name: str) -> None:
        """Raise InputError where an embedder offers no module, or other layers than it names."""
        super().__init__()
        missing = [key for key in NEEDED if getattr(embedder, key, None) is None]
        if missing:
            raise InputError(
                f"{name} cannot be fine-tuned, it has no {', '.join(missing)}: add what"
                " docs/how-to/foreign-models.md asks for, or leave it to probes."
            )
        self.name, self.module = name, embedder.module
        self._compute = embedder.compute_states
        limit = getattr(embedder, "max_tokens", None)
        self.config = ForeignConfig(layers=embedder.layers, width=embedder.width, max_tokens=limit)
        for layer in self.module.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = 0.0
        self.linear = {key: list(names) for key, names in embedder.linear.items()}
        layers = {key for key, module in self.module.named_modules() if is_linear(module)}
        for key, names in self.linear.items():
            if wrong := [one for one in names if one not in layers]:
                raise InputError(
                    f"{name} names {wrong[0]!r} as {key}, which is no linear layer of its module:"
                    " correct its `linear`."
                )

    def train(self, mode: bool = True) -> "ForeignEncoder":
        """Set training or evaluation; what is not an adapter stays in evaluation."""
        super().train(mode)
        self.module.eval()
        for layer in self.module.modules():
            if hasattr(layer, "merged"):  # an adapted linear layer
                layer.train(mode)
        return self

    def list_layers(self, targets: Sequence[str]) -> list[str]:
        """Return the paths of the linear layers of some targets, each once, in their order.

        Raises InputError for a target of which none is known.
        """
        for target in targets:
            if not self.linear.get(target):
                known = [key for key in LORA_TARGETS if self.linear.get(key)]
                raise InputError(
                    f"{self.name}: which linear layers are `{target}` is not known (known are"
                    f" {listing(known) if known else 'none'}); name them in `linear` of the"
                    " embedder."
                )
        wanted = {path for target in targets for path in self.linear[target]}
        paths = [path for path, _ in self.module.named_modules() if path in wanted]
        return [f"module.{path}" for path in paths]

    def compute_states(
        self, tokens: Tensor, layers: Sequence[int], *, padded: bool = True
    ) -> dict[int, Tensor]:
        """Return {last layer: states [B, T, D]} of coded tokens int64 [B, T]."""
        mask = tokens != PAD
        ids = torch.where(mask, tokens % ABOVE, 0)
        return {self.config.layers: self._compute(ids, mask)}


class ForeignClassifier(PooledClassifier):
    """A linear layer on the pooled last states of a foreign encoder, by its coded tokens."""

    def forward(self, tokens: Tensor, *, padded: bool = True, longest: int | None = None) -> Tensor:
        """Return logits [B, C] for coded tokens int64 [B, T]."""
        (states,) = self.encoder.compute_states(tokens, ()).values()
        pooled = ((tokens != PAD) & (tokens < ABOVE)).float()
        return self.output(weigh(states, pooled / pooled.sum(1, keepdim=True).clamp(min=1)))


class ForeignBaseClassifier(BaseClassifier):
    """A linear layer on the last state of a foreign encoder's token, for each base that it covers.

    It has a group of classes for each place in the longest token, at most `MAX_PLACES`.
    """

    def __init__(self, encoder: ForeignEncoder, classes: int, tokens: "ForeignTokens") -> None:
        super().__init__(encoder, classes, tokens, min(tokens.longest_token, MAX_PLACES))

    def count_bases(self, tokens: Tensor) -> Tensor:
        return torch.where(tokens == PAD, 0, tokens // ABOVE)


@dataclass(frozen=True, kw_only=True, eq=False)
class ForeignTokens:
    """What stands in the place of a vocabulary: the embedder that cuts sequences into tokens."""

    embedder: Any
    name: str

    @classmethod
    def open(cls, entry: Mapping[str, Any]) -> "ForeignTokens":
        """Open the embedder of an entry on the CPU."""
        return cls(embedder=open_embedder(entry, "cpu"), name=name_embedder(entry))

    def make_rows(
        self, sequences: Sequence[str], names: Sequence[str], pooling: Pooling, centre_bases: int
    ) -> "ForeignRows":
        """Return the rows of sequences, pooled as said; InputError for one over the limits."""
        found, coded = self._tokenize(sequences, names, may_crop=True), []
        for sequence, (ids, spans) in zip(sequences, found, strict=True):
            weights = weigh_spans(spans, sequence, pooling, centre_bases)
            coded.append(np.where(weights > 0, ids, ids + ABOVE))
        return ForeignRows(coded, [len(sequence) for sequence in sequences])

    def make_base_rows(self, sequences: Sequence[str], names: Sequence[str]) -> "ForeignRows":
        """Return the rows of sequences whose bases have a class each.

        Raises InputError for one over the limits, and for tokens that overlap or go back.
        """
        found, coded = self._tokenize(sequences, names, may_crop=False), []
        for name, (ids, spans) in zip(names, found, strict=True):
            own = spans[spans[:, 0] != NO_BASE]
            if (own[1:, 0] != own[:-1, 1]).any():
                raise InputError(
                    f"row {name}: tokens of {self.name} overlap or are not in the order of their"
                    " bases, so which one says something of a base is not known: leave this model"
                    " to tasks of whole sequences."
                )
            coded.append(ids + ABOVE * (spans[:, 1] - spans[:, 0]))
        return ForeignRows(coded, [len(sequence) for sequence in sequences])

    @property
    def longest_token(self) -> int:
        """The bases of the longest token; InputError where the embedder does not say."""
        found = getattr(self.embedder, "longest_token", None)
        if not isinstance(found, int) or found < 1:
            raise InputError(
                f"{self.name} does not say how many bases its longest token has, which a task of"
                " single bases needs: give its embedder the attribute longest_token, or leave it to"
                " tasks of whole sequences (docs/how-to/foreign-models.md)."
            )
        return found

    def _tokenize(
        self, sequences: Sequence[str], names: Sequence[str], *, may_crop: bool
    ) -> list[Tokens]:
        """Return ids and spans of sequences; raise InputError for one over the limits."""
        found = tokenize_checked(self.embedder, self.name, sequences)
        counts = np.array([len(ids) for ids, _ in found], dtype=np.int64)
        check_lengths(self.embedder, self.name, sequences, names, counts, may_crop=may_crop)
        return found


@dataclass(frozen=True, kw_only=True)
class ForeignLimits(Limits):
    """What a model that is not ours reads, by its own tokens; a limit that it has not is `LONGEST`.

    `vocabulary` is its `ForeignTokens`. With `both` a sequence has as many tokens as the strand
    that makes more of them: byte pairs of the reverse complement are others.
    """

    both: bool = False

    @classmethod
    def of(cls, tokens: ForeignTokens, both: bool = False) -> "ForeignLimits":
        """Return the limits of an embedder."""
        most = getattr(tokens.embedder, "max_tokens", None) or LONGEST
        return cls(vocabulary=tokens, max_tokens=most, both=both)

    @property
    def max_bases(self) -> int:
        """The most bases of a sequence, where that is limited; else `LONGEST`."""
        return self.vocabulary.embedder.max_bases or LONGEST

    @property
    def bases(self) -> int:
        """The most bases of a piece: where lengths of tokens are known, what the longest hold."""
        token = getattr(self.vocabulary.embedder, "longest_token", None)
        known = isinstance(token, int) and token > 0
        return min(self.max_bases, self.max_tokens * token if known else LONGEST)

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens of a sequence, special ones included."""
        return int(self.count_all([text])[0])

    def count_all(self, texts: Sequence[str]) -> np.ndarray:
        """Return the number of tokens of each of many sequences, int64 [N]."""
        strands = [*texts, *(map(other_strand, texts) if self.both else ())]
        counts = count_tokens(self.vocabulary.embedder, strands)
        return counts.reshape(1 + self.both, len(texts)).max(axis=0)

    def choose_step(self, bases: int, tokens: int, share: float) -> int:
        """Return how many bases to leave out of a piece of so many bases and too many tokens.

        A tokenizer is slow and its tokens may be long: far from the limit as many as they have on
        average, near it as of tokens of single bases.
        """
        excess = tokens - self.max_tokens
        return max(excess, int(share * LEAP * (excess - NEAR) * bases / tokens))


class ForeignRows(TokenRows):
    """Coded token ids of many sequences of different lengths, dealt in batches."""

    def __init__(self, rows: Sequence[np.ndarray], bases: Sequence[int]) -> None:
        self._rows, self._pad = list(rows), PAD
        self._bases = np.array(bases, dtype=np.int64)
        self.lengths = np.array([len(row) for row in rows], dtype=np.int64)


def open_tunable(entry: Mapping[str, Any]) -> tuple[ForeignEncoder, ForeignTokens]:
    """Return the encoder of an embedder, on the CPU, and what cuts sequences for it."""
    tokens = ForeignTokens.open(entry)
    return ForeignEncoder(tokens.embedder, tokens.name).eval(), tokens
