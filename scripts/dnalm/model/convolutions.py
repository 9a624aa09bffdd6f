"""Convolutional networks of one-hot bases, trained from scratch: BPNet's, SpliceAI's, a plain CNN.

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
# Width and dilation of the residual units of SpliceAI's networks, for four units each (Jaganathan
# et al. 2019), and how many of these groups a network has, by the bases that a state sees.
UNITS, OF_A_GROUP = ((11, 1), (11, 4), (21, 10), (41, 25)), 4
GROUPS = {80: 1, 400: 2, 2000: 3, 10000: 4}
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
            x = x + convolve(convolution, functional.relu(x)) * real
        return dict.fromkeys(layers, x.transpose(1, 2))


def convolve(convolution: nn.Conv1d, x: Tensor) -> Tensor:
    """Return what a convolution of width 3 makes of x [B, F, T], without taps that read no base.

    Both outer taps of a dilation of T or more lie outside of every row, where all is 0: of the 27
    taps of BPNet's dilated layers these are 8 for rows of 60 bases.
    """
    if convolution.dilation[0] < x.shape[-1]:
        return convolution(x)
    return functional.conv1d(x, convolution.weight[:, :, 1:2], convolution.bias)


class BaseNorm(nn.BatchNorm1d):
    """Batch normalisation over the bases of a batch: <cls> and pads are in no mean and stay 0."""

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        """Return x [B, F, T] normalised where `real` bool[B, 1, T] holds, else 0."""
        if not self.training:  # a row by itself, by the running mean and variance
            return super().forward(x) * real
        own = real.squeeze(1)
        normalised = super().forward(x.transpose(1, 2)[own])
        filled = normalised.new_zeros(len(x), x.shape[2], x.shape[1])
        filled[own] = normalised
        return filled.transpose(1, 2)


class ResidualUnit(nn.Module):
    """x + two convolutions, each of a normalised and rectified input."""

    def __init__(self, filters: int, width: int, dilation: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(BaseNorm(filters) for _ in range(2))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(filters, filters, width, padding="same", dilation=dilation) for _ in range(2)
        )

    def forward(self, x: Tensor, real: Tensor) -> Tensor:
        found = x
        for norm, convolution in zip(self.norms, self.convolutions, strict=True):
            found = convolution(functional.relu(norm(found, real))) * real
        return x + found


class ResidualNetwork(nn.Module):
    """Groups of four residual units, whose ends are summed through convolutions of width 1.

    The sum is the state. Convolutions keep the length: what lies beyond a row is 0.
    """

    def __init__(self, filters: int, context: int) -> None:
        super().__init__()
        self.config = NetworkConfig(width=filters, layers=1, max_tokens=LONGEST)
        groups = UNITS[: GROUPS[context]]
        self.input = nn.Conv1d(len(ALPHABET), filters, 1)
        self.skips = nn.ModuleList(nn.Conv1d(filters, filters, 1) for _ in range(len(groups) + 1))
        self.groups = nn.ModuleList(
            nn.ModuleList(ResidualUnit(filters, width, dilation) for _ in range(OF_A_GROUP))
            for width, dilation in groups
        )

    def compute_states(
        self, tokens: Tensor, layers: Collection[int], *, padded: bool = True
    ) -> dict[int, Tensor]:
        """Return {1: the states [B, T, F]} for `tokens` int64[B, T], as `Network` does."""
        real = (tokens >= VOCABULARY.base_offset).unsqueeze(1)
        x = self.input(one_hot(tokens).transpose(1, 2)) * real
        states = self.skips[0](x)
        for group, skip in zip(self.groups, self.skips[1:], strict=True):
            for unit in group:
                x = unit(x, real)
            states = states + skip(x)
        return dict.fromkeys(layers, states.transpose(1, 2))


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


def residual_network(*, filters: int, context: int) -> ResidualNetwork:
    """Return a network as SpliceAI's, its weights drawn from torch's global generator.

    A state sees `context` bases beside its own, half on either side: 80, 400, 2,000 and 10,000 with
    32 filters make 93,152, 185,088, 358,944 and 696,640 weights. SpliceAI's have 99 more for the
    three classes, which a head has here, and are averaged over five (Jaganathan et al. 2019).
    """
    return ResidualNetwork(filters, context)
