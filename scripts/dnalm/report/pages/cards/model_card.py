"""Model card: what one model is, what it was trained on and what was measured of it.

It is the README.md of an export, with the front matter that the Hugging Face hub reads. Nothing
stands in it that was not measured here or given with the weights.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from huggingface_hub import EvalResult, ModelCardData

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.files import atomic_path, read_json
from dnalm.model.config import GATED_LAYOUT, EncoderConfig, count_parameters, is_gated
from dnalm.model.licences import licence_keys
from dnalm.report.pages.context import context_findings
from dnalm.report.tables.context import context_table
from dnalm.report.tables.records import Identities
from dnalm.report.tables.runs import curves_table, models_table
from dnalm.training.history import read_history

log = logging.getLogger(__name__)
MAX_GENOMES = 12
USAGE = """```python
{register}from transformers import AutoModelForMaskedLM, AutoTokenizer

folder = "..."  # this one
model = AutoModelForMaskedLM.from_pretrained(folder).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
logits = model(**tokenizer("ACGTGTACGTGCACGGACGA", return_tensors="pt")).logits
```
"""


def write_card(
    files: Mapping[str, Any],
    rights: Mapping[str, str | None],
    *,
    summary: str | Path,
    bootstrap: BootstrapConfig,
    path: str | Path,
) -> None:
    """Write the card of the model whose `run` (a run.json), `history` and `corpus` are `files`.

    History and manifest are those of models that were trained here. `rights` are the source,
    licence and citation of the weights, None where there is none. `summary` is the table of scores;
    while it does not exist the card has none.
    """
    run = read_json(files["run"])
    history, corpus = files.get("history"), files.get("corpus")
    facts = _measure(run, history, bootstrap) if history else {}
    scores = _read_scores(summary, run["model"])
    manifest = read_json(corpus) if corpus else None
    config = EncoderConfig(**run["encoder"])
    text = "\n\n".join(list_sections(run, config, rights, facts, manifest, scores)) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(f"---\n{front_matter(run, rights, scores)}\n---\n{text}")
    log.info("the card of %s has %d scores", run["model"], len(scores))


def front_matter(
    run: Mapping[str, Any], rights: Mapping[str, str | None], scores: Sequence[Mapping[str, Any]]
) -> str:
    """Return the YAML of a card, with the scores as `model-index`."""
    results = [
        EvalResult(
            task_type="other",
            task_name=row["kind"],
            dataset_type=row["task"],
            dataset_name=row["task"],
            dataset_split="test",
            metric_type=row["metric"],
            # Results of one task are one entry: the method stands with the number.
            metric_name=f"{row['metric']} of {row['method']}, mean of {row['n']} splits",
            metric_value=round(float(row["score_mean"]), 4),
        )
        for row in scores
    ]
    data = ModelCardData(
        **licence_keys(rights["licence"]),
        library_name="transformers",
        pipeline_tag="fill-mask",
        tags=["dna", "biology", "genomics"],
        model_name=run["model"],
        eval_results=results or None,
    )
    return data.to_yaml()


def list_sections(
    run: Mapping[str, Any],
    config: EncoderConfig,
    rights: Mapping[str, str | None],
    facts: Mapping[str, Any],
    corpus: Mapping[str, Any] | None,
    scores: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    """Yield the parts of a card below its front matter, in Markdown."""
    yield f"# {run['model']}"
    yield (
        f"A DNA language model of {count_parameters(config):,} parameters: {config.layers} layers "
        f"of width {config.width} with {config.heads} heads, {config.positions} positions, "
        f"{config.feed_forward} feed-forwards of width {config.ffn_width}, LayerNorm eps "
        f"{config.layer_norm_eps:g}. It reads up to {config.max_tokens} tokens, {run['k']}-mers of "
        f"vocabulary {run['vocabulary']}, in upper case: `<cls>` first, each N one token, single "
        "letters where a piece between Ns is no multiple of k."
    )
    if corpus and corpus["simulated"]:
        yield "**The training data are simulated: this model says nothing about biology.**"
    yield "## How to load"
    gated = is_gated(config)
    yield USAGE.format(register="import dnalm.huggingface\n" if gated else "").strip()
    if gated:
        yield (
            "The import is of the checkout that made it (`scripts` on the path, or installed); no "
            f"remote code is run. {GATED_LAYOUT}"
        )
    yield "Not learned, though in the file: `esm.contact_head`, which is zeros."
    yield "## Intended use"
    yield (
        "Embeddings of DNA sequences, fine-tuning on labelled sequences, and probabilities of "
        "masked tokens. It was evaluated on what stands below and on nothing else; nothing here "
        "shows that it is fit for decisions about people's health."
    )
    yield "## Training"
    yield from _training(run, rights, facts, corpus)
    yield "## Scores"
    yield from _scores(scores)
    yield "## Licence"
    yield (
        f"Licence of the weights: {rights['licence']}. What is made from them carries it."
        if rights["licence"]
        else "No licence was given for these weights; whoever trained them has to choose one."
    )
    if rights["citation"]:
        yield f"To cite: {rights['citation']}"


def _training(
    run: Mapping[str, Any],
    rights: Mapping[str, str | None],
    facts: Mapping[str, Any],
    corpus: Mapping[str, Any] | None,
) -> Iterator[str]:
    if rights["source"]:
        source = run.get("source") or {}
        commit = f" (commit {source['commit']})" if source.get("commit") else ""
        went_on = ", trained on here as follows" if corpus else ", with every number as it was"
        yield f"The weights are those of {rights['source']}{commit}{went_on}."
    elif corpus is None:
        yield "It was not trained: these are its initial weights."
    if corpus is None:
        return
    yield _describe_corpus(corpus)
    if not facts:
        return
    masking = run["pretrain"]["masking"]
    yield (
        f"It was trained for {facts['steps']:,.0f} steps on {facts['tokens']:,.0f} tokens, "
        f"{run['pretrain']['batch_sequences']:,} sequences a step: {masking['selected']:.0%} of "
        f"the tokens are to be found, {masking['masked']:.0%} of these hidden behind `<mask>` and "
        f"{masking['random']:.0%} replaced at random."
    )
    yield from facts["findings"]
    if facts["test_loss"] is not None:
        yield (
            f"On the held-out test windows, scored once after the last step, the loss at masked "
            f"positions is {facts['test_loss']:.3f} nats and {facts['test_accuracy']:.1%} of the "
            "tokens are found."
        )


def _describe_corpus(corpus: Mapping[str, Any]) -> str:
    genomes = corpus["genomes"]
    names = [
        f"{genome['name']} ({genome['accession']})" if genome["accession"] else genome["name"]
        for genome in genomes
    ]
    rest = len(names) - MAX_GENOMES
    listed = ", ".join(names[:MAX_GENOMES]) + (f" and {rest} more" if rest > 0 else "")
    train, windows = corpus["splits"]["train"], corpus["windows"]
    people = "; haplotypes of a panel stand in for the reference" if corpus["haplotypes"] else ""
    return (
        f"Data: the corpus {corpus['name']} of {len(genomes)} genome"
        f"{'s' if len(genomes) > 1 else ''}, {listed}{people}; {train['bases']:,} bases in "
        f"{train['windows']:,} training windows of {windows['length']:,} bases, and windows of "
        "other contigs or genomes to validate and to test."
    )


def _scores(scores: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not scores:
        yield "None were computed when this card was written."
        return
    yield (
        "Means and standard deviations over the splits of the training rows, all scored on the "
        "same test rows. What was chosen was chosen on validation rows."
    )
    lines = ["| task | method | metric | mean | SD | splits |", "|---|---|---|---|---|---|"]
    for row in scores:
        cells = [row["task"], row["method"], row["metric"]]
        cells += [f"{row['score_mean']:.3f}", _number(row["score_sd"]), f"{row['n']:.0f}"]
        lines.append("| " + " | ".join(cells) + " |")
    yield "\n".join(lines)


def _number(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.3f}"


def _measure(run: Mapping[str, Any], history: str, bootstrap: BootstrapConfig) -> dict[str, Any]:
    """Return how far a model was trained and what it learned, as its report says it."""
    name = run["model"]
    own = dict.fromkeys(("published_as", "untrained_of", "source", "licence"))
    names = {key: {} for key in ("tasks", "methods", "species", "groups")}
    lists = {key: [] for key in ("baselines", "genomes", "corpora", "panels")}
    identities = Identities(models={name: own}, **names, **lists)
    curves, context = curves_table({name: history}), context_table({name: history}, bootstrap)
    row = models_table({name: dict(run)}, curves, context, [], identities)
    lines = list(read_history(history))
    (facts,) = row.to_dict("records")
    test = {key: facts[key] for key in ("test_loss", "test_accuracy")}
    return {
        "steps": lines[-1]["step"],
        "tokens": lines[-1]["tokens"],
        "findings": context_findings(row),
        **{key: None if pd.isna(value) else value for key, value in test.items()},
    }


def _read_scores(summary: str | Path, model: str) -> list[dict[str, Any]]:
    """Return the rows of a model in the table of scores, none while there is no table."""
    if not Path(summary).exists():
        return []
    table = pd.read_csv(summary, sep="\t")
    own = table[(table["model"] == model) & table["score_mean"].notna()]
    return own.sort_values(["task", "method"]).to_dict("records")
