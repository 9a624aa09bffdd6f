"""Downloads from a server on this machine that misbehaves in the ways that networks do."""

import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from dnalm.errors import InputError
from dnalm.genome.addresses import address_of
from dnalm.genome.download import Patience, download

DATA = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
PATIENCE = Patience(attempts=3, first_wait=0.01, timeout=5)
PAGE = b"\n<!DOCTYPE HTML><html><body>Please log in</body></html>"


class Server(ThreadingHTTPServer):
    """Serves `data` at every path and notes what was asked; its attributes set its faults."""

    data = DATA
    ranges = True  # answers ranges, else always the whole
    drop_after: int | None = None  # bytes of a body after which the connection is cut
    drops = 0  # how many bodies to cut
    busy = 0  # how many requests to answer with 503
    status: int | None = None  # answered always, if set
    tag: str | None = '"1"'

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, str | None]] = []
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path: str = "genomes/x.fa.gz") -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        condition = self.headers.get("If-Range")
        server.asked.append((self.path, wanted, condition))
        self.close_connection = True
        if server.busy:
            server.busy -= 1
            self.answer(503, b"busy")
            return
        if server.status:
            self.answer(server.status, b"no")
            return
        first = 0
        if wanted and server.ranges and condition in (None, server.tag):
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if first >= len(server.data) > 0:
            self.answer(416, b"", {"Content-Range": f"bytes */{len(server.data)}"})
            return
        headers = {"ETag": server.tag} if server.tag else {}
        if first:
            headers["Content-Range"] = f"bytes {first}-{len(server.data) - 1}/{len(server.data)}"
        self.answer(206 if first else 200, server.data[first:], headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.drops and status in (200, 206):
            self.server.drops -= 1
            body = body[: self.server.drop_after]
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def fetch(server, tmp_path):
    """Return a function that downloads to tmp_path/x.fa.gz and returns what is there then."""

    def run(*urls: str, **options) -> bytes:
        settings = {"sha256": None, "md5": None, "mirror": None} | options
        destination = tmp_path / "downloads" / "x.fa.gz"
        download(
            urls or (server.url(),),
            destination,
            lock_path=tmp_path / "lock.tsv",
            patience=PATIENCE,
            **settings,
        )
        assert [path.name for path in destination.parent.iterdir()] == ["x.fa.gz"]
        return destination.read_bytes()

    return run


def files_under(folder) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_arrives_and_its_sum_is_recorded(server, fetch, tmp_path):
    assert fetch(md5=hashlib.md5(DATA).hexdigest()) == DATA
    header, row = (tmp_path / "lock.tsv").read_text().splitlines()
    assert header.split("\t") == ["address", "sha256", "md5", "bytes"]
    assert row.split("\t")[:2] == [address_of(server.url()), SHA256]


def test_dropped_connections_are_resumed_where_they_broke(server, fetch):
    server.drop_after, server.drops = 70_000, 4
    assert fetch() == DATA
    starts = [wanted for _, wanted, _ in server.asked]
    assert starts == [None, *(f"bytes={70_000 * i}-" for i in (1, 2, 3, 4))]


def test_a_server_that_ignores_ranges_sends_all_again(server, fetch):
    server.ranges, server.drop_after, server.drops = False, 100_000, 2
    assert fetch() == DATA
    assert len(server.asked) == 3


def test_a_busy_server_is_asked_again(server, fetch):
    server.busy = 2
    assert fetch(sha256=SHA256) == DATA
    assert len(server.asked) == 3


def test_a_server_that_stays_busy_ends_in_a_sentence(server, fetch, tmp_path):
    server.busy = 99
    with pytest.raises(InputError, match="the server stayed busy; check the address"):
        fetch()
    assert files_under(tmp_path) == []


def test_a_connection_that_always_drops_keeps_what_came_for_the_next_time(server, fetch, tmp_path):
    server.drop_after, server.drops = 0, 99
    server.data = DATA
    with pytest.raises(InputError, match="the connection failed"):
        fetch()
    assert not (tmp_path / "downloads" / "x.fa.gz").exists()
    server.drop_after, server.drops = 120_000, 1
    server.asked.clear()
    assert fetch() == DATA


def test_a_killed_download_is_resumed_by_the_next_run(server, fetch, tmp_path):
    partial = tmp_path / "downloads" / "x.fa.gz.partial"
    partial.parent.mkdir()
    partial.write_bytes(DATA[:200_000])
    assert fetch(sha256=SHA256) == DATA
    assert server.asked[0][1] == "bytes=200000-"


def test_a_complete_partial_file_is_only_checked(server, fetch, tmp_path):
    partial = tmp_path / "downloads" / "x.fa.gz.partial"
    partial.parent.mkdir()
    partial.write_bytes(DATA)
    assert fetch(sha256=SHA256) == DATA
    assert len(server.asked) == 1


def test_bytes_of_another_version_are_not_built_on(server, fetch, tmp_path):
    """With a checksum the whole is fetched again; without one only a server's tag is trusted."""
    partial = tmp_path / "downloads" / "x.fa.gz.partial"
    partial.parent.mkdir()
    partial.write_bytes(b"x" * 200_000)
    assert fetch(sha256=SHA256) == DATA
    assert [wanted for _, wanted, _ in server.asked] == ["bytes=200000-", None]
    (tmp_path / "lock.tsv").unlink()
    server.asked.clear()
    partial.write_bytes(b"x" * 200_000)
    assert fetch() == DATA
    assert server.asked[0][1] is None


def test_a_file_that_changes_on_the_server_between_two_pieces_is_fetched_whole(server, fetch):
    server.drop_after, server.drops = 70_000, 1
    server.tag = '"old"'
    newer = DATA[::-1]
    answer = Handler.answer

    def change(self, *arguments):
        answer(self, *arguments)
        server.data, server.tag = newer, '"new"'

    Handler.answer = change
    try:
        assert fetch() == newer
    finally:
        Handler.answer = answer
    assert [condition for _, _, condition in server.asked] == [None, '"old"']


def test_a_wrong_checksum_leaves_nothing(server, fetch, tmp_path):
    for sums in ({"sha256": "0" * 64}, {"md5": "0" * 32}):
        with pytest.raises(InputError, match=r"expected 0+; correct the checksum"):
            fetch(**sums)
        assert files_under(tmp_path) == []


def test_a_file_that_changed_since_its_first_download_is_told(server, fetch, tmp_path):
    fetch()
    (tmp_path / "downloads" / "x.fa.gz").unlink()
    server.data = DATA + b"more"
    with pytest.raises(
        InputError, match=r"if the change is intended, remove the line of 127.0.0.1"
    ):
        fetch()
    assert not (tmp_path / "downloads" / "x.fa.gz").exists()


def test_a_web_page_is_no_genome(server, fetch, tmp_path):
    server.data = PAGE
    with pytest.raises(InputError, match="a web page instead of the file"):
        fetch()
    assert files_under(tmp_path) == []


def test_a_missing_file_is_told_at_once(server, fetch):
    server.status = 404
    with pytest.raises(InputError, match="the server answered 404"):
        fetch()
    assert len(server.asked) == 1


def test_the_next_address_is_tried_when_one_fails(server, fetch):
    nobody = "http://127.0.0.1:9/x.fa.gz"
    assert fetch(nobody, server.url()) == DATA


def test_a_mirror_is_filled_and_then_used_without_a_network(server, fetch, tmp_path):
    mirror = tmp_path / "mirror"
    assert fetch(mirror=mirror) == DATA
    copy = mirror / address_of(server.url())
    assert copy.read_bytes() == DATA
    (tmp_path / "downloads" / "x.fa.gz").unlink()
    server.asked.clear()
    assert fetch(mirror=mirror, sha256=SHA256) == DATA
    assert server.asked == []


def test_a_mirror_copy_of_any_address_serves(server, fetch, tmp_path):
    copy = tmp_path / "mirror" / address_of(server.url("second.gz"))
    copy.parent.mkdir(parents=True)
    copy.write_bytes(DATA)
    assert (
        fetch(server.url("first.gz"), server.url("second.gz"), mirror=tmp_path / "mirror") == DATA
    )
    assert server.asked == []


def test_a_wrong_mirror_copy_is_told(server, fetch, tmp_path):
    copy = tmp_path / "mirror" / address_of(server.url())
    copy.parent.mkdir(parents=True)
    copy.write_bytes(DATA[:-1])
    with pytest.raises(InputError, match="its sha256 is"):
        fetch(mirror=tmp_path / "mirror", sha256=SHA256)
    assert files_under(tmp_path) == ["x.fa.gz"]


def test_many_downloads_share_one_record(server, tmp_path):
    urls = [server.url(f"{number}.gz") for number in range(12)]

    def run(url: str) -> None:
        options = {"sha256": None, "md5": None, "mirror": None}
        download(
            [url],
            tmp_path / url[-7:].replace("/", "_"),
            lock_path=tmp_path / "lock.tsv",
            patience=PATIENCE,
            **options,
        )

    threads = [threading.Thread(target=run, args=(url,)) for url in urls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = (tmp_path / "lock.tsv").read_text().splitlines()
    assert rows[0].startswith("address\t")
    assert sorted(row.split("\t")[0] for row in rows[1:]) == sorted(map(address_of, urls))
