"""`transformers.EsmForMaskedLM` as a peer: our weights, batches and training step in its hands.

v2 runs in ESM's own code but for its gated feed-forward, which `transformers` does not have.
Shape letters: B sequences, T tokens, K selected tokens per sequence.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from comparison import Comparison  # noqa: F401, which finds the library
from torch import Tensor, nn
from torch.nn import functional
from transformers import EsmConfig, EsmForMaskedLM

from dnalm.corpus.sampling import Stream
from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.initialise import initialise
from dnalm.model.weights import published_config, published_name, to_published
from dnalm.training.batches import MicroBatch
from dnalm.training.masking import MaskingConfig, mask
from dnalm.training.objective import score, tally
from dnalm.training.optimizer import Optimizer
from dnalm.training.schedule import ScheduleConfig
from dnalm.training.settings import OptimizerConfig, PretrainConfig

IGNORED = -100  # the label at which cross-entropy takes no loss
SMALLEST_SHARE = 1e-3  # a gradient below this share of all is rounding, as v1's of key biases
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


class GatedIntermediate(nn.Module):
    """swish(a)·b without bias in the place of ESM's `intermediate`."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, 2 * config.ffn_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.dense(x).chunk(2, dim=-1)
        return functional.silu(a) * b


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


def make_peer(config: EncoderConfig, state: Mapping[str, Tensor]) -> EsmForMaskedLM:
    """Return `EsmForMaskedLM` with an encoder's weights, on the device that is torch's default."""
    peer = EsmForMaskedLM(EsmConfig(**published_config(config), attn_implementation="sdpa"))
    if config.feed_forward == "swiglu":
        for layer in peer.esm.encoder.layer:
            layer.intermediate = GatedIntermediate(config)
            layer.output.dense = nn.Linear(config.ffn_width, config.width, bias=False)
    outcome = peer.load_state_dict(to_published(state), strict=False)
    if outcome.unexpected_keys:
        raise RuntimeError(f"the peer does not take {outcome.unexpected_keys}")
    return peer


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
        seed=0,
        min_kmers=0,
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
        return loss


class PeerStep:
    """The same with `EsmForMaskedLM`, its own loss, and what torch has for all else."""

    def __init__(
        self,
        peer: EsmForMaskedLM,
        settings: PretrainConfig,
        batch: MicroBatch,
        compiled: Callable[..., object] | None = None,
    ) -> None:
        self.peer = peer.train()
        self.run = peer if compiled is None else compiled
        self.inputs = batch.inputs
        # All slots are taken: random bases hold no N.
        labels = torch.full_like(batch.inputs, IGNORED)
        self.labels = labels.scatter(1, batch.positions, batch.targets)
        self.bf16, self.clip = settings.precision == "bf16", settings.gradient_clip
        chosen = settings.optimizer
        self.adam = torch.optim.AdamW(
            peer.parameters(),
            lr=RATE,
            betas=(chosen.beta1, chosen.beta2),
            eps=chosen.eps,
            weight_decay=chosen.weight_decay,
            fused=True,
        )

    def backward(self) -> Tensor:
        with torch.autocast(self.inputs.device.type, torch.bfloat16, enabled=self.bf16):
            # No mask: there is no pad, and attention may use its fastest kernel, as ours.
            loss = self.run(self.inputs, labels=self.labels).loss
        loss.backward()
        return loss.detach()

    def gradients(self) -> dict[str, Tensor]:
        named = self.peer.named_parameters()
        return {name: value.grad for name, value in named if value.grad is not None}

    def __call__(self) -> Tensor:
        self.adam.zero_grad()
        loss = self.backward()
        nn.utils.clip_grad_norm_(self.peer.parameters(), self.clip)
        self.adam.step()
        return loss


def agree(ours: Tensor, theirs: Tensor, tolerance: float, smallest: float = 0.0) -> bool:
    """Return whether the difference is within `tolerance` of the norm, or of `smallest`."""
    return float((ours - theirs).norm()) <= tolerance * max(float(theirs.norm()), smallest)


def agree_all(ours: Mapping[str, Tensor], theirs: Mapping[str, Tensor], tolerance: float) -> bool:
    """Return whether all gradients agree; both sides have to have the same of them."""
    if ours.keys() != theirs.keys():
        raise RuntimeError(f"gradients of one side only: {sorted(ours.keys() ^ theirs.keys())}")
    smallest = SMALLEST_SHARE * max(float(value.norm()) for value in theirs.values())
    return all(agree(ours[name], theirs[name], tolerance, smallest) for name in ours)
