"""Predictions by probes of models that are not ours: equal to a plain loop of `transformers`."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import random_transformers
import torch
import toy_embedder
import yaml
from safetensors import safe_open
from scipy.special import expit, softmax
from transformers import AutoModel, AutoTokenizer

from dnalm.benchmark.embedding.embed import EmbedConfig
from dnalm.benchmark.embedding.embedders import EmbedderEmbedding, describe_embedder
from dnalm.benchmark.embedding.shards import embed_task
from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.benchmark.prediction.entry import predict_entry
from dnalm.benchmark.probing.linear.probe import ProbeConfig, probe
from dnalm.benchmark.probing.mlp.probe import mlp_probe
from dnalm.benchmark.probing.mlp.search_space import MlpConfig
from dnalm.benchmark.probing.saved import save_probe
from dnalm.benchmark.scoring.results import identify
from dnalm.configuration.predictions import resolve_asked, resolve_prediction
from dnalm.errors import InputError
from dnalm.files import read_json, write_json

from .conftest import draw, make_table

CONFIG = yaml.safe_load((Path(__file__).parents[4] / "config.yaml").read_text())
SEARCH = {"units": [4, 8], "trials": 2, "together": 2, "epochs": 2, "prune_after": None}
TASK = {"name": "mine.x", "kind": "binary", "classes": 2, "rows": {"train": 60, "test": 20}}
TASK |= {"names": None, "lengths": {"min": 40, "max": 59}}
CENTRE = 10
# Of other lengths than the task's; a part of the model's tokens is unknown to it.
SEQUENCES = ["ACGTACG", "A" * 90, *(draw(np.random.default_rng(7), n, 0.5) for n in (40, 131, 77))]


def train(entry, method, folder, **settings):
    """Describe, embed, probe and keep as the rules do; return the entry of a prediction and it."""
    make_table().to_parquet(folder / "mine.x.parquet")
    rights = {"source": None, "licence": "mit", "citation": None}
    describe_embedder(entry, {"model": "theirs", **rights}, "cpu", folder / "embedder.json")
    embed = {**CONFIG["embed"], "centre_bases": CENTRE, "batch_tokens": 300} | settings
    own = {key: value for key, value in embed.items() if key != "export"}
    job = EmbedderEmbedding(
        entry=entry, described=str(folder / "embedder.json"), table=str(folder / "mine.x.parquet"),
        threads=1, rights=rights, config=EmbedConfig(**own),
    )  # fmt: skip
    embed_task(job, folder / "embeddings", folder / "partial", ["cpu"])
    features, metadata = read_embeddings(folder / "embeddings", folder / "mine.x.parquet")
    if method == "probe":
        result = probe(features, make_table(), "binary", ProbeConfig(**CONFIG["probe"]), 1)
    else:
        result = mlp_probe(
            features, make_table(), "binary", MlpConfig(**CONFIG["mlp"] | SEARCH), 1, None
        )
    identity = identify(
        method=method, task=TASK, table_path=folder / "mine.x.parquet", model="theirs",
        embeddings=metadata, weights_sha256=metadata["weights_sha256"],
    )  # fmt: skip
    save_probe(result, identity, TASK, metadata, None, folder / "probe.safetensors")
    return embed, result


def predict(entry, method, folder, embed, sequences, **settings):
    """Return the table of an entry of `predictions:` for sequences."""
    text = "".join(f">s{number}\n{row}\n" for number, row in enumerate(sequences))
    (folder / "rows.fa").write_text(text)
    own = {"model": "theirs", "method": method, "task": "mine.x", "path": "rows.fa"} | settings
    config = {**CONFIG, "embed": embed, "predictions": {"p": own}}
    config |= {"tasks": {"mine.x": {"path": "x.csv"}}}
    files = {key: str(folder / name) for key, name in (
        ("classifier", "probe.safetensors"), ("sequences", "rows.fa"),
        ("described", "embedder.json"),
    )}  # fmt: skip
    resolved = resolve_prediction(config, "p") | {"embedder": entry}
    predict_entry(files, resolved, resolve_asked(config, "p"), {"tsv": str(folder / "o.tsv")}, 1)
    return pd.read_csv(folder / "o.tsv", sep="\t")


def pool_plainly(folder, sequence, layer, centred):
    """Return the mean state of a sequence's tokens by stock `transformers`, float32 [D]."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    text = tokenizer(sequence, return_tensors="pt", return_offsets_mapping=True)
    offsets = text.pop("offset_mapping")[0].tolist()
    with torch.no_grad():
        states = model.eval()(**text, output_hidden_states=True).hidden_states[layer][0]
    first = max(0, len(sequence) - CENTRE) // 2 if centred else 0
    last = first + CENTRE if centred else len(sequence)
    kept = [end > start and start < last and end > first for start, end in offsets]
    return states[kept].mean(0).numpy()


def read_by_hand(path, features):
    """Return the mean probability of class 1 over the folds of a file, by its arrays alone."""
    with safe_open(path, framework="np") as file:
        told = {key: json.loads(file.metadata()[key]) for key in ("folds", "selected")}
        arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    found = []
    for fold in told["folds"]:
        prefix = f"fold.{fold}."
        own = {key.removeprefix(prefix): a for key, a in arrays.items() if key.startswith(prefix)}
        if "intercepts" in own:
            x = (features.astype(np.float64) - own["mean"]) / own["scale"]
            found.append(expit(x @ own["weights"].T + own["intercepts"])[:, 0])
            continue
        x = (features - own["centre"] - own["mean"]) * own["inverse"]
        layers = sum(key.startswith("weight.") for key in own)
        for number in range(layers):
            x = x @ own[f"weight.{number}"].T + own[f"bias.{number}"]
            if number < layers - 1:
                x = np.tanh(x) if told["selected"]["activation"] == "tanh" else np.maximum(x, 0)
        found.append(softmax(x, axis=1)[:, 1])
    return np.mean(found, axis=0), int(told["selected"]["feature"].removeprefix("layer."))


@pytest.mark.parametrize(
    ("name", "method", "settings"),
    [
        ("modernbert", "probe", {"pooling": "mean", "layers": [2]}),
        ("modernbert", "mlp", {"pooling": "mean", "layers": "all"}),
        ("bert", "probe", {"pooling": "centre", "layers": [1]}),
        ("bert", "mlp", {"pooling": "centre", "layers": 1}),
    ],
)
def test_a_probe_predicts_as_a_plain_loop_and_its_kept_weights(tmp_path, name, method, settings):
    random_transformers.save_model(name, tmp_path / "weights")
    entry = {"transformers": str(tmp_path / "weights")}
    embed, _ = train(entry, method, tmp_path, **settings)
    found = predict(entry, method, tmp_path, embed, SEQUENCES)
    _, layer = read_by_hand(tmp_path / "probe.safetensors", np.zeros((1, 32)))
    assert settings["layers"] in ("all", 1, [layer])
    states = [
        pool_plainly(entry["transformers"], own, layer, settings["pooling"] == "centre")
        for own in SEQUENCES
    ]
    rounded = np.array(states).astype(embed["dtype"]).astype(np.float32)
    expected, _ = read_by_hand(tmp_path / "probe.safetensors", rounded)
    np.testing.assert_allclose(found["probability.1"], expected, atol=1e-4)
    assert np.ptp(expected) > 1e-3
    assert found["bases"].tolist() == [len(own) for own in SEQUENCES]


def test_a_called_embedder_predicts_the_rows_of_its_task_again_and_others_it_refuses(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", str(Path(toy_embedder.__file__).parent), prepend=":")
    entry = {"call": "toy_embedder:open_one_hot", "options": {"max_bases": 60}}
    embed, result = train(entry, "probe", tmp_path, strands="both")
    test = make_table().query("split == 'test'")
    found = predict(entry, "probe", tmp_path, embed, test["sequence"], strands="both")
    expected = result.predictions.groupby("id", sort=False)["probability.1"].mean()
    np.testing.assert_allclose(found["probability.1"], expected[test["id"]], atol=1e-5)
    with pytest.raises(InputError, match=r"row s0 .* has 61 bases, which make 61 tokens"):
        predict(entry, "probe", tmp_path, embed, ["A" * 61])
    tiles = predict(entry, "probe", tmp_path, embed, ["AC" * 90], too_long="tiles")
    assert tiles["note"][0] == "3 tiles of 60 of 180 bases"
    facts = read_json(tmp_path / "embedder.json")
    write_json(tmp_path / "embedder.json", facts | {"weights_sha256": "0" * 64})
    with pytest.raises(InputError, match="was made from other weights than toy_embedder"):
        predict(entry, "probe", tmp_path, embed, ["ACGTACG"])


@pytest.mark.parametrize("embedded", ["forward", "both"])
def test_of_long_rows_the_middle_that_fits_on_both_strands_is_predicted(tmp_path, embedded):
    """A run of A is few byte pairs, of T on the other strand many: alone it would fit."""
    tokenizer = random_transformers.train_tokenizer(random_transformers.draw_texts())
    random_transformers.save_short("bert", tmp_path / "weights", tokenizer, 32)
    entry = {"transformers": str(tmp_path / "weights")}
    made = {"pooling": "mean", "layers": [1], "strands": embedded, "too_long": "centre"}
    embed, _ = train(entry, "probe", tmp_path, **made)
    rows = ["ACGT" + "A" * 80 + "GCCA", "A" * 40, "CG" * 60]
    reverse = [row[::-1].translate(str.maketrans("ACGT", "TGCA")) for row in rows]
    counts = [[len(ids) for ids in tokenizer(own)["input_ids"]] for own in (rows, reverse)]
    assert counts[0][0] <= 32 < counts[1][0]
    middles = []
    for row in rows:
        for size in range(len(row), 0, -1):
            own = row[(len(row) - size) // 2 :][:size]
            other = own[::-1].translate(str.maketrans("ACGT", "TGCA"))
            if max(len(ids) for ids in tokenizer([own, other])["input_ids"]) <= 32:
                middles.append((own, other))
                break
    states = np.array(
        [[pool_plainly(tmp_path / "weights", own, 1, False) for own in pair] for pair in middles],
        dtype=np.float32,
    )
    # Vectors of a row are averaged, or what is predicted by either.
    read = [states.mean(1)] if embedded == "both" else [states[:, 0], states[:, 1]]
    expected = [read_by_hand(tmp_path / "probe.safetensors", own)[0] for own in read]
    found = predict(entry, "probe", tmp_path, embed, rows, strands="both")
    np.testing.assert_allclose(found["probability.1"], np.mean(expected, 0), atol=1e-4)
    notes = [
        f"the middle {len(own)} of {len(row)} bases" if own != row else ""
        for row, (own, _) in zip(rows, middles, strict=True)
    ]
    assert found["note"].fillna("").tolist() == notes
    assert notes[0]
    assert notes[2]
