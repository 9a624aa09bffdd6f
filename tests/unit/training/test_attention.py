import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from dnalm.training.attention import prefer_kernels, time_kernels

CPU = torch.device("cpu")


def test_kernels_that_this_device_has_are_timed_and_no_others():
    seconds = time_kernels((1, 2, 16, 8), torch.float32, CPU)
    assert list(seconds) == ["FLASH_ATTENTION"]
    assert seconds["FLASH_ATTENTION"] > 0


@pytest.mark.parametrize("names", [[], ["FLASH_ATTENTION"], ["CUDNN_ATTENTION"]])
def test_preferred_or_not_attention_is_the_same_with_a_bias_as_well(names):
    generator = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(2, 2, 16, 8, generator=generator) for _ in range(3))
    bias = torch.randn(2, 1, 1, 16, generator=generator)
    weights = ((query @ key.transpose(-1, -2)) / 8**0.5 + bias).softmax(-1)
    with prefer_kernels(names):
        found = scaled_dot_product_attention(query, key, value, attn_mask=bias)
    torch.testing.assert_close(found, weights @ value)
