"""Settings of runs, weights, and published models: config.json, vocab.txt, indexes of parts."""

import json
from pathlib import Path
from random import Random
from typing import Any

import torch
from safetensors.torch import load_file, save

from dnalm.genome.kmers import Vocabulary
from dnalm.model.config import EncoderConfig
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.loading import load_model, read_run
from dnalm.model.published_weights import load_published
from dnalm.model.weights import load_weights, published_config, save_weights
from dnalm.training.settings import Operation, Run
from fuzz.mutations import mutate_bytes
from fuzz.odd_values import change, mutate_json
from fuzz.target import Target

VOCABULARY = Vocabulary(2, "v2")
CONFIG = EncoderConfig(
    layers=2,
    heads=2,
    width=8,
    ffn_width=12,
    positions="rotary",
    feed_forward="swiglu",
    ffn_bias=False,
    max_tokens=32,
    vocabulary_size=VOCABULARY.size,
    pad_id=VOCABULARY.pad,
    mask_id=VOCABULARY.mask,
    token_dropout=None,
    dropout=0.0,
    layer_norm_eps=1e-5,
    initialisation="normal",
)
FACTS = {
    "model": "small",
    "encoder": vars(CONFIG),
    "corpus": "c",
    "k": 2,
    "vocabulary": "v2",
    "initial_weights": None,
    "pretrain": {
        "masking": {"selected": 0.15, "masked": 0.8, "random": 0.1},
        "batch_sequences": 4,
        "tokens": 10_000,
        "steps": None,
        "optimizer": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.0},
        "schedule": {"initial": 1e-5, "peak": 1e-3, "warmup_steps": 5, "decay": "linear"},
        "gradient_clip": 1.0,
        "precision": "float32",
        "seed": 1,
        "min_kmers": 5,
    },
}
OPERATION = {
    "processes": "auto",
    "micro_batch": 2,
    "threads": 1,
    "workers": 0,
    "compile": False,
    "sharding": "auto",
    "reshard": "auto",
    "activation_checkpointing": "auto",
    "reduce_in_backward": False,
    "log_every": 1,
    "validate_every": 1,
    "checkpoint_every": 1,
    "checkpoint_minutes": None,
    "keep_last": 2,
    "tensorboard": False,
    "scratch": None,
    "runtime_minutes": 5.0,
}


def small_model(folder: Path) -> Path:
    """Make a model of random weights, run.json and weights.safetensors, and return its folder."""
    torch.set_num_threads(1)
    encoder = Encoder(CONFIG)
    initialise(encoder, 1)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(encoder, folder / "weights.safetensors", {})
    (folder / "run.json").write_text(json.dumps(FACTS))
    (folder / "config.json").write_text(json.dumps(published_config(CONFIG)))
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY.tokens()) + "\n")
    return folder


def mutate_safetensors(data: bytes, random: Random) -> bytes:
    """Return a safetensors file with another header, of its own length, or other bytes."""
    size = int.from_bytes(data[:8], "little")
    try:
        header = json.loads(data[8 : 8 + size])
    except ValueError:
        return mutate_bytes(data, random)
    match random.randrange(4):
        case 0:
            return mutate_bytes(data, random)
        case 1:  # anywhere in the numbers, NaN and infinity among them
            changed = bytearray(data)
            for _ in range(random.randint(1, 3)):
                at = random.randrange(8 + size, len(data))
                changed[at : at + 4] = random.choice(
                    (b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\xff" * 4)
                )
            return bytes(changed[: len(data)])
        case 2:
            names = [name for name in header if name != "__metadata__"]
            first, second = random.choice(names), random.choice(names)
            header[first], header[second] = header[second], header[first]
        case _:
            header = change(header, random, ("F16", "I64", "BOOL", "F8_E4M3", [8], [2, 2], [0, 0]))
    try:
        text = json.dumps(header).encode()
    except (TypeError, ValueError):
        return data
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def run_settings(_: Path) -> Target:
    """The settings of a run, or of its operation where they have a `micro_batch`."""

    def read(path: Path, __: Path) -> Any:
        if b"micro_batch" in path.read_bytes():
            return Operation.read(path)
        run = Run.read(path)
        run.pretrain.count_steps(32)
        return run, read_run(path)

    return Target(
        name="run_settings",
        read=read,
        seeds=(json.dumps(FACTS).encode(), json.dumps(OPERATION).encode()),
        suffix=".json",
        mutate=(mutate_bytes, mutate_json(), mutate_json(), mutate_json()),
        spliced=False,
        weight=4,
    )


def weights(folder: Path) -> Target:
    model = small_model(folder)

    def generate(random: Random, _: int) -> bytes:
        tensors = load_file(model / "weights.safetensors")
        kind = random.choice((torch.float32, torch.float64, torch.bfloat16))
        torch.manual_seed(random.randrange(10**6))
        prefix = random.choice(("", "model.", "module."))
        made = {prefix + name: torch.randn(t.shape).to(kind) for name, t in tensors.items()}
        names = list(made)
        random.shuffle(names)
        return save({name: made[name] for name in names})

    def compare(path: Path, found: Encoder) -> str:
        tensors = {
            name.split(".", 1)[1] if name.startswith("mod") else name: t
            for name, t in load_file(path).items()
        }
        wanted = tensors["esm.embeddings.word_embeddings.weight"].float()
        return "" if torch.equal(found.state_dict()["tokens.weight"], wanted) else "other tokens"

    def read(path: Path, _: Path) -> Encoder:
        if path.read_bytes()[8:9] == b"R":  # a model's run.json beside good weights
            return load_model(path, model / "weights.safetensors")[0]
        return load_weights(CONFIG, path)

    return Target(
        name="weights",
        read=read,
        seeds=((model / "weights.safetensors").read_bytes(), generate(Random(2), 1)),
        suffix=".safetensors",
        generate=generate,
        oracle=compare,
        mutate=(mutate_safetensors,),
        weight=1.5,
    )


def _published(folder: Path, name: str, file: str, mutate: Any) -> Target:
    model = small_model(folder)
    tensors = load_file(model / "weights.safetensors")
    parts = {"a.safetensors": list(tensors)[:9], "b.safetensors": list(tensors)[9:]}
    for part, names in parts.items():
        (model / part).write_bytes(save({one: tensors[one] for one in names}))
    index = {
        "metadata": {},
        "weight_map": {one: part for part, names in parts.items() for one in names},
    }
    (model / "model.safetensors.index.json").write_text(json.dumps(index))
    seed = (model / file).read_bytes()

    def read(path: Path, out: Path) -> Encoder:
        used = {
            key: str(model / key)
            for key in ("config.json", "vocab.txt", "model.safetensors.index.json")
        }
        if file.startswith("model"):
            used["model.safetensors.index.json"] = str(path)  # known by its ending
        else:
            used[file] = str(path)
        files = [str(model / part) for part in parts] + [used["model.safetensors.index.json"]]
        return load_published(
            FACTS, weights=files, settings=used["config.json"], vocabulary=used["vocab.txt"]
        )

    return Target(
        name=name,
        read=read,
        seeds=(seed,),
        suffix=Path(file).suffix if not file.startswith("model") else ".safetensors.index.json",
        mutate=mutate,
        one_file=not file.startswith("model"),
    )


def published_model(folder: Path) -> Target:
    mutate = (mutate_bytes, mutate_json(), mutate_json())
    return _published(folder, "published_model", "config.json", mutate)


def vocabulary(folder: Path) -> Target:
    return _published(folder, "vocabulary", "vocab.txt", (mutate_bytes,))


def weight_index(folder: Path) -> Target:
    mutate = (mutate_bytes, mutate_json(("a.safetensors", "c.safetensors")))
    return _published(folder, "weight_index", "model.safetensors.index.json", mutate)
