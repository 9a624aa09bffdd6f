"""Networks of one-hot bases: sizes, what a state sees, padding, N, and heads on top."""

import numpy as np
import pytest
import torch

from dnalm.genome.kmers import encode, to_codes
from dnalm.methods import NETWORKS, find_function
from dnalm.model.convolutions import VOCABULARY, dilated_network, one_hot, plain_network
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


def tokens_of(*sequences: str) -> torch.Tensor:
    rows = TokenRows(sequences, sequences, VOCABULARY, 10_000)
    return rows.batch(np.arange(len(sequences)))[0]


def test_tokens_are_single_bases_and_one_hot_columns_in_the_order_a_t_c_g():
    assert encode(to_codes("ATCGN"), VOCABULARY).tolist() == [3, 4, 5, 6, 7, 8]
    found = one_hot(tokens_of("ATCGN", "A"))
    assert found[0].tolist() == [[0] * 4, *torch.eye(4).tolist(), [0] * 4]
    assert found[1, 1].tolist() == [1, 0, 0, 0]
    assert not found[1, 2:].any()


@pytest.fixture(params=["bpnet", "cnn"])
def network(request):
    torch.manual_seed(4)
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
            torch.testing.assert_close(together[row][: len(alone)], alone, atol=1e-6, rtol=0)


def test_n_is_zero_and_outside_of_the_mean(network):
    tokens = tokens_of("ACGTNACG")
    states = network.compute_states(tokens, [1])[1][0, 1:]  # without <cls>
    head = PooledClassifier(network, 2, "mean", VOCABULARY)
    known = states[[0, 1, 2, 3, 5, 6, 7]].mean(0)
    torch.testing.assert_close(head(tokens)[0], head.output(known))
    assert head(tokens_of("NNNN", "ACGT")).isfinite().all()


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


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_of_the_table_learn_a_motif_that_base_counts_do_not_show(name):
    settings = {"filters": 8}
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
