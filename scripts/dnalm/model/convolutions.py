"""Convolutional networks of one-hot bases, trained from scratch: BPNet's trunk and a plain CNN.

They read tokens of single bases (`BaseVocabulary`) and answer as an encoder does, with a state for
every token, so that the same heads stand on them: the mean over bases that are no N, and a linear
layer. <cls>, pads and N are zeros at the input, <cls> and pads in every layer, so a row's states do
not depend on what it is padded to.

Shape letters: B batch, T tokens with <cls>, F filters.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from dnalm.genome.kmers import ALPHABET, BaseVocabulary

VOCABULARY = BaseVocabulary()
LONGEST = 1 << 20  # bases of a sequence; no more than a bound against mistakes


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """What heads and batches ask of an encoder: the width and number of its states, its context."""

    width: int
    layers: int
    max_tokens: int


class Network(nn.Module):
    """A stack of convolutions that keep the length: the first ones plain, the others residual.

    Plain: ReLU(conv(x)); residual: x + conv(ReLU(x)), of width 3 and a dilation.
    """

    def __init__(self, filters: int, widths: Sequence[int], dilations: Sequence[int]) -> None:
        super().__init__()
        self.config = NetworkConfig(width=filters, layers=1, max_tokens=LONGEST)
        self.plain = nn.ModuleList(
            nn.Conv1d(channels, filters, width, padding="same")
            for channels, width in zip(
                [len(ALPHABET)] + [filters] * (len(widths) - 1), widths, strict=True
            )
        )
        self.dilated = nn.ModuleList(
            nn.Conv1d(filters, filters, 3, padding="same", dilation=dilation)
            for dilation in dilations
        )

    def compute_states(
        self, tokens: Tensor, layers: Collection[int], *, padded: bool = True
    ) -> dict[int, Tensor]:
        """Return {1: the last layer's states [B, T, F]} for `tokens` int64[B, T].

        `padded` is what encoders are told; here nothing depends on it.
        """
        real = (tokens >= VOCABULARY.base_offset).unsqueeze(1)
        x = one_hot(tokens).transpose(1, 2)
        for convolution in self.plain:
            x = functional.relu(convolution(x)) * real
        for convolution in self.dilated:
            x = x + convolution(functional.relu(x)) * real
        return dict.fromkeys(layers, x.transpose(1, 2))


def one_hot(tokens: Tensor) -> Tensor:
    """Return A, T, C, G of each token as 0 and 1, float32[B, T, 4]; all 0 of <cls>, pads and N."""
    bases = torch.arange(len(ALPHABET), device=tokens.device) + VOCABULARY.base_offset
    return (tokens.unsqueeze(-1) == bases).float()


def dilated_network(*, filters: int, first: int, dilated: int) -> Network:
    """Return BPNet's trunk (Avsec et al. 2021), its weights drawn from torch's global generator.

    A convolution of width `first`, then `dilated` residual ones of dilation 2, 4, 8 ...: with 25
    and 9 each state sees 2,069 bases, and 64 and 1,024 filters make 117,632 and 28,424,192 weights.
    """
    return Network(filters, [first], [2**i for i in range(1, dilated + 1)])


def plain_network(*, filters: int, widths: Sequence[int]) -> Network:
    """Return a stack of plain convolutions, its weights drawn from torch's global generator."""
    return Network(filters, widths, [])
