"""Search of task sequences in genomes, compared with a plain search of the text."""

import numpy as np
import pandas as pd
import pytest

from dnalm.benchmark.audit import genome_search
from dnalm.benchmark.audit.genome_alignment import align
from dnalm.benchmark.audit.genome_search import locate, locate_task, pack
from dnalm.benchmark.audit.overlaps import overlaps_other_fold, overlaps_train
from dnalm.benchmark.tasks.table import make_task
from dnalm.genome.bases import write_bases
from dnalm.genome.kmers import to_codes

COMPLEMENT = bytes.maketrans(b"ACGTN", b"TGCAN")


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


def found(sequences, genomes):
    return locate(sequences, genomes).set_index("id")


def test_pack_gives_equal_numbers_to_equal_24_mers_only():
    text = random_text(3000, 0) * 2
    packed, known = pack(to_codes(text))
    assert known.all()
    by_number = {}
    for place, number in enumerate(packed):
        by_number.setdefault(int(number), set()).add(text[place : place + 24])
    assert all(len(mers) == 1 for mers in by_number.values())
    assert len(by_number) == len({text[i : i + 24] for i in range(len(packed))})
    _, known = pack(to_codes("A" * 30 + "N" + "A" * 30))
    assert [bool(k) for k in known] == [True] * 7 + [False] * 24 + [True] * 7


def test_places_on_both_strands_are_those_of_a_text_search(tmp_path, monkeypatch):
    # Small chunks, so that sequences cross their borders.
    monkeypatch.setattr(genome_search, "CHUNK_BASES", 1000)
    contigs = {"a": random_text(5000, 1), "b": random_text(3333, 2)}
    folder = store(tmp_path / "g", contigs)
    draw = np.random.default_rng(3)
    sequences, expected = {}, {}
    for i in range(300):
        contig = "ab"[i % 2]
        length = int(draw.integers(24, 400))
        start = int(draw.integers(len(contigs[contig]) - length + 1))
        piece = contigs[contig][start : start + length].encode()
        if i % 3 == 0:
            piece = piece.translate(COMPLEMENT)[::-1]
        sequences[f"s{i}"] = piece.decode()
        for strand, text in (("+", piece), ("-", piece.translate(COMPLEMENT)[::-1])):
            at = contigs[contig].encode().find(text)
            if at >= 0:
                expected[f"s{i}"] = (contig, at, at + length, strand)
    table = found(sequences, {"g": folder})
    assert len(expected) == 300
    for name, place in expected.items():
        assert tuple(table.loc[name, ["contig", "start", "end", "strand"]]) == place
    assert (table["identity"] == 1).all()
    assert (table["genome"] == "g").all()


def test_contig_ends_are_found(tmp_path):
    text = random_text(900, 4)
    table = found(
        {"first": text[:100], "last": text[-100:]}, {"g": store(tmp_path / "g", {"c": text})}
    )
    assert table["start"].tolist() == [0, 800]


def test_the_first_of_several_places_is_kept(tmp_path):
    piece = random_text(100, 5)
    one = store(tmp_path / "one", {"c": random_text(500, 6) + piece + piece})
    two = store(tmp_path / "two", {"c": piece})
    assert found({"s": piece}, {"one": one, "two": two}).loc["s", "start"] == 500
    assert found({"s": piece}, {"two": two, "one": one}).loc["s", "genome"] == "two"


def test_an_exact_place_wins_over_an_earlier_similar_one(tmp_path):
    piece = random_text(200, 7)
    similar = piece[:100] + ("A" if piece[100] != "A" else "C") + piece[101:]
    folder = store(tmp_path / "g", {"c": similar + random_text(300, 8) + piece})
    assert found({"s": piece}, {"g": folder}).loc["s", "start"] == 500
    only = store(tmp_path / "only", {"c": similar + random_text(300, 8)})
    row = found({"s": piece}, {"only": only}).loc["s"]
    assert row["start"] == 0
    assert row["identity"] == pytest.approx(199 / 200)


def mutated(text, share, seed):
    """Return the text with a share of its letters exchanged, the first 30 left alone."""
    draw = np.random.default_rng(seed)
    letters = list(text)
    for place in draw.choice(np.arange(30, len(text)), round(share * len(text)), replace=False):
        letters[place] = draw.choice([x for x in "ACGT" if x != letters[place]])
    return "".join(letters)


@pytest.mark.parametrize("share", [0.12, 0.2, 0.4])
def test_a_diverged_copy_of_a_repeat_is_no_place(tmp_path, share):
    piece = random_text(400, 40)
    copies = [mutated(piece, share, seed) for seed in range(20)]
    text = "".join(copy + random_text(100, 50 + i) for i, copy in enumerate(copies))
    folder = store(tmp_path / "g", {"c": text})
    assert found({"s": piece}, {"g": folder})["contig"].isna().all()
    young = store(tmp_path / "young", {"c": text + mutated(piece, 0.05, 99)})
    row = found({"s": piece}, {"young": young}).loc["s"]
    assert row["start"] == len(text)
    assert row["identity"] == pytest.approx(0.95)


@pytest.mark.parametrize("bases", [1, 2, 3, 10])
@pytest.mark.parametrize("place", [40, 200, 370])
@pytest.mark.parametrize("strand", ["+", "-"])
def test_an_insertion_or_a_deletion_in_the_middle_is_one_place(tmp_path, bases, place, strand):
    piece, left = random_text(400, 41), random_text(500, 42)
    shorter = piece[:place] + piece[place + bases :]
    longer = piece[:place] + random_text(bases, 43) + piece[place:]
    folder = store(tmp_path / "g", {"c": left + piece + random_text(500, 44)})
    sequences = {"shorter": shorter, "longer": longer}
    if strand == "-":
        sequences = {
            name: text.encode().translate(COMPLEMENT)[::-1].decode()
            for name, text in sequences.items()
        }
    table = found(sequences, {"g": folder})
    assert table["start"].tolist() == [500, 500]
    assert table["end"].tolist() == [900, 900]
    assert table["strand"].tolist() == [strand, strand]
    assert table.loc["shorter", "identity"] == pytest.approx((400 - bases) / 400)
    # Inserted letters may agree by chance with what the breakpoint can be moved to.
    assert table.loc["longer", "identity"] == pytest.approx(400 / (400 + bases), abs=0.005)


def test_sequences_with_an_indel_are_found_at_the_ends_of_a_contig(tmp_path):
    text = random_text(700, 45)
    folder = store(tmp_path / "g", {"c": text})
    first, last = text[:100] + text[102:300], text[400:600] + "AC" + text[600:]
    table = found({"first": first, "last": last}, {"g": folder})
    assert table[["start", "end"]].to_numpy().tolist() == [[0, 300], [400, 700]]


def test_two_shifts_or_a_shift_of_more_than_ten_bases_are_no_place(tmp_path):
    piece = random_text(600, 46)
    folder = store(tmp_path / "g", {"c": random_text(300, 47) + piece + random_text(300, 48)})
    sequences = {
        "two": piece[:200] + piece[205:400] + piece[405:],
        "far": piece[:300] + piece[315:],
    }
    assert found(sequences, {"g": folder})["contig"].isna().all()


def reverse(text):
    return text.encode().translate(COMPLEMENT)[::-1].decode()


def repetitive_text(pieces, seed):
    """Return tandem repeats of short and long units on both strands, and random text between."""
    draw = np.random.default_rng(seed)
    units = ["A", "AT", "CA", "GATA", *(random_text(length, 60 + length) for length in (30, 170))]
    parts = []
    for piece in range(pieces):
        unit = units[draw.integers(len(units))]
        length = int(draw.integers(30, 400))
        repeat = ((unit if draw.random() < 0.5 else reverse(unit)) * length)[:length]
        parts.append(repeat if draw.random() < 0.7 else random_text(length, 1000 * seed + piece))
    return "".join(parts)


@pytest.mark.parametrize("chunk", [300, 1 << 20])
def test_exact_places_are_found_however_often_their_seeds_occur(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(genome_search, "CHUNK_BASES", chunk)
    monkeypatch.setattr(genome_search, "MAX_HITS", 1)
    monkeypatch.setattr(genome_search, "MAX_TRIES", 1)
    contigs = {"a": repetitive_text(40, 1), "b": repetitive_text(40, 2)}
    draw, sequences, expected = np.random.default_rng(3), {}, {}
    for i in range(300):
        text, length = contigs["ab"[i % 2]], int(draw.integers(24, 300))
        start = int(draw.integers(len(text) - length + 1))
        piece = text[start : start + length]
        sequences[f"s{i}"] = reverse(piece) if i % 3 == 0 else piece
        places = [
            (name, at, strand)
            for name, text in contigs.items()
            for strand, pattern in (("+", sequences[f"s{i}"]), ("-", reverse(sequences[f"s{i}"])))
            if (at := text.find(pattern)) >= 0
        ]
        expected[f"s{i}"] = min(places)
    table = found(sequences, {"g": store(tmp_path / "g", contigs)})
    assert (table["identity"] == 1).all()
    for name, place in expected.items():
        assert tuple(table.loc[name, ["contig", "start", "strand"]]) == place


def test_seeds_that_many_sequences_and_places_share_are_tried_a_bounded_number_of_times(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(genome_search, "MAX_TRIES", 500)
    aligned = []

    def count(*given):
        aligned.append(given)
        return align(*given)

    monkeypatch.setattr(genome_search, "align", count)
    sequences = {f"s{i}": random_text(100, 100 + i) + "A" * 200 for i in range(50)}
    near = random_text(300, 98) + "A" * 200
    sequences["near"] = near[:150] + near[151:]
    genome = random_text(2000, 99) + "A" * 1500 + near
    table = found(sequences, {"g": store(tmp_path / "g", {"c": genome})})
    # Poly-A alone has 200 owners at 1,400 places; all other seeds together have a handful.
    assert len(aligned) < 600
    assert table.loc["near", ["start", "end"]].tolist() == [3500, 4000]
    assert table["contig"].notna().sum() == 1


def test_n_is_matched_with_n_and_never_seeds(tmp_path):
    text = random_text(60, 9) + "N" * 10 + random_text(60, 10)
    folder = store(tmp_path / "g", {"c": random_text(77, 11) + text})
    table = found({"s": text, "n": "N" * 50, "short": text[:20]}, {"g": folder})
    assert table.loc["s", "start"] == 77
    assert table.loc["s", "identity"] == 1
    assert table.loc[["n", "short"], "contig"].isna().all()


def test_unrelated_sequences_have_no_place(tmp_path):
    folder = store(tmp_path / "g", {"c": random_text(5000, 12)})
    table = found({"s": random_text(300, 13)}, {"g": folder})
    assert table.loc["s", ["genome", "contig", "start", "strand", "identity"]].isna().all()


def test_pieces_are_found_in_absolute_coordinates(tmp_path):
    text = random_text(400, 14)
    folder = store(tmp_path / "g", {"7:1001-1200": text[:200], "7:5001-5200": text[200:]})
    table = found({"a": text[50:100], "b": text[250:300]}, {"g": folder})
    assert table["contig"].tolist() == ["7", "7"]
    assert table["start"].tolist() == [1050, 5050]


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
    located = locate_task(table, {"g": folder}, manifest)
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
    located = locate_task(table, {"yeast": folder}, {"genomes": []})
    # Four rows differ from this assembly by several insertions and deletions.
    assert located["contig"].isna().sum() == 4
    test = (table["split"] == "test").to_numpy()
    assert round(100 * located["overlaps_train"].to_numpy()[test].mean(), 1) == 13.6
