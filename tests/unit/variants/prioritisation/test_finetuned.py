"""Fine-tuning on both alleles: what is planted is found, and never by who saw the chromosome."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors import safe_open
from sklearn.metrics import average_precision_score, roc_auc_score

from dnalm.benchmark.finetuning.classifier import build_classifier
from dnalm.benchmark.finetuning.learner import SingleLearner
from dnalm.benchmark.finetuning.settings import Operation
from dnalm.benchmark.finetuning.train import finetune
from dnalm.benchmark.parquet import read_names
from dnalm.errors import InputError
from dnalm.genome.kmers import encode
from dnalm.methods import ADAPTER_NAMES
from dnalm.model.loading import load_model
from dnalm.variants.prioritisation.finetuned import finetune_variants, prepare
from dnalm.variants.prioritisation.labelled_set import write_set
from dnalm.variants.prioritisation.pairs import PairData

CONFIG = yaml.safe_load((Path(__file__).parents[4] / "config.yaml").read_text())
OPERATION = Operation(
    folds_together="auto", micro_batch=None, checkpoint_minutes=None, cpu_hours_limit=None, gpus=1
)
CONTIGS = ["chr1", "2", "3", "chr4", "5", "6"]
OPTIONS = {"lora": {"rank": 2, "alpha": 4, "dropout": 0.5, "targets": ["query", "value"]}}
RATES = {"full": 3e-3, "ia3": 1e-2, "lora": 1e-2, "head": 1e-2}
STRIDE, LENGTH, BASES = 60, 3000, 40


def make_settings(adapter="ia3", *, groups=3, **changed):
    method = {"adapter": adapter, "learning_rate": RATES[adapter], "steps": 4, "evaluate_every": 2}
    method |= {"options": OPTIONS.get(adapter, {})} | changed
    keys = ("frames", "strands", "shared_bases", "max_n", "pooling", "batch_tokens")
    return {
        **{key: CONFIG["variant"][key] for key in keys},
        "window": BASES,
        "contig_names": "prefix",
        "set": "mine",
        "model": "small",
        "groups": groups,
        "method": CONFIG["finetune"]["method"] | method,
    }


def plant(label_of, seed=0, stride=STRIDE):
    """Return contigs of random bases, and SNVs with the label that `label_of` gives each."""
    random = np.random.default_rng(seed)
    texts = {name: "".join(random.choice(list("ACGT"), LENGTH)) for name in CONTIGS}
    rows = []
    for name, text in texts.items():
        for place in range(STRIDE, LENGTH - STRIDE, stride):
            other = random.choice([letter for letter in "ACGT" if letter != text[place]])
            label = label_of(name, text[place], other, random)
            # Half of them are named with chr, as where two files were joined.
            written = name if len(rows) % 2 else name.removeprefix("chr")
            rows.append((written, place + 1, text[place], str(other), label))
    table = pd.DataFrame(rows, columns=["chrom", "pos", "ref", "alt", "label"])
    table["label"] = table["label"].astype("boolean")
    return texts, table.assign(id=".", consequence="", match_group="")


@pytest.fixture
def make(make_files, tmp_path):
    """Return a function that writes a set and its genome and returns all files by name."""

    def written(texts, table, name="labels"):
        labels = str(tmp_path / f"{name}.parquet")
        write_set(table, {}, "mine", {"labels": labels, "summary": str(tmp_path / f"{name}.json")})
        return make_files(texts, k=3, tokens=1 + BASES) | {"labels": labels}

    return written


def to_gc(name, reference, other, random):
    return other in "GC" if random.random() < 0.9 else random.random() < 0.4


def run(files, settings, tmp_path, name="out", method="ia3"):
    output = tmp_path / f"{name}.parquet"
    partial = tmp_path / "partial" / name
    finetune_variants(files, settings, OPERATION, partial, 1, output, method)
    return pd.read_parquet(output)[f"finetuned_{method}"].to_numpy(), read_names(output)


def test_what_is_planted_is_found_on_chromosomes_that_were_not_seen(make, tmp_path):
    texts, table = plant(to_gc, stride=12)
    settings = make_settings(
        "full", steps=120, evaluate_every=40, batch_size=32, learning_rate=1e-2
    )
    values, names = run(make(texts, table), settings, tmp_path)
    labels = table["label"].to_numpy(dtype=bool)
    # A head that knows how frequent positives are alone has 0.5 and their share.
    assert roc_auc_score(labels, values) > 0.75
    assert average_precision_score(labels, values) > labels.mean() + 0.2
    chosen = json.loads(names["choices"])
    assert sorted(c for row in chosen for c in row["chromosomes"]) == list("123456")
    assert sum(row["variants"] for row in chosen) == len(table)
    assert sum(row["positives"] for row in chosen) == labels.sum()
    assert not (tmp_path / "partial").exists()


def test_what_only_the_own_chromosome_teaches_is_not_learned(make, tmp_path):
    # Which letter is positive is another one on each of the chromosomes of a group.
    letters = dict(zip(CONTIGS, "ACGTAC", strict=True))
    texts, table = plant(lambda name, _, other, random: other == letters[name], seed=3)
    settings = make_settings(steps=100, evaluate_every=50, batch_size=16, groups=6, keep="last")
    values, _ = run(make(texts, table), settings, tmp_path)
    assert roc_auc_score(table["label"].to_numpy(dtype=bool), values) < 0.6


@pytest.mark.parametrize("groups", [2, 3, 6])
def test_no_variant_is_scored_or_chosen_by_a_model_that_saw_its_chromosome(make, groups):
    texts, table = plant(to_gc)
    pairs = prepare(make(texts, table), make_settings(groups=groups))
    _, vocabulary = load_model(pairs.run, pairs.weights)
    data = PairData(pairs, vocabulary, 1 + BASES)
    tested = []
    for fold in PairData.list_folds(pairs):
        split, test = data.fold(fold).split, data.test_rows(fold)
        of = {
            what: set(data.contigs[rows])
            for what, rows in (
                ("test", test), ("training", split.training), ("validation", split.validation),
            )
        }  # fmt: skip
        assert not of["test"] & (of["training"] | of["validation"])
        assert groups == 2 or not of["training"] & of["validation"]
        assert not set(split.training) & set(split.validation)
        tested += test.tolist()
    assert sorted(tested) == list(range(len(table)))


def test_labels_of_a_chromosome_change_none_of_its_own_scores(make, tmp_path):
    texts, table = plant(to_gc)
    files = make(texts, table)
    before, names = run(files, make_settings(), tmp_path)
    own = json.loads(names["choices"])[0]["chromosomes"]
    here = table["chrom"].str.removeprefix("chr").isin(own).to_numpy()
    turned = table.assign(label=table["label"] ^ here)
    summary = {"labels": str(tmp_path / "turned.parquet"), "summary": str(tmp_path / "t.json")}
    write_set(turned, {}, "mine", summary)
    after, _ = run(files | {"labels": summary["labels"]}, make_settings(), tmp_path, "turned")
    assert before[here].tolist() == after[here].tolist()
    assert (before[~here] != after[~here]).any()


@pytest.mark.parametrize("adapter", ADAPTER_NAMES)
def test_every_method_of_the_table_trains_what_it_says(make, tmp_path, adapter):
    texts, table = plant(to_gc)
    files = make(texts, table)
    values, names = run(files, make_settings(adapter), tmp_path, method=adapter)
    assert np.isfinite(values).all()
    assert names["score"] == f"finetuned_{adapter}"
    encoder, _ = load_model(files["run"], files["weights"])
    head = 2 * (3 * encoder.config.width + 1)
    trained = json.loads(names["choices"])[0]["trained_parameters"]
    assert (trained == head) == (adapter == "head")
    assert trained >= head


def test_log_odds_are_those_of_reference_alternative_and_difference(make, tmp_path):
    texts, table = plant(to_gc)
    pairs = prepare(make(texts, table), make_settings(save="trained"))
    folds = finetune(pairs, operation=OPERATION, partial=tmp_path / "p", threads=1, data=PairData)
    _, vocabulary = load_model(pairs.run, pairs.weights)
    data = PairData(pairs, vocabulary, 1 + BASES)
    fold = folds[1]
    scale = {name: values.numpy() for name, values in fold.tensors.items() if "scale" in name}
    assert scale  # IA3's vectors
    learner = SingleLearner(pairs, PairData)
    learner.begin([1], {})
    learner.test(1, fold.tensors)
    rows = data.test_rows(1)[:3]
    for place, row in enumerate(rows):
        allele = table.iloc[row]
        text = texts[CONTIGS["123456".index(allele["chrom"].removeprefix("chr"))]]
        start = allele["pos"] - 1 - BASES // 2
        start += -(start // 3) * 3 if start < 0 else 0
        window = text[start : start + BASES]
        at = allele["pos"] - 1 - start
        assert window[at] == allele["ref"]
        vectors = []
        for one in (window, window[:at] + allele["alt"] + window[at + 1 :]):
            codes = np.array(["ATCGN".index(letter) for letter in one], dtype=np.uint8)
            tokens = torch.from_numpy(encode(codes, vocabulary).astype(np.int64))[None]
            with torch.inference_mode():
                states = learner.classifier.encoder.compute_states(tokens, [2])[2]
            vectors.append(states[0, 1:].mean(0).double().numpy())
        features = np.concatenate([*vectors, vectors[1] - vectors[0]])
        head = {
            name.removeprefix("head."): values.double().numpy()
            for name, values in fold.tensors.items()
            if name.startswith("head.")
        }
        logits = head["weight"] @ ((features - head["mean"]) / head["deviation"]) + head["bias"]
        expected = np.exp(logits) / np.exp(logits).sum()
        np.testing.assert_allclose(fold.outputs[place], expected, atol=2e-4)


def test_a_pair_of_equal_windows_has_no_difference_in_training_either(make):
    texts, table = plant(to_gc)
    pairs = prepare(make(texts, table), make_settings("lora"))
    learner = SingleLearner(pairs, PairData)
    learner.begin([0], {})
    tokens, _ = learner.data.rows.batch(np.array([0, 5]))
    same = torch.cat([tokens[:2], tokens[:2]])
    learner.classifier.train()
    learner.noise.begin(1, [(2, tokens.shape[1])] * 2, slice(None))
    for name, values in learner.learned.items():
        if name.endswith("up"):
            values.data.normal_()
    first, second, difference = learner.classifier.compare(same).chunk(3, dim=1)
    assert torch.equal(first, second)
    assert not difference.any()
    learner.noise.begin(2, [(2, tokens.shape[1])] * 2, slice(None))
    assert not torch.equal(learner.classifier.compare(same)[:, : first.shape[1]], first)


def test_a_batch_in_parts_trains_the_same(make, tmp_path):
    texts, table = plant(to_gc)
    pairs = prepare(make(texts, table), make_settings("lora", class_weights="balanced"))
    found = [
        finetune(
            pairs,
            operation=Operation(**{**asdict(OPERATION), "micro_batch": size}),
            partial=tmp_path / str(size),
            threads=1,
            data=PairData,
        )
        for size in (None, 3)
    ]
    for whole, parts in zip(*found, strict=True):
        np.testing.assert_allclose(parts.outputs, whole.outputs, atol=1e-5)


KILLED = """
import json, os, signal, sys
from pathlib import Path
from dnalm.benchmark.finetuning.settings import Operation
from dnalm.jobs.partial import Partial
from dnalm.variants.prioritisation.finetuned import finetune_variants

def write_and_die(self, name, value, write=Partial.write):
    write(self, name, value)
    if name.startswith("fold-"):
        os.kill(os.getpid(), signal.SIGKILL)

Partial.write = write_and_die
if __name__ == "__main__":
    files, settings, operation, partial, output = json.loads(Path(sys.argv[1]).read_text())
    finetune_variants(
        files, settings, Operation(**operation), Path(partial), 1, Path(output), "ia3"
    )
"""


def test_a_killed_job_goes_on_from_its_finished_groups(make, tmp_path, job_forks):
    texts, table = plant(to_gc)
    files = make(texts, table)
    settings = make_settings(steps=20, evaluate_every=10)
    output, partial = tmp_path / "killed.parquet", tmp_path / "partial" / "killed"
    arguments = tmp_path / "arguments.json"
    arguments.write_text(
        json.dumps([files, settings, asdict(OPERATION), str(partial), str(output)])
    )
    (tmp_path / "job.py").write_text(KILLED)
    library = str(Path(sys.modules["dnalm"].__file__).parents[1])
    done = subprocess.run(
        [job_forks.interpreter, tmp_path / "job.py", arguments],
        env=os.environ | {"PYTHONPATH": library, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    kept = list(partial.glob("*/fold-*.safetensors"))
    assert len(kept) == 1
    assert not output.exists()
    with safe_open(kept[0], framework="pt") as file:
        seconds = json.loads(file.metadata()["facts"])["seconds"]
    finetune_variants(files, settings, OPERATION, partial, 1, output, "ia3")
    chosen = json.loads(read_names(output)["choices"])
    assert seconds in [row["seconds"] for row in chosen]  # not trained again
    whole, _ = run(files, settings, tmp_path, "whole")
    assert pd.read_parquet(output)["finetuned_ia3"].tolist() == whole.tolist()


def test_memory_holds_no_windows_of_variants_that_no_batch_asks_for(make):
    texts, table = plant(to_gc)
    pairs = prepare(make(texts, table), make_settings())
    _, vocabulary = load_model(pairs.run, pairs.weights)
    rows = PairData(pairs, vocabulary, 1 + BASES).rows
    held = [
        value for value in vars(rows).values() if isinstance(value, np.ndarray) and value.ndim > 1
    ]
    assert held == []
    tokens, padded = rows.batch(np.array([1]))
    assert tokens.shape == (2, rows.count_tokens([1]))
    assert int((tokens[0] != tokens[1]).sum()) == 1
    assert not padded


def test_what_cannot_be_trained_on_is_said_in_a_sentence(make, tmp_path):
    texts, table = plant(to_gc)
    with pytest.raises(InputError, match=r"lie on 6 chromosome\(s\), but 7 groups"):
        run(make(texts, table), make_settings(groups=7), tmp_path)
    chromosome = table["chrom"].str.removeprefix("chr")
    one = table.assign(label=(chromosome == "1").astype("boolean"))
    with pytest.raises(InputError, match="all variants have one label"):
        run(make(texts, one, "one"), make_settings(groups=6), tmp_path, "one")
    two = table.assign(label=chromosome.isin(["1", "2"]).astype("boolean"))
    with pytest.raises(InputError, match=r"of group 0 is trained on, have one label; lower super"):
        run(make(texts, two, "two"), make_settings(groups=6), tmp_path, "two")
    elsewhere = table.assign(chrom="9")
    with pytest.raises(InputError, match="not one of 288 variants with a label can be read"):
        run(make(texts, elsewhere, "no"), make_settings(), tmp_path, "no")


def test_a_pair_classifier_standardises_what_it_compares(make_files):
    files = make_files({"1": "ACGT" * 40})
    encoder, vocabulary = load_model(files["run"], files["weights"])
    facts = {"kind": "binary", "classes": 2, "pooling": "mean", "pairs": True}
    classifier = build_classifier(encoder, vocabulary, facts)
    features = torch.randn(20, 48) * 5 + 3
    features[:, 7] = 2.0  # constant
    classifier.output.standardise(features)
    classifier.output.weight.data = torch.eye(48)[:2]
    classifier.output.bias.data.zero_()
    found = classifier.output(features)
    torch.testing.assert_close(found.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(found.std(0, correction=0), torch.ones(2), atol=1e-5, rtol=0)
    assert torch.isfinite(found).all()
