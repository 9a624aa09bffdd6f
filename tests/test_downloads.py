"""`snakemake downloads` against a server on this machine: fetched once, kept, checked, mirrored."""

import gzip
import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import yaml

DATA = gzip.compress(b">chr1\nACGTACGT\n")
SHA256 = hashlib.sha256(DATA).hexdigest()
DEMO = "tests/config.yaml"


class Handler(SimpleHTTPRequestHandler):
    def log_request(self, *_: object) -> None:
        self.server.asked.append(self.path)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server of one genome, at two addresses, that notes what is asked."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "served"
    folder.mkdir()
    for name in ("a.fa.gz", "b.fa.gz"):
        (folder / name).write_bytes(DATA)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.asked = []
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


class Run:
    """A run of the target `downloads` whose overlay can be changed between two calls."""

    def __init__(self, workflow, server, results):
        self.workflow, self.results = workflow, results
        self.address = f"127.0.0.1:{server.server_port}/a.fa.gz"
        self.url = f"http://{self.address}"
        self.file = workflow.folder / results / "downloads" / self.address

    def arguments(self, mirror=None, **genome):
        overlay = {
            "pathvars": {"results": self.results},
            "mirror": mirror,
            "genomes": {"simulated": {"simulate": None, "url": self.url, **genome}},
        }
        path = self.workflow.folder / "overlay.yaml"
        path.write_text(yaml.safe_dump(overlay))
        return ("downloads", "--configfile", DEMO, path.name)

    def make(self, *more, **options):
        done = self.workflow.run(*self.arguments(**options), *more)
        assert done.returncode == 0, done.stdout
        assert self.file.read_bytes() == DATA

    def plan(self, **options):
        return self.workflow.plan(*self.arguments(**options))


def test_a_download_is_kept_whatever_becomes_known_about_it_later(make_workflow, server):
    workflow = make_workflow()
    run = Run(workflow, server, "results/one")
    run.make()
    other = f"http://127.0.0.1:{server.server_port}/b.fa.gz"
    assert run.plan(sha256=SHA256, url=[run.url, other]) == {}

    # Neither a wrong sum nor a changed script costs the file that is there.
    done = workflow.run("--dry-run", *run.arguments(sha256="0" * 64))
    assert done.returncode != 0
    assert f"{run.address}: its sha256 is {SHA256}, expected 000" in done.stdout
    assert "correct the checksum in the configuration, or remove the file" in done.stdout
    assert "Traceback" not in done.stdout
    with open(workflow.folder / "scripts/download_file.py", "a") as script:
        script.write("# changed\n")
    assert run.plan() == {"download_file": 1, "downloads": 1, "total": 2}
    run.make(sha256=SHA256)
    assert server.asked == ["/a.fa.gz"]


def test_a_wrong_checksum_ends_the_first_download_with_one_sentence(make_workflow, server):
    run = Run(make_workflow(), server, "results/one")
    done = run.workflow.run(*run.arguments(sha256="0" * 64))
    assert done.returncode != 0
    assert f"Error: {run.url}: its sha256 is {SHA256}, expected 0000" in done.stdout
    assert "Traceback" not in done.stdout
    assert not run.file.exists()


def test_a_mirror_is_filled_late_and_serves_another_run_without_disturbing_the_first(
    make_workflow, server, tmp_path
):
    workflow, mirror = make_workflow(), str(tmp_path / "mirror")
    first = Run(workflow, server, "results/one")
    first.make()
    made = first.file.stat().st_mtime_ns
    assert first.plan(mirror=mirror) == {"mirror_file": 1, "downloads": 1, "total": 2}
    first.make(mirror=mirror)
    assert (tmp_path / "mirror" / first.address).read_bytes() == DATA
    Run(workflow, server, "results/two").make(mirror=mirror)
    assert first.file.stat().st_mtime_ns == made
    assert first.plan(mirror=mirror) == {}
    assert server.asked == ["/a.fa.gz"]
