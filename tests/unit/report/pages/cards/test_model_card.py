"""Model cards: front matter that the hub's reader takes, and only what was measured or given."""

import json

import numpy as np
import pandas as pd
import pytest
from huggingface_hub import ModelCard

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.report.pages.cards.model_card import write_card
from dnalm.report.pages.context import LEARNED

BOOTSTRAP = BootstrapConfig(draws=200, seed=1, level=0.95)
NOTHING = dict.fromkeys(("source", "licence", "citation"))
ENCODER = {
    "layers": 3,
    "heads": 4,
    "width": 32,
    "ffn_width": 48,
    "positions": "rotary",
    "feed_forward": "swiglu",
    "ffn_bias": False,
    "max_tokens": 64,
    "vocabulary_size": 267,
    "pad_id": 1,
    "mask_id": 2,
    "token_dropout": None,
    "dropout": 0.0,
    "layer_norm_eps": 1e-5,
    "initialisation": "haiku",
}
PRETRAIN = {
    "batch_sequences": 512,
    "masking": {"selected": 0.15, "masked": 0.8, "random": 0.1},
}


def last_row() -> dict:
    """What the last step measured: shuffling costs 0.2 nats, another window 0.1 more."""
    random = np.random.default_rng(2)
    own = 5.0 + random.normal(0, 0.1, 50)
    sums = {"own": own, "shuffled": own + 0.2, "foreign": own + 0.3, "tempered": own + 1}
    windows = {name: (10 * values).tolist() for name, values in sums.items()}
    return {
        "step": 900,
        "tokens": 1_234_000,
        "validation_loss": 5.1,
        "validation_accuracy": 0.1,
        "validation_loss_mask": 5.0,
        "validation_accuracy_mask": 0.125,
        "validation_unigram_loss": 6.0,
        "validation_unigram_accuracy": 0.01,
        "test_loss_mask": 5.25,
        "test_accuracy_mask": 0.11,
        "validation_context": {"exponents": [0.5], "windows": windows | {"masked": [10] * 50}},
    }


def manifest(simulated: bool = False) -> dict:
    genomes = [{"name": f"g{i}", "accession": f"GCF_{i}" if i else None} for i in range(14)]
    train = {"bases": 1_000_000, "windows": 3_000}
    return {
        "name": "plants",
        "simulated": simulated,
        "haplotypes": None,
        "genomes": genomes,
        "splits": {"train": train},
        "windows": {"length": 352},
    }


@pytest.fixture
def write(tmp_path):
    def make(rights=NOTHING, trained=True, scores=None, simulated=False, **changes):
        run = {"model": "mine", "encoder": ENCODER, "k": 4, "vocabulary": "v2", "corpus": "plants"}
        run |= {"pretrain": PRETRAIN if trained else None} | changes
        files = {"run": str(tmp_path / "run.json")}
        (tmp_path / "run.json").write_text(json.dumps(run))
        if trained:
            files |= {"history": str(tmp_path / "h.jsonl"), "corpus": str(tmp_path / "c.json")}
            (tmp_path / "h.jsonl").write_text(json.dumps(last_row()) + "\n")
            (tmp_path / "c.json").write_text(json.dumps(manifest(simulated)))
        table = tmp_path / "summary.tsv"
        if scores is not None:
            scores.to_csv(table, sep="\t", index=False)
        path = tmp_path / "README.md"
        write_card(files, rights, summary=table, bootstrap=BOOTSTRAP, path=path)
        return ModelCard.load(path)

    return make


def scores() -> pd.DataFrame:
    rows = [
        ("probe", "mine", "mine.x", "binary", 3, "mcc", 0.51234, 0.01),
        ("ia3", "mine", "mine.x", "binary", 3, "mcc", 0.6, None),
        ("probe", "other", "mine.x", "binary", 3, "mcc", 0.9, 0.01),
    ]
    columns = ["method", "model", "task", "kind", "n", "metric", "score_mean", "score_sd"]
    return pd.DataFrame(rows, columns=columns)


def test_a_trained_model_says_what_it_read_and_what_was_measured(write) -> None:
    card = write(scores=scores())
    text = " ".join(card.text.split())
    assert "3 layers of width 32 with 4 heads" in text
    assert "the corpus plants of 14 genomes, g0, g1 (GCF_1)" in text
    assert "and 2 more" in text
    assert "1,000,000 bases in 3,000 training windows of 352 bases" in text
    assert "900 steps on 1,234,000 tokens, 512 sequences a step: 15% of the tokens" in text
    assert "mine ends at a validation loss of 5.000 nats at masked positions" in text
    assert LEARNED in text
    assert "the loss at masked positions is 5.250 nats and 11.0% of the tokens are found" in text
    assert "| mine.x | probe | mcc | 0.512 | 0.010 | 3 |" in card.text
    assert "0.9" not in card.text  # of another model
    assert "No licence was given" in text
    assert "simulated" not in text


def test_the_front_matter_is_read_as_the_hub_reads_it(write) -> None:
    card = write(scores=scores(), rights=NOTHING | {"licence": "CC BY-NC-SA 4.0"})
    data = card.data
    assert (data.license, data.library_name, data.pipeline_tag) == (
        *("cc-by-nc-sa-4.0", "transformers", "fill-mask"),
    )
    assert data.model_name == "mine"
    values = {(r.task_name, r.metric_name): r.metric_value for r in data.eval_results}
    assert values == {
        ("binary", "mcc of probe, mean of 3 splits"): 0.5123,
        ("binary", "mcc of ia3, mean of 3 splits"): 0.6,
    }
    assert {result.dataset_name for result in data.eval_results} == {"mine.x"}
    assert (
        "Licence of the weights: CC BY-NC-SA 4.0. What is made from them carries it." in card.text
    )


def test_without_scores_the_card_claims_none(write) -> None:
    card = write()
    assert card.data.eval_results is None
    assert "None were computed when this card was written." in card.text


@pytest.mark.parametrize(
    ("licence", "expected"),
    [
        (None, ("unknown", None)),
        ("My own", ("other", "My own")),
        ("apache-2.0", ("apache-2.0", None)),
    ],
)
def test_licences_are_those_the_hub_knows_or_other(write, licence, expected) -> None:
    data = write(rights=NOTHING | {"licence": licence}).data
    assert (data.license, data.to_dict().get("license_name")) == expected


def test_a_loaded_model_says_whose_weights_it_has(write) -> None:
    rights = {"source": "A/b@main", "licence": "CC BY-NC-SA 4.0", "citation": "Somebody, 2025"}
    source = {"source": {"commit": "c0ffee"}}
    text = write(rights=rights, trained=False, corpus=None, **source).text
    assert "The weights are those of A/b@main (commit c0ffee), with every number as it was." in text
    assert "To cite: Somebody, 2025" in text
    assert "steps" not in text
    text = write(rights=rights, **source).text
    assert "A/b@main (commit c0ffee), trained on here as follows." in text


def test_the_first_lines_of_a_simulated_model_say_so(write) -> None:
    assert "**The training data are simulated" in write(simulated=True).text
    assert "import dnalm.huggingface" in write().text
    v1 = {**ENCODER, "feed_forward": "gelu", "ffn_bias": True}
    assert "import dnalm" not in write(encoder=v1).text
