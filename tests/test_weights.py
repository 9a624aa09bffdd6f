"""Published weights in a run: from a hub on this machine to scores, report and export."""

import json
import random
from functools import partial
from pathlib import Path

import loopback_hub
import pandas as pd
import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from loopback_hub import commit_of
from safetensors.torch import load_file, save_file
from transformers import EsmConfig, EsmForMaskedLM, EsmTokenizer

from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.files import sha256_of
from dnalm.genome.kmers import Vocabulary

DEMO = ("--configfile", "tests/config.yaml", "tests/tiny.yaml")
FILES = ("model.safetensors", "config.json", "vocab.txt")
HUB = "lab/tiny-dna"
LICENCE = "CC BY-NC-SA 4.0"
CONTIGS = dict.fromkeys(("one", "two", "three", "four"), 60_000)
PRESET = {"generation": "v1", "layers": 2, "heads": 2, "width": 16, "ffn_width": 32}


def make_repository(folder: Path) -> Path:
    """Save a model of random weights as `transformers` does, with the tokens of 4-mers."""
    vocabulary = Vocabulary(4, "v1")
    torch.manual_seed(5)
    settings = EsmConfig(
        vocab_size=vocabulary.size,
        mask_token_id=vocabulary.mask,
        pad_token_id=vocabulary.pad,
        hidden_size=PRESET["width"],
        num_hidden_layers=PRESET["layers"],
        num_attention_heads=PRESET["heads"],
        intermediate_size=PRESET["ffn_width"],
        max_position_embeddings=64 + 2,
        position_embedding_type="absolute",
        token_dropout=True,
        emb_layer_norm_before=False,
        tie_word_embeddings=False,
        layer_norm_eps=1e-5,
        initializer_range=0.2,
    )
    EsmForMaskedLM(settings).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(vocabulary.tokens()) + "\n")
    return folder


def write_task(folder: Path) -> None:
    """Write rows that are rich in either A or C."""
    generator = random.Random(3)
    for split, rows in (("train", 60), ("test", 30)):
        sequences = ["".join(generator.choices("ACGT", [3, 1, 1, 1], k=50)) for _ in range(rows)]
        sequences[::2] = [s.translate(str.maketrans("AC", "CA")) for s in sequences[::2]]
        table = pd.DataFrame({"sequence": sequences, "label": [i % 2 for i in range(rows)]})
        table.to_csv(folder / f"{split}.csv", index=False)


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    """A hub with one repository; `folder(HUB)` is that of its files."""
    with loopback_hub.serve(tmp_path_factory.mktemp("hub")) as hub:
        make_repository(hub.folder(HUB))
        yield hub


class Run:
    """A copy of the workflow with a loaded model, one trained on from it, and a task of its own."""

    results = "results/weights"

    def __init__(self, workflow, server):
        self.workflow, self.server = workflow, server
        self.folder = workflow.folder / self.results
        write_task(workflow.folder)

    def arguments(self, continued=False, mirror=None, **model):
        """Return the options of a run whose loaded model has these keys beside or for its own."""
        entry = {"preset": "tiny-v1", "weights": {"hub": HUB}, "licence": LICENCE} | model
        overlay = {
            "pathvars": {"results": self.results},
            "mirror": mirror,
            "run": {
                "models": ["loaded"],
                "pretrain_only": ["continued"] if continued else [],
                "tasks": ["mine.x"],
                "methods": ["probe"],
                "predictions": [],
                "baselines": ["gc_content", "untrained"],
            },
            "genomes": {"simulated": {"simulate": {"contigs": CONTIGS}}},
            "weights": {"server": self.server, "k": 4},
            "model": {"presets": {"tiny-v1": {**PRESET, "max_tokens": 64}}},
            "corpora": {"simulated": {"vocabulary": "v1"}},
            "models": {
                "tiny": {"preset": "tiny-v1"},
                "loaded": entry,
                "continued": {**entry, "corpus": "simulated", "pretrain": {"steps": 2}},
            },
            "tasks": {"mine.x": {"path": "{split}.csv", "kind": "binary", "classes": 2}},
        }
        path = self.workflow.folder / "overlay.yaml"
        path.write_text(yaml.safe_dump(overlay))
        return (*DEMO, path.name)

    def json(self, name):
        return json.loads((self.folder / name).read_text())

    def weights(self, model):
        return load_file(self.folder / "models" / model / "weights.safetensors")


@pytest.fixture(scope="module")
def finished(make_workflow, hub):
    """A run that has ended in its report, after it one that trains on, and exports of both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("no_proxy", "127.0.0.1,localhost")
        run = Run(make_workflow(), hub.url)
        done = run.workflow.run(*run.arguments())
        assert done.returncode == 0, done.stdout
        done = run.workflow.run("exports", *run.arguments(continued=True))
        assert done.returncode == 0, done.stdout
    return run


def test_a_repository_of_a_hub_becomes_a_model_that_says_where_it_is_from(finished, hub):
    run, address = finished.json("models/loaded/run.json"), f"{hub.url}/{HUB}/resolve/main"
    assert run["source"] == {
        "name": f"{HUB}@main",
        "repository": HUB,
        "revision": "main",
        "commit": commit_of("main"),
        "path": None,
        "licence": LICENCE,
        "citation": None,
        "layer_norm_eps": 1e-5,
        "sha256": {file: sha256_of(hub.folder(HUB) / file) for file in FILES},
    }
    assert (run["pretrain"], run["corpus"], run["k"]) == (None, None, 4)
    published, ours = load_file(hub.folder(HUB) / "model.safetensors"), finished.weights("loaded")
    assert torch.equal(ours["lm_head.decoder.weight"], published["lm_head.decoder.weight"])
    assert not (finished.folder / "models/loaded/history.jsonl").exists()
    for file in FILES:
        assert (finished.folder / "downloads" / address.removeprefix("http://") / file).exists()


def test_its_embeddings_are_the_mean_hidden_states_of_transformers(finished, hub):
    table = finished.folder / "tasks/mine.x.parquet"
    path = finished.folder / "embeddings/loaded/mine.x.safetensors"
    (embeddings, _), rows = read_embeddings(path, table), pd.read_parquet(table)
    tokenizer = EsmTokenizer(str(hub.folder(HUB) / "vocab.txt"), eos_token=None)
    model = EsmForMaskedLM.from_pretrained(hub.folder(HUB)).eval()
    tokens = tokenizer(list(rows["sequence"]), return_tensors="pt", padding=True)
    with torch.no_grad():
        states = model(**tokens, output_hidden_states=True).hidden_states
    for layer in (1, 2):
        ours = torch.from_numpy(embeddings[f"layer.{layer}"])
        torch.testing.assert_close(ours, states[layer][:, 1:].mean(1), atol=1e-5, rtol=0)


def test_the_report_names_source_and_licence(finished):
    models = pd.read_csv(finished.folder / "tables/models.tsv", sep="\t").set_index("model")
    assert models.loc["loaded", ["source", "licence"]].tolist() == [f"{HUB}@main", LICENCE]
    assert models.loc[["loaded.untrained"], ["source", "licence"]].isna().all(axis=None)
    sentence = f"weights {LICENCE}: results made from them carry the licence ({HUB}@main)."
    assert sentence in (finished.folder / "report.html").read_text()
    assert LICENCE in (finished.folder / "summary.txt").read_text()
    summary = pd.read_csv(finished.folder / "tables/summary.tsv", sep="\t")
    assert {"loaded", "loaded.untrained", "gc_content"} == set(summary["model"])


def test_its_untrained_twin_is_drawn(finished):
    drawn, loaded = finished.weights("loaded.untrained"), finished.weights("loaded")
    assert drawn.keys() == loaded.keys()
    assert not torch.equal(drawn["lm_head.decoder.weight"], loaded["lm_head.decoder.weight"])


def test_training_goes_on_from_given_weights(finished):
    first = finished.folder / "models/continued.untrained/weights.safetensors"
    loaded = finished.folder / "models/loaded/weights.safetensors"
    assert first.read_bytes() == loaded.read_bytes()
    run = finished.json("models/continued/run.json")
    assert run["initial_weights"] == f"{Run.results}/models/continued.untrained/{first.name}"
    before, after = finished.weights("continued.untrained"), finished.weights("continued")
    moved = {name: (after[name] - before[name]).abs().max().item() for name in before}
    assert 0 < max(moved.values()) < 1e-3  # two steps of Adam at the start of the warm-up


def test_what_is_exported_opens_in_transformers_as_the_repository_does(finished, hub):
    folder = finished.folder / "models/loaded/export"
    tokens = EsmTokenizer.from_pretrained(folder)(["ACGTGTACNTGCA", "ACG"], padding=True)
    tokens = {key: torch.tensor(value) for key, value in tokens.items()}
    with torch.no_grad():
        ours, theirs = (
            EsmForMaskedLM.from_pretrained(where).eval()(**tokens).logits
            for where in (folder, hub.folder(HUB))
        )
    assert torch.equal(ours, theirs)
    assert LICENCE in (folder / "README.md").read_text()
    continued = (finished.folder / "models/continued/export/README.md").read_text()
    assert f"The weights are those of {HUB}@main, trained on here as follows." in continued
    assert "Data: the corpus simulated of 1 genome, simulated; " in continued


def test_nothing_is_left_to_do_and_a_later_licence_makes_only_tables_again(finished):
    assert finished.workflow.plan(*finished.arguments()) == {}
    plan = finished.workflow.plan(*finished.arguments(licence="CC0", citation="Somebody"))
    assert plan.keys() == {"make_tables", "make_report", "all", "total"}


def test_a_card_holds_the_scores_once_there_are_some(finished):
    card = ModelCard.load(finished.folder / "models/loaded/export/README.md")
    summary = pd.read_csv(finished.folder / "tables/summary.tsv", sep="\t")
    (own,) = summary.loc[summary["model"] == "loaded", "score_mean"]
    (result,) = card.data.eval_results
    assert result.metric_value == pytest.approx(own, abs=1e-4)
    assert (result.dataset_name, card.data.license) == ("mine.x", "cc-by-nc-sa-4.0")
    assert finished.workflow.plan("exports", *finished.arguments(continued=True)) == {}
    table = finished.folder / "tables/summary.tsv"
    text = table.read_text()
    table.write_text(text + "\n")
    plan = finished.workflow.plan("exports", *finished.arguments(continued=True))
    assert plan == {"write_model_card": 2, "exports": 1, "total": 3}
    table.write_text(text)


def test_the_target_downloads_asks_for_the_repository_of_a_model(make_workflow, hub):
    run = Run(make_workflow(), hub.url)
    both = run.workflow.plan("downloads", *run.arguments(continued=True))
    assert both["fetch_repository"] == 2
    # A folder at home needs none, its own name is a path.
    options = run.arguments(weights=str(hub.folder(HUB)), licence="unknown")
    assert "fetch_repository" not in run.workflow.plan("downloads", *options)


def test_a_mirror_that_is_named_later_gets_the_files_and_serves_an_offline_run(
    make_workflow, hub, tmp_path, monkeypatch
):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    workflow, mirror = make_workflow(), str(tmp_path / "mirror")
    first = Run(workflow, hub.url)
    assert workflow.run("downloads", *first.arguments()).returncode == 0
    arguments = first.arguments(mirror=mirror)
    plan = workflow.plan("downloads", *arguments)
    assert plan == {"mirror_file": len(FILES), "downloads": 1, "total": len(FILES) + 1}
    assert workflow.run("downloads", *arguments).returncode == 0

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    asked = len(hub.asked)
    second = Run(workflow, hub.url)
    second.results = "results/second"
    arguments = second.arguments(mirror=mirror)
    made = f"{second.results}/models/loaded/weights.safetensors"
    done = workflow.run(made, *arguments)
    assert done.returncode == 0, done.stdout
    assert len(hub.asked) == asked
    (tmp_path / "mirror").joinpath(
        hub.url.removeprefix("http://"), HUB, "resolve/main/vocab.txt"
    ).unlink()
    second.results = "results/third"
    done = workflow.run("downloads", *second.arguments(mirror=mirror))
    assert done.returncode != 0
    assert f"Error: HF_HUB_OFFLINE is set, and {HUB}@main lacks vocab.txt here" in done.stdout
    assert mirror in done.stdout
    assert "Traceback" not in done.stdout


def test_a_shipped_model_of_the_paper_is_planned_without_genomes_or_training(workflow):
    plan = workflow.plan("--config", 'run={"models": ["published.v2-500m-multi-species"]}')
    assert plan["download_file"] == 2 * plan["make_task"]
    assert plan["import_weights"] == plan["fetch_repository"] == 1
    assert {"embed_task", "probe_task", "finetune_task", "initialise_model"} <= plan.keys()
    assert not {"pretrain", "encode_genome", "build_corpus", "locate_task"} & plan.keys()


def test_a_repository_with_a_pickle_alone_ends_in_one_sentence(make_workflow, hub, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    only_pickle(make_repository(hub.folder("lab/pickled")))
    make_repository(hub.folder("lab/pickled", "refs/pr/3"))
    run = Run(make_workflow(), hub.url)
    done = run.workflow.run("downloads", *run.arguments(weights="lab/pickled"))
    assert done.returncode != 0
    (sentence,) = (line for line in done.stdout.splitlines() if line.startswith("Error: "))
    assert "lab/pickled@main: it has no safetensors file; there is config.json" in sentence
    assert sentence.endswith("set `revision` to one that has: refs/pr/3 (model.safetensors).")
    assert "Traceback" not in done.stdout


@pytest.fixture(scope="module")
def refusing(make_workflow, hub):
    """A run for models that are wrong."""
    return Run(make_workflow(), hub.url)


def swap_tokens(folder):
    tokens = (folder / "vocab.txt").read_text().split()
    tokens[4], tokens[5] = tokens[5], tokens[4]
    (folder / "vocab.txt").write_text("\n".join(tokens))


def change_tensors(folder, **changes):
    tensors = load_file(folder / "model.safetensors")
    del tensors["lm_head.bias"]
    save_file(tensors | changes, folder / "model.safetensors")


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("spoil", "preset", "said"),
    [
        (swap_tokens, "tiny-v1", "vocab.txt: id 4 is AAAT, but vocabulary v1 of 4-mers has AAAA"),
        (change_tensors, "tiny-v1", "1 missing (lm_head.bias)"),
        (partial(change_tensors, extra=torch.zeros(1)), "tiny-v1", "part of the model (extra)"),
        (cut, "tiny-v1", "cannot be read as a safetensors file"),
        (lambda folder: None, "v1-500m", "num_hidden_layers is 2 and not 24"),
    ],
)
def test_wrong_weights_end_in_one_sentence_and_make_nothing(
    refusing, hub, tmp_path, spoil, preset, said
):
    folder = make_repository(tmp_path / "given")
    spoil(folder)
    options = refusing.arguments(weights={"path": str(folder)}, preset=preset, pretrain=None)
    made = refusing.folder / "models/loaded"
    done = refusing.workflow.run(f"{Run.results}/models/loaded/weights.safetensors", *options)
    assert done.returncode != 0
    (sentence,) = (line for line in done.stdout.splitlines() if line.startswith("Error: "))
    assert said in sentence
    assert "Traceback" not in done.stdout
    assert not list(made.glob("*"))


def only_pickle(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def in_parts(folder):
    EsmForMaskedLM.from_pretrained(folder).save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink()
    next(folder.glob("model-00002-*")).unlink()


@pytest.mark.parametrize(
    ("spoil", "changes", "said"),
    [
        (only_pickle, {}, "pytorch_model.bin is a pickle, which can run code when it is opened"),
        (in_parts, {}, "that model.safetensors.index.json names is missing; get it, too"),
        (None, {"licence": None}, "models.loaded.licence: the licence of the weights is not given"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_before_any_job(
    refusing, tmp_path, spoil, changes, said
):
    folder = make_repository(tmp_path / "given")
    if spoil:
        spoil(folder)
    done = refusing.workflow.run(
        "--dry-run", *refusing.arguments(weights={"path": str(folder)}, **changes)
    )
    assert done.returncode != 0
    assert said in done.stdout
    assert "Traceback" not in done.stdout
