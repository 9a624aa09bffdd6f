"""Tokens equal those of other people's tokenizer, and the fast path equals the exact one."""

import json

import numpy as np
import pytest

from dnalm.genome.kmers import (
    Vocabulary,
    bases_per_token,
    count_kmers,
    encode,
    encode_windows,
    reverse_complement,
    to_codes,
    to_sequence,
)

# From the published tokenizers: sequence, v1 ids, v2 ids.
TABLE = [
    (
        "ACGTGTACGTGCACGGACGACTAGTCAGCA",
        [3, 737, 738, 758, 3223, 1596],
        [3, 739, 740, 760, 3225, 1598],
    ),
    (
        "ACGTGTACNTGCACGGANCGACTAGTCTGA",
        [3, 737, 4100, 4102, 4104, 1935, 4103, 4100, 4104, 2856, 3488],
        [3, 739, 4102, 4104, 4106, 1937, 4105, 4102, 4106, 2858, 3490],
    ),
    ("NNACGTAC", [3, 4104, 4104, 726], [3, 4106, 4106, 728]),
    (
        "ACGTNACGTACG",
        [3, 4100, 4102, 4103, 4101, 4104, 726, 4103],
        [3, 4102, 4104, 4105, 4103, 4106, 728, 4105],
    ),
    ("ATGCA", [3, 4100, 4101, 4103, 4102, 4100], [3, 4102, 4103, 4105, 4104, 4102]),
    ("", [3], [3]),
]
VERSIONS = {version: Vocabulary(6, version) for version in ("v1", "v2")}


@pytest.fixture(scope="module")
def peers(tmp_path_factory):
    """Return transformers' tokenizer over each of our vocabularies, without an end token."""
    transformers = pytest.importorskip("transformers")
    tokenizers = {}
    for version, vocabulary in VERSIONS.items():
        path = tmp_path_factory.mktemp(version) / "vocab.txt"
        path.write_text("\n".join(vocabulary.tokens()))
        tokenizers[version] = transformers.EsmTokenizer(str(path), eos_token=None)
    return tokenizers


def draw_sequences(seed: int, count: int) -> list[str]:
    """Return sequences of 0 to 200 letters: without N, with single ones, and with runs of them."""
    random = np.random.default_rng(seed)
    sequences = []
    for number in range(count):
        share = (0.0, 0.02, 0.3)[number % 3]
        weights = [(1 - share) / 4] * 4 + [share]
        letters = random.choice(list("ACGTN"), random.integers(0, 201), p=weights)
        if number % 5 == 0 and len(letters):
            start = random.integers(0, len(letters))
            letters[start : start + 30] = "N"
        sequences.append("".join(letters))
    return sequences


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_tokens_equal_the_papers_table(version):
    for sequence, *ids in TABLE:
        expected = ids[("v1", "v2").index(version)]
        assert encode(to_codes(sequence), VERSIONS[version]).tolist() == expected


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_tokens_equal_transformers_on_3000_random_sequences(version, peers):
    sequences = draw_sequences(1, 3000)
    expected = peers[version](sequences)["input_ids"]
    for sequence, ids in zip(sequences, expected, strict=True):
        assert encode(to_codes(sequence), VERSIONS[version]).tolist() == ids, sequence


def test_tokens_equal_transformers_for_another_k(tmp_path):
    transformers = pytest.importorskip("transformers")
    vocabulary = Vocabulary(3, "v1")
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary.tokens()))
    peer = transformers.EsmTokenizer(str(tmp_path / "vocab.txt"), eos_token=None)
    for sequence in draw_sequences(2, 200):
        assert encode(to_codes(sequence), vocabulary).tolist() == peer(sequence)["input_ids"]


def test_vocabulary_equals_the_published_file(data_folder):
    published = (data_folder / "tokenization" / "nt_v2_vocab.txt").read_text().split()
    assert VERSIONS["v2"].tokens() == published


def test_tokens_equal_the_published_vectors(data_folder):
    path = data_folder / "tokenization" / "nt_v2_token_vectors.json"
    compared = 0
    for vector in json.loads(path.read_text())["vectors"]:
        for sequence, ids in zip(vector["sequences"], vector["input_ids"], strict=True):
            expected = [number for number in ids if number != VERSIONS["v2"].pad]
            assert encode(to_codes(sequence), VERSIONS["v2"]).tolist() == expected
            compared += 1
    assert compared == 21


def test_vocabulary_has_the_rows_of_the_models():
    v1, v2 = VERSIONS["v1"], VERSIONS["v2"]
    assert (v1.size, v1.n_id, len(v1.tokens())) == (4105, 4104, 4107)
    assert (v2.size, v2.n_id, len(v2.tokens())) == (4107, 4106, 4107)
    assert v1.tokens()[4105:] == ["<eos>", "<bos>"]
    for vocabulary in (v1, v2):
        tokens = vocabulary.tokens()
        maskable = tokens[vocabulary.kmer_offset : vocabulary.maskable_stop]
        assert len(maskable) == 4100
        assert maskable[-4:] == list("ATCG")
        assert tokens[vocabulary.unknown] == "<unk>"
        assert tokens[vocabulary.pad] == "<pad>"
        assert tokens[vocabulary.mask] == "<mask>"
        assert tokens[vocabulary.cls] == "<cls>"


@pytest.mark.parametrize("n_share", [0.0, 0.01, 0.5, 1.0])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_fast_path_equals_transformers_for_windows_and_starts(version, n_share, peers, sequence):
    """Rows of one batch with and without N, from random starts, up to the contig's very end."""
    contig = sequence(3, 4000, n_share)
    random = np.random.default_rng(4)
    n, vocabulary = 321, VERSIONS[version]
    starts = np.append(random.integers(0, len(contig) - n, 60), [0, len(contig) - n])
    windows = np.stack([to_codes(contig[start : start + n]) for start in starts])
    texts = [contig[start : start + n] for start in starts]
    expected = peers[version](texts)["input_ids"]
    for tokens in (1, 2, 30, 1 + n // 6, 1 + n // 6 + n % 6):
        found = encode_windows(windows, vocabulary, tokens)
        assert found.dtype == np.uint16
        assert found.tolist() == [ids[:tokens] for ids in expected]


def test_more_tokens_than_a_window_holds_are_refused():
    windows = np.zeros((2, 20), dtype=np.uint8)
    assert encode_windows(windows, VERSIONS["v1"], 1 + 3 + 2).shape == (2, 6)
    with pytest.raises(ValueError, match="20 bases"):
        encode_windows(windows, VERSIONS["v1"], 7)


def test_a_token_stands_for_k_bases_one_or_none():
    vocabulary = VERSIONS["v1"]
    ids = encode(to_codes("ACGTACNA"), vocabulary)
    assert bases_per_token(ids, vocabulary).tolist() == [0, 6, 1, 1]
    assert bases_per_token([[1, 2, 0, 4105, 4106]], vocabulary).tolist() == [[0] * 5]
    for text in draw_sequences(5, 50):
        assert bases_per_token(encode(to_codes(text), vocabulary), vocabulary).sum() == len(text)


def test_codes_forget_case_and_make_n_of_everything_else():
    assert to_codes("ATCGNatcgnRYx-é").tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 4, 4, 4, 4, 4]
    assert to_codes(b"gattaca").tolist() == to_codes("GATTACA").tolist()
    assert to_sequence(to_codes("gatnaca")) == "GATNACA"
    assert to_sequence(reverse_complement(to_codes("AACGTN"))) == "NACGTT"


def test_kmer_counts_equal_a_count_of_substrings(sequence):
    text = sequence(6, 2000, 0.1)
    counts = count_kmers(to_codes(text), 3)
    tokens = Vocabulary(3, "v1").tokens()[4 : 4 + 64]
    pieces = [text[i : i + 3] for i in range(len(text) - 2)]
    assert counts.tolist() == [pieces.count(kmer) for kmer in tokens]
    assert count_kmers(to_codes("AC"), 3).sum() == 0


@pytest.mark.parametrize(("k", "version"), [(0, "v1"), (8, "v1"), (6, "v3")])
def test_impossible_vocabularies_are_refused(k, version):
    with pytest.raises(ValueError, match=r"words is|vocabulary is"):
        Vocabulary(k, version)
