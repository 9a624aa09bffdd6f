import json
import os
import shutil
import subprocess
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dnalm.errors import InputError
from dnalm.model.initialise import initialise
from dnalm.model.weights import load_weights, save_weights
from dnalm.parallel import sharding
from dnalm.training import launch
from dnalm.training.batches import Batches
from dnalm.training.schedule import learning_rate
from dnalm.training.settings import Run

PATIENCE_SECONDS = 600


@pytest.fixture(scope="module")
def plain(make_job):
    """A finished job of 12 steps with the settings as they are, not to be changed."""
    job = make_job()
    job.train()
    return job


def test_gradient_accumulation_gives_the_curve_of_the_full_batch(make_job, plain):
    for micro_batch in (4, 1):  # 4: two passes of 3

        def change(run, operation, micro_batch=micro_batch):
            operation["micro_batch"] = micro_batch

        job = make_job(change)
        job.train()
        assert job.curve() == pytest.approx(plain.curve(), abs=1e-5)


def test_the_loop_is_adam_on_the_mean_loss_with_bounded_norm(make_job, corpus, vocabulary):
    """The same steps written out with torch's own parts, on logits of all positions."""

    def change(run, operation):
        run["pretrain"] |= {"gradient_clip": 0.05, "steps": 6}
        operation["micro_batch"] = 2

    job = make_job(change)
    job.train()
    run = Run.read(job.folder / "run.json")
    config = run.pretrain
    encoder = launch.make_encoder(run, None).train()
    adam = torch.optim.Adam(encoder.parameters(), betas=(0.9, 0.999), eps=1e-8)
    batches = Batches(corpus.windows(), config, vocabulary, micro_batch=6, rank=0, size=1)
    losses = []
    for step in range(6):
        (part,) = batches.make(step).parts
        logits = encoder(part.inputs).logits
        used = part.weights > 0
        rows = torch.arange(6)[:, None].expand_as(part.positions)
        loss = torch.nn.functional.cross_entropy(
            logits[rows[used], part.positions[used]], part.targets[used]
        )
        adam.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(encoder.parameters(), 0.05)
        assert norm > 0.05
        adam.param_groups[0]["lr"] = learning_rate(step + 1, config.schedule, 6)
        adam.step()
        losses.append(float(loss.detach()))
    rows = [row for row in job.history() if "lr" in row]
    assert [row["loss"] for row in rows] == pytest.approx(losses, abs=1e-5)
    assert rows[-1]["gradient_norm"] == pytest.approx(float(norm), rel=1e-3)
    trained = load_weights(encoder.config, job.weights).state_dict()
    for name, tensor in encoder.state_dict().items():
        # The keys' biases have no gradient but rounding, which Adam blows up to full steps.
        if not name.endswith("attention.key.bias"):
            torch.testing.assert_close(trained[name], tensor, rtol=0, atol=2e-4)


def test_a_history_row_holds_what_a_reader_needs(plain):
    rows = [row for row in plain.history() if "lr" in row]
    assert [row["step"] for row in rows] == list(range(1, 13))
    assert [row["tokens"] for row in rows] == [step * 6 * 33 for step in range(1, 13)]
    kinds = [f"{value}{kind}" for value in ("loss", "accuracy") for kind in ("", "_mask", "_kept")]
    speed = ["gradient_norm", "tokens_per_second", "data_wait_share", "mfu", "peak_memory_bytes"]
    assert set(kinds + speed) <= set(rows[0])
    assert rows[4]["lr"] == pytest.approx(1e-3)
    assert rows[0]["tokens_per_second"] > 0
    assert 0 <= rows[0]["data_wait_share"] <= 1
    validated = [row for row in plain.history() if "validation_loss" in row]
    assert [row["step"] for row in validated] == [0, 6, 12]
    assert validated[0]["validation_loss"] > 2
    assert len({row["validation_unigram_loss"] for row in validated}) == 1
    *before, last = validated
    assert not any("test" in key for row in before for key in row)
    assert last == plain.history()[-1]
    ends = {key.removeprefix("validation_") for key in last if key.startswith("validation_")}
    assert ends >= {"loss", "loss_mask", "accuracy", "accuracy_mask", "unigram_loss"}
    assert all(last[f"test_{end}"] > 0 for end in ("loss", "loss_mask", "unigram_loss"))
    for split in ("validation", "test"):
        (genome,) = last[f"{split}_genomes"].values()
        assert genome["loss"] == pytest.approx(last[f"{split}_loss_mask"], rel=1e-6)
        assert genome["unigram_loss"] == pytest.approx(last[f"{split}_unigram_loss"], rel=1e-6)
    assert {f"test_{end}" for end in ends - {"context"}} <= last.keys()
    windows = last["validation_context"]["windows"]
    assert not any("validation_context" in row for row in before)
    own = sum(windows["own"]) / sum(windows["masked"])
    assert own == pytest.approx(last["validation_loss_mask"], abs=1e-4)


def test_measuring_what_is_held_out_is_left_out_of_the_speed(make_job, monkeypatch):
    whole = launch.Evaluation.measure

    def slowly(self, model):
        time.sleep(1)
        return whole(self, model)

    monkeypatch.setattr(launch.Evaluation, "measure", slowly)
    job = make_job(lambda run, operation: operation.update(validate_every=6))
    job.train()
    speeds = [row["tokens_per_second"] for row in job.history() if "lr" in row]
    assert min(speeds) > 6 * 33  # all tokens of a step in the time that was slept


def test_rows_over_several_steps_are_means_over_tokens(make_job, plain):
    third = make_job(lambda run, operation: operation.update(log_every=3))
    third.train()
    fine = [row for row in plain.history() if "lr" in row]
    coarse = [row for row in third.history() if "lr" in row]
    assert [row["step"] for row in coarse] == [3, 6, 9, 12]
    low = [min(r["loss"] for r in fine[i : i + 3]) for i in range(0, 12, 3)]
    high = [max(r["loss"] for r in fine[i : i + 3]) for i in range(0, 12, 3)]
    for row, least, most in zip(coarse, low, high, strict=True):
        assert least < row["loss"] < most


def random_bases(length):
    return "".join(np.random.default_rng(length).choice(list("ACGT"), length))


@pytest.fixture
def make_sparse(make_job, plant_corpus, tmp_path):
    """Return a function that makes a job of one window a step, most of them of N alone."""

    def make(bases):
        contigs = {"train": bases + "N" * 2000}
        contigs |= {split: random_bases(900) for split in ("validation", "test")}

        def change(run, operation):
            run["pretrain"] |= {"batch_sequences": 1, "min_kmers": 8}
            operation |= {"log_every": 12}

        return make_job(change, plant_corpus(tmp_path / "sparse", contigs))

    return make


def test_a_batch_without_any_weight_is_skipped_and_counted(make_sparse):
    job = make_sparse(random_bases(1000))
    job.train()
    row = job.history()[-2]
    assert 0 < row["skipped_steps"] == row["thin_windows"] < 12
    assert row["loss"] > 0


def test_a_run_without_any_weight_is_ended_before_it_takes_days(make_sparse):
    job = make_sparse("")
    with pytest.raises(InputError, match="None of the first 12 steps had a token to learn"):
        job.train()
    assert not job.weights.exists()


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("min_kmers", 33, "windows hold at most 32 k-mers, but only those with 33 count"),
        ("masking", {"selected": 0.01, "masked": 0.8, "random": 0.1}, "less than one to predict"),
    ],
)
def test_windows_that_teach_nothing_are_refused(make_job, key, value, sentence):
    job = make_job(lambda run, operation: run["pretrain"].update({key: value}))
    with pytest.raises(InputError, match=sentence):
        job.train()


def test_a_loss_that_is_not_finite_names_step_and_window(make_job, corpus):
    def change(run, operation):
        run["pretrain"]["schedule"] |= {"initial": 1e30, "peak": 1e30}

    job = make_job(change)
    with pytest.raises(InputError, match=r"not finite at step 2, in window planted:train:\d+"):
        job.train()
    assert not job.weights.exists()
    assert not list((job.state / "checkpoints").glob("step-*"))


def test_the_window_of_a_single_bad_loss_is_the_one_named(make_job, corpus, vocabulary):
    """One token's embedding is spoilt; the first window that shows it must be named."""
    job = make_job()
    run = Run.read(job.folder / "run.json")
    encoder = launch.make_encoder(run, None)
    batches = Batches(corpus.windows(), run.pretrain, vocabulary, micro_batch=6, rank=0, size=1)
    (first,) = batches.make(0).parts
    once = [t for t in first.inputs.unique().tolist() if (first.inputs == t).any(1).sum() == 1]
    spoilt = once[-1]
    with torch.no_grad():
        encoder.tokens.weight[spoilt] = 3e38  # finite, its sum is not
    row = int((first.inputs == spoilt).any(1).int().argmax())
    place = corpus.windows().locate(row)
    start = job.folder / "start.safetensors"
    save_weights(encoder, start, {})
    settings = json.loads((job.folder / "run.json").read_text()) | {"initial_weights": str(start)}
    (job.folder / "run.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=rf"step 1, in window planted:train:{place['start']};"):
        job.train()


def test_a_gradient_that_is_not_finite_blames_no_window(make_job):
    """Huge weights meet zeros: losses are finite, the gradient of what made the zeros is not."""
    job = make_job(lambda run, operation: operation.update(log_every=4))
    encoder = launch.make_encoder(Run.read(job.folder / "run.json"), None)
    attention = encoder.blocks[0].attention
    with torch.no_grad():
        attention.value.weight.zero_()
        attention.value.bias.zero_()
        attention.output.weight.copy_(3e38 * attention.output.weight.sign())
    start = job.folder / "start.safetensors"
    save_weights(encoder, start, {})
    settings = json.loads((job.folder / "run.json").read_text()) | {"initial_weights": str(start)}
    (job.folder / "run.json").write_text(json.dumps(settings))
    with pytest.raises(InputError, match=r"gradient is not finite at step 1, though") as caught:
        job.train()
    assert "window" not in str(caught.value)


def test_given_weights_are_where_training_starts(make_job, plain):
    def change(run, operation):
        run["initial_weights"] = str(plain.weights)
        run["pretrain"]["steps"] = 0

    second = make_job(change)
    second.train()
    given, got = load_file(plain.weights), load_file(second.weights)
    assert all(torch.equal(given[name], tensor) for name, tensor in got.items())
    assert second.history()[0]["step"] == 0


def test_bf16_follows_float32_loosely(make_job, plain):
    job = make_job(lambda run, operation: run["pretrain"].update(precision="bf16"))
    job.train()
    assert {tensor.dtype for tensor in load_file(job.weights).values()} == {torch.float32}
    curves = job.curve(), plain.curve()
    compared = [(a, b) for a, b in zip(*curves, strict=True) if a is not None]
    assert max(abs(a - b) for a, b in compared) < 0.05
    assert any(a != b for a, b in compared)


def in_bf16(residual):
    def change(run, operation):
        run["pretrain"] |= {"precision": "bf16", "residual": residual}
        operation["keep_last"] = 12

    return change


@pytest.fixture(scope="module")
def half_residual(make_job):
    """A finished job whose hidden states are bf16 between blocks, not to be changed."""
    job = make_job(in_bf16("bf16"))
    job.train()
    return job


def test_a_bf16_residual_stream_follows_the_float32_one_and_saves_float32(make_job, half_residual):
    whole = make_job(in_bf16("float32"))
    whole.train()
    assert {tensor.dtype for tensor in load_file(half_residual.weights).values()} == {torch.float32}
    curves = half_residual.curve(), whole.curve()
    compared = [(a, b) for a, b in zip(*curves, strict=True) if a is not None]
    assert len(compared) > 40
    assert 0 < max(abs(a - b) for a, b in compared) < 0.05


def test_a_bf16_residual_stream_goes_on_with_the_same_bits(make_job, half_residual):
    job = make_job(in_bf16("bf16"))
    shutil.copytree(half_residual.state.parent, job.folder / "models" / "state")
    for step in (10, 12):
        shutil.rmtree(job.state / "checkpoints" / f"step-{step:08d}")
    job.train()
    assert job.history()[-1]["step"] == 12
    assert job.weights.read_bytes() == half_residual.weights.read_bytes()


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_hidden_states_are_bf16_between_blocks_and_their_norms_float32(make_job, generation):
    encoder = launch.make_encoder(Run.read(make_job().folder / "run.json"), None)
    if generation == "v1":
        config = replace(encoder.config, positions="learned", token_dropout=0.12)
        encoder = type(encoder)(config)
        initialise(encoder, 1)
    encoder.residual = torch.bfloat16
    # Far from 0 beside their spread: means and deviations in bf16 would be far off.
    x = (20 + torch.randn(2, 20, 16, generator=torch.Generator().manual_seed(1))).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        normed = encoder.blocks[0].attention_norm(x)
        *between, _ = encoder(torch.arange(7, 47).view(2, 20), padded=False).states
    assert [state.dtype for state in between] == [torch.bfloat16] * 2
    exact = torch.nn.functional.layer_norm(x.double(), [16])
    torch.testing.assert_close(normed.double(), exact, rtol=2**-7, atol=1e-3)


def test_evaluation_in_bf16_is_within_5e_3_of_float32(make_job, plain):
    def change(run, operation):
        run["initial_weights"] = str(plain.weights)
        run["pretrain"] |= {"precision": "bf16", "steps": 0}

    job = make_job(change)
    job.train()
    rough, exact = job.history()[-1], plain.history()[-1]
    losses = [key for key in exact if key.endswith(("_loss", "_loss_mask"))]
    assert {"validation_loss", "validation_loss_mask", "test_loss"} <= set(losses)
    for key in losses:
        assert rough[key] == pytest.approx(exact[key], abs=5e-3)
    assert rough["validation_loss"] != exact["validation_loss"]


def test_what_is_left_to_the_machine_is_settled_and_the_history_says_it(make_job, plain):
    def change(run, operation):
        run["pretrain"]["precision"] = "auto"
        operation["micro_batch"] = "auto"

    job = make_job(change)
    job.train()
    assert {row["precision"] for row in job.history() if "device" in row} == {"float32"}
    # On a CPU up to 16 sequences, here all 6 as in the other run, with the same bits.
    assert job.weights.read_bytes() == plain.weights.read_bytes()


def test_no_step_makes_the_host_wait_for_a_number_of_the_device(make_job, host_reads):
    job = make_job(lambda run, operation: run["pretrain"].update(steps=3))
    with host_reads() as stacks:
        job.train()
    assert any("_log" in stack for stack in stacks)  # so they are seen where there are some
    assert not [stack for stack in stacks if "_step" in stack]


def test_blocks_that_cannot_be_compiled_run_as_they_are_with_one_warning(make_job, plain, tmp_path):
    """No compiler on the PATH, and nothing compiled before in the cache."""
    job = make_job(lambda run, operation: operation.update(compile=True))
    bare = {key: value for key, value in os.environ.items() if key not in ("CC", "CXX")}
    bare |= {"PATH": str(tmp_path), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path / "cache")}
    subprocess.run(job.command, env=bare, check=True, timeout=PATIENCE_SECONDS)
    assert job.weights.read_bytes() == plain.weights.read_bytes()
    log = (job.folder / "log").read_text()
    assert log.count("could not be compiled") == 1
    assert "compiler" in log.partition("could not be compiled")[2]


def test_no_memory_is_no_failure_of_the_compiler(monkeypatch):
    def exhaust(forward, *, dynamic):
        def run(*_: object) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory")

        return run

    monkeypatch.setattr(torch, "compile", exhaust)
    run = sharding._Compilation().of(lambda x: x)
    with pytest.raises(torch.OutOfMemoryError):
        run(torch.ones(1))


def test_blocks_see_one_shape_in_training_and_one_in_evaluation(make_job, monkeypatch):
    seen = []

    def note(forward, *, dynamic):
        def run(x, *others):
            seen.append((torch.is_grad_enabled(), tuple(x.shape)))
            return forward(x, *others)

        return run

    monkeypatch.setattr(torch, "compile", note)
    # 30 windows are held out, in passes of 4; of 6 rows of a batch each pass takes 3.
    job = make_job(lambda run, operation: operation.update(compile=True, micro_batch=4))
    job.train()
    assert set(seen) == {(True, (3, 33, 16)), (False, (4, 33, 16))}
