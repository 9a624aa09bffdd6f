"""Files in, tables out: the numbers of lists of sequences, in order, in constant memory."""

import gzip
import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pysam
import pytest

from dnalm import InputError, load_classifier, load_model, predict, predict_file, read_genome
from dnalm.benchmark.prediction.classifiers import check_made
from dnalm.files import read_json, write_json

ROWS = {"a": "ACGTACGTACGTAAT", "b": "TTTACGACGTAGCATGCATGCAT", "c": "GGGCGCGATATTAGCG"}


def write_fasta(path, rows):
    path.write_text("".join(f">{name} more words\n{text}\n" for name, text in rows.items()))
    return path


def read_tsv(path):
    return pd.read_csv(path, sep="\t", keep_default_na=False, na_values=[""], dtype={"id": str})


def test_the_test_rows_of_a_task_are_predicted_as_its_probe_predicted_them(trained, tmp_path):
    test = trained.table[trained.table["split"] == "test"]
    test[["id", "sequence"]].to_csv(tmp_path / "rows.csv", index=False)
    for fold in trained.classifier.folds:
        predict_file(
            trained.classifier, tmp_path / "rows.csv", tmp_path / "out.parquet", folds=[fold]
        )
        found = pd.read_parquet(tmp_path / "out.parquet")
        own = trained.result.predictions[trained.result.predictions["fold"] == fold]
        assert found["id"].tolist() == own["id"].tolist()
        assert found["predicted"].tolist() == own["prediction"].tolist()
    assert (found["predicted"].to_numpy() == test["label"].to_numpy()).mean() > 0.6


@pytest.mark.parametrize(
    "settings", [{"dtype": "float16"}, {"strands": "both"}, {"pooling": "centre"}, {"layers": [1]}]
)
def test_features_are_made_as_those_that_the_probe_was_fitted_on(train, settings):
    trained = train(**settings)
    test = trained.table[trained.table["split"] == "test"]
    for fold in trained.classifier.folds:
        found = predict(trained.classifier, test["sequence"].tolist(), folds=[fold])
        own = trained.result.predictions[trained.result.predictions["fold"] == fold]
        assert found.argmax(axis=1).tolist() == own["prediction"].tolist()


@pytest.mark.parametrize("ending", ["fa", "fasta.gz", "csv", "tsv", "parquet"])
def test_every_format_gives_the_same_table_as_the_list(trained, tmp_path, ending):
    path = tmp_path / f"rows.{ending}"
    table = pd.DataFrame({"id": list(ROWS), "sequence": list(ROWS.values())})
    if ending == "fasta.gz":
        path.write_bytes(gzip.compress(write_fasta(tmp_path / "rows.fa", ROWS).read_bytes()))
    elif ending == "fa":
        write_fasta(path, ROWS)
    elif ending == "parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="," if ending == "csv" else "\t")
    outputs = [tmp_path / "out.tsv", tmp_path / "out.parquet"]
    assert predict_file(trained.classifier, path, outputs) == {"rows": 3, "left_out": 0}
    wanted = [predict(trained.classifier, list(ROWS.values()), folds=[f]) for f in range(3)]
    for found in (read_tsv(outputs[0]), pd.read_parquet(outputs[1])):
        assert found["id"].tolist() == list(ROWS)
        assert found["bases"].tolist() == list(map(len, ROWS.values()))
        assert (found["folds"] == 3).all()
        for label in (0, 1):
            own = np.stack(wanted)[:, :, label]
            column = found[f"probability.{label}"]
            np.testing.assert_allclose(column, own.mean(0), rtol=1e-5)
            np.testing.assert_allclose(found[f"probability.{label}.sd"], own.std(0, ddof=1), 1e-4)
        assert found["predicted"].tolist() == np.mean(wanted, axis=0).argmax(axis=1).tolist()


def test_ids_come_from_their_column_or_are_the_numbers_of_rows(trained, tmp_path):
    path, output = tmp_path / "rows.csv", tmp_path / "out.tsv"
    path.write_text("name,dna\nx,ACGTACGT\ny,TTGACCAG\n")
    options = {"sequence_column": "dna"}
    predict_file(trained.classifier, path, output, **options)
    assert read_tsv(output)["id"].tolist() == ["1", "2"]
    predict_file(trained.classifier, path, output, id_column="name", **options)
    assert read_tsv(output)["id"].tolist() == ["x", "y"]
    with pytest.raises(InputError, match=r"no column 'nme'.*set `id_column` of the prediction"):
        predict_file(trained.classifier, path, output, id_column="nme", **options)


def test_the_order_of_rows_and_the_size_of_blocks_decide_nothing(trained, tmp_path, monkeypatch):
    rows = {f"{i}": text for i, text in enumerate(trained.table["sequence"])}
    path = write_fasta(tmp_path / "rows.fa", rows)
    found = []
    for size in (7, 1000):
        monkeypatch.setattr("dnalm.interface.BLOCK_ROWS", size)
        predict_file(trained.classifier, path, tmp_path / "out.parquet")
        assert pq.ParquetFile(tmp_path / "out.parquet").num_row_groups == -(-len(rows) // size)
        found.append(pd.read_parquet(tmp_path / "out.parquet"))
    assert found[0]["id"].tolist() == list(rows)
    pd.testing.assert_frame_equal(found[0], found[1], rtol=1e-5)


@pytest.mark.parametrize(("kind", "classes"), [("multiclass", 3), ("multilabel", 2)])
def test_classes_and_labels_have_their_names(tune, tmp_path, kind, classes):
    names = ["none", "weak", "strong"][-classes:]
    classifier = tune(kind, classes, names)
    path = write_fasta(tmp_path / "rows.fa", ROWS)
    predict_file(classifier, path, [tmp_path / "out.tsv", tmp_path / "out.parquet"])
    found = read_tsv(tmp_path / "out.tsv")
    outputs = predict(classifier, list(ROWS.values()))
    for number, name in enumerate(names):
        np.testing.assert_allclose(found[f"probability.{name}"], outputs[:, number], rtol=1e-5)
    if kind == "multilabel":
        wanted = (outputs > 0.5).astype(int)
        assert found[[f"predicted.{name}" for name in names]].to_numpy().tolist() == wanted.tolist()
    else:
        assert found["predicted"].tolist() == [names[i] for i in outputs.argmax(axis=1)]
        metadata = pq.read_schema(tmp_path / "out.parquet").metadata
        assert (metadata[b"method"], metadata[b"model"], metadata[b"task"]) == (
            b"ia3",
            b"small",
            b"mine.x",
        )


def test_numbers_are_in_the_units_of_the_targets(tune, tmp_path):
    classifier = tune("regression", 2, ["activity", "noise"])
    predict_file(classifier, write_fasta(tmp_path / "rows.fa", ROWS), tmp_path / "out.tsv")
    found = read_tsv(tmp_path / "out.tsv")
    outputs = predict(classifier, list(ROWS.values()))
    np.testing.assert_allclose(found[["value.activity", "value.noise"]], outputs, rtol=1e-5)
    assert (outputs > 900).all()
    assert "predicted" not in found.columns


def test_of_both_strands_the_outputs_are_averaged(trained, tmp_path):
    path = write_fasta(tmp_path / "rows.fa", ROWS)
    predict_file(trained.classifier, path, tmp_path / "out.parquet", strands="both")
    complement = str.maketrans("ACGT", "TGCA")
    others = [text.translate(complement)[::-1] for text in ROWS.values()]
    wanted = (
        predict(trained.classifier, list(ROWS.values())) + predict(trained.classifier, others)
    ) / 2
    found = pd.read_parquet(tmp_path / "out.parquet")
    np.testing.assert_allclose(found["probability.1"], wanted[:, 1], rtol=1e-6)


def test_intervals_are_cut_as_pysam_cuts_them_on_both_strands(
    trained, store, sequence, tmp_path, monkeypatch
):
    fasta = tmp_path / "g.fa"
    records = {"one": sequence(1, 500), "two": sequence(2, 300)}
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in records.items()))
    folder = store("genome", fasta)
    bed = tmp_path / "sites.bed"
    bed.write_text("one\t10\t60\tx\t0\t+\ntwo\t5\t55\tx\t0\t-\none\t10\t60\tx\t0\t.\n")
    genome = read_genome(folder)
    predict_file(trained.classifier, bed, tmp_path / "out.tsv", genome=genome)
    with pysam.FastaFile(str(fasta)) as reference:
        wanted = [reference.fetch("one", 10, 60), reference.fetch("two", 5, 55)]
    wanted[1] = wanted[1].translate(str.maketrans("ACGT", "TGCA"))[::-1]
    outputs = predict(trained.classifier, [*wanted, wanted[0]])
    found = read_tsv(tmp_path / "out.tsv")
    np.testing.assert_allclose(found["probability.1"], outputs[:, 1], rtol=1e-5)
    assert found["id"].tolist() == ["one:10-60(+)", "two:5-55(-)", "one:10-60(.)"]
    assert found[["contig", "start", "end"]].iloc[1].tolist() == ["two", 5, 55]
    assert found["strand"].tolist() == ["+", "-", "."]

    predict_file(trained.classifier, bed, tmp_path / "out.tsv", genome=genome, window=40)
    middle = read_tsv(tmp_path / "out.tsv")
    assert middle[["start", "end"]].to_numpy().tolist() == [[15, 55], [10, 50], [15, 55]]
    outputs = predict(trained.classifier, [wanted[0][5:45], wanted[1][5:45]])
    np.testing.assert_allclose(middle["probability.1"][:2], outputs[:, 1], rtol=1e-5)
    bed.write_text("one\t10\t501\n")
    with pytest.raises(InputError, match=r"sites\.bed:1: one:10-501 cannot be read"):
        predict_file(trained.classifier, bed, tmp_path / "no.tsv", genome=genome)
    bed.write_text("one\t2\t12\n")
    with pytest.raises(InputError, match="begins 13 bases before the contig"):
        predict_file(trained.classifier, bed, tmp_path / "no.tsv", genome=genome, window=40)
    assert not (tmp_path / "no.tsv").exists()


def test_memory_does_not_grow_with_the_file(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("dnalm.interface.BLOCK_ROWS", 250)
    random, peaks = np.random.default_rng(0), []
    for rows in (500, 5000):
        path = tmp_path / f"{rows}.fa"
        with open(path, "w") as file:
            for number in range(rows):
                file.write(f">row.{number}\n{''.join(random.choice(list('ACGT'), 12))}\n")
        tracemalloc.start()
        outputs = [tmp_path / "out.tsv", tmp_path / "out.parquet"]
        found = predict_file(trained.classifier, path, outputs, folds=[0])
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found["rows"] == rows
        assert pq.ParquetFile(outputs[1]).metadata.num_rows == rows
    # Of each row 8 bytes are kept; all rows, their letters and outputs would be megabytes.
    assert peaks[1] < peaks[0] + 300_000, peaks


def test_how_long_it_takes_is_said_before_and_what_was_unusual(trained, tmp_path, caplog):
    path = write_fasta(tmp_path / "rows.fa", {**ROWS, "rna": "ACGUACGUACGU"})
    with caplog.at_level("INFO"):
        predict_file(trained.classifier, path, tmp_path / "out.tsv")
    said = [record.getMessage() for record in caplog.records]
    begun = next(i for i, text in enumerate(said) if text.startswith("predict: 4 rows"))
    assert any(text.startswith("about ") and text.endswith(" for 4 rows") for text in said[begun:])
    assert any("3 letters U are read as T" in text for text in said)
    assert any("its rows have 12 to 23 bases; those of the task mine.x" in text for text in said)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("empty.fa", "", r"empty\.fa is empty"),
        ("none.csv", "id,sequence\n", r"none\.csv holds no sequence"),
        (
            "twice.fa",
            ">a\nACGT\n>b\nACGT\n>a\nACGA\n",
            r"two rows have the id 'a' \(.*row 1; .*3\)",
        ),
        ("nameless.fa", ">a\nACGT\n> \nACGT\n", r"row 2 has no id"),
        ("other.csv", "id,dna\nx,ACGT\n", r"no column 'sequence'.*`sequence_column` of the pred"),
        ("protein.fa", ">p\nMKLV\n", r"row p .*holds 'L'.*`other_letters` of the prediction"),
        ("short.fa", ">s\nA\n", r"row s .*has 1 bases, fewer than the 2.*`too_short` of the pred"),
        ("long.fa", f">l\n{'ACGT' * 50}\n", r"has 200 bases, which make 101 tokens.*`too_long`"),
        ("blank.fa", ">e\n\n>f\nACGT\n", r"row e .*has 0 bases"),
        (
            "tab.csv",
            'id,sequence\n"a\tb",ACGT\n',
            r"row 1 has the id 'a.tb' with a tab or a line end",
        ),
        ("line.csv", 'id,sequence\n"a\nb",ACGT\n', r"row 1 has the id 'a.nb' with a tab or a line"),
        ("missing.csv", "id,sequence\na,NA\n", r"row a .*has 0 bases"),
        ("rows.xyz", "ACGT", r"an ending that names no format: set `format` of the prediction"),
    ],
)
def test_what_cannot_be_predicted_is_said_before_the_work(trained, tmp_path, name, text, sentence):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=sentence):
        predict_file(trained.classifier, tmp_path / name, tmp_path / "out.tsv")
    assert not list(tmp_path.glob("out*"))
    assert not list(tmp_path.glob(".out*"))


def test_a_file_of_outputs_and_a_fold_that_are_not_there_are_named(trained, tune, tmp_path):
    path = write_fasta(tmp_path / "rows.fa", ROWS)
    with pytest.raises(InputError, match=r"out\.csv: predictions are written as \.tsv or"):
        predict_file(trained.classifier, path, tmp_path / "out.csv")
    with pytest.raises(InputError, match=r"folds is \[7\], but .* holds the folds 0, 1, 2"):
        predict_file(trained.classifier, path, tmp_path / "out.tsv", folds=[7])
    with pytest.raises(InputError, match="too much for a table of text"):
        predict_file(tune("per_base", 2), path, tmp_path / "out.tsv")
    with pytest.raises(InputError, match=r"cannot be read|no such"):
        predict_file(trained.classifier, tmp_path / "absent.fa", tmp_path / "out.tsv")
    with pytest.raises(InputError, match="is a folder"):
        predict_file(trained.classifier, tmp_path, tmp_path / "out.tsv", file_format="fasta")


def test_a_probe_of_other_settings_than_are_asked_for_is_refused(trained):
    asked = {
        "layers": "all",
        "pooling": "mean",
        "centre_bases": 10,
        "strands": "forward",
        "precision": "float32",
    }
    facts = trained.classifier.facts
    check_made(facts, asked, 2)
    check_made(facts, asked | {"precision": "auto"}, 2)
    with pytest.raises(InputError, match=r"with precision 'float32', but .* asks for 'bf16'"):
        check_made(facts, asked | {"precision": "bf16"}, 2)
    with pytest.raises(
        InputError, match=r"with pooling 'mean', but the configuration asks for 'cls"
    ):
        check_made(facts, asked | {"pooling": "cls"}, 2)
    other = 3 - facts.made["layer"]
    with pytest.raises(InputError, match=rf"with layer .*asks for the layers {other}"):
        check_made(facts, asked | {"layers": [other]}, 2)


@pytest.mark.parametrize("precision", ["auto", "float32", "tf32", "bf16"])
def test_a_probe_is_taken_with_the_setting_that_it_was_made_with(train, precision):
    """Whatever this machine makes of it: tf32 is float32 on a CPU."""
    facts = train(precision=precision).classifier.facts
    asked = facts.made | {"layers": "all"}
    check_made(facts, asked | {"precision": precision}, 2)
    if precision == "bf16":
        with pytest.raises(InputError, match=r"with precision 'bf16', but .* asks for 'tf32'"):
            check_made(facts, asked | {"precision": "tf32"}, 2)


def test_embeddings_in_bf16_move_the_scores_of_a_probe_by_less_than_the_splits_differ(
    train,
):
    both = _, rough = train(precision="float32"), train(precision="bf16")
    assert rough.classifier.facts.made["precision"] == "bf16"
    for metric in ("mcc", "accuracy", "auc"):
        exact, moved = (one.result.scores[metric] for one in both)
        assert exact.mean() > 0.5  # there is something to lose
        assert abs(moved.mean() - exact.mean()) <= 0.03
    weights = [one.result.fitted[0]["weights"] for one in both]
    assert (weights[0] != weights[1]).any()


def test_a_classifier_of_another_base_is_refused(trained, make_model):
    run = Path(trained.files["run"])
    facts = read_json(run)
    write_json(run, facts | {"encoder": facts["encoder"] | {"layer_norm_eps": 1e-12}})
    with pytest.raises(InputError, match=r"was made with encoder .*but the model of"):
        load_classifier(load_model(run.parent), trained.path.with_suffix(""))
    make_model(run.parent, k=2, layers=2, seed=4)
    with pytest.raises(InputError, match="was made from other weights"):
        load_classifier(load_model(run.parent), trained.path.with_suffix(""))
    with pytest.raises(InputError, match=r"there is no .*mine\.y\.safetensors"):
        load_classifier(load_model(run.parent), trained.path.parent / "mine.y")
