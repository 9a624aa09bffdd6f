"""Exports of the second generation in `transformers`: `import dnalm.huggingface`, then `AutoModel`.

The import registers the model type of these exports: stock ESM, with a gated feed-forward in each
block. Names of tensors are those of stock ESM; no remote code is involved. This is the only module
of the library that needs `transformers`, and no other one imports it.

Shape letters: D width, F feed-forward width.
"""

from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
    EsmConfig,
    EsmForMaskedLM,
    EsmForSequenceClassification,
    EsmForTokenClassification,
    EsmModel,
    EsmTokenizer,
)
from transformers.models.esm.modeling_esm import EsmEncoder

from dnalm.model.config import GATED, GATED_MODEL_TYPE


class GatedEsmConfig(EsmConfig):
    """Configuration of ESM whose feed-forwards are gated: swish(a)·b in the place of gelu.

    `add_bias_fnn` says whether the feed-forwards have biases; the name is the published one.
    """

    model_type = GATED_MODEL_TYPE
    feed_forward: str = GATED
    add_bias_fnn: bool = False


class GatedIntermediate(nn.Module):
    """swish(a)·b, with a and b the halves of one projection of D to 2F."""

    def __init__(self, config: GatedEsmConfig) -> None:
        super().__init__()
        width = 2 * config.intermediate_size
        self.dense = nn.Linear(config.hidden_size, width, bias=config.add_bias_fnn)

    def forward(self, hidden_states: Tensor) -> Tensor:
        a, b = self.dense(hidden_states).chunk(2, dim=-1)
        return functional.silu(a) * b


class GatedEsmModel(EsmModel):
    """Encoder without a head: `last_hidden_state` is that behind the last LayerNorm."""

    config_class = GatedEsmConfig

    def __init__(self, config: GatedEsmConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config, add_pooling_layer)
        _gate(self.encoder, config)


class GatedEsmForMaskedLM(EsmForMaskedLM):
    """Encoder and the head of masked-token prediction."""

    config_class = GatedEsmConfig

    def __init__(self, config: GatedEsmConfig) -> None:
        super().__init__(config)
        _gate(self.esm.encoder, config)


class GatedEsmForSequenceClassification(EsmForSequenceClassification):
    """Encoder and stock ESM's head on <cls>, to be trained."""

    config_class = GatedEsmConfig

    def __init__(self, config: GatedEsmConfig) -> None:
        super().__init__(config)
        _gate(self.esm.encoder, config)


class GatedEsmForTokenClassification(EsmForTokenClassification):
    """Encoder and stock ESM's head on every token, to be trained."""

    config_class = GatedEsmConfig

    def __init__(self, config: GatedEsmConfig) -> None:
        super().__init__(config)
        _gate(self.esm.encoder, config)


def _gate(encoder: EsmEncoder, config: GatedEsmConfig) -> None:
    """Replace the feed-forwards of an encoder in place; those that come are not loaded yet."""
    sizes = (config.intermediate_size, config.hidden_size)
    for layer in encoder.layer:
        layer.intermediate = GatedIntermediate(config)
        layer.output.dense = nn.Linear(*sizes, bias=config.add_bias_fnn)


def register() -> None:
    """Register configuration, models and tokenizer with the Auto classes; twice does no harm."""
    AutoConfig.register(GATED_MODEL_TYPE, GatedEsmConfig, exist_ok=True)
    for auto, model in (
        (AutoModel, GatedEsmModel),
        (AutoModelForMaskedLM, GatedEsmForMaskedLM),
        (AutoModelForSequenceClassification, GatedEsmForSequenceClassification),
        (AutoModelForTokenClassification, GatedEsmForTokenClassification),
    ):
        auto.register(GatedEsmConfig, model, exist_ok=True)
    AutoTokenizer.register(GatedEsmConfig, EsmTokenizer, exist_ok=True)


register()
