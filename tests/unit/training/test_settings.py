import copy
import json

import numpy as np
import pytest

from dnalm.errors import InputError
from dnalm.training.fingerprints import state_hash
from dnalm.training.settings import Operation, Run, write_settings


@pytest.fixture
def settings(make_job):
    folder = make_job().folder
    return [json.loads((folder / f"{name}.json").read_text()) for name in ("run", "operation")]


def test_steps_follow_from_tokens_rounded_up(settings):
    run, _ = settings
    run["pretrain"] |= {"steps": None, "tokens": 50_000_000_000, "batch_sequences": 1000}
    assert Run.from_dict(run).pretrain.count_steps(1000) == 50_000
    run["pretrain"] |= {"tokens": 300_000_000_000, "batch_sequences": 512}
    assert Run.from_dict(run).pretrain.count_steps(2048) == 286_103  # 286,102.3 steps


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda run: run.pop("k"), r"missing run\.k;"),
        (lambda run: run["pretrain"].update(epochs=3), r"unknown pretrain\.epochs;"),
        (lambda run: run["pretrain"]["masking"].pop("random"), r"pretrain\.masking\.random"),
        (lambda run: run["pretrain"].update(precision="fp16"), r"precision is 'fp16'"),
        (lambda run: run["pretrain"].update(batch_sequences=0), "batch_sequences is 0"),
        (lambda run: run["pretrain"].update(residual="fp16"), "residual is 'fp16'"),
        (lambda run: run["pretrain"].update(residual="bf16"), "precision is float32 here"),
    ],
)
def test_wrong_run_settings_are_named(settings, change, named):
    run, _ = settings
    change(run)
    with pytest.raises(InputError, match=named):
        Run.from_dict(run)


@pytest.mark.parametrize(
    ("key", "value"), [("micro_batch", 0), ("keep_last", 0), ("processes", 0), ("log_every", -1)]
)
def test_impossible_operations_are_named(settings, key, value):
    _, operation = settings
    with pytest.raises(InputError, match=rf"operation\.{key} is {value}"):
        Operation.from_dict(operation | {key: value})


def test_the_hash_changes_with_what_decides_and_not_with_names_or_the_order_of_keys(
    settings, corpus, tmp_path
):
    run, _ = settings
    counts = corpus.folder / "kmer_counts.npy"
    manifest = corpus.manifest
    first = state_hash(run, manifest, counts)
    assert len(first) == 16
    turned = dict(reversed(run.items())), dict(reversed(manifest.items()))
    assert state_hash(*turned, counts) == first
    other = copy.deepcopy(run)
    other["pretrain"]["masking"]["random"] = 0.0
    assert state_hash(other, manifest, counts) != first
    assert state_hash(run | {"model": "b", "corpus": "b"}, manifest, counts) == first
    start, moved = tmp_path / "a", tmp_path / "b"
    start.write_bytes(b"weights")
    moved.write_bytes(b"weights")
    with_start = state_hash(run | {"initial_weights": str(start)}, manifest, counts)
    assert with_start != first
    assert state_hash(run | {"initial_weights": str(moved)}, manifest, counts) == with_start
    moved.write_bytes(b"others")
    assert state_hash(run | {"initial_weights": str(moved)}, manifest, counts) != with_start
    np.save(tmp_path / "counts.npy", np.load(counts)[::-1])
    assert state_hash(run, manifest, tmp_path / "counts.npy") != first


@pytest.mark.parametrize("key", ["tokens", "steps"])
def test_a_run_of_another_length_has_another_hash_as_its_rate_may_fall_otherwise(
    settings, corpus, key
):
    run, _ = settings
    longer = copy.deepcopy(run)
    longer["pretrain"][key] += 1
    counts = corpus.folder / "kmer_counts.npy"
    assert state_hash(longer, corpus.manifest, counts) != state_hash(run, corpus.manifest, counts)


HAPLOTYPES = {
    "panel": "p",
    "genome": "planted",
    "draw": "random",
    "contigs": {"train": {"digest": "a"}, "validation": {"digest": "b"}},
}


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        (lambda haplotypes: haplotypes["contigs"]["train"].update(digest="c"), True),
        (lambda haplotypes: haplotypes.update(draw="first"), True),
        (lambda haplotypes: haplotypes["contigs"]["validation"].update(digest="c"), False),
        (lambda haplotypes: haplotypes.update(panel="renamed"), False),
    ],
)
def test_of_the_haplotypes_those_of_training_contigs_are_hashed(settings, corpus, change, decides):
    manifest = corpus.manifest | {"haplotypes": copy.deepcopy(HAPLOTYPES)}
    counts = corpus.folder / "kmer_counts.npy"
    before = state_hash(settings[0], manifest, counts)
    change(manifest["haplotypes"])
    assert (state_hash(settings[0], manifest, counts) != before) == decides


def change_genome(key, value):
    return lambda manifest: manifest["genomes"][0].update({key: value})


def change_contig(number, key, value):
    return lambda manifest: manifest["genomes"][0]["contigs"][number].update({key: value})


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        (lambda manifest: manifest.update(tokens=34), True),
        (lambda manifest: manifest["windows"].update(stride=7), True),
        (lambda manifest: manifest["genomes"].reverse(), True),
        (change_genome("sha256", "0" * 64), True),
        (change_contig(0, "contig", "renamed"), True),
        (change_contig(0, "start", 1), True),
        (change_contig(0, "length", 2999), True),
        (change_contig(0, "split", "test"), True),
        (change_contig(1, "split", "train"), True),
        (change_contig(1, "split", "test"), False),
        (change_contig(1, "length", 899), False),
        (lambda manifest: manifest["genomes"].append(held_out_genome(manifest)), False),
        (lambda manifest: manifest.update(haplotypes=HAPLOTYPES), True),
        (change_genome("name", "b"), False),
        (change_genome("accession", "GCF_1"), False),
        (lambda manifest: manifest["splits"]["test"].update(evaluated=1, windows=1), False),
        (lambda manifest: manifest.update(name="b", max_tokens=99, min_kmers=9), False),
    ],
)
def test_of_the_corpus_only_what_decides_the_training_windows_is_hashed(
    settings, corpus, change, decides
):
    run, _ = settings
    manifest = corpus.manifest
    assert [c["split"] for c in manifest["genomes"][0]["contigs"]][:2] == ["train", "validation"]
    manifest["genomes"].append(copy.deepcopy(manifest["genomes"][0]) | {"sha256": "1" * 64})
    counts = corpus.folder / "kmer_counts.npy"
    before = state_hash(run, manifest, counts)
    change(manifest)
    assert (state_hash(run, manifest, counts) != before) == decides


def held_out_genome(manifest):
    genome = copy.deepcopy(manifest["genomes"][0]) | {"sha256": "2" * 64}
    for contig in genome["contigs"]:
        contig["split"] = "test"
    return genome


def test_equal_settings_leave_the_file_as_it_is(tmp_path):
    path = tmp_path / "run.json"
    write_settings(path, {"b": 1, "a": [2]})
    assert json.loads(path.read_text()) == {"a": [2], "b": 1}
    before = path.stat().st_mtime_ns, path.stat().st_ino
    write_settings(path, {"a": [2], "b": 1})
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == before
    write_settings(path, {"a": [3], "b": 1})
    assert json.loads(path.read_text())["a"] == [3]


def test_an_operation_is_read_from_its_file_or_its_text(tmp_path, operation_settings):
    text = json.dumps(operation_settings)
    (tmp_path / "operation.json").write_text(text)
    assert Operation.read(text) == Operation.read(tmp_path / "operation.json")
    with pytest.raises(InputError, match=r"operation\.threads"):
        Operation.read(json.dumps(operation_settings | {"threads": "many"}))
