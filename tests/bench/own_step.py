"""Our training step as `Trainer` makes it, with what it takes: encoder, settings, a batch.

Shape letters: B sequences, T tokens.
"""

import numpy as np
import torch
from comparison import Comparison  # noqa: F401, which finds the library
from torch import Tensor

from dnalm.corpus.sampling import Stream
from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.initialise import initialise
from dnalm.model.weights import published_name
from dnalm.training.batches import MicroBatch
from dnalm.training.masking import MaskingConfig, mask
from dnalm.training.objective import score, tally
from dnalm.training.optimizer import Optimizer
from dnalm.training.schedule import ScheduleConfig
from dnalm.training.settings import OptimizerConfig, PretrainConfig

RATE = 1e-4
FORMS = {
    "v1": {
        "positions": "learned",
        "feed_forward": "gelu",
        "ffn_bias": True,
        "token_dropout": 0.12,
    },
    "v2": {
        "positions": "rotary",
        "feed_forward": "swiglu",
        "ffn_bias": False,
        "token_dropout": None,
    },
}


def make_config(form: str, **sizes: int) -> EncoderConfig:
    """Return the form v1 or v2 on 6-mers; `sizes`: layers, heads, width, ffn_width, max_tokens."""
    return EncoderConfig(
        **FORMS[form],
        **sizes,
        vocabulary_size=Vocabulary(6, form).size,
        pad_id=1,
        mask_id=2,
        dropout=0.0,
        layer_norm_eps=1e-5,
        initialisation="haiku",
    )


def make_encoder(config: EncoderConfig) -> Encoder:
    encoder = Encoder(config)
    initialise(encoder, seed=0)
    return encoder


def make_settings(sequences: int, precision: str) -> PretrainConfig:
    """Return the paper's masking and optimiser at a small, constant learning rate."""
    return PretrainConfig(
        masking=MaskingConfig(selected=0.15, masked=0.8, random=0.1),
        batch_sequences=sequences,
        tokens=1,
        steps=None,
        optimizer=OptimizerConfig(beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0),
        schedule=ScheduleConfig(initial=RATE, peak=RATE, warmup_steps=1, decay="constant"),
        gradient_clip=1.0,
        precision=precision,
        residual="float32",
        seed=0,
        min_kmers=0,
        max_n_share=None,
    )


def make_batch(config: EncoderConfig, settings: PretrainConfig, tokens: int) -> MicroBatch:
    """Return random 6-mers behind `<cls>`, [B, T], masked by the code that training uses."""
    vocabulary = Vocabulary(6, "v2" if config.positions == "rotary" else "v1")
    shape = (settings.batch_sequences, tokens)
    drawn = np.random.default_rng(1).integers(vocabulary.kmer_offset, vocabulary.base_offset, shape)
    drawn[:, 0] = vocabulary.cls
    masked = mask(
        drawn,
        np.arange(len(drawn)),
        config=settings.masking,
        vocabulary=vocabulary,
        min_kmers=settings.min_kmers,
        seed=settings.seed,
        stream=Stream.MASK,
    )
    return MicroBatch.from_masked(masked, slice(None))


class OurStep:
    """What `Trainer` does with a batch: loss, backward, tally, bound on the gradient, Adam."""

    def __init__(
        self, encoder: Encoder, settings: PretrainConfig, batch: MicroBatch, optimizer: Optimizer
    ) -> None:
        self.encoder, self.batch, self.optimizer = encoder.train(), batch, optimizer
        self.bf16 = settings.precision == "bf16"
        self.weight, self.step = float(batch.weights.sum()), 0

    def backward(self) -> Tensor:
        """Add up the gradient of the summed loss; return the mean."""
        with torch.autocast(self.batch.inputs.device.type, torch.bfloat16, enabled=self.bf16):
            losses, hits = score(self.encoder, self.batch)
        summed = (losses * self.batch.weights).sum()
        summed.backward()
        self.totals = tally(losses, hits, self.batch)
        return summed.detach() / self.weight

    def gradients(self) -> dict[str, Tensor]:
        """Return the gradients of the mean loss after `backward`, by published names."""
        return {
            published_name(name): parameter.grad / self.weight
            for name, parameter in self.encoder.named_parameters()
        }

    def __call__(self) -> Tensor:
        loss = self.backward()
        self.step += 1
        self.optimizer.update(self.weight, self.step)
        self.gradient_norm = self.optimizer.gradient_norm
        return loss
