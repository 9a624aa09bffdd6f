import numpy as np
import pytest

from dnalm.training.history import read_history


def planted_bases(length, seed):
    """Return bases that repeat with period 9 but for 3 % of errors: neighbours tell a k-mer."""
    generator = np.random.default_rng(seed)
    motif = np.array(list("ACGTTGCAA"))
    bases = np.resize(motif, length)
    wrong = generator.random(length) < 0.03
    bases[wrong] = generator.choice(list("ACGT"), wrong.sum())
    return "".join(bases)


@pytest.fixture(scope="module")
def periodic(tmp_path_factory, plant_corpus):
    lengths = {"train": 6000, "validation": 1200, "test": 1200}
    contigs = {name: planted_bases(length, length + len(name)) for name, length in lengths.items()}
    return plant_corpus(tmp_path_factory.mktemp("periodic"), contigs)


@pytest.mark.parametrize("generation", ["v1", "v2"])
def test_the_loss_at_masks_falls_below_that_of_kmer_frequencies(make_job, periodic, generation):
    def change(run, operation):
        run["pretrain"] |= {"batch_sequences": 16, "steps": 150}
        run["pretrain"]["schedule"] |= {"peak": 5e-3, "warmup_steps": 30}
        run["encoder"] |= {"width": 32, "ffn_width": 64}
        if generation == "v1":
            learned = {"positions": "learned", "feed_forward": "gelu", "ffn_bias": True}
            run["encoder"] |= learned | {"token_dropout": 0.12}
        operation |= {"micro_batch": 16, "log_every": 50, "validate_every": 150}

    job = make_job(change, periodic)
    job.train()
    first, last = (
        row for row in read_history(job.state / "history.jsonl") if "validation_loss" in row
    )
    baseline = last["validation_unigram_loss"]
    assert first["validation_loss_mask"] > baseline
    assert last["validation_loss_mask"] < 0.75 * baseline
    assert last["validation_accuracy_mask"] > last["validation_unigram_accuracy"]
