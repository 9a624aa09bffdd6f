"""Matrix products and their gradients against float64, at sizes at which oneDNN computes them.

Every test runs as on a processor with AVX-512 and as on one without, whichever it runs on.
"""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from dnalm.model import linear
from dnalm.model.encoder import Encoder, EncoderConfig
from dnalm.model.linear import MIN_PRODUCTS, Linear
from dnalm.model.lora import LowRank

LARGE = (4, 33, 128, 384)  # B, T, columns in, columns out
SMALL = (1, 3, 16, 8)


@pytest.fixture(autouse=True, params=[True, False], ids=["AVX-512", "AVX2"])
def wide(request, monkeypatch) -> bool:
    """Return whether the processor is taken for one with AVX-512."""
    monkeypatch.setattr("dnalm.model.linear._has_avx512", lambda: request.param)
    return request.param


def make(shape: tuple[int, ...], bias: bool, kind: torch.dtype = torch.float32):
    """Return a layer, an input, and the same two in float64."""
    torch.manual_seed(0)
    *outer, width, out = shape
    layer, x = Linear(width, out, bias=bias).to(kind), torch.randn(*outer, width).to(kind)
    exact = nn.Linear(width, out, bias=bias).double()
    exact.load_state_dict(layer.state_dict())
    return layer, x.requires_grad_(), exact, x.detach().double().requires_grad_()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [LARGE, LARGE[1:], SMALL])
def test_products_and_gradients_equal_float64(shape: tuple[int, ...], bias: bool) -> None:
    layer, x, exact, x_exact = make(shape, bias)
    ours, theirs = layer(x), exact(x_exact)
    ours.square().sum().backward()
    theirs.square().sum().backward()
    pairs = [(ours, theirs), (x.grad, x_exact.grad)]
    pairs += zip(layer.parameters(), exact.parameters(), strict=True)
    pairs += [(p.grad, q.grad) for p, q in zip(layer.parameters(), exact.parameters(), strict=True)]
    for one, other in pairs:
        assert one.dtype == torch.float32
        assert (one - other).norm() <= 1e-6 * other.norm()
    with torch.inference_mode():
        torch.testing.assert_close(layer(x), ours.detach(), atol=0, rtol=0)


def test_the_large_case_is_large_and_the_small_one_small() -> None:
    batch, tokens, width, out = LARGE
    assert tokens * width * out >= MIN_PRODUCTS
    batch, tokens, width, out = SMALL
    assert batch * tokens * width * out < MIN_PRODUCTS


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    layer, x, exact, x_exact = make(LARGE, bias=True)
    layer.requires_grad_(False)
    layer(x).sum().backward()
    exact(x_exact).sum().backward()
    assert all(parameter.grad is None for parameter in layer.parameters())
    assert (x.grad - x_exact.grad).norm() <= 1e-6 * x_exact.grad.norm()
    layer.requires_grad_(True)
    layer(x.detach()).sum().backward()
    assert layer.weight.grad is not None


def test_what_does_not_lie_in_one_piece_is_computed_as_well() -> None:
    layer, x, exact, _ = make(LARGE, bias=True)
    turned = x.detach().transpose(0, 1)
    error = layer(turned) - exact(turned.double())
    assert error.norm() <= 1e-6 * exact(turned.double()).norm()


def test_other_types_and_autocast_are_left_to_torch() -> None:
    layer, x, *_ = make(LARGE, bias=True)
    plain = nn.Linear(*layer.weight.shape[::-1])
    plain.load_state_dict(layer.state_dict())
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
        assert torch.equal(layer(x), plain(x))
    layer, x, exact, x_exact = make(LARGE, bias=True, kind=torch.float64)
    assert torch.equal(layer(x), exact(x_exact))


@pytest.mark.filterwarnings("ignore:TF32")  # of the switch itself
@pytest.mark.parametrize("missing", ["the switch is off", "the operator is gone"])
def test_without_onednn_torch_computes_the_product(missing: str, monkeypatch) -> None:
    layer, x, *_ = make(LARGE, bias=True)
    plain = nn.Linear(*layer.weight.shape[::-1])
    plain.load_state_dict(layer.state_dict())

    def refuse(*_: object) -> None:
        raise AssertionError("oneDNN was called")

    monkeypatch.setattr("dnalm.model.linear._multiply", refuse)
    if missing == "the operator is gone":
        monkeypatch.setattr(torch.ops, "mkldnn", SimpleNamespace())
        assert torch.equal(layer(x), plain(x))
    else:
        with torch.backends.mkldnn.flags(enabled=False):
            assert torch.equal(layer(x), plain(x))
    monkeypatch.undo()
    assert layer(x).shape == (*x.shape[:-1], len(layer.weight))


def test_onednn_multiplies_where_vectors_are_wide_and_torch_elsewhere(
    wide: bool, monkeypatch
) -> None:
    layer, x, *_ = make(LARGE, bias=True)
    calls = []
    multiply = linear._multiply
    monkeypatch.setattr(linear, "_multiply", lambda *a: calls.append(a) or multiply(*a))
    layer(x).sum().backward()
    with torch.inference_mode():
        layer.gelu(x)
    # The product, two for its gradients, and one with GELU.
    assert len(calls) == (4 if wide else 0)


@pytest.mark.parametrize(("capability", "is_wide"), [("AVX512", True), ("AVX2", False)])
def test_what_torch_says_of_the_processor_decides(
    capability: str, is_wide: bool, monkeypatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert linear._has_avx512.__wrapped__() == is_wide


def test_an_encoder_of_usual_width_equals_transformers_in_every_layer(
    config: EncoderConfig, make_reference: Callable
) -> None:
    encoder = Encoder(replace(config, width=128, ffn_width=256, max_tokens=64)).eval()
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            centre = 1.0 if "norm." in name and name.endswith("weight") else 0.0
            parameter.normal_(centre, 0.05, generator=generator)
    tokens = torch.randint(6, config.vocabulary_size, (8, 64), generator=generator)
    tokens[:4, 40:] = config.pad_id
    real = tokens != config.pad_id
    with torch.no_grad():
        ours = encoder(tokens)
        theirs = make_reference(encoder)(
            tokens, attention_mask=real.long(), output_hidden_states=True
        )
    for state, hidden in zip(ours.states, theirs.hidden_states, strict=True):
        torch.testing.assert_close(state[real], hidden[real], atol=3e-5, rtol=0)
    torch.testing.assert_close(ours.logits[real], theirs.logits[real], atol=3e-5, rtol=0)


def test_a_frozen_layer_keeps_none_of_its_input_for_the_gradient() -> None:
    layer, x, *_ = make(LARGE, bias=True)
    kept = []

    def note(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.untyped_storage().data_ptr())
        return tensor

    for frozen in (False, True):
        layer.requires_grad_(not frozen)
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            layer(x).sum().backward()
        assert (x.untyped_storage().data_ptr() in kept) == (not frozen)


@pytest.mark.parametrize("shape", [LARGE, SMALL])
def test_gelu_without_gradients_is_gelu_of_the_product_bit_for_bit(shape: tuple[int, ...]) -> None:
    layer, x, exact, x_exact = make(shape, bias=True)
    with torch.inference_mode():
        torch.testing.assert_close(layer.gelu(x), nn.functional.gelu(layer(x)), atol=0, rtol=0)
    wanted = nn.functional.gelu(exact(x_exact))
    assert (layer.gelu(x) - wanted).norm() <= 1e-6 * wanted.norm()
    layer.gelu(x).sum().backward()
    wanted.sum().backward()
    assert (layer.weight.grad - exact.weight.grad).norm() <= 1e-6 * exact.weight.grad.norm()


def test_gelu_of_a_layer_that_something_was_added_to_holds_what_was_added() -> None:
    layer, x, *_ = make(LARGE, bias=True)
    added = LowRank(layer, rank=2, alpha=4.0, dropout=0.0)
    nn.init.normal_(added.up)
    seen = []
    layer.register_forward_hook(lambda _, __, output: seen.append(output))
    with torch.inference_mode():
        expected = nn.functional.gelu(added(x))
        assert torch.equal(added.gelu(x), expected)
        assert not torch.equal(layer.gelu(x), expected)
    assert len(seen) == 1
