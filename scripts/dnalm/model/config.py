"""Configuration of an encoder: sizes, positions, feed-forward, dropout, initialisation."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dnalm.errors import InputError
from dnalm.files import read_facts
from dnalm.jobs.fields import build
from dnalm.suggestions import check_choice

GATED = "swiglu"
# In `transformers`, of exports with gated feed-forwards (`dnalm.huggingface`).
GATED_MODEL_TYPE = "dnalm_gated_esm"
GATED_LAYOUT = (
    "Gated feed-forward: intermediate.dense.weight is (2F, D), its first F rows make a and the "
    "others b of output.dense(swish(a) * b), output.dense.weight is (D, F); positions are rotary, "
    "base 10000, dimension i of a head of width h paired with i + h/2. `import dnalm.huggingface` "
    "registers this model type; stock ESM has no such gate."
)
SIZES = ("layers", "heads", "width", "ffn_width", "max_tokens", "vocabulary_size")
SHAPE = ("k", "vocabulary", "encoder")  # of a model's run.json
LARGEST = 1 << 24  # beyond any model: more is a slip, which would fill the memory


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """All that decides the shapes and the arithmetic of an encoder.

    `ffn_width` is the width between the two feed-forward matrices, after the gate when there is
    one. `max_tokens` counts `<cls>`. `token_dropout` is the expected share of `<mask>` tokens of
    training, 0.15 · 0.8 in v1, or None for no token dropout; `dropout` is the ordinary kind, on
    each block's two branches.
    """

    layers: int
    heads: int
    width: int
    ffn_width: int
    positions: Literal["learned", "rotary"]
    feed_forward: Literal["gelu", "swiglu"]
    ffn_bias: bool
    max_tokens: int
    vocabulary_size: int
    pad_id: int
    mask_id: int
    token_dropout: float | None
    dropout: float
    layer_norm_eps: float
    initialisation: Literal["haiku", "normal"]

    @classmethod
    def read(cls, values: Any, where: str) -> "EncoderConfig":
        """Return the configuration of a run.json's `encoder`; `where` is named in an InputError."""
        try:
            return build(cls, values, "encoder")
        except InputError as error:
            raise InputError(f"{where}: {error}") from None

    def __post_init__(self) -> None:
        for key in SIZES:
            if not 1 <= getattr(self, key) <= LARGEST:
                raise InputError(
                    f"The model's {key} is {getattr(self, key)}; give a number from 1 to {LARGEST}."
                )
        for key, allowed in (
            ("positions", ("learned", "rotary")),
            ("feed_forward", ("gelu", "swiglu")),
            ("initialisation", ("haiku", "normal")),
        ):
            check_choice(f"the model's {key}", getattr(self, key), allowed)
        if self.width % self.heads:
            raise InputError(
                f"The model's width {self.width} is not a multiple of its {self.heads} heads; "
                "change one of the two."
            )
        if self.positions == "rotary" and self.width // self.heads % 2:
            raise InputError(
                f"The model's heads are {self.width // self.heads} wide, but rotary positions pair "
                "the dimensions of a head; choose width and heads so that width / heads is even."
            )


def is_gated(config: EncoderConfig) -> bool:
    """Return whether the encoder's feed-forward is one that stock ESM does not have."""
    return config.feed_forward == GATED


def describe_model(run: str | Path) -> dict[str, Any]:
    """Return what a run.json says of a model: its name, k, vocabulary and encoder's numbers."""
    facts = read_facts(run, ())
    return {key: facts.get(key) for key in ("model", *SHAPE)}


def count_parameters(config: EncoderConfig) -> int:
    """Return the number of parameters of the encoder that `config` describes, without torch."""
    width, inner, vocabulary = config.width, config.ffn_width, config.vocabulary_size
    gated = config.feed_forward == "swiglu"
    norm, square = 2 * width, width * (width + 1)
    biases = (inner * (2 if gated else 1) + width) if config.ffn_bias else 0
    block = 2 * norm + 4 * square + (3 if gated else 2) * width * inner + biases
    learned = config.positions == "learned"
    positions = (config.max_tokens + config.pad_id + 1) * width if learned else 0
    head = square + norm + (width + 1) * vocabulary
    return vocabulary * width + positions + config.layers * block + norm + head
