"""`transformers.EsmForMaskedLM` as a peer: our weights, batches and training step in its hands.

v2 runs in ESM's own code but for its gated feed-forward, which `transformers` does not have.
Shape letters: B sequences, T tokens, K selected tokens per sequence.
"""

import sys
from collections.abc import Mapping

import torch
from comparison import Comparison  # noqa: F401, which finds the library
from torch import Tensor, nn
from torch.nn import functional
from transformers import EsmConfig, EsmForMaskedLM

from dnalm.model.encoder import EncoderConfig
from dnalm.model.weights import published_config, to_published
from dnalm.training.batches import MicroBatch
from dnalm.training.settings import PretrainConfig

IGNORED = -100  # the label at which cross-entropy takes no loss
SMALLEST_SHARE = 1e-3  # a gradient below this share of all is rounding, as v1's of key biases
RATE = 1e-4
BF16_INSTRUCTIONS = ("avx512_bf16", "amx_bf16")


def multiplies_bf16() -> bool:
    """Return whether the processor has instructions for bf16; without them torch emulates it."""
    capabilities = torch.cpu.get_capabilities()
    return any(capabilities.get(name) for name in BF16_INSTRUCTIONS)


def say_bf16_is_left_out() -> None:
    sys.stderr.write("This processor has no instructions for bf16: its cases are left out.\n")


class GatedIntermediate(nn.Module):
    """swish(a)·b without bias in the place of ESM's `intermediate`."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.dense = nn.Linear(config.width, 2 * config.ffn_width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a, b = self.dense(x).chunk(2, dim=-1)
        return functional.silu(a) * b


def make_peer(config: EncoderConfig, state: Mapping[str, Tensor]) -> EsmForMaskedLM:
    """Return `EsmForMaskedLM` on an encoder's own tensors, not on copies of them.

    What `state` does not hold lies on the device that is torch's default.
    """
    peer = EsmForMaskedLM(EsmConfig(**published_config(config), attn_implementation="sdpa"))
    if config.feed_forward == "swiglu":
        for layer in peer.esm.encoder.layer:
            layer.intermediate = GatedIntermediate(config)
            layer.output.dense = nn.Linear(config.ffn_width, config.width, bias=False)
    return give(peer, state)


def give(peer: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Return a peer with an encoder's tensors; it has to take all of a part that it has."""
    outcome = peer.load_state_dict(to_published(state), strict=False, assign=True)
    parts = dict(peer.named_children())
    unknown = [name for name in outcome.unexpected_keys if name.split(".")[0] in parts]
    if unknown:
        raise RuntimeError(f"the peer does not take {unknown}")
    return peer


def can_compile() -> bool:
    """Return whether `torch.compile` works here, and forget what it compiled; else say so."""
    torch._dynamo.reset()
    try:
        torch.compile(lambda x: x.exp() + 1)(torch.ones(64))
    except RuntimeError as error:  # of the compiler, which need not be there
        sys.stderr.write(f"no peer is compiled: {str(error).splitlines()[0]}\n")
        return False
    return True


class PeerStep:
    """The same with `EsmForMaskedLM`, its own loss, and what torch has for all else.

    `compiled` compiles its layers, all by the code of one, and its head together with the loss.
    `selected` runs the head at selected positions alone, as a careful user writes it.
    """

    def __init__(
        self,
        peer: EsmForMaskedLM,
        settings: PretrainConfig,
        batch: MicroBatch,
        *,
        compiled: bool = False,
        selected: bool = False,
    ) -> None:
        self.peer, self.compiled = peer.train(), None
        if compiled:
            for layer in peer.esm.encoder.layer:
                layer.forward = torch.compile(layer.forward)
            self.compiled = torch.compile(self._loss)
        self.inputs = batch.inputs
        # All slots are taken: random bases hold no N.
        labels = torch.full_like(batch.inputs, IGNORED)
        self.labels = labels.scatter(1, batch.positions, batch.targets)
        # Positions [S] among all tokens of the batch.
        self.chosen = (self.labels.flatten() != IGNORED).nonzero()[:, 0] if selected else None
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

    def _loss(self, states: Tensor) -> Tensor:
        """Return the loss as `EsmForMaskedLM` makes it of the last hidden states [B, T, D]."""
        states, labels = states.flatten(0, 1), self.labels.flatten()
        if self.chosen is not None:
            states, labels = states[self.chosen], labels[self.chosen]
        return functional.cross_entropy(self.peer.lm_head(states), labels)

    def backward(self) -> Tensor:
        with torch.autocast(self.inputs.device.type, torch.bfloat16, enabled=self.bf16):
            # No mask: there is no pad, and attention may use its fastest kernel, as ours.
            if self.compiled or self.chosen is not None:
                own = self.compiled or self._loss
                loss = own(self.peer.esm(self.inputs).last_hidden_state)
            else:
                loss = self.peer(self.inputs, labels=self.labels).loss
        loss.backward()
        return loss.detach()

    def gradients(self) -> dict[str, Tensor]:
        named = self.peer.named_parameters()
        return {name: value.grad for name, value in named if value.grad is not None}

    def __call__(self) -> Tensor:
        self.adam.zero_grad()
        loss = self.backward()
        self.gradient_norm = nn.utils.clip_grad_norm_(self.peer.parameters(), self.clip)
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
