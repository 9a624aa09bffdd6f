"""The public door: its names, what they load, and what they return."""

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import dnalm
from dnalm import InputError, embed, load_classifier, load_model, predict, predict_masked, tokenize
from dnalm.files import sha256_of
from dnalm.genome.kmers import Vocabulary

ROWS = ["ACGTACGTAC", "TTGACATTGAN", "ACG"]
VOCABULARY = Vocabulary(2, "v2")


@pytest.fixture
def folder(small_model):
    """The folder of a model as the workflow leaves it: k = 2, two layers, 64 tokens."""
    return Path(small_model["run"]).parent


def tuned(folder, weights_sha256, scales=(1.0, 3.0), biases=(0.0, 2.0)):
    """Write adapters of two folds by hand: vectors of IA3 that are constants, and a head."""
    tensors = {}
    for fold, (scale, bias) in enumerate(zip(scales, biases, strict=True)):
        for block in range(2):
            for name, width in (
                ("attention.key", 16),
                ("attention.value", 16),
                ("feed_forward.output", 24),
            ):
                key = f"fold.{fold}.adapter.blocks.{block}.{name}.scale"
                tensors[key] = torch.full((width,), scale)
        tensors[f"fold.{fold}.head.weight"] = torch.zeros(2, 16)
        tensors[f"fold.{fold}.head.bias"] = torch.tensor([0.0, bias])
    facts = {"kind": "binary", "classes": 2, "pooling": "mean", "centre_bases": 24}
    metadata = {
        "classifier": json.dumps(facts),
        "folds": "[0, 1]",
        "identity": json.dumps({"model": "small", "weights_sha256": weights_sha256}),
    }
    folder.mkdir()
    save_file(tensors, folder / "adapters.safetensors", metadata)
    return folder


def test_every_name_of_the_door_leads_somewhere_and_no_more_than_ten():
    assert len(dnalm.__all__) <= 10
    assert all(callable(getattr(dnalm, name)) for name in dnalm.__all__)
    assert set(dnalm.__all__) <= set(dir(dnalm))
    with pytest.raises(AttributeError, match="no attribute 'load_modle'"):
        dnalm.load_modle  # noqa: B018


def test_the_library_and_its_tokens_load_no_torch():
    code = (
        "import sys; from dnalm import tokenize, read_genome, load_model; "
        "tokenize(['ACGT']); sys.exit('torch' in sys.modules)"
    )
    library = str(Path(dnalm.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": library}
    assert (
        subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0
    )


def test_tokens_are_those_of_the_published_rule():
    # <cls> is 3; 6-mers in the order A, T, C, G from 6 on; single letters after all 4,096.
    (ids,) = tokenize(["AAAAATCNa"])
    assert ids.tolist() == [3, 6 + 1, 6 + 4096 + 2, 6 + 4096 + 4, 6 + 4096]


def test_embeddings_are_means_of_the_states_of_real_bases(folder):
    model = load_model(folder)
    found = embed(model, ROWS)
    assert list(found) == [1, 2]
    tokens = torch.from_numpy(tokenize(ROWS, k=2)[0].astype(np.int64))[None]
    with torch.inference_mode():
        states = model.encoder(tokens).states
    for layer in (1, 2):
        wanted = states[layer][0, 1:].mean(0).numpy()
        np.testing.assert_allclose(found[layer][0], wanted, atol=1e-6)


def test_each_token_is_predicted_from_the_others_alone(folder):
    model = load_model(folder)
    logits = predict_masked(model, "ACGTAC")
    assert logits.shape == (3, VOCABULARY.size)
    (ids,) = tokenize(["ACGTAC"], k=2)
    for place in (1, 2, 3):
        hidden = torch.from_numpy(ids.astype(np.int64))[None].clone()
        hidden[0, place] = VOCABULARY.mask
        with torch.inference_mode():
            wanted = model.encoder(hidden).logits[0, place].numpy()
        np.testing.assert_allclose(logits[place - 1], wanted, atol=1e-5)
    # What stands there makes no difference.
    np.testing.assert_allclose(predict_masked(model, "TTGTAC")[0], logits[0], atol=1e-6)


def test_predictions_are_the_mean_over_the_folds(folder, tmp_path):
    model = load_model(folder)
    before = embed(model, ROWS)[2]
    classifier = load_classifier(
        model, tuned(tmp_path / "task", sha256_of(folder / "weights.safetensors"))
    )
    assert (classifier.folds, classifier.kind, classifier.classes) == ((0, 1), "binary", 2)
    # With heads of zeros only their biases count: 1/2 in one fold, sigmoid(2) in the other.
    sigmoid = 1 / (1 + np.exp(-2))
    found = predict(classifier, ROWS)
    np.testing.assert_allclose(found[:, 1], (0.5 + sigmoid) / 2, atol=1e-6)
    np.testing.assert_allclose(predict(classifier, ROWS, folds=[1])[:, 1], sigmoid, atol=1e-6)
    np.testing.assert_array_equal(embed(model, ROWS)[2], before)  # the model is as it was


def test_adapters_of_other_weights_are_refused(folder, tmp_path):
    model = load_model(folder)
    with pytest.raises(InputError, match=r"made from other weights than .* model small"):
        load_classifier(model, tuned(tmp_path / "task", "0" * 64))
    with pytest.raises(InputError, match=r"holds no adapters\.safetensors, and there is no"):
        load_classifier(model, tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("page", "method"),
    [("docs/reference/library.md", "ia3"), ("docs/how-to/finetune.md", "lora")],
)
def test_the_documented_example_runs_on_what_the_workflow_leaves(
    folder, tmp_path, monkeypatch, page, method
):
    text = (Path(__file__).parents[2] / page).read_text()
    example = textwrap.dedent(re.search(r"( *)```python\n(.*?)```", text, re.DOTALL)[2])
    model = tmp_path / "results/models/my-model"
    model.mkdir(parents=True)
    for name in ("run.json", "weights.safetensors"):
        shutil.copy(folder / name, model)
    task = tmp_path / f"results/finetunes/{method}/my-model/mine.promoters"
    task.parent.mkdir(parents=True)
    tuned(task, sha256_of(folder / "weights.safetensors"))
    monkeypatch.chdir(tmp_path)
    found: dict = {}
    exec(example, found)
    assert found["outputs"].shape == (2, 2)
    np.testing.assert_allclose(found["outputs"].sum(axis=1), 1)


def test_every_name_of_the_door_is_documented():
    text = (Path(__file__).parents[2] / "docs/reference/library.md").read_text()
    assert {name for name in dnalm.__all__ if f"| `{name}" in text} == set(dnalm.__all__)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (["ACGT", "MKV*"], "sequence 2 has the letter '\\*'"),
        (["AC-GT"], "sequence 1 has the letter '-'.*or read such letters as N with other_letters"),
        (["ACGT\nACGT"], r"sequence 1 has the letter '\\n'"),
        (["ACGTß"], "sequence 1 has the letter 'ß'"),
        (["ACGT", " \n"], "sequence 2 is empty"),
        (["ACGT", "A"], "sequence 2 has 1 bases, fewer than the 2 of one token"),
        (["ACGT", None], "sequence 2 is None, no text"),
        (["ACGT", ""], "sequence 2 is empty"),
        ("ACGT", "Give a list of sequences"),
        (["ACGT" * 100], "which make 201 tokens with <cls>, but the model takes at most 64"),
    ],
)
def test_what_is_no_dna_or_too_long_is_refused(folder, rows, sentence):
    with pytest.raises(InputError, match=sentence):
        embed(load_model(folder), rows)


def test_one_set_of_rules_reads_letters_for_every_call(folder, tmp_path, caplog):
    model = load_model(folder)
    classifier = load_classifier(
        model, tuned(tmp_path / "task", sha256_of(folder / "weights.safetensors"))
    )
    calls = [
        lambda rows, **options: embed(model, rows, layers=[2], **options)[2],
        lambda rows, **options: predict(classifier, rows, **options),
        lambda rows, **options: np.stack([predict_masked(model, rows[0], **options)]),
        lambda rows, **options: np.stack(tokenize(rows, k=2, **options)),
    ]
    for call in calls:
        wanted = call(["ACGTACGT"])
        np.testing.assert_array_equal(call(["ACGUacgu"]), wanted)
        np.testing.assert_array_equal(call(["  ACGTACGT\n"]), wanted)
        assert caplog.messages == ["2 letters U of the sequences are read as T, as of RNA."]
        caplog.clear()
        masked = call(["AC-TAC*T"], other_letters="mask")
        np.testing.assert_array_equal(masked, call(["ACNTACNT"]))
        with pytest.raises(InputError, match="letter '-'"):
            call(["AC-TACGT"])
        with pytest.raises(InputError, match=r"other_letters: 'drop' .*mask"):
            call(["ACGTACGT"], other_letters="drop")


def test_a_folder_without_a_model_or_genome_is_named(tmp_path, folder):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match=r"holds no run\.json"):
        load_model(empty)
    shutil.copy(folder / "run.json", empty)
    with pytest.raises(InputError, match=r"holds no weights\.safetensors"):
        load_model(empty)
    with pytest.raises(InputError, match=r"holds no bases\.npy"):
        dnalm.read_genome(empty)


def test_a_stored_genome_is_read_by_interval(tmp_path):
    from dnalm.genome.bases import write_bases

    source = tmp_path / "small.fa"
    source.write_text(">one\nACGTN\n")
    names = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
    paths = {key: tmp_path / "small" / name for key, name in names.items()}
    write_bases(source, name="small", config={}, **paths)
    assert dnalm.read_genome(tmp_path / "small").read("one", 1, 5).tolist() == [2, 3, 1, 4]


@pytest.mark.parametrize("rows", [None, 8, "ACGT", b"ACGT", {"a": "ACGT"}, 0.5])
def test_what_is_no_list_of_sequences_is_refused(folder, tmp_path, rows):
    model = load_model(folder)
    tuned_folder = tuned(tmp_path / "task", sha256_of(folder / "weights.safetensors"))
    classifier = load_classifier(model, tuned_folder)
    for call in (tokenize, lambda rows: embed(model, rows), lambda rows: predict(classifier, rows)):
        with pytest.raises(InputError, match="Give a list of sequences"):
            call(rows)


def test_no_sequence_gives_no_prediction(folder, tmp_path):
    model = load_model(folder)
    tuned_folder = tuned(tmp_path / "task", sha256_of(folder / "weights.safetensors"))
    classifier = load_classifier(model, tuned_folder)
    assert predict(classifier, []).shape == (0, 2)
    for folds in ([], [2], 0.5, 0, ["0"]):
        with pytest.raises(InputError, match=r"folds is .*: give some of 0, 1"):
            predict(classifier, ROWS, folds=folds)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"layers": 0.5}, "embed.layers is 0.5: give `all`"),
        ({"layers": [0.5]}, "give `all`"),
        ({"layers": None}, "give `all`"),
        ({"layers": list(range(200))}, "the model has layers 1 to 2"),
        ({"centre_bases": "a"}, "embed.centre_bases is 'a': give a whole number"),
        ({"other_letters": list(range(200))}, "is not allowed"),
    ],
)
def test_odd_options_are_refused_in_a_short_sentence(folder, options, said):
    with pytest.raises(InputError) as refused:
        embed(load_model(folder), ROWS, **options)
    assert said in str(refused.value)
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("k", "vocabulary"), [(0, "v1"), (8, "v1"), (6, "v3"), ("6", "v2"), (6, [])]
)
def test_an_impossible_vocabulary_is_refused(k, vocabulary):
    with pytest.raises(InputError):
        tokenize(["ACGT"], k=k, vocabulary=vocabulary)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"encoder": []}, "encoder is []; give a mapping"),
        ({"k": "2"}, "k is '2'"),
        ({"vocabulary": {}}, "vocabulary: {}"),
        ({"encoder.layers": -1}, "The model's layers is -1; give a number from 1"),
        ({"encoder.width": 2**40}, "give a number from 1 to"),
        ({"encoder.heads": 2.0}, "encoder.heads is 2.0; give a whole number"),
        ({"encoder.layer_norm_eps": float("nan")}, "give a finite number"),
    ],
)
def test_a_run_of_odd_settings_is_refused_with_its_file(folder, change, said):
    path = folder / "run.json"
    facts = json.loads(path.read_text())
    for key, value in change.items():
        *above, key = key.split(".")
        (facts[above[0]] if above else facts)[key] = value
    path.write_text(json.dumps(facts))
    with pytest.raises(InputError, match=r"run\.json") as refused:
        load_model(folder)
    assert said in str(refused.value)
