"""The paper's eight models, from a hub with the layouts of their real repositories."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import loopback_hub
import pytest
import torch
import yaml
from huggingface_hub import split_state_dict_into_shards_factory
from safetensors.torch import load_file, save_file

from dnalm.configuration.resolve import merge, resolve_run
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.export import export_model
from dnalm.model.initialise import initialise
from dnalm.model.weights import published_config, save_weights, to_published

ROOT = Path(__file__).parents[1]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
PUBLISHED = {n: e for n, e in SHIPPED["models"].items() if n.startswith("published.")}
# Bytes of a part at most, as `save_pretrained` cut them then.
PART_BYTES = 10_000_000_000
PICKLE = {"pytorch_model.bin": b"a pickle"}


@dataclass
class Meta:
    """A tensor of which only the size is known."""

    bytes: int


def real_shapes(name: str) -> dict[str, torch.Size]:
    """Return the tensors of a published file, real sizes: also those that nothing here reads."""
    config = EncoderConfig(**resolve_run(SHIPPED, name)["encoder"])
    with torch.device("meta"):
        state = to_published(Encoder(config).state_dict())
    shapes = {tensor: value.shape for tensor, value in state.items()}
    positions = config.max_tokens + 2
    shapes["esm.embeddings.position_embeddings.weight"] = torch.Size([positions, config.width])
    shapes["esm.contact_head.regression.weight"] = torch.Size([1, config.layers * config.heads])
    shapes["esm.contact_head.regression.bias"] = torch.Size([1])
    # In the order of the modules: tables, blocks, the last LayerNorm, contacts, the head.
    order = ["esm.embeddings.", "esm.encoder.layer.", "esm.encoder.emb", "esm.contact", "lm_head."]
    return {n: shapes[n] for part in order for n in shapes if n.startswith(part)}


def cut(name: str) -> tuple[dict[str, str], list[int]]:
    """Return {tensor: part} of a model at its real size, and the bytes of each part."""
    state = {tensor: Meta(4 * shape.numel()) for tensor, shape in real_shapes(name).items()}
    plan = split_state_dict_into_shards_factory(
        state,
        get_storage_size=lambda tensor: tensor.bytes,
        get_storage_id=lambda tensor: None,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=PART_BYTES,
    )
    sizes = dict.fromkeys(plan.filename_to_tensors, 0)
    for tensor, file in plan.tensor_to_filename.items():
        sizes[file] += state[tensor].bytes
    return plan.tensor_to_filename, list(sizes.values())


def test_the_parts_of_2_5b_have_the_published_sizes():
    placed, sizes = cut("published.2.5b-1000g")
    assert [round(size / 1e6, -1) for size in sizes] == [9910, 280]
    assert sorted(set(placed.values())) == [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    assert len({*cut("published.v2-500m-multi-species")[0].values()}) == 1


def small_presets() -> dict:
    """Return the presets with their layers and heads, narrow: the same names, few numbers."""
    presets = {}
    for name, preset in SHIPPED["model"]["presets"].items():
        width = 2 * preset["heads"]
        presets[name] = {"width": width, "ffn_width": 2 * width}
    return presets


def fill(hub: loopback_hub.Hub, config: dict, name: str) -> None:
    """Give the hub one of the eight repositories: at its revision, and on main what is there."""
    entry, run = config["models"][name], resolve_run(config, name)
    encoder = Encoder(EncoderConfig(**run["encoder"]))
    initialise(encoder, sum(map(ord, name)))
    tensors = {n: t.contiguous() for n, t in to_published(encoder.state_dict()).items()}
    for extra, shape in real_shapes(name).items():
        small = torch.Size(min(size, 2050) if size > 2 else size for size in shape)
        tensors.setdefault(extra, torch.zeros(small if "contact" in extra else (2050, 4)))
    vocabulary = Vocabulary(run["k"], run["vocabulary"])
    settings = published_config(encoder.config) | {"layer_norm_eps": 1e-12}
    words = [*vocabulary.tokens(), "<eos>", "<bos>"] if run["vocabulary"] == "v1" else None
    files = {
        "config.json": json.dumps(settings).encode(),
        "vocab.txt": "\n".join(words or vocabulary.tokens()).encode(),
        "README.md": b"# theirs\n",
        "jax_model/hyperparams.json": b"{}",
    }
    repository, revision = entry["weights"]["hub"], entry["weights"].get("revision", "main")
    for where in {"main", revision}:
        folder = hub.folder(repository, where)
        held = files | (PICKLE if where == "main" and revision != "main" else {})
        for file, data in held.items():
            (folder / file).parent.mkdir(exist_ok=True)
            (folder / file).write_bytes(data)
    folder, (placed, _) = hub.folder(repository, revision), cut(name)
    parts = sorted(set(placed.values()))
    for part in parts:
        own = {n: t for n, t in tensors.items() if placed[n] == part}
        save_file(own, folder / part, metadata={"format": "pt"})
    if len(parts) > 1:
        index = {"metadata": {"total_size": 0}, "weight_map": placed}
        (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_each_published_model_loads_from_the_layout_of_its_repository(
    make_workflow, tmp_path, monkeypatch
):
    workflow = make_workflow()
    # No weights drawn here meet what is known of the real ones.
    known = {"published.v2-50m-multi-species": {"known_prediction": None}}
    overlay = {
        "pathvars": {"results": "results/published"},
        "run": {"models": list(PUBLISHED), "tasks": ["mine.x"], "locate_tasks": False},
        "model": {"presets": small_presets()},
        "models": known,
        "tasks": {"mine.x": {"path": "{split}.csv", "kind": "binary", "classes": 2}},
    }
    (workflow.folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
    config = merge(SHIPPED, overlay)
    with loopback_hub.serve(tmp_path / "hub") as hub:
        for name in PUBLISHED:
            fill(hub, config, name)
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        done = workflow.run("models", "--configfile", "overlay.yaml")
        assert done.returncode == 0, done.stdout
        assert not [file for file in hub.files() if file.endswith((".bin", ".py", "README.md"))]
    results = workflow.folder / "results/published"
    for name, entry in PUBLISHED.items():
        run = json.loads((results / f"models/{name}/run.json").read_text())
        source = run["source"]
        revision = entry["weights"].get("revision", "main")
        assert source["name"] == f"{entry['weights']['hub']}@{revision}"
        assert source["commit"] == loopback_hub.commit_of(revision)
        parts = [file for file in source["sha256"] if file.endswith(".safetensors")]
        assert len(parts) == (2 if "2.5b" in name else 1)
        assert source["layer_norm_eps"] == 1e-12
        expected = Encoder(EncoderConfig(**run["encoder"]))
        initialise(expected, sum(map(ord, name)))
        ours = load_file(results / f"models/{name}/weights.safetensors")
        for tensor, value in to_published(expected.state_dict()).items():
            assert torch.equal(ours[tensor], value), tensor
    place = results / "downloads/huggingface.co/InstaDeepAI"
    assert sorted(path.name for path in place.iterdir()) == sorted(
        entry["weights"]["hub"].split("/")[1] for entry in PUBLISHED.values()
    )


CODE = """
import sys, torch
import dnalm.huggingface
from transformers import AutoModelForMaskedLM, AutoTokenizer
folder, sequence, out = sys.argv[1:]
model = AutoModelForMaskedLM.from_pretrained(folder).eval()
tokens = AutoTokenizer.from_pretrained(folder)([sequence], return_tensors="pt")
with torch.no_grad():
    torch.save(model(**tokens).logits, out)
"""


@pytest.mark.slow
def test_an_export_of_the_second_generation_opens_in_a_fresh_environment(tmp_path):
    """Installs torch, safetensors and transformers by the constraints; needs a package index."""
    run = resolve_run(
        merge(SHIPPED, {"model": {"presets": small_presets()}}), next(iter(PUBLISHED))
    )
    run = resolve_run(
        merge(SHIPPED, {"model": {"presets": small_presets()}}), "published.v2-50m-multi-species"
    )
    encoder = Encoder(EncoderConfig(**run["encoder"])).eval()
    initialise(encoder, 5)
    save_weights(encoder, tmp_path / "weights.safetensors", {})
    names = {"weights": "model.safetensors", "settings": "config.json"}
    names |= {"vocabulary": "vocab.txt", "tokenizer": "tokenizer_config.json"}
    export = tmp_path / "export"
    export_model(
        run, tmp_path / "weights.safetensors", **{key: export / file for key, file in names.items()}
    )

    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pins = ["-c", ROOT / "constraints.txt", "-c", ROOT / "constraints-dev.txt"]
    packages = ["torch", "safetensors", "transformers"]
    install = [environment / "bin/pip", "install", "--quiet", *pins, *packages]
    subprocess.run(install, check=True)
    sequence = "ACGTGTACNTGCACGGANCGACTTTACGAG"
    subprocess.run(
        [environment / "bin/python", "-c", CODE, export, sequence, tmp_path / "logits.pt"],
        env={"PYTHONPATH": str(ROOT / "scripts"), "HF_HUB_OFFLINE": "1"},
        check=True,
    )
    theirs = torch.load(tmp_path / "logits.pt", weights_only=True)
    tokens = encode(to_codes(sequence), Vocabulary(run["k"], run["vocabulary"]))
    with torch.no_grad():
        ours = encoder(torch.tensor(tokens.tolist())[None]).logits
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
