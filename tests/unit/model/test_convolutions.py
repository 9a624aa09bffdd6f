"""Networks of one-hot bases: sizes, what a state sees, padding, N, and heads on top."""

import numpy as np
import pytest
import torch

from dnalm.genome.kmers import encode, to_codes
from dnalm.methods import NETWORKS, find_function
from dnalm.model.convolutions import (
    VOCABULARY,
    BaseNorm,
    dilated_network,
    one_hot,
    plain_network,
    residual_network,
)
from dnalm.model.heads import BaseClassifier, PooledClassifier
from dnalm.model.token_batches import TokenRows


def count(network: torch.nn.Module) -> int:
    return sum(values.numel() for values in network.parameters())


@pytest.mark.parametrize(
    ("filters", "first", "dilated", "weights"),
    [
        (64, 25, 9, 117_632),
        (64, 21, 9, 116_608),
        (64, 21, 8, 104_256),
        (1024, 25, 9, 28_424_192),
        (1024, 21, 9, 28_407_808),
        (2048, 25, 9, 113_471_488),
    ],
)
def test_bpnet_has_as_many_weights_as_counted_by_hand(filters, first, dilated, weights):
    with torch.device("meta"):
        network = dilated_network(filters=filters, first=first, dilated=dilated)
        head = PooledClassifier(network, 2, "mean", VOCABULARY)
    assert count(network) == weights
    assert count(head) == weights + 2 * filters + 2
    dilations = [layer.dilation[0] for layer in network.dilated]
    assert dilations == [2, 4, 8, 16, 32, 64, 128, 256, 512][:dilated]


@pytest.mark.parametrize(
    ("context", "weights"), [(80, 93_152), (400, 185_088), (2000, 358_944), (10_000, 696_640)]
)
def test_the_networks_of_spliceai_have_as_many_weights_as_counted_by_hand(context, weights):
    """By hand: w · 32² + 32 of a convolution, 64 of a normalisation, 99 of the head."""
    with torch.device("meta"):
        network = residual_network(filters=32, context=context)
        head = BaseClassifier(network, 3, VOCABULARY)
    assert count(network) == weights
    assert count(head) == weights + 99
    seen = sum(
        (layer.kernel_size[0] - 1) * layer.dilation[0]
        for layer in network.modules()
        if isinstance(layer, torch.nn.Conv1d)
    )
    assert seen == context


def tokens_of(*sequences: str) -> torch.Tensor:
    rows = TokenRows(sequences, sequences, VOCABULARY, 10_000)
    return rows.batch(np.arange(len(sequences)))[0]


def test_tokens_are_single_bases_and_one_hot_columns_in_the_order_a_t_c_g():
    assert encode(to_codes("ATCGN"), VOCABULARY).tolist() == [3, 4, 5, 6, 7, 8]
    found = one_hot(tokens_of("ATCGN", "A"))
    assert found[0].tolist() == [[0] * 4, *torch.eye(4).tolist(), [0] * 4]
    assert found[1, 1].tolist() == [1, 0, 0, 0]
    assert not found[1, 2:].any()


@pytest.fixture(params=["bpnet", "cnn", "spliceai"])
def network(request):
    torch.manual_seed(4)
    if request.param == "spliceai":
        network = residual_network(filters=6, context=80)
        for norm in network.modules():
            if isinstance(norm, BaseNorm):  # as after training
                norm.running_mean.normal_()
                norm.running_var.uniform_(0.5, 2)
        return network.eval()
    if request.param == "bpnet":
        return dilated_network(filters=6, first=5, dilated=4).eval()
    return plain_network(filters=6, widths=[5, 3]).eval()


def test_the_output_of_a_padded_row_is_that_of_the_row_alone(network):
    rows = ["ACGTTGCANNACGT" * 3, "ACGTA", "GGNCA" * 4]
    for head in (
        PooledClassifier(network, 3, "mean", VOCABULARY),
        BaseClassifier(network, 3, VOCABULARY),
    ):
        together = head(tokens_of(*rows))
        for row, sequence in enumerate(rows):
            alone = head(tokens_of(sequence))[0]
            torch.testing.assert_close(together[row][: len(alone)], alone, atol=1e-5, rtol=0)


def test_n_is_zero_and_outside_of_the_mean(network):
    tokens = tokens_of("ACGTNACG")
    states = network.compute_states(tokens, [1])[1][0, 1:]  # without <cls>
    head = PooledClassifier(network, 2, "mean", VOCABULARY)
    known = states[[0, 1, 2, 3, 5, 6, 7]].mean(0)
    torch.testing.assert_close(head(tokens)[0], head.output(known))
    assert head(tokens_of("NNNN", "ACGT")).isfinite().all()


@pytest.mark.parametrize("bases", [3, 20, 600])
def test_taps_outside_of_every_row_change_nothing_where_they_are_left_out(bases):
    torch.manual_seed(4)
    network = dilated_network(filters=6, first=25, dilated=9)
    tokens = tokens_of("ACGTTGCA" * 75, "ACGTA")[:, : bases + 1]
    network.compute_states(tokens, [1])[1].square().sum().backward()
    found = {name: values.grad.clone() for name, values in network.named_parameters()}
    network.zero_grad()
    real = (tokens >= VOCABULARY.base_offset).unsqueeze(1)
    x = torch.relu(network.plain[0](one_hot(tokens).transpose(1, 2))) * real
    for layer in network.dilated:
        x = x + layer(torch.relu(x)) * real
    x.square().sum().backward()
    for name, values in network.named_parameters():
        torch.testing.assert_close(found[name], values.grad, rtol=1e-4, atol=1e-4)


def test_a_state_sees_2069_bases_and_no_more():
    torch.manual_seed(4)
    network = dilated_network(filters=2, first=25, dilated=9)
    with torch.no_grad():
        for name, values in network.named_parameters():
            values.fill_(0.1 if name.endswith("weight") else 0.0)
    length, centre = 3001, 1501  # the <cls> is token 0
    hot = torch.zeros(1, length, 4, requires_grad=True)
    x = hot.transpose(1, 2) + 1.0
    for layer in network.plain:
        x = torch.relu(layer(x))
    for layer in network.dilated:
        x = x + layer(torch.relu(x))
    x[0, :, centre].sum().backward()
    seen = hot.grad[0].abs().sum(1).nonzero().flatten()
    assert (int(seen.min()), int(seen.max())) == (centre - 1034, centre + 1034)


def test_a_state_of_spliceais_sees_half_of_the_context_on_either_side_and_no_more():
    """Of the smallest network: a base changes the 40 states on either side, and no further one."""
    torch.manual_seed(4)
    network = residual_network(filters=8, context=80).eval()
    left, right = "ACGT" * 30, "GGCA" * 30
    states = [
        network.compute_states(tokens_of(left + base + right), [1])[1][0, 1:] for base in "AC"
    ]
    changed = (states[0] != states[1]).any(1).nonzero().flatten()
    assert (int(changed.min()), int(changed.max())) == (len(left) - 40, len(left) + 40)


def test_batches_are_normalised_over_their_bases_alone_as_torch_does():
    torch.manual_seed(4)
    norm, x = BaseNorm(3), torch.randn(2, 3, 5)
    real = torch.tensor([[0, 1, 1, 1, 1], [0, 1, 1, 0, 0]], dtype=torch.bool).unsqueeze(1)
    bases = torch.cat([x[0, :, 1:].T, x[1, :, 1:3].T])
    found = norm.train()(x, real)
    expected = torch.nn.functional.batch_norm(bases, None, None, training=True)
    torch.testing.assert_close(torch.cat([found[0, :, 1:].T, found[1, :, 1:3].T]), expected)
    assert not found[:, :, 0].any()
    assert not found[1, :, 3:].any()
    torch.testing.assert_close(norm.running_mean, 0.1 * bases.mean(0))
    pads = torch.cat([x, torch.full((2, 3, 7), 9.0)], 2)
    longer = torch.cat([real, torch.zeros(2, 1, 7, dtype=torch.bool)], 2)
    torch.testing.assert_close(norm(pads, longer)[:, :, :5], found)


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_the_table_learn_a_motif_that_base_counts_do_not_show(name):
    settings = {"filters": 8}
    if "spliceai" in name:
        settings |= {"context": 80}
    else:
        settings |= {"widths": [7, 3]} if "cnn" in name else {"first": 7, "dilated": 2}
    torch.manual_seed(2)
    head = PooledClassifier(
        find_function(NETWORKS[name].network)(**settings), 2, "mean", VOCABULARY
    )
    generator = np.random.default_rng(3)
    sequences = ["".join(generator.permutation(list("ACGT" * 10))) for _ in range(64)]
    labels = torch.arange(64) % 2
    motifs = ("AATATA", "TATAAA")  # the same letters
    tokens = tokens_of(
        *[s[:20] + motifs[label] + s[20:] for s, label in zip(sequences, labels, strict=True)]
    )
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(head(tokens), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (head(tokens).argmax(1) == labels).float().mean() > 0.95
