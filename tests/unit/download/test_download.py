"""Downloads from a server on this machine that misbehaves in the ways that networks do."""

import gzip
import hashlib
import http.client
import os
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pysam
import pytest

from dnalm.download.addresses import address_of
from dnalm.download.checksums import check_downloaded
from dnalm.download.compression import BGZF_END_BLOCK
from dnalm.download.disk_space import NoSpaceError
from dnalm.download.download import download
from dnalm.download.file_locks import hold
from dnalm.download.transfer import RetryPolicy
from dnalm.errors import InputError

RANDOM = np.random.default_rng(0).bytes(300_000)
DATA = gzip.compress(b">c\n" + RANDOM)  # hardly longer: random bytes do not compress
SHA256 = hashlib.sha256(DATA).hexdigest()
RETRY_POLICY = RetryPolicy(
    attempts=3, first_wait=0.01, longest_wait=0.05, timeout=30, patience=20, least_bytes=1000
)
PAGE = b"\n<!DOCTYPE HTML><html><body>Please log in</body></html>"
PETABYTE = 10**15


class Server(ThreadingHTTPServer):
    """Serves `data` at every path and notes what was asked; its attributes set its faults."""

    request_queue_size = 64
    data = DATA
    ranges = True  # answers ranges, else always the whole
    longest_range: int | None = None  # bytes that it sends of a range at most
    shift = 0  # bytes by which a range is answered too early
    drop_after: int | None = None  # bytes of a body after which the connection is cut
    drops = 0  # how many bodies to cut
    busy = 0  # how many requests to answer with 503
    retry_after: str | None = None  # what it asks for then
    status: int | None = None  # answered always, if set
    statuses: dict[str, int]  # the same for single paths
    login = False  # sends everyone to a login page
    tag: str | None = '"1"'
    length: str | None = "exact"  # Content-Length: exact, a number that is not true, chunked, None
    asked_twice: threading.Event | None = None  # answers only when it is set

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None, str | None]] = []
        self.statuses = {}
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, path: str = "genomes/x.fa.gz") -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        server, wanted = self.server, self.headers.get("Range")
        condition = self.headers.get("If-Range")
        server.requests.append((self.path, wanted, condition))
        self.close_connection = True
        if server.asked_twice:
            server.asked_twice.wait(5)
        if server.busy:
            server.busy -= 1
            after = {"Retry-After": server.retry_after} if server.retry_after else {}
            self.answer(503, b"busy", after)
            return
        if status := server.statuses.get(self.path, server.status):
            self.answer(status, b"no")
            return
        if self.path == "/login":
            self.answer(200, PAGE)
            return
        if server.login:
            self.answer(302, b"", {"Location": "/login"})
            return
        first = 0
        if wanted and server.ranges and condition in (None, server.tag):
            first = int(wanted.removeprefix("bytes=").removesuffix("-"))
        if first >= len(server.data) > 0:
            self.answer(416, b"", {"Content-Range": f"bytes */{len(server.data)}"})
            return
        headers = {"ETag": server.tag} if server.tag else {}
        body = server.data[first:]
        if first:
            start = first - server.shift
            body = server.data[start:][: server.longest_range]
            end = start + len(body) - 1
            headers["Content-Range"] = f"bytes {start}-{end}/{len(server.data)}"
        self.answer(206 if first else 200, body, headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        found, length = status in (200, 206), self.server.length
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if found and length == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif length and found:
            self.send_header("Content-Length", str(len(body)) if length == "exact" else length)
        elif not found:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        cut = found and self.server.drops
        if cut:
            self.server.drops -= 1
        kept = body[: self.server.drop_after] if cut else body
        if found and length == "chunked":
            for at in range(0, len(kept), 50_000):
                chunk = kept[at : at + 50_000]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            if not cut:
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(kept)

    def log_message(self, *_: object) -> None:
        pass


class Proxy(ThreadingHTTPServer):
    """Forwards requests for http URLs, and refuses tunnels to https hosts; notes both."""

    def __init__(self) -> None:
        self.forwarded: list[str] = []
        self.tunnels: list[str] = []
        super().__init__(("127.0.0.1", 0), ProxyHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class ProxyHandler(BaseHTTPRequestHandler):
    server: Proxy

    def do_GET(self) -> None:
        self.server.forwarded.append(self.path)
        parts = urlsplit(self.path)
        connection = http.client.HTTPConnection(parts.hostname, parts.port)
        connection.request("GET", parts.path, headers=dict(self.headers))
        answer = connection.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.read())
        connection.close()

    def do_CONNECT(self) -> None:
        self.server.tunnels.append(self.path)
        self.send_error(403)

    def log_message(self, *_: object) -> None:
        pass


def serve(server):
    """Yield a server that answers in a thread."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    yield from serve(Server())


@pytest.fixture
def proxy():
    yield from serve(Proxy())


@pytest.fixture
def fetch(server, tmp_path):
    """Return a function that downloads to tmp_path/x.fa.gz and returns what is there then."""

    def run(*urls: str, **options) -> bytes:
        settings = {"sha256": None, "md5": None, "mirror": None} | options
        destination = tmp_path / "downloads" / "x.fa.gz"
        settings |= {"lock_path": tmp_path / "lock.tsv"}
        download(urls or (server.url(),), destination, **{"policy": RETRY_POLICY, **settings})
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
    starts = [wanted for _, wanted, _ in server.requests]
    assert starts == [None, *(f"bytes={70_000 * i}-" for i in (1, 2, 3, 4))]


def test_a_server_that_ignores_ranges_sends_all_again(server, fetch):
    server.ranges, server.drop_after, server.drops = False, 100_000, 2
    assert fetch() == DATA
    assert len(server.requests) == 3


def test_a_busy_server_is_asked_again(server, fetch):
    server.busy = 2
    assert fetch(sha256=SHA256) == DATA
    assert len(server.requests) == 3


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
    server.requests.clear()
    assert fetch() == DATA


def test_a_killed_download_is_resumed_by_the_next_run(server, fetch, tmp_path):
    partial = tmp_path / "downloads" / "x.fa.gz.partial"
    partial.parent.mkdir()
    partial.write_bytes(DATA[:200_000])
    assert fetch(sha256=SHA256) == DATA
    assert server.requests[0][1] == "bytes=200000-"


def test_a_complete_partial_file_is_only_checked(server, fetch, tmp_path):
    partial = tmp_path / "downloads" / "x.fa.gz.partial"
    partial.parent.mkdir()
    partial.write_bytes(DATA)
    assert fetch(sha256=SHA256) == DATA
    assert len(server.requests) == 1


def test_bytes_of_another_version_are_not_built_on(server, fetch, tmp_path):
    """With a checksum the whole is fetched again; without one only a server's tag is trusted."""
    partial = tmp_path / "downloads" / "x.fa.gz.partial"
    partial.parent.mkdir()
    partial.write_bytes(b"x" * 200_000)
    assert fetch(sha256=SHA256) == DATA
    assert [wanted for _, wanted, _ in server.requests] == ["bytes=200000-", None]
    (tmp_path / "lock.tsv").unlink()
    (tmp_path / "downloads" / "x.fa.gz").unlink()
    server.requests.clear()
    partial.write_bytes(b"x" * 200_000)
    assert fetch() == DATA
    assert server.requests[0][1] is None


def test_a_file_that_changes_on_the_server_between_two_pieces_is_fetched_whole(server, fetch):
    server.drop_after, server.drops = 70_000, 1
    server.tag = '"old"'
    newer = gzip.compress(b">c\n" + RANDOM[::-1])
    answer = Handler.answer

    def change(self, *arguments):
        answer(self, *arguments)
        server.data, server.tag = newer, '"new"'

    Handler.answer = change
    try:
        assert fetch() == newer
    finally:
        Handler.answer = answer
    assert [condition for _, _, condition in server.requests] == [None, '"old"']


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


@pytest.mark.parametrize(
    "page",
    [b'\xef\xbb\xbf<?xml version="1.0"?><Error/>', b"<!-- x --><html></html>"],
    ids=["error in XML", "comment"],
)
def test_whatever_begins_with_an_angle_bracket_is_no_genome(server, fetch, page):
    server.data = page
    with pytest.raises(InputError, match="a web page instead of the file"):
        fetch()


def test_a_login_page_does_not_cost_what_has_come_so_far(server, fetch, tmp_path):
    partial = tmp_path / "downloads" / "x.fa.gz.partial"
    partial.parent.mkdir()
    partial.write_bytes(DATA[:200_000])
    server.login = True
    with pytest.raises(InputError, match="open the address in a browser"):
        fetch(sha256=SHA256)
    assert partial.read_bytes() == DATA[:200_000]
    server.login = False
    server.requests.clear()
    assert fetch(sha256=SHA256) == DATA
    assert [wanted for _, wanted, _ in server.requests] == ["bytes=200000-"]


def test_an_empty_answer_is_no_file(server, fetch, tmp_path):
    server.data = b""
    with pytest.raises(InputError, match="it is empty; get the file again"):
        fetch()
    assert files_under(tmp_path) == []


def test_a_missing_file_is_told_at_once(server, fetch):
    server.status = 404
    with pytest.raises(InputError, match="the server answered 404"):
        fetch()
    assert len(server.requests) == 1


def test_the_next_address_is_tried_when_one_fails(server, fetch):
    nobody = "http://127.0.0.1:9/x.fa.gz"
    assert fetch(nobody, server.url()) == DATA


@pytest.mark.parametrize("status", [403, 404, 410])
def test_an_address_that_refuses_is_followed_by_the_next(server, fetch, tmp_path, status):
    first, second = server.url("old/x.fa.gz"), server.url("new/x.fa.gz")
    server.statuses["/old/x.fa.gz"] = status
    assert fetch(first, second) == DATA
    assert [path for path, *_ in server.requests] == ["/old/x.fa.gz", "/new/x.fa.gz"]
    assert (tmp_path / "lock.tsv").read_text().splitlines()[1].startswith(address_of(first))


def test_a_wrong_file_at_one_address_is_not_the_last_word(server, fetch):
    server.statuses["/gone.gz"] = 404
    server.data = PAGE
    with pytest.raises(InputError, match="a web page"):
        fetch(server.url("gone.gz"), server.url("login.gz"))
    server.data = DATA
    assert fetch(server.url("gone.gz"), server.url("there.gz")) == DATA


def test_every_address_that_failed_is_named_with_its_reason(server, fetch):
    server.statuses["/gone.gz"] = 404
    nobody = "http://127.0.0.1:9/x.fa.gz"
    with pytest.raises(InputError) as error:
        fetch(server.url("gone.gz"), nobody)
    assert "gone.gz: no download, the server answered 404" in str(error.value)
    assert f"{nobody}: no download, the connection failed" in str(error.value)


def test_a_mirror_is_filled_and_then_used_without_a_network(server, fetch, tmp_path):
    mirror = tmp_path / "mirror"
    assert fetch(mirror=mirror) == DATA
    copy = mirror / address_of(server.url())
    assert copy.read_bytes() == DATA
    (tmp_path / "downloads" / "x.fa.gz").unlink()
    server.requests.clear()
    assert fetch(mirror=mirror, sha256=SHA256) == DATA
    assert server.requests == []


def test_a_mirror_copy_of_any_address_serves(server, fetch, tmp_path):
    copy = tmp_path / "mirror" / address_of(server.url("second.gz"))
    copy.parent.mkdir(parents=True)
    copy.write_bytes(DATA)
    assert (
        fetch(server.url("first.gz"), server.url("second.gz"), mirror=tmp_path / "mirror") == DATA
    )
    assert server.requests == []


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
            policy=RETRY_POLICY,
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


# -- Lengths and ranges


def test_pieces_of_a_server_that_sends_short_ranges_are_put_together(server, fetch):
    server.drop_after, server.drops, server.longest_range = 100_000, 1, 80_000
    assert fetch() == DATA
    starts = [wanted for _, wanted, _ in server.requests]
    assert starts == [None, "bytes=100000-", "bytes=180000-", "bytes=260000-"]


def test_a_range_that_was_not_asked_for_is_not_appended(server, fetch):
    server.drop_after, server.drops = 100_000, 1
    server.shift, server.longest_range = 10, 200_000  # so that the length would be right
    assert fetch() == DATA
    assert [wanted for _, wanted, _ in server.requests] == [None, "bytes=100000-", None]


def test_a_partial_file_is_replaced_by_a_server_that_ignores_ranges(server, fetch, tmp_path):
    partial = tmp_path / "downloads" / "x.fa.gz.partial"
    partial.parent.mkdir()
    partial.write_bytes(DATA[:200_000])
    server.ranges = False
    assert fetch(sha256=SHA256) == DATA
    assert len(server.requests) == 1


@pytest.mark.parametrize("length", ["chunked", None])
def test_a_file_without_an_announced_length_arrives(server, fetch, length):
    server.length = length
    assert fetch() == DATA


def test_a_chunked_answer_that_is_cut_is_resumed(server, fetch):
    server.length, server.drop_after, server.drops = "chunked", 100_000, 2
    assert fetch() == DATA
    assert [wanted for _, wanted, _ in server.requests] == [None, "bytes=100000-", "bytes=200000-"]


def test_a_gzip_file_that_ends_early_without_a_word_is_resumed(server, fetch):
    server.length, server.drop_after, server.drops = None, 100_000, 1
    assert fetch() == DATA
    assert [wanted for _, wanted, _ in server.requests] == [None, "bytes=100000-"]


def test_a_gzip_file_that_is_cut_on_the_server_is_told_and_not_recorded(server, fetch, tmp_path):
    server.data = DATA[:-5]
    with pytest.raises(InputError, match="its gzip data is cut off or damaged"):
        fetch()
    assert files_under(tmp_path) == []


def test_a_bgzip_file_without_its_last_block_is_told(server, fetch, tmp_path):
    with pysam.BGZFile(str(tmp_path / "whole.gz"), "w") as file:
        file.write(b">c\n" + RANDOM)
    whole = (tmp_path / "whole.gz").read_bytes()
    server.data = whole.removesuffix(BGZF_END_BLOCK)
    with pytest.raises(InputError, match="the end mark of bgzip is missing; get the file again"):
        fetch()
    server.data = whole
    assert fetch() == whole


# -- Retries


def test_a_server_is_given_the_time_that_it_asks_for_within_reason(server, fetch, caplog):
    caplog.set_level("INFO")
    server.busy, server.retry_after = 1, "3600"
    begun = time.monotonic()
    assert fetch() == DATA
    assert RETRY_POLICY.longest_wait <= time.monotonic() - begun < 60
    assert "the server answers 503 and asks for 3600 s of patience" in caplog.text


def test_an_unreadable_wish_for_time_is_passed_over(server, fetch):
    server.busy, server.retry_after = 1, "soon"
    assert fetch() == DATA


def test_progress_is_told_in_the_log_with_share_and_speed(server, fetch, caplog, monkeypatch):
    caplog.set_level("INFO")
    monkeypatch.setattr("dnalm.jobs.progress.LINE_SECONDS", 0)
    server.data = bytes(5_000_000)
    fetch(url := server.url("x.bin"))
    lines = [record.getMessage() for record in caplog.records if "MB/s" in record.getMessage()]
    assert f"{url}: 5 of 5 MB (100%), " in lines[-1]
    assert len(lines) >= 4
    assert "kept" not in caplog.text


# -- Proxies


def test_a_proxy_of_the_environment_is_asked(server, proxy, fetch, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "")
    assert fetch() == DATA
    assert proxy.forwarded == [server.url()]


def test_a_host_of_no_proxy_is_asked_itself(server, proxy, fetch, monkeypatch):
    monkeypatch.setenv("http_proxy", proxy.url)
    monkeypatch.setenv("no_proxy", "example.org,127.0.0.1")
    assert fetch() == DATA
    assert proxy.forwarded == []
    assert len(server.requests) == 1


def test_https_goes_through_a_tunnel_and_a_proxy_that_refuses_is_named(
    server, proxy, fetch, monkeypatch
):
    monkeypatch.setenv("https_proxy", proxy.url)
    with pytest.raises(InputError, match="the proxy that http_proxy or https_proxy names"):
        fetch("ftp://ftp.ensembl.org/pub/x.fa.gz")
    assert set(proxy.tunnels) == {"ftp.ensembl.org:443"}


# -- Space


def test_a_file_that_does_not_fit_on_the_disk_is_not_begun(server, fetch, tmp_path):
    server.length = str(PETABYTE)
    free = shutil.disk_usage(tmp_path).free / 1e9
    with pytest.raises(
        NoSpaceError, match=r"1000000\.1 GB are needed in .*downloads, where"
    ) as error:
        fetch(server.url(), server.url("second.gz"))
    reported = float(str(error.value).split(" GB are free")[0].split()[-1])
    assert reported == pytest.approx(free, rel=0.05, abs=0.5)
    assert len(server.requests) == 1
    assert files_under(tmp_path) == []


def test_a_mirror_on_a_smaller_disk_is_looked_at_too(server, fetch, tmp_path):
    memory = Path("/dev/shm")
    here, there = (shutil.disk_usage(place).free for place in (tmp_path, memory))
    if os.stat(memory).st_dev == os.stat(tmp_path).st_dev or here < 2 * there:
        pytest.skip("needs a /dev/shm that is smaller than the temporary folder")
    server.length = str(there + 1000)
    mirror = memory / f"dnalm-{os.getpid()}"
    with pytest.raises(NoSpaceError, match=f"GB are needed in {mirror}/127"):
        fetch(mirror=mirror)
    assert not mirror.exists()
    assert files_under(tmp_path) == []


def test_a_file_and_its_mirror_copy_on_one_disk_need_room_for_both(server, fetch, tmp_path):
    server.length = str(shutil.disk_usage(tmp_path).free * 2 // 3)
    with pytest.raises(NoSpaceError, match="make room there"):
        fetch(mirror=tmp_path / "mirror")
    assert files_under(tmp_path) == []


def test_a_disk_that_fills_up_on_the_way_ends_in_a_sentence_at_once(server, fetch, tmp_path):
    """Every write to /dev/full finds no space left."""
    partial = tmp_path / "downloads" / "x.fa.gz.partial"
    partial.parent.mkdir()
    partial.symlink_to("/dev/full")
    with pytest.raises(NoSpaceError, match=r"is full after 0.0 GB; make room and start again"):
        fetch(sha256=SHA256)
    assert len(server.requests) == 1


# -- What is there already


def test_a_mirror_that_cannot_be_written_to_is_read(server, fetch, caplog):
    """Nobody, root included, can make a folder in /proc."""
    assert fetch(mirror="/proc/dnalm") == DATA
    assert "could not be put into the mirror" in caplog.text


def test_a_mirror_copy_is_a_file_of_its_own(server, fetch, tmp_path):
    """Snakemake sets the time of its outputs; with hard links it would set other runs' too."""
    fetch(mirror=tmp_path / "mirror")
    copy = tmp_path / "mirror" / address_of(server.url())
    assert copy.stat().st_nlink == 1
    (tmp_path / "downloads" / "x.fa.gz").unlink()
    fetch(mirror=tmp_path / "mirror")
    assert copy.stat().st_nlink == 1


def test_a_file_that_is_there_is_kept_and_put_into_the_mirror(server, fetch, tmp_path):
    fetch()
    server.requests.clear()
    assert fetch(sha256=SHA256, mirror=tmp_path / "mirror") == DATA
    assert server.requests == []
    assert (tmp_path / "mirror" / address_of(server.url())).read_bytes() == DATA


def test_a_file_that_is_there_but_another_is_fetched_again(server, fetch, tmp_path):
    fetch()
    (tmp_path / "downloads" / "x.fa.gz").write_bytes(DATA[:-1])
    assert fetch() == DATA
    assert len(server.requests) == 2


def test_a_new_checksum_is_held_against_the_record_of_what_is_there(server, fetch, tmp_path):
    fetch()
    folder, lock = tmp_path, tmp_path / "lock.tsv"
    address = address_of(server.url())
    path = folder / address
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    for md5 in (None, hashlib.md5(DATA).hexdigest()):
        check_downloaded(folder, lock, {address: {"sha256": SHA256, "md5": md5}})
    with pytest.raises(InputError, match=r"expected 0+; correct the checksum in the config"):
        check_downloaded(folder, lock, {address: {"sha256": "0" * 64, "md5": None}})
    path.unlink()
    check_downloaded(folder, lock, {address: {"sha256": "0" * 64, "md5": None}})


def test_the_record_follows_a_newer_file_whose_checksum_is_given(server, fetch, tmp_path):
    fetch(server.url("other.gz"))
    (tmp_path / "downloads" / "x.fa.gz").unlink()
    fetch()
    server.data = DATA[::-1]
    newer = hashlib.sha256(server.data).hexdigest()
    assert fetch(sha256=newer) == server.data
    rows = [line.split("\t")[:2] for line in (tmp_path / "lock.tsv").read_text().splitlines()]
    assert rows[1:] == [
        [address_of(server.url("other.gz")), SHA256],
        [address_of(server.url()), newer],
    ]


def test_two_jobs_that_want_one_file_fetch_it_once(server, tmp_path):
    server.asked_twice = threading.Event()
    options = {"sha256": None, "md5": None, "mirror": None, "policy": RETRY_POLICY}
    options |= {"lock_path": tmp_path / "lock.tsv"}
    errors = []

    def run() -> None:
        try:
            download([server.url()], tmp_path / "downloads" / "x.fa.gz", **options)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.1)
    server.asked_twice.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len(server.requests) == 1
    assert files_under(tmp_path / "downloads") == ["x.fa.gz"]


def test_one_at_a_time_holds_a_lock_file_that_is_made_and_removed_all_along(tmp_path):
    holders, most = [], []

    def run() -> None:
        for _ in range(15):
            with hold(tmp_path / "lock"):
                holders.append(1)
                most.append(len(holders))
                time.sleep(0.0005)
                holders.pop()

    threads = [threading.Thread(target=run) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 90
    assert max(most) == 1
    assert files_under(tmp_path) == []


def test_the_lock_of_a_killed_job_stops_nobody(server, fetch, tmp_path):
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads" / "x.fa.gz.partial.lock").touch()
    assert fetch() == DATA
