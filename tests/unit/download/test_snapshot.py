"""Repositories of a hub: listed, verified, resumed, mirrored, refused in one sentence."""

import json
import logging
from pathlib import Path

import loopback_hub
import pytest
from huggingface_hub import constants
from loopback_hub import TOKEN, commit_of

from dnalm.download.checksums import recorded_sha256
from dnalm.download.hub import Repository
from dnalm.download.listings import locate_inputs
from dnalm.download.snapshot import fetch
from dnalm.download.transfer import RetryPolicy
from dnalm.errors import InputError
from dnalm.files import sha256_of

POLICY = RetryPolicy(
    attempts=3, first_wait=0.01, longest_wait=0.1, timeout=5, patience=5, least_bytes=1
)
NAME, PARTS = "lab/tiny", ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
INDEX = "model.safetensors.index.json"
SMALL = {"config.json": b"{}", "vocab.txt": b"<unk>\n<pad>\n"}


def tensors(size: int) -> bytes:
    """Return bytes that begin as a safetensors file does."""
    header = b'{"__metadata__":{}}'
    return len(header).to_bytes(8, "little") + header + bytes(size)


ONE = {**SMALL, "model.safetensors": tensors(5000), "README.md": b"# tiny\n"}
INDEXED = json.dumps({"weight_map": {"a": PARTS[0], "b": PARTS[1]}}).encode()
TWO = {**SMALL, INDEX: INDEXED, PARTS[0]: tensors(3000), PARTS[1]: tensors(40)}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no_token"))
    for key in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    with loopback_hub.serve(tmp_path / "hub") as hub:
        yield hub


def fill(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


class Run:
    """The folders of one run that fetches from a hub."""

    def __init__(self, hub, folder: Path, mirror: Path | None = None, server: str | None = None):
        self.hub, self.folder, self.mirror = hub, folder, mirror
        self.server = server or hub.url
        self.listing = folder / "hub/models/m.json"

    def fetch(self, name=NAME, revision="main", sha256=None, **what) -> dict[str, list[str]]:
        """Fetch, and return {role: names of the files}."""
        what = what or {"files": None}
        kind = "dataset" if "patterns" in what else "model"
        own = {"kind": kind, "name": name, "revision": revision, "server": self.server}
        fetch(
            {**own, **what},
            sha256=sha256 or {},
            folder=self.folder / "downloads",
            mirror=self.mirror,
            lock_path=self.folder / "lock.tsv",
            listing=self.listing,
            policy=POLICY,
        )
        files = json.loads(self.listing.read_text())["files"]
        return {role: [Path(one).name for one in own] for role, own in files.items()}

    def refusal(self, **what) -> str:
        with pytest.raises(InputError) as caught:
            self.fetch(**what)
        assert "\n" not in str(caught.value)
        assert not self.listing.exists()
        return str(caught.value)

    def path(self, file: str, revision: str = "main", kind: str = "model") -> Path:
        own = Repository(kind=kind, name=NAME, revision=revision, server=self.server)
        return self.folder / "downloads" / own.address(file)


@pytest.fixture
def run(hub, tmp_path):
    return Run(hub, tmp_path / "run")


def test_what_a_revision_has_is_found_and_is_the_hubs_byte_for_byte(hub, run):
    fill(hub.folder(NAME, "refs/pr/6"), ONE)
    roles = run.fetch(revision="refs/pr/6")
    assert roles["weights"] == ["model.safetensors"]
    facts = json.loads(run.listing.read_text())
    assert facts["commit"] == commit_of("refs/pr/6")
    located = locate_inputs({"listing": str(run.listing)}, run.folder / "downloads")
    assert Path(located["weights"][0]).read_bytes() == ONE["model.safetensors"]
    assert Path(located["settings"]).name == "config.json"
    assert "refs/pr/6/model.safetensors" in located["weights"][0]
    assert "README.md" not in hub.files()  # nothing that is not needed
    Path(located["vocabulary"]).unlink()
    with pytest.raises(InputError, match=r"vocab.txt is gone; remove .*m.json"):
        locate_inputs({"listing": str(run.listing)}, run.folder / "downloads")


def test_the_parts_are_those_that_the_index_names(hub, run):
    fill(hub.folder(NAME), {**TWO, "other.safetensors": tensors(1)})
    assert run.fetch()["weights"] == [INDEX, *PARTS]
    assert "other.safetensors" not in hub.files()


def test_a_part_that_the_hub_lacks_is_a_sentence(hub, run):
    fill(hub.folder(NAME), {name: data for name, data in TWO.items() if name != PARTS[1]})
    assert f"the part {PARTS[1]} that {INDEX} names is missing; there is" in run.refusal()


def test_without_safetensors_the_sentence_lists_what_is_there_and_where_some_are(hub, run):
    pickled = {**SMALL, "pytorch_model.bin": b"x"}
    fill(hub.folder(NAME), pickled)
    sentence = run.refusal()
    assert "it has no safetensors file; there is config.json, pytorch_model.bin, voc" in sentence
    assert "no branch, tag or pull request has one" in sentence
    fill(hub.folder(NAME, "refs/pr/5"), pickled)
    fill(hub.folder(NAME, "refs/pr/8"), TWO)
    sentence = run.refusal()
    assert f"set `revision` to one that has: refs/pr/8 ({PARTS[0]}, {PARTS[1]})" in sentence
    assert not [name for name in hub.files() if name.endswith(".bin")]


def test_unknown_revisions_and_repositories_are_a_sentence(hub, run):
    fill(hub.folder(NAME), ONE)
    assert "lab/tiny has no revision nowhere" in run.refusal(revision="nowhere")
    sentence = run.refusal(name="lab/other")
    assert "no such repository without a token (HF_TOKEN)" in sentence


def test_a_download_that_breaks_off_goes_on_where_it_was(hub, run):
    fill(hub.folder(NAME), ONE)
    hub.break_after = 1000
    run.fetch()
    assert run.path("model.safetensors").read_bytes() == ONE["model.safetensors"]
    sent = [path for method, path, _ in hub.asked if method == "GET" and "/cdn/" in path]
    assert len(sent) == 2


def test_a_busy_hub_is_asked_again(hub, run):
    fill(hub.folder(NAME), ONE)
    hub.busy = 2
    assert run.fetch()["weights"] == ["model.safetensors"]


def test_other_bytes_than_the_hub_lists_are_refused(hub, run):
    fill(hub.folder(NAME), ONE)
    hub.lying = {"model.safetensors"}
    assert "model.safetensors: its sha256 is" in run.refusal()
    assert not run.path("model.safetensors").exists()


def test_a_sum_of_the_configuration_comes_before_that_of_the_hub(hub, run):
    fill(hub.folder(NAME), ONE)
    assert "expected 000" in run.refusal(sha256={"model.safetensors": "0" * 64})


def test_a_branch_that_moves_on_is_told(hub, run):
    folder = fill(hub.folder(NAME), ONE)
    run.fetch()
    before = sha256_of(run.path("model.safetensors"))
    assert recorded_sha256(run.folder / "lock.tsv", _address(run)) == before
    run.listing.unlink()
    fill(folder, {"model.safetensors": tensors(6000)})
    sentence = run.refusal()
    assert f"was downloaded with the sha256 {before}, and the hub now has" in sentence
    assert "name the commit" in sentence


def _address(run) -> str:
    return str(run.path("model.safetensors").relative_to(run.folder / "downloads"))


def test_the_token_opens_a_gated_repository_and_goes_to_no_other_host(hub, run, monkeypatch):
    fill(hub.folder(NAME), ONE)
    hub.gated = {NAME}
    sentence = run.refusal()
    assert f"lab/tiny@main is a gated repository and no token is set; ask for access at {hub.url}/"
    assert "HF_TOKEN" in sentence
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    run.fetch()
    assert run.path("model.safetensors").exists()
    # One that was damaged since is fetched again, with the token as well.
    run.listing.unlink()
    run.path("vocab.txt").write_bytes(b"other")
    run.fetch()
    assert run.path("vocab.txt").read_bytes() == ONE["vocab.txt"]
    assert not any(token for _, path, token in hub.asked if "/cdn/" in path)
    assert any(token for _, path, token in hub.asked if "/resolve/" in path)


@pytest.mark.parametrize("token", ["hf_ofSomebodyElse", "hf_with blank", "hf_größe"])
def test_a_token_that_is_refused_appears_nowhere(hub, run, monkeypatch, caplog, token):
    caplog.set_level(logging.INFO)
    fill(hub.folder(NAME), ONE)
    hub.private = {NAME}
    monkeypatch.setenv("HF_TOKEN", token)
    sentence = run.refusal()
    assert "token in HF_TOKEN" in sentence
    assert token not in sentence + caplog.text
    written = [path for path in run.folder.rglob("*") if path.is_file()]
    assert not any(token.encode() in path.read_bytes() for path in written)


def test_without_access_the_sentence_says_so(hub, run, monkeypatch):
    """The hub answers 403 to a token that it knows and that has no access."""
    fill(hub.folder(NAME), ONE)
    hub.gated = {NAME}
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setattr(
        loopback_hub.Handler, "resolve", lambda self, *_, **__: self.refuse(403, "GatedRepo")
    )
    sentence = run.refusal()
    assert "is a gated repository and the token in use has no access to it" in sentence
    assert TOKEN not in sentence


# -- Without a hub


@pytest.fixture
def mirror(hub, tmp_path) -> Path:
    """A mirror that a run with a network has filled; the hub then answers nobody."""
    fill(hub.folder(NAME), TWO)
    Run(hub, tmp_path / "first", tmp_path / "mirror").fetch()
    return tmp_path / "mirror"


def offline(monkeypatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def test_a_mirror_serves_a_run_without_network(hub, mirror, tmp_path, monkeypatch):
    offline(monkeypatch)
    asked = len(hub.asked)
    run = Run(hub, tmp_path / "second", mirror)
    assert run.fetch()["weights"] == [INDEX, *PARTS]
    assert json.loads(run.listing.read_text())["commit"] == commit_of("main")
    assert len(hub.asked) == asked
    assert run.path(PARTS[0]).read_bytes() == TWO[PARTS[0]]


def test_a_mirror_that_was_filled_by_hand_serves_it_too(hub, tmp_path, monkeypatch):
    offline(monkeypatch)
    run = Run(hub, tmp_path / "run", tmp_path / "mirror", server="https://huggingface.co")
    fill(tmp_path / "mirror/huggingface.co" / NAME / "resolve/main", TWO)
    assert run.fetch()["weights"] == [INDEX, *PARTS]


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("gone", ["vocab.txt", PARTS[1]])
def test_offline_the_sentence_says_which_file_is_missing_where(
    hub, mirror, tmp_path, monkeypatch, gone, listed
):
    offline(monkeypatch)
    run = Run(hub, tmp_path / "second", mirror)
    own = Repository(kind="model", name=NAME, revision="main", server=hub.url)
    (mirror / own.address(gone)).unlink()
    if not listed:
        (mirror / own.listing_address).unlink()
    sentence = run.refusal()
    assert f"HF_HUB_OFFLINE is set, and lab/tiny@main lacks {gone} here (looked into" in sentence
    assert str((mirror / own.address(gone)).parent) in sentence
    assert str(run.path(gone).parent) in sentence


def test_a_hub_that_cannot_be_reached_is_told_and_what_is_here_is_taken(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    run = Run(None, tmp_path / "run", tmp_path / "mirror", server="http://127.0.0.1:9")
    sentence = run.refusal()
    assert (
        "http://127.0.0.1:9 cannot be reached (ConnectError), and lab/tiny@main lacks" in sentence
    )
    fill(tmp_path / "mirror/127.0.0.1:9" / NAME / "resolve/main", ONE)
    assert run.fetch()["weights"] == ["model.safetensors"]


def test_the_users_own_cache_of_the_hub_is_looked_into(hub, run, tmp_path, monkeypatch):
    from huggingface_hub import hf_hub_download

    fill(hub.folder(NAME), ONE)
    for name in ("config.json", "vocab.txt", "model.safetensors"):
        hf_hub_download(NAME, name, endpoint=hub.url, cache_dir=tmp_path / "cache")
    offline(monkeypatch)
    run = Run(hub, tmp_path / "other", tmp_path / "mirror")
    assert run.fetch()["weights"] == ["model.safetensors"]
    assert not run.path("model.safetensors").is_symlink()
    (copy,) = (tmp_path / "mirror").rglob("model.safetensors")
    assert copy.read_bytes() == ONE["model.safetensors"]


def test_another_endpoint_of_the_public_hub_changes_no_place(hub, tmp_path, monkeypatch):
    fill(hub.folder(NAME), ONE)
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    run = Run(hub, tmp_path / "run", tmp_path / "mirror", server="https://huggingface.co")
    run.fetch()
    place = "huggingface.co/lab/tiny/resolve/main/model.safetensors"
    assert (run.folder / "downloads" / place).read_bytes() == ONE["model.safetensors"]
    assert (tmp_path / "mirror" / place).exists()


def test_what_is_no_hub_is_a_sentence(hub, run, monkeypatch):
    monkeypatch.setattr(loopback_hub.Handler, "list", lambda self, *_, **__: self.send_json([1]))
    assert f"{hub.url} does not answer as a hub does" in run.refusal()


# -- Data sets


def test_all_parts_of_a_split_are_fetched(hub, run):
    names = [f"default/{split}/{i:04}.parquet" for split in ("train", "test") for i in range(2)]
    shards = {name: b"PAR1" + name.encode() for name in [*names, "other/train/0000.parquet"]}
    fill(hub.folder(NAME, "refs/convert/parquet", "dataset"), shards)
    patterns = {split: [f"default/{split}/*.parquet"] for split in ("train", "test")}
    roles = run.fetch(revision="refs/convert/parquet", patterns=patterns)
    both = ["0000.parquet", "0001.parquet"]
    assert roles == {"train": both, "test": both}
    located = locate_inputs({"listing": str(run.listing)}, run.folder / "downloads")
    assert [Path(path).read_bytes() for path in located["test"]] == [
        shards[name] for name in names[2:]
    ]
    run.listing.unlink()
    sentence = run.refusal(revision="refs/convert/parquet", patterns={"train": ["a/*.csv"]})
    assert "it has no file a/*.csv; there is default/test/0000.parquet, " in sentence
