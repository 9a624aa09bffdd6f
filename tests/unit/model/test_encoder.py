"""The encoder against transformers' ESM, against hand-made numbers, and its invariants."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from dnalm.errors import InputError
from dnalm.model.encoder import Encoder, EncoderConfig, FeedForward, rotary_table, rotate
from dnalm.model.initialise import initialise


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_logits_states_and_loss_equal_transformers(
    encoder: Encoder, batch, make_reference: Callable, attention: str
) -> None:
    reference = make_reference(encoder, attention)
    labels = torch.full_like(batch.tokens, -100).scatter(1, batch.selected, batch.targets)
    with torch.no_grad():
        ours = encoder(batch.tokens)
        theirs = reference(
            batch.tokens,
            attention_mask=batch.real.long(),
            labels=labels,
            output_hidden_states=True,
        )
        loss = functional.cross_entropy(ours.logits.flatten(0, 1), labels.flatten())

    real = batch.real
    assert (batch.tokens == encoder.config.mask_id).any(1).tolist() == [True, True, True, False]
    assert len(ours.states) == len(theirs.hidden_states) == encoder.config.layers + 1
    for state, hidden in zip(ours.states, theirs.hidden_states, strict=True):
        assert_close(state[real], hidden[real])
    assert_close(ours.logits[real], theirs.logits[real])
    assert_close(loss, theirs.loss)


def test_gradients_equal_transformers(encoder: Encoder, batch, make_reference: Callable) -> None:
    reference = make_reference(encoder)
    labels = torch.full_like(batch.tokens, -100).scatter(1, batch.selected, batch.targets)
    functional.cross_entropy(
        encoder(batch.tokens).logits.flatten(0, 1), labels.flatten()
    ).backward()
    reference(batch.tokens, attention_mask=batch.real.long(), labels=labels).loss.backward()

    pairs = {
        encoder.tokens.weight: reference.esm.embeddings.word_embeddings.weight,
        encoder.blocks[0].attention.query.weight: (
            reference.esm.encoder.layer[0].attention.self.query.weight
        ),
        encoder.blocks[1].feed_forward.input.weight: (
            reference.esm.encoder.layer[1].intermediate.dense.weight
        ),
        encoder.head.decoder.bias: reference.lm_head.bias,
    }
    for ours, theirs in pairs.items():
        assert ours.grad.abs().max() > 1e-4
        assert_close(ours.grad, theirs.grad)


def test_head_at_selected_positions_equals_the_full_logits(encoder: Encoder, batch) -> None:
    full = encoder(batch.tokens).logits
    some = encoder(batch.tokens, batch.selected).logits
    rows = torch.arange(len(batch.tokens))[:, None]
    assert some.shape == (4, 4, encoder.config.vocabulary_size)
    torch.testing.assert_close(some, full[rows, batch.selected], atol=1e-6, rtol=0)


def test_logits_at_pads_are_zero(encoder: Encoder, batch) -> None:
    logits = encoder(batch.tokens).logits
    assert (logits[~batch.real] == 0).all()
    assert (logits[batch.real] != 0).any(-1).all()


def test_a_sequence_does_not_feel_its_pads_or_its_batch(encoder: Encoder, batch) -> None:
    together = encoder(batch.tokens)
    for row, length in enumerate(batch.real.sum(1).tolist()):
        alone = encoder(batch.tokens[row : row + 1, :length], padded=False)
        assert_close(alone.logits[0], together.logits[row, :length])
        for one, many in zip(alone.states, together.states, strict=True):
            assert_close(one[0], many[row, :length])


def test_a_row_of_pads_gives_finite_outputs_and_gradients(encoder: Encoder, batch) -> None:
    tokens = batch.tokens.clone()
    tokens[1] = encoder.config.pad_id
    output = encoder(tokens, batch.selected)
    weights = torch.tensor([1.0, 0.0, 1.0, 1.0])[:, None, None]
    (output.logits * weights).square().sum().backward()
    assert all(state.isfinite().all() for state in output.states)
    assert all(parameter.grad.isfinite().all() for parameter in encoder.parameters())


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
def test_learned_positions_count_tokens_that_are_no_pads(encoder: Encoder) -> None:
    tokens = torch.tensor([[1, 3, 1, 9, 10]])  # pad, <cls>, pad, two k-mers
    states = encoder.compute_states(tokens, [0])[0]
    expected = 0.88 * encoder.tokens.weight[tokens] + encoder.positions.weight[[1, 2, 1, 3, 4]]
    assert_close(states, expected)
    assert encoder.positions.num_embeddings == encoder.config.max_tokens + 2


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
@pytest.mark.parametrize("training", [True, False])
def test_token_dropout_rescales_in_training_and_inference(encoder: Encoder, training: bool) -> None:
    tokens = torch.tensor([[3, 9, 2, 2, 10, 1], [3, 9, 8, 7, 10, 11]])
    states = encoder.train(training).compute_states(tokens, [0])[0]
    table, positions = encoder.tokens.weight, encoder.positions.weight
    # Two of five real tokens are masks in the first row, none in the second.
    assert_close(states[0, 1], 0.88 / 0.6 * table[9] + positions[3])
    assert_close(states[0, 2], positions[4])
    assert_close(states[1, 1], 0.88 * table[9] + positions[3])


def test_computed_states_equal_those_of_forward_and_stop_early(encoder: Encoder, batch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a block behind the deepest layer was computed")

    states = encoder(batch.tokens).states
    everything = encoder.compute_states(batch.tokens, range(encoder.config.layers + 1))
    assert list(everything) == [0, 1, 2, 3]
    assert all(torch.equal(everything[layer], states[layer]) for layer in everything)
    encoder.blocks[2].register_forward_pre_hook(fail)
    early = encoder.compute_states(batch.tokens, [2, 0])
    assert sorted(early) == [0, 2]
    assert torch.equal(early[2], states[2])
    with pytest.raises(InputError, match=r"Layer 4 .* layers 0 to 3"):
        encoder.compute_states(batch.tokens, [4])


def test_rotary_angles_equal_hand_computed_numbers() -> None:
    # Head width 4: angles position · 1 and position · 10000^(−1/2) = position / 100.
    cosine, sine = rotary_table(tokens=4, head_width=4, device=torch.device("cpu"))
    assert_close(cosine[3], torch.tensor([math.cos(3.0), math.cos(0.03)]))
    assert_close(sine[3], torch.tensor([math.sin(3.0), math.sin(0.03)]))
    assert_close(cosine[0], torch.ones(2))

    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 1, 4, 4)
    expected = [
        1 * math.cos(3.0) - 3 * math.sin(3.0),
        2 * math.cos(0.03) - 4 * math.sin(0.03),
        3 * math.cos(3.0) + 1 * math.sin(3.0),
        4 * math.cos(0.03) + 2 * math.sin(0.03),
    ]
    rotated = rotate(x, torch.stack([cosine, sine]))
    assert_close(rotated[0, 0, 3], torch.tensor(expected))
    assert_close(rotated[0, 0, 0], x[0, 0, 0])


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_gate_equals_hand_computed_numbers(config: EncoderConfig) -> None:
    feed_forward = FeedForward(replace(config, width=2, heads=1, ffn_width=2))
    with torch.no_grad():
        feed_forward.input.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [2, 0], [0, 3]]))
        feed_forward.output.weight.copy_(torch.tensor([[1.0, 0], [1, 1]]))
    # x = (1, −2): a = (1, −2), b = (2, −6); swish(a)·b = (2σ(1), 12σ(−2)).
    first, second = 2 / (1 + math.exp(-1)), 12 / (1 + math.exp(2))
    output = feed_forward(torch.tensor([[1.0, -2.0]]))
    assert_close(output, torch.tensor([[first, first + second]]))
    assert feed_forward.input.bias is None
    assert feed_forward.output.bias is None


def test_the_encoder_compiles_into_one_graph(encoder: Encoder, batch) -> None:
    compiled = torch.compile(encoder, fullgraph=True, backend="aot_eager")
    assert_close(
        compiled(batch.tokens, batch.selected).logits, encoder(batch.tokens, batch.selected).logits
    )


def test_bfloat16_keeps_its_type_and_stays_close(encoder: Encoder, batch) -> None:
    exact = encoder(batch.tokens).logits
    with torch.autocast("cpu", torch.bfloat16):
        mixed = encoder(batch.tokens)
    assert mixed.states[-1].dtype == torch.float32
    assert (mixed.logits - exact).abs().mean() < 0.05 * exact.abs().mean()
    low = encoder.to(torch.bfloat16)(batch.tokens)
    assert low.logits.dtype == torch.bfloat16
    assert (low.logits - exact).abs().mean() < 0.1 * exact.abs().mean()


def test_dropout_acts_in_training_only(config: EncoderConfig, batch) -> None:
    encoder = Encoder(replace(config, dropout=0.5))
    initialise(encoder, seed=1)
    torch.manual_seed(0)
    first, second = encoder(batch.tokens).logits, encoder(batch.tokens).logits
    assert not torch.equal(first, second)
    encoder.eval()
    assert torch.equal(encoder(batch.tokens).logits, encoder(batch.tokens).logits)


def test_too_many_tokens_are_refused(encoder: Encoder) -> None:
    encoder(torch.full((1, 30), 9))
    with pytest.raises(InputError, match=r"has 31 tokens with <cls>, .* at most 30"):
        encoder(torch.full((1, 31), 9))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"heads": 5}, "width 32 is not a multiple of its 5 heads"),
        (
            {"positions": "sinusoidal"},
            "positions: 'sinusoidal' is not allowed; choose one of learned",
        ),
        (
            {"feed_forward": "relu"},
            "feed_forward: 'relu' is not allowed; choose one of gelu",
        ),
        (
            {"initialisation": "zeros"},
            "initialisation: 'zeros' is not allowed; choose one of haiku",
        ),
        ({"positions": "rotary", "heads": 32}, "heads are 1 wide"),
    ],
)
def test_an_impossible_config_is_refused(config: EncoderConfig, change: dict, words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(config, **change)


def assert_close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=3e-5, rtol=0)


def test_selected_positions_alone_have_the_logits_and_gradients_that_all_give(encoder, batch):
    everywhere = encoder(batch.tokens).logits
    width = everywhere.shape[-1]
    chosen = everywhere.gather(1, batch.selected.unsqueeze(-1).expand(-1, -1, width))
    alone = encoder(batch.tokens, batch.selected)
    real = batch.real.gather(1, batch.selected)
    assert_close(alone.logits[real], chosen[real])
    assert alone.states[-1].shape == (*batch.selected.shape, encoder.config.width)

    parameters = list(encoder.parameters())
    ours = torch.autograd.grad(alone.logits[real].square().sum(), parameters, allow_unused=True)
    theirs = torch.autograd.grad(chosen[real].square().sum(), parameters, allow_unused=True)
    largest = max(float(gradient.abs().max()) for gradient in theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert_close(one / largest, other / largest)
