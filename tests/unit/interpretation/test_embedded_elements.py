"""Vectors of elements by models that are not ours: of our own model, as transformers has it."""

import json
from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest
import torch

from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary
from dnalm.interpretation.element_maps import choose_layers, map_elements
from dnalm.interpretation.elements import mask_tokens
from dnalm.interpretation.embedded_elements import mask_spans
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.export import export_model
from dnalm.model.initialise import initialise
from dnalm.model.weights import save_weights

BASES, EACH = 60, 12
K = 3


@pytest.fixture
def files(tmp_path, store, sequence):
    """A small v1 model with its export for transformers, a genome, two elements, their windows."""
    vocabulary = Vocabulary(K, "v1")
    config = EncoderConfig(
        layers=2, heads=2, width=16, ffn_width=24, positions="learned", feed_forward="gelu",
        ffn_bias=True, max_tokens=41, vocabulary_size=vocabulary.size, pad_id=vocabulary.pad,
        mask_id=vocabulary.mask, token_dropout=None, dropout=0.0, layer_norm_eps=1e-5,
        initialisation="haiku",
    )  # fmt: skip
    encoder = Encoder(config)
    initialise(encoder, 1)
    own = {"run": tmp_path / "run.json", "weights": tmp_path / "weights.safetensors"}
    save_weights(encoder, own["weights"], {"step": "1"})
    run = {"model": "small", "encoder": asdict(config), "corpus": None, "pretrain": None}
    run |= {"k": K, "vocabulary": "v1"}
    own["run"].write_text(json.dumps(run))
    names = {"settings": "config.json", "vocabulary": "vocab.txt", "weights": "model.safetensors"}
    names["tokenizer"] = "tokenizer_config.json"
    exported = {key: tmp_path / "export" / name for key, name in names.items()}
    export_model(run, own["weights"], **exported)
    folder = store("g", {"one": sequence(3, 4000), "two": sequence(4, 4000)})
    genome = {"bases": f"{folder}/bases.npy", "contigs": f"{folder}/contigs.tsv"}
    rows, beds = [], {"short": [], "long": []}
    for contig in ("one", "two"):
        for number in range(EACH):
            start = 100 * number
            element = "short" if number % 2 else "long"
            first = start + 17 + number % 5
            size = 2 if element == "short" else 21
            beds[element].append((contig, first, first + size))
            rows.append((contig, start, start + BASES, element))
    for name, spans in beds.items():
        path = tmp_path / f"{name}.bed"
        path.write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in spans))
        genome[f"bed.{name}"] = str(path)
    pd.DataFrame(rows, columns=["contig", "start", "end", "element"]).to_parquet(
        tmp_path / "windows.parquet"
    )
    (tmp_path / "embedder.json").write_text(json.dumps({"layers": 2}))
    genome["windows"] = str(tmp_path / "windows.parquet")
    return genome, {key: str(path) for key, path in own.items()}, tmp_path


def draw(files, own, folder, name, **settings):
    outputs = {key: folder / f"{name}.{key}" for key in ("coordinates", "summary")}
    given = {"annotation": "a", "model": "m", "elements": None, "layers": [1, "last"]}
    given |= {
        "match_gc": False,
        "seed": 1,
        "penalties": [0.1],
        "components": 5,
        "perplexity": 4.0,
        "neighbours": 3,
    }
    map_elements({**files, **own}, given | settings, outputs)
    return pd.read_csv(outputs["coordinates"], sep="\t"), json.loads(outputs["summary"].read_text())


def test_the_map_by_transformers_is_that_of_our_own_encoder(files):
    genome, own, folder = files
    torch.set_num_threads(1)
    table, summary = draw(genome, own, folder, "ours")
    entry = {"transformers": str(folder / "export")}
    described = {"described": str(folder / "embedder.json")}
    theirs, told = draw(genome, described, folder, "theirs", embedder=entry)
    assert list(theirs.columns) == list(table.columns)
    assert told["windows"] == summary["windows"] == {"long": EACH, "short": EACH}
    for one, other in zip(summary["layers"], told["layers"], strict=True):
        assert other["layer"] == one["layer"]
        for key in ("silhouette", "explained"):
            assert other[key] == pytest.approx(one[key], abs=1e-4)


def test_tokens_of_elements_are_those_of_our_rule():
    random = np.random.default_rng(0)
    for _ in range(200):
        bases = random.integers(1, 7, 12)
        ends = bases.cumsum()
        mask = random.random(ends[-1]) < 0.5
        spans = np.stack([np.r_[-1, ends - bases, -1], np.r_[-1, ends, -1]], axis=1)
        found = mask_spans(mask, spans)
        assert not found[0]
        assert not found[-1]
        np.testing.assert_array_equal(found[1:-1], mask_tokens(mask, bases))


def test_a_short_element_is_the_token_in_the_middle():
    spans = np.array([(-1, -1), (0, 4), (4, 8), (8, 12)])
    mask = np.zeros(12, dtype=bool)
    mask[1] = True
    assert mask_spans(mask, spans).tolist() == [False, False, True, False]


def test_the_token_table_of_a_model_that_is_not_ours_is_refused():
    assert choose_layers([0, "last"], 4) == [0, 4]
    with pytest.raises(InputError, match=r"0 is no layer of a model of 4; give .* or 1 to 4"):
        choose_layers([0], 4, least=1)
