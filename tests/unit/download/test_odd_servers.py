"""Downloads without a checksum from servers whose answers are odd: never two versions in one file.

The servers answer with what a test writes down, byte for byte, one answer to each request.
"""

import gzip
import logging
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from dnalm.download.checksums import record_checksums, recorded_sha256
from dnalm.download.download import download
from dnalm.download.integrity import find_damage, find_mismatch
from dnalm.download.transfer import RetryPolicy
from dnalm.errors import InputError

POLICY = RetryPolicy(
    attempts=2, first_wait=0.01, longest_wait=0.02, timeout=20, patience=0.4, least_bytes=100
)
LETTERS = np.random.default_rng(1).choice([b"A", b"C", b"G", b"T"], 20_000)
OLD = b">c\n" + b"".join(LETTERS) + b"\n"
NEW = b">c\n" + b"".join(LETTERS[::-1]) + b"\n"
HALF = len(OLD) // 2
LONG_AGO, NOW = "Mon, 01 Jan 2024 00:00:00 GMT", "Tue, 02 Jan 2024 00:00:00 GMT"
STRONG, WEAK, DATED = 'ETag: "1"', 'ETag: W/"1"', f"Last-Modified: {LONG_AGO}"


def answer(status: str, body: bytes, *headers: str, length: str | None = None) -> bytes:
    """Return a response, its Content-Length that of the body if none is given."""
    length = str(len(body)) if length is None else length
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {length}", "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + body


def whole(body: bytes, *headers: str, **options) -> bytes:
    return answer("200 OK", body, *headers, **options)


def cut(body: bytes, *headers: str) -> bytes:
    """Return a response whose connection is lost in the middle of the body."""
    return whole(body[:HALF], *headers, length=str(len(body)))


def rest(body: bytes, *headers: str, first: int = HALF, total: int | None = None) -> bytes:
    total = len(body) if total is None else total
    span = f"Content-Range: bytes {first}-{len(body) - 1}/{total}"
    return answer("206 Partial Content", body[first:], span, *headers)


class Server:
    """Gives one answer after the other, the last one again and again; notes the requests."""

    def __init__(self, answers: list[bytes], pause: float, context: ssl.SSLContext | None):
        self.answers, self.pause, self.requests = answers, pause, []
        self.first_slow: bytes | None = None  # what comes a byte at a time begins with this
        self.context = context
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def url(self, name: str) -> str:
        return f"{'https' if self.context else 'http'}://127.0.0.1:{self.port}/{name}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            threading.Thread(target=self.speak, args=(connection,), daemon=True).start()

    def speak(self, connection: socket.socket) -> None:
        try:
            if self.context:
                connection = self.context.wrap_socket(connection, server_side=True)
            self.requests.append(connection.recv(65536).decode())
            text = self.answers[min(len(self.requests), len(self.answers)) - 1]
            head = text.index(self.first_slow) if self.first_slow else text.index(b"\r\n\r\n") + 4
            connection.sendall(text[:head])
            if self.pause:  # a byte at a time
                for byte in text[head:]:
                    connection.sendall(bytes([byte]))
                    time.sleep(self.pause)
            else:
                connection.sendall(text[head:])
            connection.close()
        except OSError:  # the reader had enough
            pass


@pytest.fixture
def serve(monkeypatch) -> Iterator[Callable[..., Server]]:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(
        *answers: bytes,
        pause: float = 0,
        context: ssl.SSLContext | None = None,
        first_slow: bytes | None = None,
    ) -> Server:
        servers.append(Server(list(answers), pause, context))
        servers[-1].first_slow = first_slow
        return servers[-1]

    yield start
    for server in servers:
        server.socket.close()


@pytest.fixture
def fetch(tmp_path):
    def run(server: Server, name: str = "x.fa", sha256: str | None = None) -> bytes:
        path = tmp_path / "downloads" / name
        options = {"sha256": sha256, "md5": None, "mirror": None, "policy": POLICY}
        download([server.url(name)], path, lock_path=tmp_path / "lock.tsv", **options)
        return path.read_bytes()

    return run


@contextmanager
def refused(folder: Path, words: str) -> Iterator[None]:
    """Expect a sentence with these words, no final name and no recorded sum."""
    with pytest.raises(InputError, match=words):
        yield
    left = [path.name for path in (folder / "downloads").glob("*") if path.is_file()]
    assert all(".partial" in name for name in left)
    assert not (folder / "lock.tsv").exists()


CHANGES = {
    "another size": [cut(OLD, STRONG), rest(NEW, STRONG, total=len(NEW) + 6), whole(NEW)],
    "another ETag": [cut(OLD, STRONG), rest(NEW, 'ETag: "2"'), whole(NEW)],
    "another date": [
        cut(OLD, DATED, f"Date: {NOW}"),
        rest(NEW, f"Last-Modified: {NOW}"),
        whole(NEW),
    ],
    "a weak ETag": [cut(OLD, WEAK), whole(NEW, WEAK)],
    "neither ETag nor date": [cut(OLD), whole(NEW)],
    "a date of this second": [
        cut(OLD, f"Last-Modified: {NOW}", f"Date: {NOW}"),
        whole(NEW),
    ],
    "an end where the first part ended": [
        cut(OLD, STRONG),
        answer("416 Range Not Satisfiable", b"", f"Content-Range: bytes */{HALF}"),
        whole(NEW),
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_two_versions_are_never_joined(serve, fetch, change):
    server = serve(*CHANGES[change])
    assert fetch(server) == NEW
    assert len(server.requests) == len(CHANGES[change])
    assert "Range:" not in server.requests[-1]


@pytest.mark.parametrize(
    "headers", [(STRONG,), (DATED, f"Date: {NOW}"), (WEAK, DATED, f"Date: {NOW}")]
)
def test_what_is_known_to_be_one_version_is_resumed(serve, fetch, headers):
    server = serve(cut(OLD, *headers), rest(OLD, *headers))
    assert fetch(server) == OLD
    assert f"Range: bytes={HALF}-" in server.requests[1]
    assert (
        f"If-Range: {headers[-1 if headers[0] == STRONG else -2].split(': ', 1)[1]}"
        in (server.requests[1])
    )


def test_bytes_of_an_earlier_run_are_resumed_only_if_their_version_was_noted(
    serve, fetch, tmp_path
):
    server = serve(*[cut(OLD, STRONG)] * 2, answer("404 Not Found", b""))
    with refused(tmp_path, "the server answered 404"):
        fetch(server)
    server.answers[:] = [rest(OLD, STRONG)]
    assert fetch(server) == OLD
    assert f"Range: bytes={HALF}-" in server.requests[-1]


@pytest.mark.parametrize("length", ["abc", "-5", f"{len(OLD)}, {len(OLD)}", "9" * 5000, "²", ""])
def test_a_length_that_is_none_is_tried_again_and_then_told(serve, fetch, tmp_path, length):
    server = serve(whole(OLD, length=length))
    with refused(tmp_path, "the connection failed"):
        fetch(server)
    assert len(server.requests) > 1
    server.answers[:] = [whole(OLD)]
    assert fetch(server) == OLD


PAGE = b"<html>no</html>"
BODIES = {
    "a page in gzip": ("x.fa.gz", gzip.compress(PAGE), "it is a compressed web page"),
    "an error in JSON": ("x.fa.gz", b'{"error": "gone"}', "promises gzip .* begins with '{"),
    "two words": ("x.fa.gz", b"Not Found", "promises gzip .* begins with 'Not Found'"),
    "gzip twice": ("x.fa.gz", gzip.compress(gzip.compress(OLD)), "compressed twice"),
    "JSON in gzip": ("x.fa.gz", gzip.compress(b'{"a": 1}'), "promises a fa file, but it begins"),
    "JSON as FASTA": ("x.fna", b'{"error": "gone"}', "promises a fna file"),
    "JSON as a table": ("x.bed", b'{"error": "gone"}', "promises a table"),
    "text as VCF": ("x.vcf.gz", b"Service Unavailable", "promises gzip"),
    "text as safetensors": ("m.safetensors", b"Access Denied to this", "promises safetensors"),
}


@pytest.mark.parametrize("body", BODIES)
def test_what_is_not_what_its_name_promises_is_refused(serve, fetch, tmp_path, body):
    name, content, words = BODIES[body]
    with refused(tmp_path, words):
        fetch(serve(whole(content)), name)


@pytest.mark.parametrize("encoding", ["gzip", "br", "x-anything"])
def test_an_encoding_that_was_not_asked_for_is_refused(serve, fetch, tmp_path, encoding):
    with refused(tmp_path, f"in the encoding '{encoding}' though .* give its sha256 or md5"):
        fetch(serve(whole(gzip.compress(OLD), f"Content-Encoding: {encoding}")), "x.fa.gz")


def test_what_a_name_does_not_promise_is_taken(serve, fetch):
    """Also FASTA under .gz, which readers tell by its first bytes, and what JSON files hold."""
    for name, content in (
        ("config.json", b'{"a": 1}'),
        ("x.fa.gz", OLD),
        ("y.fa", gzip.compress(OLD)),
        ("vocab.txt", b"<unk>\n<pad>\n"),
        ("get", b"[1]"),
    ):
        assert fetch(serve(whole(content, "Content-Encoding: identity")), name) == content


@pytest.mark.parametrize("size", range(4))
def test_the_first_bytes_of_a_right_file_are_no_mismatch(size):
    for name, start in (("x.fa.gz", b"\x1f\x8b\x08"), ("x.fa", b"\n>c"), ("x.vcf", b"##f")):
        assert find_mismatch(name, start[:size]) is None


def test_a_server_that_sends_a_byte_at_a_time_is_left_after_a_while(serve, fetch, tmp_path, caplog):
    server = serve(whole(OLD, STRONG), pause=0.02)
    begun = time.monotonic()
    with refused(tmp_path, r"the server is too slow, only .* bytes came in"):
        fetch(server)
    assert time.monotonic() - begun < 15
    assert "the connection is made anew" in caplog.text


LONG_HEADER = f"X-Filler: {'x' * 5000}"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10;" + b"x" * 5000 + b"\r\n" + OLD
SLOW_ANSWERS = {
    "the first line": (whole(OLD, LONG_HEADER), b"HTTP"),
    "a header": (whole(OLD, STRONG, LONG_HEADER), b"X-Filler"),
    "a redirect": (answer("302 Found", b"", LONG_HEADER, "Location: /y.fa"), b"X-Filler"),
    "a page of an error": (answer("404 Not Found", b"", LONG_HEADER), b"X-Filler"),
    "the length of a chunk": (CHUNKED, b";x"),
}


@pytest.mark.parametrize("part", SLOW_ANSWERS)
@pytest.mark.parametrize("secure", [False, True])
def test_a_server_that_sends_its_headers_a_byte_at_a_time_is_left_after_a_while(
    serve, fetch, tmp_path, caplog, request, part, secure
):
    text, first_slow = SLOW_ANSWERS[part]
    context = request.getfixturevalue("context") if secure else None
    server = serve(text, pause=0.02, first_slow=first_slow, context=context)
    begun = time.monotonic()
    with refused(tmp_path, r"the server is too slow, only .* bytes came in"):
        fetch(server)
    assert time.monotonic() - begun < 15
    assert len(server.requests) == POLICY.attempts
    assert "the connection is made anew" in caplog.text


def test_what_came_before_a_server_grew_slow_is_kept(serve, fetch, tmp_path):
    with refused(tmp_path, "the server is too slow"):
        fetch(serve(whole(OLD, STRONG), pause=0.02, first_slow=OLD[HALF:]))
    (partial,) = (tmp_path / "downloads").glob("*.partial")
    assert HALF <= partial.stat().st_size < len(OLD)


# -- From https to http


@pytest.fixture
def context(tmp_path, monkeypatch) -> ssl.SSLContext:
    """Return a server's side of a certificate for 127.0.0.1 that the client trusts."""
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2"
        " -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    )
    made = subprocess.run(
        [*command.split(), "-keyout", str(key), "-out", str(certificate)],
        capture_output=True,
        check=False,
    )
    if made.returncode:
        pytest.skip("needs openssl for a certificate")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def test_https_does_not_fall_to_http_unless_a_checksum_decides(
    serve, fetch, tmp_path, context, caplog
):
    plain = serve(whole(OLD))
    moved = answer("302 Found", b"", f"Location: {plain.url('x.fa')}")
    server = serve(moved, context=context)
    with refused(tmp_path, "leads from https to http://127.0.0.1:.* give the file's sha256"):
        fetch(server)
    assert plain.requests == []
    sums = "0" * 64
    with refused(tmp_path, f"expected {sums}"):
        fetch(server, sha256=sums)
    assert len(plain.requests) == 1
    assert "its checksum decides" in caplog.text


def test_https_may_lead_to_https(serve, fetch, context):
    there = serve(whole(OLD), context=context)
    moved = answer("302 Found", b"", f"Location: {there.url('x.fa')}")
    assert fetch(serve(moved, context=context)) == OLD


# -- The record of checksums


@pytest.fixture
def record(serve, fetch, tmp_path) -> Path:
    """Return the record of two downloads."""
    for name in ("x.fa", "y.fa"):
        fetch(serve(whole(OLD)), name)
    return tmp_path / "lock.tsv"


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_a_torn_line_of_the_record_is_named_and_nothing_is_written_over_it(record, tmp_path, kept):
    lines = record.read_text().splitlines(keepends=True)
    cells = lines[-1].split("\t")
    torn = "".join(lines[:-1]) + "\t".join(cells[: kept + 1])
    torn = torn[:-3] if kept == 3 else torn  # in the middle of the size
    record.write_text(torn)
    address = lines[1].split("\t")[0]
    for use in (
        lambda: recorded_sha256(record, address),
        lambda: record_checksums(record, "h.org/z", None),
    ):
        with pytest.raises(InputError, match=r"lock.tsv:3: the record of checksums is damaged"):
            use()
    assert record.read_text() == torn


def test_an_empty_record_is_not_taken_for_a_new_one(record):
    record.write_text("")
    with pytest.raises(InputError, match="is empty, its lines are lost"):
        recorded_sha256(record, "h.org/x")


def test_a_lost_line_is_noticed_by_its_file(serve, fetch, record, caplog):
    caplog.set_level(logging.INFO)
    server = serve(whole(OLD))
    path = record.parent / "downloads" / "x.fa"
    lines = record.read_text().splitlines(keepends=True)
    record.write_text(lines[0])
    download(
        [server.url("x.fa")],
        path,
        sha256=None,
        md5=None,
        mirror=None,
        lock_path=record,
        policy=POLICY,
    )
    assert f"{path} has no line in {record}" in caplog.text
    assert server.requests == []
    assert len(record.read_text().splitlines()) == 2


def test_a_file_whose_sum_cannot_be_kept_has_no_final_name(serve, fetch, record):
    record.write_text("torn")
    with pytest.raises(InputError, match="is damaged at 'torn'"):
        fetch(serve(whole(OLD)), "z.fa")
    assert not (record.parent / "downloads" / "z.fa").exists()


def test_a_right_gzip_file_of_a_table_is_undamaged(tmp_path):
    path = tmp_path / "x.bed.gz"
    path.write_bytes(gzip.compress(b"chr1\t1\t2\n"))
    assert find_damage(path, path.name) is None
