"""Repositories of a hub: the files of a revision, and who may have them, through `huggingface_hub`.

It knows the token (HF_TOKEN, or that of `hf auth login`), another endpoint of the public hub
(HF_ENDPOINT) and whether the hub may be asked at all (HF_HUB_OFFLINE). Of its errors only the kind
is told: their texts repeat what a server says, which may be anything.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2
import huggingface_hub as client
from huggingface_hub import constants, errors

from dnalm.download.addresses import address_of
from dnalm.errors import InputError

PUBLIC = "https://huggingface.co"
TOKEN = re.compile(r"[!-~]+")
SHA256 = re.compile(r"[0-9a-f]{64}")
LISTING_ATTEMPTS = 3
BUSY = (408, 429, 500, 502, 503, 504)
MAX_REVISIONS = 40  # that are searched for a file
SECONDS = 60  # of silence of the hub
logger = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class UnreachableHubError(InputError):
    """The hub cannot be asked: there is no network, or offline mode is on."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """A repository at one revision: a branch, a tag, refs/pr/N, or a commit.

    `kind` is model or dataset. `server` decides where its files lie in the downloads and in a
    mirror; those of the public hub are fetched from HF_ENDPOINT where that is set.
    """

    kind: str
    name: str
    revision: str
    server: str

    @property
    def shown(self) -> str:
        """What errors and reports call it."""
        return f"{self.name}@{self.revision}"

    @property
    def endpoint(self) -> str:
        """Where the hub is asked."""
        return constants.ENDPOINT if self.server == PUBLIC else self.server

    def address(self, file: str) -> str:
        """Return `host/path`, the place of a file in the downloads and in a mirror."""
        return address_of(self._url(self.server, file))

    def url(self, file: str) -> str:
        """Return where a file is fetched from."""
        return self._url(self.endpoint, file)

    @property
    def listing_address(self) -> str:
        """The place of the list of all files in a mirror, that of the hub's own."""
        return address_of(f"{self.server}/api/{self.kind}s/{self.name}/tree/{self._revision}")

    @property
    def _revision(self) -> str:
        return quote(self.revision, safe="")

    def _url(self, server: str, file: str) -> str:
        kind = "datasets/" if self.kind == "dataset" else ""
        return f"{server}/{kind}{self.name}/resolve/{self._revision}/{quote(file)}"


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All files of a revision, {name: sha256}, None where the hub gives none, and its commit."""

    commit: str | None
    files: Mapping[str, str | None]


def is_offline() -> bool:
    """Return whether HF_HUB_OFFLINE forbids to ask the hub."""
    return constants.HF_HUB_OFFLINE


def request_headers() -> dict[str, str]:
    """Return the headers of a request to the hub, with the token if there is one.

    Raises InputError for a token that no header can hold; it is not shown.
    """
    token = client.get_token()
    if token and not TOKEN.fullmatch(token):
        raise InputError(
            "The token in HF_TOKEN, or of `hf auth login`, has blanks or letters that no token has;"
            " copy it again."
        )
    return client.utils.build_hf_headers(library_name="dnalm")


def list_files(repository: Repository, first_wait: float) -> Listing:
    """Return the files of a repository's revision; a busy hub is asked again.

    Raises:
        UnreachableHubError: the hub did not answer, or may not be asked.
        InputError: repository or revision is not there, or not for everybody.
    """
    if is_offline():
        raise UnreachableHubError("HF_HUB_OFFLINE is set")
    headers = request_headers()

    def ask() -> Listing:
        api = _api(repository, headers)
        describe = api.dataset_info if repository.kind == "dataset" else api.model_info
        info = describe(
            repository.name,
            revision=repository.revision,
            files_metadata=True,
            timeout=SECONDS,
        )
        listed = info.siblings or ()
        files = {file.rfilename: file.lfs.sha256 if file.lfs else None for file in listed}
        return Listing(commit=info.sha, files=files)

    with _explained(repository):
        return _patiently(ask, first_wait)


def find_revisions(repository: Repository, suffix: str) -> dict[str, list[str]]:
    """Return {revision: its files with this ending} of branches, tags and pull requests.

    At most the newest 40 are looked at. Raises as `list_files`.
    """
    api = _api(repository, request_headers())
    with _explained(repository):
        refs = api.list_repo_refs(
            repository.name, repo_type=repository.kind, include_pull_requests=True
        )
    # The name that `revision` takes: main, v1, refs/pr/6.
    names = [ref.name for ref in (*refs.branches, *refs.tags)]
    names += [ref.ref for ref in reversed(refs.pull_requests or [])]
    found = {}
    for name in names[:MAX_REVISIONS]:
        other = Repository(**{**vars(repository), "revision": name})
        try:
            files = [file for file in list_files(other, 0).files if file.endswith(suffix)]
        except InputError as error:  # a revision that cannot be listed has nothing to offer
            logger.info("%s: %s", other.shown, error)
            continue
        if files:
            found[name] = sorted(files)
    return found


def check_access(repository: Repository, file: str) -> str | None:
    """Return the sha256 by which the hub serves a file, None where it names none.

    Raises:
        UnreachableHubError: the hub did not answer.
        InputError: the file is not there, or the token, or nobody without one, may have it.
    """
    if is_offline():
        raise UnreachableHubError("HF_HUB_OFFLINE is set")
    api = _api(repository, request_headers())
    with _explained(repository, file):
        facts = _patiently(
            lambda: api.get_hf_file_metadata(url=repository.url(file), timeout=SECONDS), 1
        )
    return facts.etag if facts.etag and SHA256.fullmatch(facts.etag) else None


def find_cached(repository: Repository) -> Path | None:
    """Return the folder of a revision in the user's own cache of the hub, None if there is none."""
    name, kind, revision = repository.name, repository.kind, repository.revision
    try:
        folder = client.snapshot_download(
            name, repo_type=kind, revision=revision, local_files_only=True
        )
        return Path(folder)
    except errors.LocalEntryNotFoundError:  # it may be one of which some files alone were fetched
        found = client.try_to_load_from_cache(
            name, "config.json", repo_type=kind, revision=revision
        )
        return Path(found).parent if isinstance(found, str) else None
    except OSError as error:
        logger.warning("the cache of the hub cannot be read: %s", error)
        return None


def _api(repository: Repository, headers: Mapping[str, str]) -> client.HfApi:
    return client.HfApi(endpoint=repository.endpoint, headers=dict(headers))


def _patiently(ask: Callable[[], Answer], first_wait: float) -> Answer:
    """Return what a question to the hub brings; it is asked again where it is busy or silent."""
    for attempt in range(1, LISTING_ATTEMPTS):
        try:
            return ask()
        except errors.HfHubHTTPError as error:
            if error.response.status_code not in BUSY:
                raise
            reason = f"it answers {error.response.status_code}"
        except httpx2.TransportError as error:
            reason = type(error).__name__
        logger.info("the hub does not answer (%s); asking again", reason)
        time.sleep(first_wait * 2**attempt)
    return ask()


@contextmanager
def _explained(repository: Repository, file: str | None = None) -> Iterator[None]:
    """Turn what `huggingface_hub` raises into one sentence without its texts."""
    what, page = repository.shown, _page(repository)
    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise UnreachableHubError("HF_HUB_OFFLINE is set") from None
    except errors.GatedRepoError:
        who = "the token in use has no access to it" if client.get_token() else "no token is set"
        raise InputError(
            f"{what} is a gated repository and {who}; ask for access at {page} and put a token of"
            " that account into HF_TOKEN."
        ) from None
    except errors.DisabledRepoError:
        raise InputError(f"{what}: its access is disabled at {page}; choose another one.") from None
    except errors.RevisionNotFoundError:
        raise InputError(
            f"{repository.name} has no revision {repository.revision}; see {page}/tree/main for its"
            " branches, or name a commit."
        ) from None
    except errors.RepositoryNotFoundError:
        who = "for the token in use" if client.get_token() else "without a token (HF_TOKEN)"
        raise InputError(
            f"{repository.name}: the hub at {repository.endpoint} has no such repository {who};"
            " correct the name, or ask its owner for access."
        ) from None
    except errors.EntryNotFoundError:
        raise InputError(f"{what} has no {file}; see {page} for its files.") from None
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status in BUSY:
            raise UnreachableHubError(f"{repository.endpoint} answers {status}") from None
        refused = "; check the token in HF_TOKEN" if status in (401, 403) else ""
        raise InputError(
            f"{what}: the hub at {repository.endpoint} answers {status}{refused or '; try later'}."
        ) from None
    except httpx2.HTTPError as error:
        reason = f"{repository.endpoint} cannot be reached ({type(error).__name__})"
        raise UnreachableHubError(reason) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{repository.endpoint} does not answer as a hub does ({type(error).__name__}); correct"
            " `server` or HF_ENDPOINT."
        ) from None


def _page(repository: Repository) -> str:
    kind = "datasets/" if repository.kind == "dataset" else ""
    return f"{repository.server}/{kind}{repository.name}"


def facts_of(listing: Listing) -> dict[str, Any]:
    """Return a listing as JSON holds it."""
    return {"commit": listing.commit, "files": dict(sorted(listing.files.items()))}
