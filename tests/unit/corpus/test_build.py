"""A corpus holds the windows of the paper's rule, and samples are what the rule says they are."""

import json

import numpy as np
import pytest

from dnalm.corpus.build import CorpusConfig, build_corpus, evaluated_genomes, evenly_spaced
from dnalm.corpus.reader import WindowReader
from dnalm.corpus.token_shards import write_token_shards
from dnalm.corpus.training_windows import TrainingWindows
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary

OUTPUTS = {"manifest": "json", "validation": "npy", "test": "npy", "kmer_counts": "npy"}


@pytest.fixture(scope="module")
def peer(tmp_path_factory):
    """Return transformers' v1 tokenizer over our vocabulary, without an end token."""
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("peer") / "vocab.txt"
    path.write_text("\n".join(Vocabulary(6, "v1").tokens()))
    return transformers.EsmTokenizer(str(path), eos_token=None)


@pytest.fixture
def texts(sequence):
    """Return {genome: {contig: sequence}}; c2 has N, c3 is shorter than a window."""
    return {
        "one": {
            "c1": sequence(1, 5000),
            "c2": sequence(2, 3333, 0.1),
            "c3": sequence(3, 299),
            "c4": sequence(4, 2000, 0.02),
        },
        "two": {"c1": sequence(5, 1000), "7:1001-2500": sequence(6, 1500, 0.5)},
    }


@pytest.fixture
def genomes(store, texts):
    return {name: store(name, records) for name, records in texts.items()}


def config(**changes) -> CorpusConfig:
    settings = {
        "genomes": ["one", "two"],
        "windows": {"length": 300, "stride": 290, "start_max": 30},
        "split": {"by": "contig", "validation": ["c4"], "test": ["two:c1"]},
        "k": 6,
        "vocabulary": "v1",
        "max_tokens": 40,
        "min_kmers": 5,
        "evaluation_windows": 4,
        "haplotypes": None,
    }
    return CorpusConfig(**(settings | changes))


def build(tmp_path, folders, **changes):
    paths = {key: tmp_path / "corpus" / f"{key}.{kind}" for key, kind in OUTPUTS.items()}
    build_corpus(config(**changes), folders, name="c", panel=None, **paths)
    return paths, json.loads(paths["manifest"].read_text())


def test_the_manifest_counts_what_is_there(tmp_path, genomes, texts):
    _, manifest = build(tmp_path, genomes)
    # By hand: 1 + min(39, (300 - 30) // 6) tokens; (length - 10) // 290 windows.
    assert manifest["tokens"] == 40
    one, two = manifest["genomes"]
    assert [(c["contig"], c["split"], c["windows"], c["dropped_tail"]) for c in one["contigs"]] == [
        ("c1", "train", 17, 5000 - 16 * 290 - 300),
        ("c2", "train", 11, 3333 - 10 * 290 - 300),
        ("c4", "validation", 6, 2000 - 5 * 290 - 300),
    ]
    assert one["shorter_than_window"] == {"contigs": 1, "bases": 299}
    assert two["contigs"][1]["contig"] == "7"
    assert two["contigs"][1]["start"] == 1000
    assert two["n"] == texts["two"]["7:1001-2500"].count("N")
    assert manifest["splits"] == {
        "train": {"contigs": 3, "windows": 33, "bases": 9833, "tokens": 33 * 40},
        "validation": {
            "contigs": 1,
            "windows": 6,
            "bases": 2000,
            "tokens": 240,
            "evaluated": 4,
        },
        "test": {"contigs": 1, "windows": 3, "bases": 1000, "tokens": 120, "evaluated": 3},
    }


def test_evaluation_tokens_are_those_of_evenly_spaced_windows(tmp_path, genomes, texts, peer):
    paths, _ = build(tmp_path, genomes)
    for key, text, windows in (
        ("validation", texts["one"]["c4"], [0, 1, 3, 4]),
        ("test", texts["two"]["c1"], [0, 1, 2]),
    ):
        found = np.load(paths[key])
        assert found.dtype == np.uint16
        pieces = [text[290 * window : 290 * window + 300] for window in windows]
        assert found.tolist() == [ids[:40] for ids in peer(pieces)["input_ids"]]


def test_every_evaluated_window_is_traced_to_its_genome(tmp_path, genomes, texts, peer):
    split = {"by": "contig", "validation": ["c4", "two:c1"], "test": ["c2"]}
    paths, manifest = build(tmp_path, genomes, split=split)
    # Six windows of c4 and three of two:c1; of these nine, numbers 0, 2, 4 and 6 are taken.
    assert evaluated_genomes(manifest, "validation").tolist() == ["one", "one", "one", "two"]
    assert set(evaluated_genomes(manifest, "test")) == {"one"}
    found = np.load(paths["validation"])[3].tolist()
    assert found == peer([texts["two"]["c1"][:300]])["input_ids"][0][:40]


def test_kmers_are_counted_over_training_contigs_across_chunks(
    tmp_path, genomes, texts, monkeypatch
):
    monkeypatch.setattr("dnalm.corpus.build.BLOCK_BASES", 97)
    paths, manifest = build(tmp_path, genomes, k=2)
    expected = dict.fromkeys(Vocabulary(2, "v1").tokens()[4:20], 0)
    training = [texts["one"]["c1"], texts["one"]["c2"], texts["two"]["7:1001-2500"]]
    for text in training:
        for kmer in (text[i : i + 2] for i in range(len(text) - 1)):
            if "N" not in kmer:
                expected[kmer] += 1
    assert np.load(paths["kmer_counts"]).tolist() == list(expected.values())
    assert manifest["kmers"] == {"total": sum(expected.values()), "distinct": 16}


def test_an_epoch_draws_every_window_once_at_the_place_it_names(tmp_path, genomes, texts, peer):
    """Tokens equal those of the whole rest of the window, tokenised by transformers."""
    _, manifest = build(tmp_path, genomes)
    drawn = TrainingWindows(manifest, genomes, seed=11)
    assert (drawn.windows, drawn.tokens) == (33, 40)
    windows, starts = [], []
    for epoch in range(3):
        samples = np.arange(epoch * 33, (epoch + 1) * 33)
        tokens = drawn.draw(samples)
        assert tokens.dtype == np.uint16
        places = [drawn.locate(int(sample)) for sample in samples]
        pieces = []
        for place in places:
            name, shift = ("7:1001-2500", 1000) if place["contig"] == "7" else (place["contig"], 0)
            at = place["start"] - shift
            # Starts are 0 .. 30 within windows 290 apart, so they tell the window.
            window, start = divmod(at, 290)
            starts.append(start)
            windows.append((epoch, place["genome"], name, window))
            pieces.append(texts[place["genome"]][name][at : 290 * window + 300])
        expected = [ids[:40] for ids in peer(pieces)["input_ids"]]
        assert tokens.tolist() == expected
    assert len(set(windows)) == 99
    assert max(starts) <= 30
    assert len(set(starts)) > 20


def test_starts_are_uniform_with_both_ends(tmp_path, genomes):
    _, manifest = build(tmp_path, genomes, windows={"length": 300, "stride": 290, "start_max": 3})
    drawn = TrainingWindows(manifest, genomes, seed=1)
    starts = [drawn.locate(sample)["start"] % 290 for sample in range(400)]
    counts = np.bincount(starts[:400], minlength=4)
    # c 7 begins at 1,000 = 3 * 290 + 130, its starts are shifted by 130.
    counts = counts[:4] + np.pad(counts, (0, 200))[130:134]
    assert counts.sum() == 400
    assert np.all(np.abs(counts - 100) < 5 * np.sqrt(75))


def test_samples_do_not_depend_on_order_or_company(tmp_path, genomes):
    _, manifest = build(tmp_path, genomes)
    drawn = TrainingWindows(manifest, genomes, seed=2)
    whole = drawn.draw(np.arange(100))
    mixed = np.random.default_rng(0).permutation(100)
    assert np.array_equal(drawn.draw(mixed), whole[mixed])
    assert np.array_equal(drawn.draw([42])[0], whole[42])
    again = TrainingWindows(manifest, genomes, seed=2)
    assert np.array_equal(again.draw(np.arange(100)), whole)
    other = TrainingWindows(manifest, genomes, seed=3)
    assert not np.array_equal(other.draw(np.arange(100)), whole)


def test_few_open_files_serve_many_genomes(tmp_path, store, sequence, monkeypatch):
    monkeypatch.setattr("dnalm.corpus.reader.MAX_OPEN_GENOMES", 2)
    genomes = {f"g{i}": store(f"g{i}", {"c": sequence(i, 700)}) for i in range(6)}
    changes = {"genomes": list(genomes), "split": {"by": "genome", "validation": 1, "test": 1}}
    _, manifest = build(tmp_path, genomes, **changes)
    reader = WindowReader(manifest, genomes, "train")
    rows = np.tile(np.arange(reader.windows), 2)
    tokens = reader.read(rows, np.zeros_like(rows))
    assert sum(store._descriptor is not None for store in reader._stores) == 2
    zero = np.zeros(1, int)
    alone = [WindowReader(manifest, genomes, "train").read(rows[i : i + 1], zero) for i in rows]
    assert np.array_equal(tokens, np.concatenate(alone))


def test_shards_equal_what_the_trainer_draws(tmp_path, genomes):
    _, manifest = build(tmp_path, genomes)
    folder = tmp_path / "shards"
    write_token_shards(manifest, genomes, folder, epochs=2, shard_windows=25, seed=7, panel=None)
    facts = json.loads((folder / "manifest.json").read_text())
    assert (facts["windows_per_epoch"], facts["epochs"], facts["seed"]) == (33, 2, 7)
    assert [shard["windows"] for shard in facts["shards"]] == [25, 25, 16]
    drawn = TrainingWindows(manifest, genomes, seed=7)
    for shard in facts["shards"]:
        tokens = np.load(folder / shard["file"])
        first = shard["first_sample"]
        assert tokens.dtype == np.uint16
        assert np.array_equal(tokens, drawn.draw(np.arange(first, first + shard["windows"])))
    assert sorted(path.name for path in tmp_path.iterdir() if "shards" in path.name) == ["shards"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"split": {"by": "contig", "validation": ["c3"], "test": ["c4"]}}, "for validation is as"),
        (
            {"split": {"by": "contig", "validation": ["c4"], "test": []}},
            "split.test names no contig",
        ),
        ({"split": {"by": "genome", "validation": 1, "test": 1}}, "nothing is left for training"),
        ({"split": {"by": "contig", "validation": ["c9"], "test": ["c4"]}}, "no contig c9"),
        (
            {"windows": {"length": 10, "stride": 5, "start_max": 100}},
            r"corpora\.c\.windows\.start_max is 100, but windows\.length is 10",
        ),
        ({"windows": {"length": 9999, "stride": 1, "start_max": 0}}, "windows of|window of 9,999"),
    ],
)
def test_a_corpus_without_windows_ends_in_a_sentence_and_no_output(
    tmp_path, genomes, changes, sentence
):
    with pytest.raises(InputError, match=sentence):
        build(tmp_path, genomes, **changes)
    assert not list((tmp_path / "corpus").glob("*"))


def test_other_genomes_under_the_corpus_are_told(tmp_path, genomes, store, texts):
    _, manifest = build(tmp_path, genomes)
    store("one", texts["one"] | {"c1": texts["one"]["c1"][1:]})
    with pytest.raises(InputError, match="contig c1 is not as the corpus manifest"):
        TrainingWindows(manifest, genomes, seed=1)


def test_evenly_spaced_numbers_start_at_0_and_never_repeat():
    assert evenly_spaced(10, 4).tolist() == [0, 2, 5, 7]
    assert evenly_spaced(3, 10).tolist() == [0, 1, 2]
    assert len(np.unique(evenly_spaced(1001, 1000))) == 1000


@pytest.mark.parametrize(
    "change",
    [
        {"genomes": "t"},
        {"genomes": [{"name": "one"}]},
        {"windows": {"length": "a"}},
        {"tokens": 2**40},
        {"tokens": None},
        {"k": 9},
    ],
)
def test_a_damaged_manifest_is_refused_before_a_window_is_read(tmp_path, genomes, change):
    _, manifest = build(tmp_path, genomes)
    with pytest.raises(InputError) as refused:
        TrainingWindows(manifest | change, genomes, 1)
    assert len(str(refused.value)) < 250
