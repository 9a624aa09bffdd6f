"""Results that are read again: adapters, embeddings, stored genomes, corpora, histories."""

import json
import shutil
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import torch

from dnalm import interface
from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.benchmark.finetuning.classifier import build_classifier, classifier_state
from dnalm.corpus.build import CorpusConfig, build_corpus
from dnalm.corpus.training_windows import TrainingWindows
from dnalm.files import read_facts, sha256_of
from dnalm.genome.bases import write_bases
from dnalm.model.adapters import add_adapter
from dnalm.model.loading import load_model
from dnalm.model.tensors import save_arrays
from dnalm.model.weights import save_tensors
from dnalm.training.history import read_history
from fuzz.mutations import mutate_bytes
from fuzz.odd_values import mutate_json
from fuzz.target import Target
from fuzz.targets.making import sequence
from fuzz.targets.models import mutate_safetensors, small_model


def tuned(model: Path, path: Path) -> Path:
    """Write the adapters and heads of two folds of a binary task."""
    encoder, words = load_model(model / "run.json", model / "weights.safetensors")
    add_adapter(encoder, "ia3", {})
    facts = {"kind": "binary", "classes": 2, "pooling": "mean", "centre_bases": 4}
    state = classifier_state(build_classifier(encoder, words, facts))
    save_tensors(
        {
            f"fold.{fold}.{name}": tensor.clone()
            for fold in (0, 1)
            for name, tensor in state.items()
        },
        path,
        {
            "adapter": "ia3",
            "classifier": json.dumps(facts),
            "folds": "[0, 1]",
            "identity": json.dumps(
                {"weights_sha256": sha256_of(model / "weights.safetensors"), "model": "small"}
            ),
        },
    )
    return path


def adapters(folder: Path) -> Target:
    model = small_model(folder)
    loaded = interface.load_model(model)

    def read(path: Path, _: Path) -> np.ndarray:
        shutil.copyfile(path, path.with_name("adapters.safetensors"))
        classifier = interface.load_classifier(loaded, path.parent)
        found = interface.predict(classifier, ["ACGTACGT", "TTT"])
        assert found.shape == (2, classifier.classes)
        return found

    return Target(
        name="adapters",
        read=read,
        seeds=(tuned(model, folder / "adapters.safetensors").read_bytes(),),
        suffix=".safetensors",
        mutate=(mutate_safetensors,),
        one_file=False,
    )


def embeddings(folder: Path) -> Target:
    table = folder / "task.parquet"
    ids = ["train.0", "train.1", "test.0"]
    pd.DataFrame({"id": ids}).to_parquet(table)
    path = folder / "seed.safetensors"
    arrays = {f"layer.{layer}": np.ones((3, 4), np.float32) * layer for layer in (1, 2, 10)}
    arrays["ids"] = np.frombuffer(json.dumps(ids).encode(), np.uint8)
    save_arrays(arrays, path, {"task_sha256": sha256_of(table), "layers": "[1, 2, 10]"})

    def read(path: Path, _: Path) -> dict[str, Any]:
        found, _ = read_embeddings(path, table)
        assert all(len(array) == 3 for array in found.values())
        return found

    return Target(
        name="embeddings",
        read=read,
        seeds=(path.read_bytes(),),
        suffix=".safetensors",
        mutate=(mutate_safetensors,),
        weight=1.5,
    )


def _store(folder: Path) -> dict[str, Path]:
    source = folder / "g.fa"
    texts = {name: sequence(Random(4), 400, "ACGT") for name in ("a", "b", "c")}
    source.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    names = {"bases": "bases.npy", "contigs": "contigs.tsv", "manifest": "manifest.json"}
    paths = {key: folder / name for key, name in names.items()}
    write_bases(source, name="g", config={}, **paths)
    return paths


def stored_genome(folder: Path) -> Target:
    """The contigs.tsv of a stored genome, or with an X in front its bases.npy."""
    paths = _store(folder)

    def read(path: Path, _: Path) -> Any:
        where = path.parent / "genome"
        where.mkdir(exist_ok=True)
        for source in paths.values():
            shutil.copyfile(source, where / source.name)
        data = path.read_bytes()
        if data.startswith(b"X"):
            (where / "bases.npy").write_bytes(data[1:])
        else:
            (where / "contigs.tsv").write_bytes(data)
        genome = interface.read_genome(where)
        try:
            return [
                genome.read_absolute(
                    row.contig, int(row.start), int(row.start) + min(5, int(row.length))
                )
                for row in genome.contigs.itertuples()
            ]
        finally:
            genome.close()

    return Target(
        name="stored_genome",
        read=read,
        seeds=(paths["contigs"].read_bytes(), b"X" + paths["bases"].read_bytes()),
        suffix=".tsv",
        one_file=False,
        spliced=False,
        weight=1,
    )


def corpus_manifest(folder: Path) -> Target:
    _store(folder)
    config = CorpusConfig(
        genomes=["g"],
        windows={"length": 100, "stride": 90, "start_max": 10},
        split={"by": "contig", "validation": ["b"], "test": ["c"]},
        k=6,
        vocabulary="v1",
        max_tokens=16,
        min_kmers=5,
        evaluation_windows=2,
        haplotypes=None,
    )
    paths = {key: folder / f"{key}.npy" for key in ("validation", "test", "kmer_counts")}
    manifest = folder / "corpus.json"
    build_corpus(config, {"g": folder}, name="c", panel=None, manifest=manifest, **paths)

    def read(path: Path, _: Path) -> np.ndarray:
        windows = TrainingWindows(read_facts(path, ()), {"g": folder}, 1)
        try:
            return windows.draw([0, 1]) if windows.windows else np.empty(0)
        finally:
            windows.close()

    return Target(
        name="corpus_manifest",
        read=read,
        seeds=(manifest.read_bytes(),),
        suffix=".json",
        mutate=(mutate_bytes, mutate_json(), mutate_json()),
        one_file=False,
    )


def history(_: Path) -> Target:
    seeds = (
        b'{"step": 1, "train_loss": 8.3, "held_out": null}\n{"step": 2, "train_loss": 8.1}\n',
        b'{"step": 1}\n{"step": 2, "tr',
    )
    return Target(
        name="history",
        read=lambda path, _: read_history(path),
        seeds=seeds,
        suffix=".jsonl",
        weight=2,
    )


torch.set_num_threads(1)
