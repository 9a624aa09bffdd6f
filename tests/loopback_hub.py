"""A hub on this machine that answers as the public one does: lists, redirects, ranges, refusals.

Repositories are folders, `<root>/<kind>s/<owner>/<name>/<quoted revision>/<files>`. Large files (by
their ending) lie behind a redirect to another host, with their sha256 in X-Linked-Etag; small ones
are sent at once. A token opens gated and private repositories.
"""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

LARGE = (".safetensors", ".bin", ".parquet")
TOKEN = "hf_aSecretThatNobodyMaySee"
API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)(?:/(revision|refs)(?:/([^/]+))?)?")
FILE = re.compile(r"/(datasets/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class Hub:
    """The state of a loopback hub, and what was asked of it: (method, path, has a token)."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.gated: set[str] = set()  # listed for all, files for the token alone
        self.private: set[str] = set()
        self.lying: set[str] = set()  # file names of which other bytes are sent than are listed
        self.break_after: int | None = None  # bytes after which the first answer breaks off
        self.busy = 0  # so many answers of 503 come first
        self.asked: list[tuple[str, str, bool]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def folder(self, name: str, revision: str = "main", kind: str = "model") -> Path:
        """Return the folder of a revision, which is made."""
        path = self.root / f"{kind}s" / name / quote(revision, safe="")
        path.mkdir(parents=True, exist_ok=True)
        return path

    def files(self, method: str = "GET") -> list[str]:
        """Return the names of the files that were asked for."""
        paths = [path for asked, path, _ in self.asked if asked == method and "/api/" not in path]
        return [unquote(path).rpartition("/")[2] for path in paths if "/cdn/" not in path]


def describe(path: Path, folder: Path) -> dict:
    """Return a file as the hub lists it."""
    data = path.read_bytes()
    facts = {"rfilename": path.relative_to(folder).as_posix(), "size": len(data)}
    facts["blobId"] = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    if path.name.endswith(LARGE):
        sha256 = hashlib.sha256(data).hexdigest()
        facts["lfs"] = {"sha256": sha256, "size": len(data), "pointerSize": 134}
    return facts


def commit_of(revision: str) -> str:
    """Return the commit of a revision: itself, or one made of its name."""
    if re.fullmatch("[0-9a-f]{40}", revision):
        return revision
    return hashlib.sha1(revision.encode()).hexdigest()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    @property
    def hub(self) -> Hub:
        return self.server.hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        given = self.headers.get("Authorization")
        self.hub.asked.append((self.command, self.path, given is not None))
        path = urlsplit(self.path).path
        if self.hub.busy:
            self.hub.busy -= 1
            self.refuse(503, None)
        elif given not in (None, f"Bearer {TOKEN}"):
            self.refuse(401, None, f"Invalid credentials: {given}")  # as some proxies do
        elif path.startswith("/cdn/"):
            self.send_file(self.hub.root / unquote(path.removeprefix("/cdn/")), {})
        elif found := API.fullmatch(path):
            self.list(*found.groups(), may=given is not None)
        elif found := FILE.fullmatch(path):
            self.resolve(*found.groups(), may=given is not None)
        else:
            self.refuse(404, None)

    def list(self, kind: str, name: str, what: str | None, revision: str | None, *, may: bool):
        home = self.hub.root / kind / name
        if not home.is_dir() or (name in self.hub.private and not may):
            return self.refuse(401 if not may else 404, "RepoNotFound")
        if what == "refs":
            prs = "include_prs" in parse_qs(urlsplit(self.path).query)
            return self.send_json(self.refs(home, prs))
        folder = home / (revision or "main")
        if not folder.is_dir():
            return self.refuse(404, "RevisionNotFound")
        files = [describe(path, folder) for path in sorted(folder.rglob("*")) if path.is_file()]
        sha = commit_of(unquote(folder.name))
        return self.send_json({"id": name, "sha": sha, "siblings": files, "tags": []})

    def refs(self, home: Path, prs: bool) -> dict:
        names = sorted(unquote(path.name) for path in home.iterdir())
        refs = [{"name": n, "ref": f"refs/heads/{n}", "targetCommit": commit_of(n)} for n in names]
        branches = [r for r in refs if "/" not in r["name"] and r["name"] != commit_of(r["name"])]
        pulls = [{**r, "ref": r["name"]} for r in refs if r["name"].startswith("refs/pr/")]
        converts = [{**r, "ref": r["name"]} for r in refs if "/convert/" in r["name"]]
        found = {"branches": branches, "converts": converts, "tags": []}
        return {**found, **({"pullRequests": pulls} if prs else {})}

    def resolve(self, data: str | None, name: str, revision: str, file: str, *, may: bool):
        kind = "datasets" if data else "models"
        home = self.hub.root / kind / name
        if not home.is_dir() or (name in self.hub.private and not may):
            return self.refuse(401 if not may else 404, "RepoNotFound")
        if name in self.hub.gated and not may:
            return self.refuse(401, "GatedRepo")
        if not (home / revision).is_dir():
            return self.refuse(404, "RevisionNotFound")
        path = home / revision / unquote(file)
        if not path.is_file():
            return self.refuse(404, "EntryNotFound")
        facts = describe(path, home / revision)
        headers = {"X-Repo-Commit": commit_of(unquote(revision)), "ETag": f'"{facts["blobId"]}"'}
        if "lfs" not in facts:
            return self.send_file(path, headers)
        place = quote(path.relative_to(self.hub.root).as_posix())
        headers["X-Linked-Etag"] = f'"{facts["lfs"]["sha256"]}"'
        headers["X-Linked-Size"] = str(facts["size"])
        # Another name of this machine: what is sent to one host is not for the other.
        headers["Location"] = f"http://localhost:{self.hub.port}/cdn/{place}"
        return self.send(302, b"", headers)

    def send_file(self, path: Path, headers: dict[str, str]) -> None:
        data = path.read_bytes()
        if path.name in self.hub.lying:
            data = data[:-1] + bytes([data[-1] ^ 1])
        headers = {"ETag": f'"{hashlib.md5(data).hexdigest()}"', "Accept-Ranges": "bytes"} | headers
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(wanted[1]) if wanted else 0
        if wanted:
            headers["Content-Range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        self.send(206 if wanted else 200, data[first:], headers)

    def send_json(self, value: dict) -> None:
        self.send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def refuse(self, status: int, code: str | None, message: str = "no") -> None:
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self.send(status, json.dumps({"error": message}).encode(), headers)

    def send(self, status: int, data: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.hub.break_after is not None and "/cdn/" in self.path:
            data, self.hub.break_after, self.close_connection = (
                data[: self.hub.break_after],
                None,
                True,
            )
        self.wfile.write(data)


@contextmanager
def serve(root: Path) -> Iterator[Hub]:
    """Serve the repositories below a folder until the block ends."""
    hub = Hub(root)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.hub, hub.port = hub, server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
