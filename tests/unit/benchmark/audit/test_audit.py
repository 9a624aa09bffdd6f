"""Audit of a task, on planted rows and on real files whose repeats are known."""

import json

import numpy as np
import pandas as pd
import pytest
from pyfaidx import Fasta
from scipy.stats import mannwhitneyu, spearmanr
from sklearn.metrics import roc_auc_score

from dnalm.benchmark.audit.audit import AuditConfig, audit_task, write_audit
from dnalm.benchmark.audit.confounding import confounding, somers_d, spearman
from dnalm.benchmark.audit.contigs import find_contigs, share_contigs
from dnalm.benchmark.audit.levels import at_least

CONFIG = AuditConfig(
    k=15,
    window=16,
    most_places=500,
    min_identity=0.9,
    min_overlap=50,
    near_share=0.9,
    largest_pairs=1000,
)
COMPLEMENT = str.maketrans("ACGT", "TGCA")


def draw(generator, length, gc=0.5):
    shares = [(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]
    return "".join(generator.choice(list("ACGT"), length, p=shares))


def reverse(sequence):
    return sequence.translate(COMPLEMENT)[::-1]


def table_of(train, test, folds=None, labels=None):
    rows = [("train", s) for s in train] + [("test", s) for s in test]
    splits, sequences = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "id": [f"train.{i}" for i in range(len(train))]
            + [f"test.{i}" for i in range(len(test))],
            "sequence": sequences,
            "label": labels or [0] * len(rows),
            "split": splits,
            "provenance": [f"file.csv, row {i}" for i in range(len(rows))],
            "folds": [
                *(folds or [[i % 2] for i in range(len(train))]),
                *([] for _ in test),
            ],
        }
    )


def test_test_rows_are_named_by_their_closest_training_row():
    generator = np.random.default_rng(0)
    place = draw(generator, 1000)
    train = [place[:500], draw(generator, 500), place[300:800]]
    test = [
        place[:500],  # identical to train.0, which is closer than the overlap with train.2
        reverse(train[1]),  # identical on the other strand
        reverse(place[20:520]),  # 480 of 500 bases of train.0
        place[450:950],  # 350 of train.2, 50 of train.0
        draw(generator, 500),
    ]
    audit = audit_task(table_of(train, test), "binary", CONFIG)
    rows = audit.rows.set_index("id").loc[[f"test.{i}" for i in range(5)]]
    assert rows["relation"].tolist() == ["identical", "identical", "near", "overlap", "none"]
    assert rows["partner"].tolist()[:4] == ["train.0", "train.1", "train.0", "train.2"]
    assert rows["partner"].isna().tolist()[4]
    assert rows["overlap"].tolist() == [500, 500, 480, 350, 0]
    assert rows["strand"].tolist()[:4] == ["+", "-", "-", "+"]
    counts = audit.summary["test_in_train"]
    assert counts == {"identical": 2, "near": 1, "overlap": 1}
    assert at_least(rows["relation"], "near").tolist() == [True, True, True, False, False]


def test_ns_that_pad_or_mask_a_row_do_not_hide_its_near_duplicates():
    generator = np.random.default_rng(8)
    train, test = [], []
    for _ in range(10):
        place = draw(generator, 600)
        train += ["N" * 400 + place, place[:300]]
        test += ["N" * 300 + place + "N" * 100, place[:130] + "N" * 40 + place[170:300]]
    audit = audit_task(table_of(train, test), "binary", CONFIG)
    # Of a padded row the masked one is the first half; of the whole place both are near.
    assert audit.summary["test_in_train"] == {"identical": 0, "near": 20, "overlap": 0}
    rows = audit.rows.set_index("id")
    assert rows.loc[["test.0", "test.1"], "overlap"].tolist() == [600, 260]
    assert rows.loc[["test.0", "test.1"], "identity"].tolist() == [1, 1]


@pytest.mark.parametrize("unit", ["A", "CA", "AATG", "AACCGT"])
def test_ends_in_a_tandem_repeat_relate_no_rows_but_what_lies_beside_does(unit):
    generator = np.random.default_rng(9)
    repeat = (unit * 60)[:60]
    train = [draw(generator, 240) + repeat for _ in range(60)]
    others = [repeat + draw(generator, 240) for _ in range(60)]
    # Sixty bases beside the repeat make a window; so does a whole row with a base replaced.
    windows = [row[-120:] + draw(generator, 180) for row in train]
    copies = ["ACGT"["ACGT".index(row[9]) - 1].join([row[:9], row[10:]]) for row in train]
    test = [*others, *windows, *copies, repeat * 5]
    train += [repeat * 5, repeat * 4 + "C" + repeat]
    audit = audit_task(table_of(train, test), "binary", CONFIG)
    relations = audit.rows["relation"].tolist()[len(train) :]
    assert relations == ["none"] * 60 + ["overlap"] * 60 + ["near"] * 60 + ["identical"]
    assert (audit.rows["overlap"][len(train) + 60 : len(train) + 120] >= 120).all()


def test_training_rows_are_compared_with_those_of_other_folds_only():
    generator = np.random.default_rng(1)
    place = draw(generator, 900)
    train = [place[:500], place[100:600], place[200:700], draw(generator, 500)]
    table = table_of(train, [draw(generator, 500)], folds=[[0], [0], [1], [1]])
    audit = audit_task(table, "binary", CONFIG)
    assert audit.summary["train_in_other_folds"] == {"identical": 0, "near": 0, "overlap": 3}
    rows = audit.rows.set_index("id")
    assert rows.loc["train.0", "partner"] == "train.2"  # train.1 is closer, but of the same fold
    assert rows.loc["train.0", "overlap"] == 300
    assert audit.summary["within_train"] == {"identical": 0, "near": 0, "overlap": 3}
    assert audit.summary["within_test"] == {"identical": 0, "near": 0, "overlap": 0}


@pytest.mark.parametrize("length", [14, 20, 25, 30, 40, 60])
def test_near_duplicates_of_short_rows_are_found_and_too_short_ones_counted(length):
    generator = np.random.default_rng(length)
    train = [draw(generator, length) for _ in range(200)]
    test = [mutate(generator, row, 0, length, 1) for row in train]
    # Others are long or too short; these are compared too, or counted.
    train += [draw(generator, 500) for _ in range(300)] + ["ACGTT"]
    test += ["ACGTACGTACCTG", "ACGTT", "N" * 40, "ACGTNN" * 6]
    audit = audit_task(table_of(train, test), "binary", CONFIG)
    relations = audit.rows["relation"][len(train) :].tolist()
    assert relations == ["near"] * 200 + ["none", "identical", "none", "none"]
    assert audit.summary["too_short"] == 5


def mutate(generator, sequence, first, last, number=3):
    letters = list(sequence)
    for place in generator.choice(np.arange(first, last), number, replace=False):
        letters[place] = generator.choice([base for base in "ACGT" if base != letters[place]])
    return "".join(letters)


@pytest.mark.parametrize(("train_rows", "test_rows"), [(1500, 375), (400, 375), (20, 700)])
def test_all_leaks_within_a_large_family_are_found_in_any_order_of_rows(train_rows, test_rows):
    generator = np.random.default_rng(10)
    element = draw(generator, 230)
    train = [mutate(generator, element, 0, 115) for _ in range(train_rows)]
    test = [mutate(generator, element, 115, 230) for _ in range(test_rows)]
    for order in (slice(None), slice(None, None, -1)):
        audit = audit_task(table_of(train[order], test[order]), "binary", CONFIG)
        # Every test row differs from every training row in six of 230 bases.
        assert audit.summary["test_in_train"] == {"identical": 0, "near": test_rows, "overlap": 0}
        rows = audit.rows[train_rows:]
        assert rows["identity"].between(224 / 230 - 1e-6, 1).all()
        for where in ("train_in_other_folds", "within_train", "within_test"):
            related = audit.summary[where]["near"] + audit.summary[where]["identical"]
            assert related == (test_rows if where == "within_test" else train_rows)


def test_relations_do_not_depend_on_the_order_of_rows():
    generator = np.random.default_rng(11)
    elements = [draw(generator, 200) for _ in range(30)]
    rows = []
    for _ in range(700):
        flanks = [draw(generator, int(n)) for n in generator.integers(0, 60, size=2)]
        core = mutate(generator, elements[int(30 * generator.random() ** 3)], 0, 200, 8)
        rows.append(flanks[0] + core + flanks[1])
    table = table_of(rows[:450], rows[450:])
    config = AuditConfig(**{**CONFIG.__dict__, "most_places": 50})
    shuffled = table.sample(frac=1, random_state=1)
    one, two = (audit_task(t, "binary", config) for t in (table, shuffled))
    compared = one.rows.merge(two.rows, on="id")
    assert (compared["relation_x"] == compared["relation_y"]).all()
    assert (compared["overlap_x"] == compared["overlap_y"]).all()
    assert compared["relation_x"].nunique() > 1
    for where in ("test_in_train", "train_in_other_folds", "within_train", "within_test"):
        assert one.summary[where] == two.summary[where]


def test_rows_with_the_same_sequence_and_another_label_are_counted():
    generator = np.random.default_rng(2)
    one, two, three = (draw(generator, 300) for _ in range(3))
    near = one[:290] + draw(generator, 10)
    table = table_of([one, two, three], [reverse(one), near, two], labels=[0, 0, 1, 1, 0, 0])
    audit = audit_task(table, "binary", CONFIG)
    # `one` on both strands has two labels, and `near` stands beside them.
    assert audit.summary["other_labels"] == 3


def test_pairs_are_listed_closest_first_up_to_the_limit():
    generator = np.random.default_rng(3)
    place = draw(generator, 800)
    train = [place[:300], place[20:320], place[150:450]]
    config = AuditConfig(**{**CONFIG.__dict__, "largest_pairs": 2})
    pairs = audit_task(table_of(train, [draw(generator, 300)]), "binary", config).pairs
    found = list(zip(pairs["first"], pairs["second"], pairs["overlap"], strict=True))
    assert found == [("train.0", "train.1", 280), ("train.1", "train.2", 170)]
    assert pairs["relation"].tolist() == ["near", "overlap"]


def test_each_row_is_listed_with_the_first_one_that_is_identical():
    generator = np.random.default_rng(13)
    one, two, three = (draw(generator, 200) for _ in range(3))
    near = one[:199] + ("A" if one[199] != "A" else "C")
    table = table_of([two, one, three, one], [near, reverse(one), two, "N" * 9 + three])
    pairs = audit_task(table, "binary", CONFIG).pairs
    found = pairs[["first", "second", "relation", "overlap"]].to_numpy().tolist()
    assert found == [
        ["train.1", "train.3", "identical", 200],
        ["train.1", "test.1", "identical", 200],
        ["train.0", "test.2", "identical", 200],
        ["train.1", "test.0", "near", 200],
        ["train.2", "test.3", "near", 200],
    ]
    config = AuditConfig(**{**CONFIG.__dict__, "largest_pairs": 2})
    assert audit_task(table, "binary", config).pairs.equals(pairs[:2])


def test_overlaps_found_in_sequences_are_those_of_their_coordinates(tmp_path):
    generator = np.random.default_rng(4)
    lines = [f">{name}\n{draw(generator, 20_000)}\n" for name in ("one", "two")]
    (tmp_path / "genome.fa").write_text("".join(lines))
    genome = Fasta(str(tmp_path / "genome.fa"))
    windows = [
        (str(generator.choice(["one", "two"])), int(generator.integers(0, 19_600)))
        for _ in range(120)
    ]
    sequences = []
    for contig, start in windows:
        record = genome[contig][start : start + 400]
        sequences.append((-record if generator.random() < 0.5 else record).seq)
    table = table_of(sequences[:80], sequences[80:])
    rows = audit_task(table, "binary", CONFIG).rows.set_index("id")
    for i, (contig, start) in enumerate(windows[80:]):
        overlaps = [400 - abs(start - at) for name, at in windows[:80] if name == contig]
        expected = max([o for o in overlaps if o >= 50], default=0)
        assert rows.loc[f"test.{i}", "overlap"] == expected
    assert (rows.loc["test.0":, "overlap"] > 0).sum() > 20


def test_contigs_are_read_from_places_and_shared_ones_are_counted():
    provenance = ["chr1:10-20(+)", "HLA:A*01:5-9(-)", "rows.csv, row 7", "chr2:0-5(+)"]
    contig = find_contigs(provenance)
    assert contig.tolist() == ["chr1", "HLA:A*01", None, "chr2"]
    split = pd.Series(["train", "train", "test", "test"])
    assert share_contigs(contig, split) == {
        "placed": {"train": 2, "test": 1},
        "shared": [],
        "test_rows_shared": 0,
    }
    assert share_contigs(contig, split[::-1])["test_rows_shared"] == 0
    again = share_contigs(pd.Series(["chr1", "chr2", "chr1"]), pd.Series(["train", "test", "test"]))
    assert (again["shared"], again["test_rows_shared"]) == (["chr1"], 1)
    assert share_contigs(find_contigs(["rows.csv, row 7"]), split[:1]) is None


def labelled(generator, rows, label, length=100):
    """Return rows of any GC content, with labels that are a function of it, and that content."""
    sequences = [draw(generator, length, gc) for gc in generator.random(rows)]
    gc = np.array([sum(letter in "GC" for letter in s) / len(s) for s in sequences])
    return pd.DataFrame({"sequence": sequences, "label": list(label(gc))}), gc


WAYS = {
    "two": lambda gc: (gc > 0.4).astype(int),
    "three": lambda gc: np.digitize(gc, [0.3, 0.7]),
    "five": lambda gc: np.digitize(gc, [0.2, 0.4, 0.6, 0.8]),
    "extremes": lambda gc: (np.abs(gc - 0.5) > 0.25).astype(int),
    "stripes": lambda gc: (5 * gc).astype(int) % 2,
}


@pytest.mark.parametrize("way", WAYS)
def test_gc_that_decides_classes_in_any_way_has_a_strength_of_one_and_shuffled_gc_none(way):
    generator = np.random.default_rng(5)
    table, _ = labelled(generator, 1000, WAYS[way])
    found = confounding(table, "multiclass")
    assert 0.95 < found["gc"]["strength"] <= 1
    assert found["length"]["strength"] == 0  # all are 100 bases long
    strengths = []
    for _ in range(20):
        shuffled = table.assign(label=generator.permutation(table["label"]))
        strengths.append(confounding(shuffled, "multiclass")["gc"]["strength"])
    assert np.mean(strengths) < 0.03
    assert max(strengths) < 0.1


def test_a_length_that_raises_the_odds_has_the_strength_of_the_odds_themselves():
    generator = np.random.default_rng(6)
    sequences = [draw(generator, 50 + i % 4) for i in range(4000)]
    odds = np.array([0.2, 0.5, 0.6, 0.9])[np.arange(4000) % 4]
    label = (generator.random(4000) < odds).astype(int)
    found = confounding(pd.DataFrame({"sequence": sequences, "label": label}), "binary")
    best = 2 * mannwhitneyu(odds[label == 1], odds[label == 0]).statistic
    best = best / ((label == 1).sum() * (label == 0).sum()) - 1
    assert found["length"]["strength"] == pytest.approx(best, abs=0.02)


def test_strengths_of_other_kinds_are_means_over_labels_or_targets():
    generator = np.random.default_rng(6)
    table, gc = labelled(generator, 1000, lambda gc: gc)
    random = generator.random(1000)
    for number in (gc, (gc - 0.5) ** 2):
        found = confounding(table.assign(label=[[value] for value in number]), "regression")
        assert found["gc"]["strength"] > 0.95
    targets = np.stack([gc, random], axis=1)
    found = confounding(table.assign(label=list(targets)), "regression")
    assert found["gc"]["strength"] == pytest.approx(0.5, abs=0.05)
    labels = [[int(value > np.median(gc)), 1] for value in gc]  # the second one never varies
    found = confounding(table.assign(label=labels), "multilabel")
    assert found["gc"]["strength"] == pytest.approx(1, abs=0.05)


def test_rank_statistics_are_those_of_scipy_and_scikit_learn_with_ties():
    generator = np.random.default_rng(9)
    for distinct in (2, 7, 1000):
        guess = generator.integers(distinct, size=300) / 3
        label = generator.integers(2, size=300)
        number = guess + generator.integers(3, size=300)
        assert somers_d(guess, label) == pytest.approx(2 * roc_auc_score(label, guess) - 1)
        assert spearman(guess, number) == pytest.approx(spearmanr(guess, number).statistic)


def test_of_labels_of_bases_the_share_counts_and_not_their_number():
    generator = np.random.default_rng(7)
    sequences = [draw(generator, int(n)) for n in generator.integers(50, 500, size=1000)]
    # A tenth of the bases of every row, whatever its length, give or take.
    labels = [(generator.random(len(s)) < 0.1).astype(int) for s in sequences]
    table = pd.DataFrame({"sequence": sequences, "label": labels})
    assert confounding(table, "per_base")["length"]["strength"] < 0.15
    labels = [(np.arange(len(s)) < len(s) ** 2 / 600).astype(int) for s in sequences]
    found = confounding(table.assign(label=labels), "per_base")
    assert found["length"]["strength"] > 0.95


def test_a_label_that_can_be_read_off_the_strand_is_measured():
    generator = np.random.default_rng(8)
    label = np.arange(2000) % 2
    random = generator.permutation(label).astype(bool)
    sequences = [draw(generator, 50) for _ in label]

    def strength(plus):
        places = [f"c:{i}-{i + 50}({'+' if one else '-'})" for i, one in enumerate(plus)]
        table = pd.DataFrame({"sequence": sequences, "label": label, "provenance": places})
        return confounding(table, "binary")["strand"]["strength"]

    # Positives forward, of the negatives every other one: an AUC of 3/4.
    assert strength((label == 1) | random) == pytest.approx(0.5, abs=0.03)
    assert strength(label == 0) > 0.99
    assert strength(random) < 0.06
    assert strength(label >= 0) == 0
    rows = [f"x.csv, row {i}" for i in label]
    of_files = pd.DataFrame({"sequence": sequences, "label": label, "provenance": rows})
    assert confounding(of_files, "binary")["strand"]["strength"] is None


def test_an_audit_is_written_and_read_back(tmp_path):
    generator = np.random.default_rng(7)
    sequence = draw(generator, 300)
    audit = audit_task(table_of([sequence], [sequence]), "binary", CONFIG)
    paths = {name: str(tmp_path / name) for name in ("summary", "rows", "pairs")}
    write_audit(audit, {"name": "mine.x", "sha256": "a" * 64}, **paths)
    summary = json.loads((tmp_path / "summary").read_text())
    assert (summary["task"], summary["test_in_train"]["identical"]) == ("mine.x", 1)
    rows = pd.read_parquet(paths["rows"])
    assert rows["relation"].tolist() == ["none", "identical"]
    pairs = pd.read_csv(paths["pairs"], sep="\t")
    assert pairs.to_numpy().tolist() == [["train.0", "test.0", "identical", 300, 1.0]]


# Different sequences that stand, as written, in both files (the data's README).
REPEATS = {
    ("promoter_tata", "train", "dev"): 14,
    ("promoter_tata", "train", "test"): 6,
    ("promoter_no_tata", "dev", "test"): 3,
    ("promoter_all", "dev", "test"): 1,
    ("splice_sites_all", "dev", "test"): 30,
}


@pytest.mark.parametrize(("files", "repeats"), REPEATS.items(), ids=lambda value: str(value))
def test_repeats_of_real_files_are_those_that_are_known(data_folder, files, repeats):
    name, *splits = files
    tables = [pd.read_csv(data_folder / f"tasks/{name}/{split}.csv.gz") for split in splits]
    train, test = (table["sequence"].str.upper().tolist() for table in tables)
    audit = audit_task(table_of(train, test), "binary", CONFIG)
    rows = audit.rows[len(train) :]
    identical = rows[rows["relation"] == "identical"]
    assert len(set(train) & set(test)) == repeats
    # Equal sequences are all found, with those that are equal on the other strand.
    both = set(train) | {sequence.translate(COMPLEMENT)[::-1] for sequence in train}
    assert len(identical) == sum(sequence in both for sequence in test) >= repeats
