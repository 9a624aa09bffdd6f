"""One run, dealt to one to four processes, in whole copies or shards, wherever it was saved."""

import shutil

import pytest
import torch

from dnalm.model.config import EncoderConfig
from dnalm.model.weights import load_weights
from dnalm.training.batches import Batches
from dnalm.training.checkpoints import find_checkpoint, read_encoder, read_moments
from dnalm.training.settings import Run

STEPS, SAVED = 12, 5


@pytest.fixture(scope="module")
def make(make_job):
    """Return a function that makes a job whose sequences no number of processes deals evenly."""

    def make(change=lambda run: None, **operation):
        def change_both(run, settings):
            run["encoder"] |= {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True}
            run["encoder"]["token_dropout"] = 0.12
            run["pretrain"] |= {"batch_sequences": 10, "steps": STEPS}
            settings |= {"micro_batch": 2, "checkpoint_every": 1, "keep_last": STEPS}
            settings |= operation
            change(run)

        return make_job(change_both)

    return make


@pytest.fixture(scope="module")
def one(make):
    """The run of one process that nothing has stopped."""
    job = make()
    job.train()
    return job


@pytest.fixture(scope="module")
def saved(make, train_together):
    """The same run of two processes: in shards, and in whole copies."""
    return {sharding: train_together(make(sharding=sharding), 2) for sharding in ("full", "none")}


@pytest.fixture(scope="module")
def hybrid(make, train_together):
    """The same run on two nodes of two processes: shards within a node, a copy on each."""
    return train_together(make(sharding="hybrid", micro_batch=1), 4, on_node=2)


def values(job, key):
    return [row[key] for row in job.history() if key in row]


def assert_same_curve(job, other):
    assert job.curve() == pytest.approx(other.curve(), abs=1e-5)
    # Adam hardly sees the scale of gradients, so that the losses alone would hide a wrong one.
    norms = [values(run, "gradient_norm") for run in (job, other)]
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    for key in ("step", "tokens", "thin_windows", "skipped_steps"):
        assert values(job, key) == values(other, key)


def checkpoint_of(job, step):
    return job.state / "checkpoints" / f"step-{step:08d}"


def moments_of(job, step):
    """Return {name: gradient} as Adam's first moment holds it."""
    run = Run.read(job.folder / "run.json")
    encoder = read_encoder(checkpoint_of(job, step), EncoderConfig(**run.encoder))
    names = dict(encoder.named_parameters())
    shapes = {key: tensor.shape for key, tensor in names.items()}
    moments = {
        f"{key}.{name}": torch.zeros(shape if key != "step" else ())
        for key in ("step", "exp_avg", "exp_avg_sq")
        for name, shape in shapes.items()
    }
    totals = torch.zeros(3, 3, dtype=torch.float64)
    read_moments(checkpoint_of(job, step), moments, totals)
    return moments


def test_the_processes_of_this_run_have_unequal_counts_of_tokens(one, corpus, vocabulary):
    config = Run.read(one.folder / "run.json").pretrain
    counts = [
        [
            Batches(corpus.windows(), config, vocabulary, micro_batch=2, rank=rank, size=size)
            .make(0)
            .weight
            for rank in range(size)
        ]
        for size in (2, 3, 4)
    ]
    assert len({sum(of_all) for of_all in counts}) == 1
    assert all(len(set(of_all)) > 1 for of_all in counts)


@pytest.mark.parametrize("sharding", ["full", "none"])
def test_two_processes_give_the_curve_of_one(saved, one, sharding):
    assert_same_curve(saved[sharding], one)
    files = {path.name for path in checkpoint_of(saved[sharding], SAVED).rglob("*")}
    assert ({"__0_0.distcp", "__1_0.distcp"} <= files) == (sharding == "full")


def test_shards_on_each_of_two_nodes_give_the_curve_of_one_process(hybrid, one):
    log = (hybrid.folder / "log").read_text()
    assert "2 shards, gathered once a step, of the weights" in log
    assert_same_curve(hybrid, one)
    found, wanted = moments_of(hybrid, 1), moments_of(one, 1)
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("before", "size", "after"),
    [("hybrid", 1, {"sharding": "none"}), ("none", 4, {"sharding": "hybrid", "reshard": True})],
)
def test_hybrid_shards_go_on_unsharded_and_the_reverse(
    make, train_together, hybrid, one, before, size, after
):
    job = make(**after, micro_batch=1, keep_last=2, checkpoint_every=4)
    start = {"hybrid": hybrid, "none": one}[before]
    shutil.copytree(start.state.parent, job.folder / "models" / "state")
    for step in range(SAVED + 1, STEPS + 1):
        shutil.rmtree(checkpoint_of(job, step))
    train_together(job, size, on_node=2)
    assert f"{SAVED} of {STEPS} steps are done" in (job.folder / "log").read_text()
    assert_same_curve(job, one)


@pytest.mark.parametrize("sharding", ["full", "none"])
def test_gradients_of_a_step_are_those_of_one_process(saved, one, sharding):
    found, wanted = moments_of(saved[sharding], 1), moments_of(one, 1)
    largest = max(float(tensor.abs().max()) for key, tensor in wanted.items() if "avg." in key)
    assert largest > 1e-3
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("before", "size", "after"),
    [
        ("full", 1, {}),
        ("full", 3, {"sharding": "full", "activation_checkpointing": True}),
        pytest.param("full", 4, {"sharding": "none"}, marks=pytest.mark.slow),
        pytest.param("none", 1, {}, marks=pytest.mark.slow),
        ("none", 3, {"sharding": "full"}),
        ("none", 4, {"sharding": "none", "activation_checkpointing": True}),
    ],
)
def test_a_run_saved_by_two_goes_on_with_any_number(
    make, train_together, saved, one, before, size, after
):
    job = make(**after, keep_last=2, checkpoint_every=4)
    shutil.copytree(saved[before].state.parent, job.folder / "models" / "state")
    for step in range(SAVED + 1, STEPS + 1):
        shutil.rmtree(checkpoint_of(job, step))
    train_together(job, size)
    assert f"{SAVED} of {STEPS} steps are done" in (job.folder / "log").read_text()
    assert_same_curve(job, one)


def test_shards_are_exported_as_one_file_of_the_last_weights(saved):
    job = saved["full"]
    config = EncoderConfig(**Run.read(job.folder / "run.json").encoder)
    exported = load_weights(config, job.weights).state_dict()
    last = read_encoder(find_checkpoint(job.state / "checkpoints"), config).state_dict()
    assert all(torch.equal(exported[name], tensor) for name, tensor in last.items())


def test_shards_compute_in_bf16_what_whole_copies_do(make, train_together):
    def change(run):
        run["pretrain"] |= {"precision": "bf16", "steps": 6}

    one, many = make(change), make(change, sharding="full")
    one.train()
    train_together(many, 2)
    for key in ("loss", "validation_loss", "test_loss"):
        assert values(many, key) == pytest.approx(values(one, key), abs=5e-3)
    config = EncoderConfig(**Run.read(many.folder / "run.json").encoder)
    weights = read_encoder(checkpoint_of(many, 6), config).state_dict()
    assert {tensor.dtype for tensor in weights.values()} == {torch.float32}


def test_shards_carry_a_bf16_residual_stream_as_whole_copies_do(make, train_together):
    def change(run):
        run["pretrain"] |= {"precision": "bf16", "residual": "bf16", "steps": 6}

    one, many = make(change), make(change, sharding="full", activation_checkpointing=True)
    one.train()
    train_together(many, 2)
    for key in ("loss", "validation_loss", "test_loss"):
        assert values(many, key) == pytest.approx(values(one, key), abs=5e-3)


@pytest.fixture(scope="module")
def overlapped(make, train_together):
    """The run of two processes that sum the gradients of a block while others have none yet."""
    return train_together(make(sharding="none", reduce_in_backward=True), 2)


def test_gradients_reduced_during_the_backward_pass_change_no_bit(saved, overlapped):
    # Ten sequences, two a pass: three passes of each process, and a bound on the norm.
    assert overlapped.weights.read_bytes() == saved["none"].weights.read_bytes()
    assert values(overlapped, "gradient_norm") == values(saved["none"], "gradient_norm")
    assert overlapped.curve() == saved["none"].curve()


@pytest.mark.parametrize("before", [False, True])
def test_a_run_goes_on_bit_for_bit_whether_gradients_are_reduced_in_the_backward_pass_or_after(
    make, train_together, saved, overlapped, before
):
    start = overlapped if before else saved["none"]
    job = make(sharding="none", reduce_in_backward=not before)
    shutil.copytree(start.state.parent, job.folder / "models" / "state")
    for step in range(SAVED + 1, STEPS + 1):
        shutil.rmtree(checkpoint_of(job, step))
    train_together(job, 2)
    assert f"{SAVED} of {STEPS} steps are done" in (job.folder / "log").read_text()
    assert job.weights.read_bytes() == saved["none"].weights.read_bytes()


@pytest.mark.parametrize("again", [pytest.param(False, marks=pytest.mark.slow), True])
def test_four_processes_on_two_nodes_reduce_in_the_backward_pass(make, train_together, one, again):
    options = {"reduce_in_backward": True, "activation_checkpointing": again}
    job = train_together(make(sharding="none", micro_batch=1, **options), 4, on_node=2)
    assert_same_curve(job, one)
    found, wanted = moments_of(job, 1), moments_of(one, 1)
    for name, tensor in wanted.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-6)


def test_shards_reduce_in_the_backward_pass_whether_it_is_asked_for_or_not(
    make, train_together, hybrid
):
    job = make(sharding="hybrid", micro_batch=1, reduce_in_backward=True)
    train_together(job, 4, on_node=2)
    assert job.weights.read_bytes() == hybrid.weights.read_bytes()


def test_activations_computed_twice_change_no_bit(make, one):
    job = make(activation_checkpointing=True)
    job.train()
    assert job.weights.read_bytes() == one.weights.read_bytes()


@pytest.mark.slow
def test_compiled_blocks_give_the_curve_of_others_sharded_and_computed_twice(
    make, train_together, one
):
    job = make(compile=True, sharding="full", activation_checkpointing=True)
    train_together(job, 2)
    assert_same_curve(job, one)
