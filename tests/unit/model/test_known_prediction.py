"""A known prediction: met by the weights that it is of, as transformers computes it, alone."""

import json
from dataclasses import asdict

import pytest
import torch
import yaml

from dnalm.configuration import resolve
from dnalm.errors import InputError
from dnalm.genome.kmers import Vocabulary, encode, to_codes
from dnalm.model.encoder import Encoder
from dnalm.model.initialise import initialise
from dnalm.model.known_prediction import check_prediction

SEQUENCE = "ACGTGTACGTGCACGGACG"


@pytest.fixture
def run(encoder: Encoder, vocabulary: Vocabulary, generation: str) -> dict:
    facts = {"model": "theirs", "encoder": asdict(encoder.config), "vocabulary": generation}
    return facts | {"k": vocabulary.k}


@pytest.fixture
def known(encoder: Encoder, vocabulary: Vocabulary, make_reference) -> dict:
    """The two likeliest tokens at the third place, by transformers, rounded as people print."""
    tokens = encode(to_codes(SEQUENCE), vocabulary)
    with torch.no_grad():
        logits = make_reference(encoder)(torch.tensor(tokens.tolist())[None]).logits
    percent = 100 * logits[0, 3].softmax(-1)
    words = vocabulary.tokens()
    shares = {words[i]: round(percent[i].item(), 2) for i in percent.topk(2).indices.tolist()}
    return {"sequence": SEQUENCE, "token": 2, "percent": shares, "tolerance": 0.02}


def test_the_prediction_of_these_weights_is_met_and_kept(encoder, run, known) -> None:
    found = check_prediction(encoder, run, known)["known_prediction"]
    assert found.keys() == known["percent"].keys()
    for expected, own in found.values():
        assert own == pytest.approx(expected, abs=0.02)
    json.dumps(found)  # for run.json
    assert check_prediction(encoder, run, None) == {}


def test_other_weights_another_eps_or_place_are_refused(encoder, run, known) -> None:
    other = Encoder(encoder.config)
    initialise(other, 1)
    with pytest.raises(InputError, match="theirs do not predict what is known of them"):
        check_prediction(other, run, known)
    for wrong in ({"token": 1}, {"sequence": SEQUENCE[::-1]}):
        with pytest.raises(InputError, match="do not predict"):
            check_prediction(encoder, run, known | wrong)


def test_what_cannot_be_compared_is_told(encoder, run, known) -> None:
    with pytest.raises(InputError, match="there is no token 60"):
        check_prediction(encoder, run, known | {"token": 60})
    with pytest.raises(InputError, match="there is no token AAAAAA"):
        check_prediction(encoder, run, known | {"percent": {"AAAAAA": 1}})


def test_what_is_known_of_v2_50m_is_what_its_authors_printed(data_folder) -> None:
    text = (data_folder / "tokenization/nt_v2_50m_reference_outputs.json").read_text()
    printed = json.loads(text)
    shown, shipped = printed["unmasked_top5"], resolve.__file__.split("scripts")[0] + "config.yaml"
    with open(shipped) as file:
        entry = yaml.safe_load(file)["models"]["published.v2-50m-multi-species"]
    known = entry["known_prediction"]
    assert known["sequence"] == printed["sequences"][shown["sequence"]]
    assert known["token"] == shown["token_position_without_cls"]
    assert known["percent"] == dict(zip(shown["tokens"], shown["probability_percent"], strict=True))
    words = Vocabulary(6, "v2")
    tokens = encode(to_codes(known["sequence"]), words)
    assert words.tokens()[tokens[known["token"] + 1]] == shown["true_token"]
