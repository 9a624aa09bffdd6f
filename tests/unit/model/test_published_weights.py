"""Published repositories: those of transformers load with equal outputs, all others are refused."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.genome.kmers import Vocabulary
from dnalm.model.encoder import Encoder
from dnalm.model.published_weights import check_vocabulary, describe_source, load_published
from dnalm.model.weights import to_published


@dataclass
class Repository:
    """A folder as `transformers` saves it, and what we take it for."""

    folder: Path
    run: dict
    files: list[str]

    @property
    def arguments(self) -> dict:
        """The keyword arguments of `load_published` but `run`."""
        return {
            "weights": [str(self.folder / file) for file in self.files],
            "settings": str(self.folder / "config.json"),
            "vocabulary": str(self.folder / "vocab.txt"),
        }

    def load(self) -> Encoder:
        return load_published(self.run, **self.arguments).eval()

    def change_settings(self, **changes: object) -> None:
        path = self.folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    def change_weights(self, change: Callable[[dict], object]) -> None:
        path = self.folder / self.files[0]
        tensors = load_file(path)
        change(tensors)
        save_file(tensors, path)

    def write_vocabulary(self, tokens: list[str]) -> None:
        (self.folder / "vocab.txt").write_text("\n".join(tokens) + "\n")

    def refusal(self) -> str:
        with pytest.raises(InputError) as caught:
            self.load()
        assert "\n" not in str(caught.value)
        return str(caught.value)


@pytest.fixture
def repository(
    encoder: Encoder, generation: str, vocabulary: Vocabulary, make_reference, tmp_path: Path
) -> Repository:
    """What transformers saves of a model; v2 with the settings of the authors' own code."""
    make_reference(encoder).save_pretrained(tmp_path)
    run = {"encoder": asdict(encoder.config), "k": vocabulary.k, "vocabulary": generation}
    made = Repository(folder=tmp_path, run=run, files=["model.safetensors"])
    made.write_vocabulary(vocabulary.tokens())
    if generation == "v2":
        made.change_settings(add_bias_fnn=False, max_position_embeddings=2050)
    return made


def test_a_repository_that_transformers_saved_has_its_logits_and_hidden_states(
    repository: Repository, encoder: Encoder, batch, make_reference
) -> None:
    with torch.no_grad():
        ours = repository.load()(batch.tokens)
        theirs = make_reference(encoder)(
            batch.tokens, attention_mask=batch.real.long(), output_hidden_states=True
        )
    for state, hidden in zip(ours.states, theirs.hidden_states, strict=True):
        torch.testing.assert_close(state[batch.real], hidden[batch.real], atol=3e-5, rtol=0)
    logits = theirs.logits[batch.real]
    torch.testing.assert_close(ours.logits[batch.real], logits, atol=3e-5, rtol=0)


@pytest.fixture
def parts(repository: Repository, encoder: Encoder, make_reference) -> Repository:
    """The same repository with its weights in several files and an index, the last of `files`."""
    make_reference(encoder).save_pretrained(repository.folder / "parts", max_shard_size="20KB")
    paths = sorted((repository.folder / "parts").glob("model*"))
    files = [str(path.relative_to(repository.folder)) for path in paths]
    assert len(files) > 3
    assert files[-1].endswith(".json")
    return replace(repository, files=files)


def test_weights_in_parts_are_those_in_one_file(parts: Repository, encoder: Encoder) -> None:
    for files in (parts.files, parts.files[:-1]):
        state = replace(parts, files=files).load().state_dict()
        assert all(torch.equal(state[name], own) for name, own in encoder.state_dict().items())


def test_a_part_that_is_left_out_or_comes_twice_is_refused(parts: Repository) -> None:
    left_out = parts.files.pop(1)
    name = Path(left_out).name
    assert f"should be in {name} of the files and is in none" in parts.refusal()
    parts.files.pop()
    assert "missing" in parts.refusal()
    save_file(load_file(parts.folder / left_out), parts.folder / "again.safetensors")
    parts.files = [left_out, *parts.files, "again.safetensors"]
    assert f"both in {name} and in again.safetensors" in parts.refusal()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(repository: Repository, encoder: Encoder, dtype) -> None:
    repository.change_weights(
        lambda tensors: tensors.update({name: t.to(dtype) for name, t in tensors.items()})
    )
    state = repository.load().state_dict()
    for name, own in encoder.state_dict().items():
        assert state[name].dtype == torch.float32
        assert torch.equal(state[name], own.to(dtype).float())


@pytest.mark.parametrize("generation", ["v2"], indirect=True)
def test_the_unused_tensors_of_v2_files_are_ignored(
    repository: Repository, encoder: Encoder
) -> None:
    layer = "esm.encoder.layer.1.attention.self.rotary_embeddings.inv_freq"
    unused = {"esm.embeddings.position_embeddings.weight": torch.ones(2050, 32)}
    repository.change_weights(lambda tensors: tensors.update(unused | {layer: torch.ones(4)}))
    assert repository.load().state_dict().keys() == encoder.state_dict().keys()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"num_hidden_layers": 24}, "num_hidden_layers is 24 and not 3"),
        ({"num_attention_heads": 2}, "num_attention_heads is 2 and not 4"),
        ({"hidden_size": 1280}, "hidden_size is 1280 and not 32"),
        ({"intermediate_size": 5120}, "intermediate_size is 5120 and not 48"),
        ({"vocab_size": 4105}, "vocab_size is 4105 and not"),
        ({"emb_layer_norm_before": True}, "emb_layer_norm_before is true and not false"),
        ({"mask_token_id": 32}, "mask_token_id is 32 and not 2"),
        ({"hidden_size": None}, "hidden_size is not given and not 32"),
        ({"is_decoder": True}, "is_decoder is true and not false"),
    ],
)
def test_settings_of_another_model_are_refused(repository: Repository, changes, said: str) -> None:
    repository.change_settings(**changes)
    sentence = repository.refusal()
    assert f"{repository.folder}/config.json is not of the model's preset: {said}" in sentence
    assert "choose the preset" in sentence


def test_every_difference_to_the_other_generation_is_named(
    repository: Repository, generation: str
) -> None:
    changes = {
        "v1": {"position_embedding_type": "rotary", "token_dropout": False, "add_bias_fnn": False},
        "v2": {"position_embedding_type": "absolute", "token_dropout": True, "add_bias_fnn": True},
    }[generation]
    repository.change_settings(**changes)
    assert all(f"{key} is {json.dumps(v)}" in repository.refusal() for key, v in changes.items())


def test_endless_values_and_tokens_are_cut_short(repository: Repository, tmp_path: Path) -> None:
    repository.change_settings(num_hidden_layers=list(range(500)))
    assert "num_hidden_layers is [0, 1, 2" in repository.refusal()
    assert len(repository.refusal()) < 500 + len(str(repository.folder))
    (tmp_path / "vocab.txt").write_text("a b " * 500)
    with pytest.raises(InputError) as refused:
        check_vocabulary(tmp_path / "vocab.txt", Vocabulary(6, "v2"))
    assert len(str(refused.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize("generation", ["v1"], indirect=True)
def test_a_shorter_table_of_positions_is_refused(repository: Repository) -> None:
    repository.change_settings(max_position_embeddings=20)
    assert "max_position_embeddings is 20 and not 32" in repository.refusal()


def test_another_eps_is_no_error_but_is_written_down(repository: Repository, caplog) -> None:
    repository.change_settings(layer_norm_eps=1e-12)
    with caplog.at_level(logging.WARNING):
        assert repository.load().config.layer_norm_eps == 1e-5
    assert "eps of 1e-12; 1e-05 is used" in caplog.text


def test_another_order_of_tokens_is_refused_with_the_first_ids(
    repository: Repository, vocabulary: Vocabulary
) -> None:
    tokens, first = vocabulary.tokens(), vocabulary.kmer_offset
    tokens[first + 1], tokens[first + 2] = tokens[first + 2], tokens[first + 1]
    repository.write_vocabulary(tokens)
    said = f"id {first + 1} is AAC, but vocabulary {vocabulary.version} of 3-mers has AAT (which "
    assert f"{said}there is id {first + 2})" in repository.refusal()
    repository.write_vocabulary(vocabulary.tokens()[:-3])
    assert "there is no id" in repository.refusal()


def test_tokens_without_a_row_may_be_missing(tmp_path: Path) -> None:
    vocabulary = Vocabulary(6, "v1")
    (tmp_path / "vocab.txt").write_text("\n".join(vocabulary.tokens()[: vocabulary.size]))
    check_vocabulary(tmp_path / "vocab.txt", vocabulary)
    with pytest.raises(InputError, match=r"id 4 is AAAAAA, but vocabulary v2 .* has <eos>"):
        check_vocabulary(tmp_path / "vocab.txt", Vocabulary(6, "v2"))


def test_the_published_list_of_tokens_is_ours(data_folder: Path) -> None:
    check_vocabulary(data_folder / "tokenization/nt_v2_vocab.txt", Vocabulary(6, "v2"))


def test_tensors_that_misfit_are_listed(repository: Repository) -> None:
    def spoil(tensors: dict) -> None:
        del tensors["lm_head.bias"]
        tensors["esm.pooler.dense.weight"] = torch.zeros(2, 2)
        tensors["lm_head.dense.weight"] = torch.zeros(4, 5)
        tensors["lm_head.dense.bias"] = torch.zeros(32, dtype=torch.int8)

    repository.change_weights(spoil)
    sentence = repository.refusal()
    assert "1 missing (lm_head.bias)" in sentence
    assert "1 not part of the model (esm.pooler.dense.weight)" in sentence
    assert "1 of another shape (lm_head.dense.weight [4, 5] instead of [32, 32])" in sentence
    assert "1 not of real numbers (lm_head.dense.bias)" in sentence


def test_a_file_that_was_cut_off_is_refused(repository: Repository) -> None:
    path = repository.folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    assert "model.safetensors cannot be read as a safetensors file" in repository.refusal()


@pytest.mark.parametrize("text", ["<html>404</html>", "[1, 2]", ""])
def test_settings_that_are_none_are_refused(repository: Repository, text: str) -> None:
    (repository.folder / "config.json").write_text(text)
    assert "config.json is no JSON" in repository.refusal()


def test_the_source_has_the_sums_of_its_files_and_refuses_another(
    repository: Repository, encoder: Encoder
) -> None:
    source = {"name": "me/mine@main", "licence": "CC0", "sha256": {}}
    found = describe_source(source, commit="c0ffee", **repository.arguments)
    assert found["sha256"] == {
        name: sha256_of(repository.folder / name)
        for name in ("model.safetensors", "config.json", "vocab.txt")
    }
    assert (found["licence"], found["commit"], found["layer_norm_eps"]) == ("CC0", "c0ffee", 1e-5)
    wrong = source | {"sha256": {"vocab.txt": "0" * 64}}
    with pytest.raises(InputError, match=r"me/mine@main: the sha256 of vocab\.txt is .* 0000"):
        describe_source(wrong, commit=None, **repository.arguments)


def test_published_names_of_ours_are_those_of_the_repository(
    repository: Repository, encoder: Encoder
) -> None:
    names = load_file(repository.folder / "model.safetensors").keys()
    stable = {name for name in to_published(encoder.state_dict()) if "LayerNorm" not in name}
    assert stable <= names
