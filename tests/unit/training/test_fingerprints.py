"""The names of training states, by their formula: another one would train finished models again."""

import hashlib
import json

import pytest

from dnalm.parallel.distributed import Group
from dnalm.training.fingerprints import state_hash, windows_hash
from dnalm.training.scratch import copy_panel

RUN = {
    "model": "tiny",
    "corpus": "simulated",
    "k": 6,
    "initial_weights": None,
    "pretrain": {"seed": 0, "schedule": {"peak": 2.0e-3, "warmup_steps": 60}},
}
MANIFEST = {
    "name": "simulated",
    "k": 6,
    "vocabulary": "v1",
    "windows": {"length": 352, "stride": 302, "start_max": 100},
    "tokens": 59,
    "max_tokens": 64,
    "genomes": [
        {
            "name": "one",
            "sha256": "ab" * 32,
            "contigs": [
                {"contig": "a", "start": 0, "length": 900, "split": "train", "windows": 2},
                {"contig": "b", "start": 10, "length": 500, "split": "test", "windows": 1},
                {"contig": "c", "start": 0, "length": 800, "split": "validation", "windows": 2},
            ],
        }
    ],
}
COUNTS, WINDOWS = b"counts", (b"validation", b"test")


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def counts(tmp_path):
    path = tmp_path / "kmer_counts.npy"
    path.write_bytes(COUNTS)
    return path


@pytest.fixture
def windows(tmp_path):
    paths = [tmp_path / name for name in ("validation.npy", "test.npy")]
    for path, content in zip(paths, WINDOWS, strict=True):
        path.write_bytes(content)
    return paths


def test_a_state_is_named_by_the_sha256_of_its_facts_as_json_without_blanks(counts):
    facts = {
        "run": {key: RUN[key] for key in ("k", "pretrain", "initial_weights")},
        "corpus": {key: MANIFEST[key] for key in ("k", "vocabulary", "windows", "tokens")},
        "genomes": [["ab" * 32, [["a", 0, 900]]]],
        "kmer_counts": sha256(COUNTS),
    }
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    assert state_hash(RUN, MANIFEST, counts) == sha256(text.encode())[:16]
    assert state_hash(RUN, MANIFEST, counts) == "df4b91ce79a9fb73"


def test_held_out_windows_are_named_by_the_sums_of_their_files_and_by_their_genomes(windows):
    named = '[["one", "test", 1], ["one", "validation", 2]]'
    text = "".join([*map(sha256, WINDOWS), named])
    assert windows_hash(MANIFEST, *windows) == sha256(text.encode())[:16]
    assert windows_hash(MANIFEST, *windows) == "165d0949c8d681d4"


def test_copies_of_haplotypes_are_named_by_their_digests(tmp_path):
    (tmp_path / "panel").mkdir()
    haplotypes = {"contigs": {"21": {"digest": "b"}, "20": {"digest": "a"}}}
    copy = copy_panel(tmp_path / "panel", haplotypes, tmp_path / "scratch", Group(None))
    text = '{"20": "a", "21": "b"}'
    assert copy.name == f"haplotypes-{sha256(text.encode())[:16]}"
