"""The file of embeddings, made in shards: what it says, and what it survives."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors import safe_open

from dnalm.benchmark.embedding import shards as embed_shards
from dnalm.benchmark.embedding.embed import EmbedConfig, embed
from dnalm.benchmark.embedding.shards import Embedding, embed_task
from dnalm.benchmark.embedding.stored import read_embeddings
from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.model.loading import load_model
from dnalm.model.weights import save_weights

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[4] / "scripts")}
MARK = 123.0
ROWS, LAYERS, WIDTH = 50, 3, 16
PROGRAM = """
import json, sys
from dnalm.benchmark.embedding import shards as embed_shards
from dnalm.benchmark.embedding.embed import EmbedConfig
from dnalm.benchmark.embedding.shards import Embedding, embed_task

arguments = json.loads(sys.argv[1])
embedding = Embedding(config=EmbedConfig(**arguments.pop("config")), **arguments)
embed_task(embedding, sys.argv[2], sys.argv[3], json.loads(sys.argv[4]))
"""


@pytest.fixture
def embedding(tmp_path, draw_model) -> Embedding:
    """Return a model and a task of 50 rows of 4 to 89 bases, in files, and settings for them."""
    model, table = draw_model(k=3, layers=LAYERS, seed=1), str(tmp_path / "task")
    write_table(table)
    settings = EmbedConfig(
        layers="all",
        pooling="mean",
        centre_bases=6,
        strands="forward",
        precision="float32",
        dtype="float32",
        batch_tokens=256,
        shard_rows=8,
        too_long="refuse",
    )
    return Embedding(**model, table=table, config=settings, threads=1)


def write_table(path: str, rows: int = ROWS, prefix: str = "train") -> None:
    generator = np.random.default_rng(0)
    sizes = generator.integers(4, 90, rows)
    table = {
        "id": [f"{prefix}.{row}" for row in range(rows)],
        "sequence": ["".join(generator.choice(list("ACGT"), size)) for size in sizes],
        "label": [row % 2 for row in range(rows)],
        "split": ["train"] * rows,
        "provenance": [f"mine.csv, row {row}" for row in range(rows)],
        "folds": [[0]] * rows,
    }
    pd.DataFrame(table).to_parquet(path)


def changed(embedding: Embedding, **changes) -> Embedding:
    return replace(embedding, config=replace(embedding.config, **changes))


def test_the_file_holds_every_layer_in_the_order_of_the_table_and_says_what_it_is(
    embedding, tmp_path
):
    path = tmp_path / "out.safetensors"
    embed_task(changed(embedding, layers=[3, 1]), path, tmp_path / "partial", ["cpu"])
    found, metadata = read_embeddings(path, embedding.table)
    table = pd.read_parquet(embedding.table)
    encoder, vocabulary = load_model(embedding.run, embedding.weights)
    # One row at a time, without shards or pads.
    for row, (name, sequence) in enumerate(zip(table["id"], table["sequence"], strict=True)):
        alone = embed(encoder, vocabulary, [sequence], [name], [1, 3], embedding.config)
        for place, layer in enumerate(("layer.1", "layer.3")):
            np.testing.assert_allclose(found[layer][row], alone[place, 0], atol=1e-5)
    assert list(found) == ["layer.1", "layer.3"]
    assert metadata == {
        "format": "pt",
        "weights_sha256": sha256_of(embedding.weights),
        "task_sha256": sha256_of(embedding.table),
        "layers": "[1, 3]",
        "pooling": "mean",
        "centre_bases": "6",
        "strands": "forward",
        "precision": "float32",
        "dtype": "float32",
        "cropped": "0",
    }
    with safe_open(path, framework="pt") as file:
        assert json.loads(bytes(file.get_tensor("ids").tolist())) == table["id"].tolist()
    assert not (tmp_path / "partial").exists()


def test_what_auto_became_is_in_the_file_as_if_it_had_been_asked_for(embedding, tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in ("auto", "float32")]
    for path in paths:
        embed_task(changed(embedding, precision=path.stem), path, tmp_path / "partial", ["cpu"])
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_two_processes_write_the_same_bytes_as_one(embedding, tmp_path):
    paths = [tmp_path / f"{name}.safetensors" for name in ("one", "two", "whole")]
    embed_task(embedding, paths[0], tmp_path / "partial", ["cpu"])
    embed_task(embedding, paths[1], tmp_path / "partial", ["cpu", "cpu"])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    embed_task(changed(embedding, shard_rows=1000), paths[2], tmp_path / "partial", ["cpu"])
    one, whole = (read_embeddings(path, embedding.table)[0] for path in (paths[0], paths[2]))
    for layer in one:
        np.testing.assert_allclose(whole[layer], one[layer], atol=1e-5)


def begin(
    embedding: Embedding,
    path: Path,
    partial: Path,
    *,
    devices: tuple[str, ...] = ("cpu",),
) -> subprocess.Popen:
    """Embed in a process of its own and return it when some shards are there."""
    arguments = json.dumps({**vars(embedding), "config": vars(embedding.config)})
    paths = [str(path), str(partial), json.dumps(devices)]
    command = [sys.executable, "-c", PROGRAM, arguments, *paths]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT)
    deadline = time.monotonic() + 120
    while len(list(partial.glob("*/*.npy"))) < 5:
        assert process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline, "it made no shard"
        time.sleep(0.005)
    return process


def kill_half_way(embedding: Embedding, path: Path, partial: Path, **options) -> list[Path]:
    """Embed in a process of its own, kill it by force, and return the shards that it leaves."""
    process = begin(embedding, path, partial, **options)
    process.send_signal(signal.SIGKILL)
    process.communicate()  # until it and what it has started are gone
    return sorted(partial.glob("*/[!.]*.npy"))


def test_a_killed_job_goes_on_from_its_shards_and_ends_in_the_same_bytes(embedding, tmp_path):
    write_table(embedding.table, rows=400)
    embedding, partial = changed(embedding, shard_rows=1), tmp_path / "partial"
    undisturbed, path = tmp_path / "undisturbed.safetensors", tmp_path / "killed.safetensors"
    embed_task(embedding, undisturbed, partial, ["cpu"])

    kept = kill_half_way(embedding, path, partial)
    assert 4 <= len(kept) < 400
    assert not path.exists()
    again = tmp_path / "again"
    shutil.copytree(partial, again)
    embed_task(embedding, path, partial, ["cpu"])
    assert path.read_bytes() == undisturbed.read_bytes()

    # A finished shard is read and not made again, a torn one is made again.
    torn, finished = (again / file.relative_to(partial) for file in kept[:2])
    torn.write_bytes(torn.read_bytes()[:-1])
    np.save(finished, np.full_like(np.load(finished), MARK))
    embed_task(embedding, path, again, ["cpu"])
    found, expected = (read_embeddings(file, embedding.table)[0] for file in (path, undisturbed))
    for layer in found:
        marked = (found[layer] == MARK).all(axis=1)
        assert marked.sum() == 1
        np.testing.assert_array_equal(found[layer][~marked], expected[layer][~marked])


def test_a_second_job_on_one_folder_ends_with_a_sentence_and_disturbs_nothing(embedding, tmp_path):
    write_table(embedding.table, rows=400)
    embedding, partial = changed(embedding, shard_rows=1), tmp_path / "partial" / "task"
    path = tmp_path / "out.safetensors"
    first = begin(embedding, path, partial)
    with pytest.raises(InputError, match=f"is being written by process {first.pid} on "):
        embed_task(embedding, path, partial, ["cpu"])
    assert not path.exists()
    assert first.wait(timeout=120) == 0
    assert len(read_embeddings(path, embedding.table)[0]) == LAYERS
    # Neither a lock nor the folder that tasks share is left.
    assert not (tmp_path / "partial").exists()


def test_the_folder_that_tasks_share_stays_with_the_shards_of_another(embedding, tmp_path):
    other = tmp_path / "partial" / "other" / "00000000.npy"
    other.parent.mkdir(parents=True)
    other.touch()
    embed_task(embedding, tmp_path / "out", tmp_path / "partial" / "task", ["cpu"])
    assert os.listdir(tmp_path / "partial") == ["other"]
    assert other.exists()


@pytest.mark.slow
def test_processes_whose_job_was_killed_end_with_it(embedding, tmp_path):
    write_table(embedding.table, rows=2000)
    embedding, partial = changed(embedding, shard_rows=1), tmp_path / "partial"
    made = kill_half_way(embedding, tmp_path / "out", partial, devices=("cpu", "cpu"))
    assert len(made) < 2000


@pytest.mark.parametrize("killed", [True, False])
def test_a_process_that_takes_too_much_memory_is_an_error_of_one_sentence(
    embedding, tmp_path, monkeypatch, killed
):
    def make(*_) -> None:  # what is made in here is sent to other processes as code
        if killed:
            os.kill(os.getpid(), signal.SIGKILL)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(embed_shards, "_make", make)
    call = embedding, tmp_path / "out", tmp_path / "partial", ["cpu", "cpu"]
    advice = r"on cpu, cpu was killed or ran out of memory: .* embed\.batch_tokens, which is 256"
    with pytest.raises(InputError, match=advice):
        embed_task(*call)
    assert not (tmp_path / "partial").exists()


@pytest.mark.parametrize(
    ("change", "taken"),
    # What the sentence on memory that ran out says to lower keeps what is finished.
    [({"pooling": "cls"}, False), ({"shard_rows": 9}, False), ({"batch_tokens": 99}, True)],
)
def test_shards_are_taken_where_no_setting_that_decides_them_has_changed(
    embedding, tmp_path, monkeypatch, change, taken
):
    partial, path = tmp_path / "partial", tmp_path / "out.safetensors"
    with monkeypatch.context() as patched:
        patched.setattr(embed_shards, "_assemble", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            embed_task(embedding, path, partial, ["cpu"])
    shards = list(partial.glob("*/[!.]*.npy"))
    assert len(shards) == 7
    for shard in shards:
        np.save(shard, np.full_like(np.load(shard), MARK))
    embed_task(changed(embedding, **change), path, partial, ["cpu"])
    found = read_embeddings(path, embedding.table)[0]
    assert all(((array == MARK) == taken).all() for array in found.values())


def test_float16_halves_the_file_and_keeps_eleven_bits(embedding, tmp_path):
    paths = {kind: tmp_path / f"{kind}.safetensors" for kind in ("float32", "float16")}
    for kind, path in paths.items():
        embed_task(changed(embedding, dtype=kind), path, tmp_path / "partial", ["cpu"])
    full, half = (read_embeddings(path, embedding.table) for path in paths.values())
    assert half[1]["dtype"] == "float16"
    for layer, array in half[0].items():
        assert array.dtype == np.float32
        np.testing.assert_allclose(array, full[0][layer], rtol=2**-11, atol=1e-7)
    with safe_open(paths["float16"], framework="pt") as file:
        assert file.get_tensor("layer.1").dtype == torch.float16
    saved = paths["float32"].stat().st_size - paths["float16"].stat().st_size
    assert abs(saved - 2 * ROWS * LAYERS * WIDTH) < 64


def test_a_number_too_large_for_float16_names_the_layer(embedding, tmp_path):
    encoder, _ = load_model(embedding.run, embedding.weights)
    with torch.no_grad():
        encoder.blocks[1].feed_forward.output.weight.mul_(1e6)
    save_weights(encoder, embedding.weights, {})
    call = changed(embedding, dtype="float16"), tmp_path / "out", tmp_path / "partial", ["cpu"]
    with pytest.raises(InputError, match=r"float16, which ends at 65,504, but layer 2 of "):
        embed_task(*call)
    embed_task(embedding, *call[1:])


def test_embeddings_of_other_rows_are_refused(embedding, tmp_path):
    path = tmp_path / "out.safetensors"
    embed_task(embedding, path, tmp_path / "partial", ["cpu"])
    write_table(embedding.table, prefix="test")
    with pytest.raises(InputError, match="made from other rows"):
        read_embeddings(path, embedding.table)


def test_a_sequence_too_long_names_the_row_of_the_users_file(embedding, tmp_path):
    table = pd.read_parquet(embedding.table)
    table.loc[7, "sequence"] = "ACG" * 64
    table.to_parquet(embedding.table)
    with pytest.raises(InputError, match=r"row train\.7 \(mine\.csv, row 7\) .* 65 tokens"):
        embed_task(embedding, tmp_path / "out", tmp_path / "partial", ["cpu"])


def test_a_large_file_is_written_one_layer_at_a_time(tmp_path):
    # 24 layers of 4 MB: memory grows by far less than the 96 MB of the file.
    program = """
import resource, sys
import numpy as np
from dnalm.model.tensors import stream_arrays

shape, names = (4096, 256), [str(layer) for layer in range(24)]
arrays = ((name, np.full(shape, float(name), dtype=np.float32)) for name in names)
shapes, types = dict.fromkeys(names, shape), dict.fromkeys(names, "float32")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
stream_arrays(arrays, shapes, types, sys.argv[1], {})
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    path = tmp_path / "big.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < 24_000  # kB
    with safe_open(path, framework="numpy") as file:
        assert len(list(file.keys())) == 24
        assert (file.get_tensor("23") == 23).all()


@pytest.mark.parametrize("strands", ["forward", "both"])
def test_of_rows_beyond_the_context_the_middle_is_embedded_and_counted(
    embedding, tmp_path, strands
) -> None:
    table = pd.read_parquet(embedding.table)
    long = ["A" * 100 + sequence + "C" * 101 for sequence in table["sequence"][:5]]
    whole = [*long, *table["sequence"][5:]]
    table.assign(sequence=whole).to_parquet(tmp_path / "long")
    chosen = changed(embedding, strands=strands)
    chosen = replace(chosen, table=str(tmp_path / "long"))
    with pytest.raises(InputError, match=r"set embed\.too_long to centre"):
        embed_task(chosen, tmp_path / "none", tmp_path / "partial", ["cpu"])
    embed_task(changed(chosen, too_long="centre"), tmp_path / "x", tmp_path / "partial", ["cpu"])
    found, metadata = read_embeddings(tmp_path / "x", chosen.table)
    assert metadata["cropped"] == "5"
    # 63 words of three bases fit beside <cls>.
    starts = [(len(sequence) - 189) // 2 for sequence in long]
    middles = [text[start : start + 189] for text, start in zip(long, starts, strict=True)]
    model = load_model(embedding.run, embedding.weights)
    expected = embed(*model, middles, middles, [1, 2, 3], chosen.config)
    for layer in (1, 2, 3):
        np.testing.assert_allclose(found[f"layer.{layer}"][:5], expected[layer - 1], atol=1e-5)
