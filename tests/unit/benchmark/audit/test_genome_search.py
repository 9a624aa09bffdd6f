"""Search of task sequences in genomes, compared with a text search and planted rows."""

import os
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.audit import minimap2
from dnalm.benchmark.audit.genome_search import (
    SearchConfig,
    hash_sequence,
    locate_task,
    search_genomes,
)
from dnalm.benchmark.audit.minimap2 import align, find_minimap2
from dnalm.benchmark.audit.near_duplicates import NearDuplicateConfig, find_near_duplicates
from dnalm.benchmark.audit.overlaps import overlaps_other_fold, overlaps_train
from dnalm.benchmark.tasks.table import make_task
from dnalm.errors import InputError
from dnalm.genome.bases import write_bases

COMPLEMENT = bytes.maketrans(b"ACGTN", b"TGCAN")
CONFIG = SearchConfig(min_identity=0.9, index_bases=1_000_000_000)
EMPTY_MANIFEST = {"genomes": []}

pytestmark = pytest.mark.skipif(not find_minimap2(), reason="needs minimap2 or pyminimap2")


def store(folder, records):
    """Write the bases of FASTA records (or of an existing file) into a folder; return it."""
    folder.mkdir()
    source = records
    if isinstance(records, dict):
        source = folder / "genome.fa"
        source.write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    paths = {
        key: folder / f"{key}.{end}"
        for key, end in (("bases", "npy"), ("contigs", "tsv"), ("manifest", "json"))
    }
    write_bases(source, name="g", config={}, **paths)
    return folder


def random_text(length, seed):
    return "".join(np.random.default_rng(seed).choice(list("ACGT"), length))


def reverse(text):
    return text.encode().translate(COMPLEMENT)[::-1].decode()


def found(sequences, genomes, config=CONFIG):
    """Return the place of each sequence, by its name, in the genomes together."""
    places = search_genomes(sequences.values(), genomes, config, threads=1)
    table = pd.DataFrame({"id": list(sequences), "sequence": list(sequences.values())})
    table = table.assign(split="test", folds=[[]] * len(table))
    return locate_task(table, places, list(genomes), EMPTY_MANIFEST).set_index("id")


def mutated(text, share, indels, draw):
    """Return the text with a share of its letters exchanged and so many indels of 1 to 10 bases."""
    letters = list(text)
    for place in draw.choice(len(text), round(share * len(text)), replace=False):
        letters[place] = draw.choice([x for x in "ACGT" if x != letters[place]])
    for _ in range(indels):
        size, place = draw.integers(1, 11), draw.integers(20, len(letters) - 40)
        inserted = [] if draw.random() < 0.5 else list(draw.choice(list("ACGT"), size))
        letters[place : place + (0 if inserted else size)] = inserted
    return "".join(letters)


def test_places_on_both_strands_are_those_of_a_text_search(tmp_path):
    contigs = {"a": random_text(5000, 1), "b": random_text(3333, 2)}
    folder = store(tmp_path / "g", contigs)
    draw = np.random.default_rng(3)
    sequences, expected = {}, {}
    for i in range(300):
        contig = "ab"[i % 2]
        length = int(draw.integers(24, 400))
        start = int(draw.integers(len(contigs[contig]) - length + 1))
        piece = contigs[contig][start : start + length]
        sequences[f"s{i}"] = reverse(piece) if i % 3 == 0 else piece
        expected[f"s{i}"] = (contig, start, start + length, "-" if i % 3 == 0 else "+")
    table = found(sequences, {"g": folder})
    for name, place in expected.items():
        assert tuple(table.loc[name, ["contig", "start", "end", "strand"]]) == place
    assert (table["identity"] == 1).all()
    assert (table["genome"] == "g").all()


@pytest.mark.parametrize("indels", range(6))
@pytest.mark.parametrize("length", [300, 1000])
def test_rows_of_another_assembly_are_found_whatever_their_indels(tmp_path, length, indels):
    draw = np.random.default_rng(length + indels)
    text = random_text(120_000, length)
    sequences, expected = {}, {}
    for i in range(100):
        start = 1000 * i + int(draw.integers(100))
        row = mutated(text[start : start + length], 0.02, indels, draw)
        sequences[f"s{i}"] = reverse(row) if i % 2 else row
        expected[f"s{i}"] = (start, start + length, "-" if i % 2 else "+")
    config = SearchConfig(min_identity=0.8, index_bases=1_000_000_000)
    table = found(sequences, {"g": store(tmp_path / "g", {"c": text})}, config)
    assert table["contig"].notna().all()
    for name, (start, end, strand) in expected.items():
        row = table.loc[name]
        assert row["strand"] == strand
        # An indel near an end may be written as exchanged letters.
        assert abs(row["start"] - start) <= 25
        assert abs(row["end"] - end) <= 25
        assert row["identity"] >= 1 - 0.02 - 11 * indels / length - 0.03


@pytest.mark.parametrize("strand", ["+", "-"])
@pytest.mark.parametrize("bases", [1, 2, 3, 10])
@pytest.mark.parametrize("place", [40, 200, 370])
def test_identity_counts_inserted_and_deleted_bases(tmp_path, bases, place, strand):
    piece, left = random_text(400, 41), random_text(500, 42)
    sequences = {
        "shorter": piece[:place] + piece[place + bases :],
        "longer": piece[:place] + random_text(bases, 43) + piece[place:],
    }
    folder = store(tmp_path / "g", {"c": left + piece + random_text(500, 44)})
    if strand == "-":
        sequences = {name: reverse(text) for name, text in sequences.items()}
    table = found(sequences, {"g": folder})
    assert table["start"].tolist() == [500, 500]
    assert table["end"].tolist() == [900, 900]
    assert table["strand"].tolist() == [strand, strand]
    assert table.loc["shorter", "identity"] == pytest.approx((400 - bases) / 400)
    # Inserted letters may agree by chance with what the breakpoint can be moved to.
    assert table.loc["longer", "identity"] == pytest.approx(400 / (400 + bases), abs=0.006)


def test_bases_beyond_the_end_of_a_contig_do_not_agree(tmp_path):
    text = random_text(900, 4)
    folder = store(tmp_path / "g", {"c": text})
    sequences = {
        "first": text[:100],
        "last": text[-100:],
        "beyond": text[-380:] + random_text(20, 5),
        "far beyond": text[-300:] + random_text(100, 5),
    }
    table = found(sequences, {"g": folder})
    assert table["start"].tolist()[:3] == [0, 800, 520]
    assert table.loc["beyond", "end"] == 900
    assert table.loc["beyond", "identity"] == pytest.approx(0.95)
    assert table.loc[["far beyond"], "contig"].isna().all()


def test_the_first_of_several_places_is_kept(tmp_path):
    piece = random_text(300, 5)
    one = store(tmp_path / "one", {"c": random_text(500, 6) + piece + random_text(90, 7) + piece})
    two = store(tmp_path / "two", {"b": reverse(piece), "c": piece})
    assert found({"s": piece}, {"one": one, "two": two}).loc["s", "start"] == 500
    row = found({"s": piece}, {"two": two, "one": one}).loc["s"]
    assert tuple(row[["genome", "contig", "strand"]]) == ("two", "b", "-")


def test_an_exact_place_wins_over_an_earlier_similar_one(tmp_path):
    piece = random_text(200, 7)
    similar = mutated(piece, 0.005, 0, np.random.default_rng(0))
    folder = store(tmp_path / "g", {"c": similar + random_text(300, 8) + piece})
    assert found({"s": piece}, {"g": folder}).loc["s", "start"] == 500
    only = store(tmp_path / "only", {"c": similar + random_text(300, 8)})
    row = found({"s": piece}, {"only": only, "g": folder}).loc["s"]
    assert row["genome"] == "g"
    row = found({"s": piece}, {"only": only}).loc["s"]
    assert row["start"] == 0
    assert row["identity"] == pytest.approx(199 / 200)


@pytest.mark.parametrize("share", [0.12, 0.2, 0.4])
def test_a_diverged_copy_of_a_repeat_is_no_place(tmp_path, share):
    draw, piece = np.random.default_rng(9), random_text(400, 40)
    copies = [mutated(piece, share, 0, draw) for _ in range(20)]
    text = "".join(copy + random_text(100, 50 + i) for i, copy in enumerate(copies))
    folder = store(tmp_path / "g", {"c": text})
    assert found({"s": piece}, {"g": folder})["contig"].isna().all()
    young = store(tmp_path / "young", {"c": text + mutated(piece, 0.05, 0, draw)})
    row = found({"s": piece}, {"young": young}).loc["s"]
    assert row["start"] == len(text)
    assert row["identity"] == pytest.approx(0.95, abs=0.003)


def test_every_genome_has_a_place_of_its_own_however_the_index_is_cut(tmp_path):
    draw = np.random.default_rng(11)
    texts = {f"c{i}": random_text(20_000, 70 + i) for i in range(6)}
    pieces = {f"s{i}": text[500 * i : 500 * i + 400] for i, text in enumerate(texts.values())}
    one = store(tmp_path / "one", texts)
    two = store(
        tmp_path / "two", {name: mutated(text, 0.04, 0, draw) for name, text in texts.items()}
    )
    genomes = {"one": one, "two": two}
    whole = search_genomes(pieces.values(), genomes, CONFIG, threads=2)
    assert whole["genome"].tolist() == ["one"] * 6 + ["two"] * 6
    # One record at a time: minimap2 rounds up to whole ones.
    small = SearchConfig(min_identity=0.9, index_bases=1000)
    pd.testing.assert_frame_equal(search_genomes(pieces.values(), genomes, small, threads=1), whole)
    # A corpus that holds the second genome alone finds the rows there.
    table = pd.DataFrame({"id": list(pieces), "sequence": list(pieces.values())})
    table = table.assign(split="test", folds=[[]] * 6)
    located = locate_task(table, whole, ["two"], EMPTY_MANIFEST)
    assert set(located["genome"]) == {"two"}
    assert located["contig"].tolist() == list(texts)
    assert located["identity"].between(0.9, 0.99).all()


def test_unrelated_rows_rows_of_n_and_rows_shorter_than_a_seed_have_no_place(tmp_path):
    folder = store(tmp_path / "g", {"c": random_text(5000, 12)})
    rows = {"s": random_text(300, 13), "n": "N" * 250, "short": random_text(5000, 12)[:18]}
    table = found(rows, {"g": folder})
    assert table[["genome", "contig", "start", "strand", "identity"]].isna().all(axis=None)
    assert found({}, {"g": folder}).empty


def test_n_counts_neither_way_inside_of_a_row_and_at_its_ends(tmp_path):
    """Of a row cut from a genome at a gap all known bases agree."""
    text = random_text(2000, 25)
    text = text[:500] + "N" * 100 + text[600:1000] + "N" * 30 + text[1030:]
    rows = {
        "begins in a gap": text[500:900],
        "holds a gap": text[700:1200],
        "ends in a gap, reverse": reverse(text[300:600]),
        "holds known bases there": text[550:600].replace("N", "A") + text[600:900],
    }
    table = found(rows, {"g": store(tmp_path / "g", {"c": text})})
    assert table["start"].tolist()[:3] == [500, 700, 300]
    assert table["identity"].tolist()[:3] == [1, 1, 1]
    assert table.isna().loc["holds known bases there", "contig"]


def test_pieces_are_found_in_absolute_coordinates(tmp_path):
    text = random_text(400, 14)
    folder = store(tmp_path / "g", {"7:1001-1200": text[:200], "7:5001-5200": text[200:]})
    table = found({"a": text[50:100], "b": text[250:300]}, {"g": folder})
    assert table["contig"].tolist() == ["7", "7"]
    assert table["start"].tolist() == [1050, 5050]


def test_rows_are_told_apart_by_all_their_letters():
    texts = {random_text(40, seed) for seed in range(1000)}
    assert len({hash_sequence(text) for text in texts}) == len(texts)
    assert len(hash_sequence("ACGT")) == 32


@pytest.mark.parametrize("rate", [0.0, 0.03, 0.06])
@pytest.mark.parametrize("indels", [0, 1])
def test_the_audit_and_minimap2_find_the_same_planted_pairs(tmp_path, rate, indels):
    draw = np.random.default_rng(int(100 * rate) + indels)
    training = [random_text(400, 1000 + i) for i in range(60)]
    # Every third test row is unrelated.
    test = [
        random_text(400, 5000 + i) if i % 3 == 0 else mutated(row, rate, indels, draw)
        for i, row in enumerate(training)
    ]
    test = [reverse(row) if i % 2 else row for i, row in enumerate(test)]
    config = NearDuplicateConfig(
        k=15, window=16, most_places=500, min_identity=0.9, min_overlap=50, near_share=0.9
    )
    sides = np.repeat([0, 1], 60)
    audit = find_near_duplicates([*training, *test], sides, config).pairs
    audited = {
        (first, second - 60) for first, second in zip(audit["first"], audit["second"], strict=True)
    }
    table = found(
        {str(i): row for i, row in enumerate(test)},
        {"g": store(tmp_path / "g", {str(i): row for i, row in enumerate(training)})},
    ).dropna(subset="contig")
    aligned = {(int(contig), int(name)) for name, contig in table["contig"].items()}
    assert aligned == audited == {(i, i) for i in range(60) if i % 3}


def plant_program(folder, text, version="2.18-r1015"):
    """Write a program that says its version, and else does what `text` says."""
    folder.mkdir()
    program = folder / "minimap2"
    says = f'if [ "$1" = --version ]; then echo {version}; exit; fi'
    program.write_text(f"#!/bin/bash\n{says}\n{text}\n")
    program.chmod(0o755)
    return folder


def test_the_program_on_the_path_comes_before_the_package(tmp_path, monkeypatch):
    code = "import sys, pyminimap2; sys.stderr.write(pyminimap2.main(sys.argv[1:])[1])"
    seen = tmp_path / "seen"
    text = f"echo ran > {seen}; exec {sys.executable} -c '{code}' \"$@\""
    folder = plant_program(tmp_path / "bin", text)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    piece = random_text(300, 20)
    table = found({"s": piece}, {"g": store(tmp_path / "g", {"c": random_text(99, 1) + piece})})
    assert table.loc["s", "start"] == 99
    assert seen.exists()


OUTPUT = 'while [ "$1" != -o ]; do shift; done; cat > /dev/null; '


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("echo broken >&2; exit 3", r"failed with exit code 3 \(broken\)"),
        ("cat > /dev/null; exit 0", "failed with exit code 0"),
        ("kill -9 $$", "signal 9, for want of memory most likely: lower exposure.index_bases"),
        ("kill -15 $$", r"ended by signal 15 \(it said nothing\)"),
        ("echo 'write: No space left on device' >&2; exit 1", "no room on the disk"),
        (OUTPUT + "printf 'a\\t300\\t0' > $2; kill -9 $$", "signal 9, for want of memory"),
        (OUTPUT + "echo words > $2; echo Real time: >&2", "wrote 1 lines that are no PAF.*words"),
    ],
)
def test_a_program_that_fails_ends_in_one_sentence(tmp_path, monkeypatch, text, sentence):
    folder = plant_program(tmp_path / "bin", text)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    genome = store(tmp_path / "g", {"c": random_text(3_000_000, 21)})
    with pytest.raises(InputError, match=sentence):
        found({"s": random_text(300, 20)}, {"g": genome})


@pytest.mark.parametrize(
    ("version", "fault"),
    [
        ("2.10-r761", "is 2.10-r761, older than 2.18"),
        ("", "--version says no version"),
        (None, r"cannot be run \(Exec format error\)"),
    ],
)
def test_a_program_that_cannot_be_used_is_named_and_the_package_taken(
    tmp_path, monkeypatch, caplog, version, fault
):
    """An old one may end well without a line of output, as if no row were in the genome."""
    folder = plant_program(tmp_path / "bin", "cat > /dev/null; echo Real time: >&2", version)
    if version is None:  # of another processor
        (folder / "minimap2").write_bytes(b"\x7fELF of another processor")
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    piece = random_text(300, 20)
    genome = store(tmp_path / "g", {"c": random_text(99, 1) + piece})
    assert found({"s": piece}, {"g": genome}).loc["s", "start"] == 99
    assert re.search(f"{fault}; the package pyminimap2 is used instead", caplog.text)
    monkeypatch.setattr(minimap2, "PACKAGE", "no_such_package")
    with pytest.raises(InputError, match=f"{fault}, and the .* not installed: install it or a ne"):
        found({"s": piece}, {"g": genome})
    assert find_minimap2() is None


def test_without_minimap2_one_sentence_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(minimap2, "PACKAGE", "no_such_package")
    genome = store(tmp_path / "g", {"c": random_text(3000, 21)})
    with pytest.raises(InputError, match="install one of them, or set run"):
        found({"s": random_text(300, 20)}, {"g": genome})


def test_a_fault_while_genomes_are_read_is_told_and_nothing_runs_on(tmp_path):
    def broken():
        yield b">0\nACGT\n"
        raise InputError("the disk with the genomes is gone")

    queries = tmp_path / "queries.fasta"
    queries.write_text(">a\nACGTACGTACGTACGTACGTACGT\n")
    options = {"options": ["-x", "map-ont"], "index_bases": 10**6, "threads": 1}
    with pytest.raises(InputError, match="the disk with the genomes is gone"):
        list(align(queries, broken(), **options))
    # A caller that stops early: the program is ended, not waited for.
    text = random_text(50_000, 22)
    queries.write_text("".join(f">{i}\n{text[i : i + 300]}\n" for i in range(0, 40_000, 10)))
    alignments = align(queries, iter([f">0\n{text}\n".encode()]), **options)
    assert next(alignments).target == "0"
    alignments.close()
    running = subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True)
    assert "minimap2" not in running.stdout


def test_overlap_needs_a_shared_base_with_a_training_row():
    rows = [
        ("train", "g", "c", 100, 200),
        ("train", "g", "c", 120, 130),  # ends before the row above: reach counts, not order
        ("test", "g", "c", 199, 299),
        ("test", "g", "c", 200, 300),
        ("test", "g", "c", 0, 100),
        ("test", "g", "c", 50, 101),
        ("test", "g", "d", 100, 200),
        ("test", "h", "c", 100, 200),
        ("test", None, None, None, None),
    ]
    table = pd.DataFrame(rows, columns=["split", "genome", "contig", "start", "end"])
    table = table.astype({"start": "Int64", "end": "Int64"})
    expected = [False, False, True, False, False, True, False, False, False]
    assert overlaps_train(table, table["split"]).tolist() == expected


def test_only_training_rows_of_other_folds_count_as_overlaps_between_folds():
    rows = [
        ("train", "c", 100, 200, [0]),  # touches the row of fold 1 below
        ("train", "c", 150, 250, [0]),  # touches both
        ("train", "c", 120, 151, [1]),
        ("train", "c", 250, 350, [1]),  # only ends meet
        ("train", "c", 600, 900, [2]),  # holds the next one
        ("train", "c", 700, 710, [0, 1]),
        ("train", "d", 100, 200, [1]),
        ("train", "d", 100, 200, [1]),  # the same place in the same fold
        ("test", "c", 100, 200, []),
        ("train", None, None, None, [3]),
    ]
    table = pd.DataFrame(rows, columns=["split", "contig", "start", "end", "folds"])
    table = table.assign(genome=table["contig"].map({"c": "g", "d": "g"}))
    table = table.astype({"start": "Int64", "end": "Int64"})
    expected = [True, True, True, False, True, True, False, False, False, False]
    assert overlaps_other_fold(table, table["split"], table["folds"]).tolist() == expected
    # No row is in another fold than itself.
    same = table["folds"].map(lambda _: [0])
    assert not overlaps_other_fold(table, table["split"], same).any()


def test_pretraining_split_is_that_of_the_contig(tmp_path):
    texts = {name: random_text(300, i) for i, name in enumerate("abc", start=20)}
    folder = store(tmp_path / "g", texts)
    table = pd.DataFrame(
        {
            "id": list("abcd"),
            "sequence": [texts[name][:80] for name in "abc"] + [random_text(80, 30)],
            "split": ["train", "test", "test", "test"],
            "folds": [[0], [], [], []],
        }
    )
    manifest = {
        "genomes": [
            {
                "name": "g",
                "contigs": [
                    {"contig": "a", "split": "train"},
                    {"contig": "b", "split": "validation"},
                ],
            }
        ]
    }
    places = search_genomes(table["sequence"], {"g": folder}, CONFIG, threads=1)
    located = locate_task(table, places, ["g"], manifest)
    assert located["pretraining_split"].fillna("none").tolist() == [
        "train",
        "validation",
        "none",
        "none",
    ]
    assert located["contig"].fillna("none").tolist() == ["a", "b", "c", "none"]
    assert not located["overlaps_train"].any()


def test_h3_windows_lie_in_yeast_and_13_6_percent_of_the_test_rows_overlap_dev(
    tmp_path, data_folder
):
    yeast = data_folder / "multispecies" / "saccharomyces_cerevisiae_s288c_r64.fa.gz"
    folder = store(tmp_path / "yeast", yeast)
    files = {
        split: str(data_folder / "tasks" / "H3" / f"{name}.csv.gz")
        for split, name in (("train", "dev"), ("test", "test"))
    }
    task = {
        "format": "auto",
        "kind": "binary",
        "classes": 2,
        "sequence_column": "sequence",
        "label_column": "label",
        "shuffle_labels": False,
        "seed": 42,
    }
    folds = {"scheme": "kfold", "splits": 10, "validation_share": 0.1, "seed": 42}
    table, _ = make_task(files, task, "original.H3", folds)
    places = search_genomes(table["sequence"], {"yeast": folder}, CONFIG, threads=1)
    located = locate_task(table, places, ["yeast"], EMPTY_MANIFEST)
    assert located["contig"].notna().all()
    test = (table["split"] == "test").to_numpy()
    assert round(100 * located["overlaps_train"].to_numpy()[test].mean(), 1) == 13.6
