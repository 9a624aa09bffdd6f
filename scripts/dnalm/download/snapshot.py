"""The files of a hub's repository at one revision, fetched, verified, and kept in the mirror.

The hub lists them; their bytes come through our own downloads, which resume, verify, copy to and
from the mirror, watch the room on disk and record sums. The client's own would write into a cache
of blobs and links that no mirror of host/path copies can hold, and by another protocol besides.
Without a hub (offline mode, no network) the files are those of the downloads, of the mirror and of
the user's own cache of the hub.
"""

import fnmatch
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dnalm.download.checksums import recorded_sha256
from dnalm.download.download import download
from dnalm.download.hub import (
    Listing,
    Repository,
    UnreachableHubError,
    check_access,
    facts_of,
    find_cached,
    find_revisions,
    list_files,
    request_headers,
)
from dnalm.download.transfer import RETRY_POLICY, RetryPolicy
from dnalm.download.weight_files import (
    SETTINGS,
    SUFFIX,
    VOCABULARY,
    MissingFileError,
    choose_weight_files,
    list_tokenizer_files,
)
from dnalm.errors import InputError, NoSpaceError
from dnalm.files import read_json, write_json

# What lies beside downloads: unfinished ones, their locks, and temporaries, which begin with a dot.
UNFINISHED = (".partial", ".partial.json", ".partial.lock")
MAX_LISTED = 12
logger = logging.getLogger(__name__)


class Snapshot:
    """The files of a repository's revision: `names` are all of them, `get` fetches one."""

    def __init__(
        self,
        repository: Repository,
        *,
        sha256: Mapping[str, str],
        folder: str | Path,
        mirror: str | Path | None,
        lock_path: str | Path,
        policy: RetryPolicy,
    ) -> None:
        """List a repository whose files go below `folder`; `sha256` are those that are expected.

        Raises InputError when neither the hub nor any place here has it.
        """
        self.repository, self.sha256 = repository, sha256
        self.folder, self.mirror, self.lock_path = Path(folder), mirror, lock_path
        self.policy = policy
        self.unreachable: str | None = None  # why the hub was not asked, or did not answer
        self.places = self._list_places()
        self.local: dict[str, Path] = {}
        try:
            self.listing = self._read_mirrored() or self._ask()
        except UnreachableHubError as error:
            self.unreachable = str(error)
            for place in reversed(self.places):
                self.local |= _list_folder(place)
            self.listing = Listing(commit=None, files=dict.fromkeys(self.local))
            logger.warning("%s: %s; what is here is taken", repository.shown, error)

    @property
    def names(self) -> list[str]:
        """All files of the revision, of an unreachable hub those that are here."""
        return sorted(self.listing.files)

    def get(self, name: str) -> Path:
        """Return the path of a file, which is fetched, copied or there already; it is verified.

        Raises InputError when the file cannot be had, or is another one than was expected.
        """
        repository, address = self.repository, self.repository.address(name)
        destination = self.folder / address
        listed, recorded = self.listing.files[name], recorded_sha256(self.lock_path, address)
        expected = self.sha256.get(name)
        if listed and recorded and not expected and listed != recorded:
            raise InputError(
                f"{repository.shown}: {name} was downloaded with the sha256 {recorded}, and the hub"
                f" now has {listed}; name the commit that you want as `revision`, or remove the"
                f" line of {address} from {self.lock_path}."
            )
        copies, headers = [], {}
        if self.unreachable:
            copies = [self.local[name]] if self.local[name] != destination else []
        elif not self._is_mirrored(address):
            headers = request_headers()  # also for a file that is there, which may be damaged
            served = None if destination.exists() else self._check_access(name)
            if listed and served and listed != served:
                raise InputError(
                    f"{repository.shown}: the hub lists {name} with the sha256 {listed} and serves"
                    f" {served}; try again later, or name a commit as `revision`."
                )
        download(
            [repository.url(name)],
            destination,
            sha256=expected or (None if recorded else listed),
            md5=None,
            mirror=self.mirror,
            lock_path=self.lock_path,
            policy=self.policy,
            address=address,
            headers=headers,
            copies=copies,
        )
        return destination

    def missing(self, names: Iterable[str], why: str) -> InputError:
        """Return the error of files that are needed and not there: what is, and where to look."""
        shown, names = self.repository.shown, list(names)
        if self.unreachable:
            looked = ", ".join(map(str, self.places))
            return InputError(
                f"{self.unreachable}, and {shown} lacks {', '.join(names)} here (looked into"
                f" {looked}); fetch it with the target `downloads` and a `mirror` where there is a"
                " network, or put it into one of these folders."
            )
        there = _shortened(self.names) or "nothing"
        return InputError(f"{shown}: {why}; there is {there}{self._alternatives(names)}.")

    def keep_listing(self) -> None:
        """Write the list of all files into the mirror, where a run without network reads it."""
        if self.mirror is None or self.unreachable:
            return
        path = Path(self.mirror) / self.repository.listing_address
        try:
            if not path.exists():
                write_json(path, facts_of(self.listing))
        except (OSError, NoSpaceError) as error:
            logger.warning("%s could not be put into the mirror: %s", path, error)

    def _ask(self) -> Listing:
        return list_files(self.repository, self.policy.first_wait)

    def _check_access(self, name: str) -> str | None:
        try:
            return check_access(self.repository, name)
        except UnreachableHubError as error:
            self.unreachable = str(error)
            raise self.missing([name], "") from None

    def _read_mirrored(self) -> Listing | None:
        """Return the list of files that a mirror holds, None where it has none that can be read."""
        if self.mirror is None:
            return None
        path = Path(self.mirror) / self.repository.listing_address
        try:
            facts = read_json(path)
            return Listing(commit=facts["commit"], files=dict(facts["files"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _is_mirrored(self, address: str) -> bool:
        return self.mirror is not None and (Path(self.mirror) / address).is_file()

    def _list_places(self) -> list[Path]:
        roots = [self.folder, *([Path(self.mirror)] if self.mirror else [])]
        # The folder of the files is that of any of them.
        places = [(root / self.repository.address("x")).parent for root in roots]
        cached = find_cached(self.repository)
        return [*places, *([cached] if cached else [])]

    def _alternatives(self, names: Sequence[str]) -> str:
        """Return which revisions hold what is missing of weights; nothing of other files."""
        if not any(name.endswith(SUFFIX) for name in names):
            return ""
        try:
            found = find_revisions(self.repository, SUFFIX)
        except InputError as error:
            logger.warning("the revisions could not be listed: %s", error)
            found = {}
        if not found:
            return "; no branch, tag or pull request has one, so convert them where they come from"
        told = "; ".join(f"{name} ({_shortened(files)})" for name, files in found.items())
        return f"; set `revision` to one that has: {told}"


def fetch_weights(
    snapshot: Snapshot, files: Sequence[str] | None, any_tokenizer: bool = False
) -> dict[str, list[str]]:
    """Fetch the files of a model; return {weights, settings, vocabulary: names}.

    `files` are those of weights, None for what is there: see `choose_weight_files`. `vocabulary` is
    that of our own tokens, or the files of whatever tokenizer there is.
    """
    names = snapshot.names
    vocabulary = list_tokenizer_files(names) if any_tokenizer else [VOCABULARY]
    small = [SETTINGS, *vocabulary]
    if missing := [name for name in (*small, *(files or ())) if name not in names]:
        raise snapshot.missing(missing, f"it has no {missing[0]}")
    roles = {"settings": [SETTINGS], "vocabulary": vocabulary}
    for name in small:  # the small ones first: whoever may not have them waits not
        snapshot.get(name)
    try:
        weights = list(files) if files else choose_weight_files(names, snapshot.get)
    except MissingFileError as error:
        raise snapshot.missing(error.missing, str(error)) from None
    except InputError as error:
        raise InputError(f"{snapshot.repository.shown}: {error}; name them as `files`.") from None
    for name in weights:
        snapshot.get(name)
    return {"weights": weights, **roles}


def fetch_splits(snapshot: Snapshot, patterns: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Fetch the files of a data set; return {split: names}, those of a pattern in order.

    `patterns` are {split: names, in which * and ? stand for letters}.
    """
    roles: dict[str, list[str]] = {}
    for split, own in patterns.items():
        roles[split] = []
        for pattern in own:
            names = snapshot.names
            found = [pattern] if pattern in names else fnmatch.filter(names, pattern)
            if not found:
                raise snapshot.missing([pattern], f"it has no file {pattern}")
            roles[split] += found
    for name in dict.fromkeys(name for own in roles.values() for name in own):
        snapshot.get(name)
    return roles


def fetch(
    request: Mapping[str, Any],
    *,
    sha256: Mapping[str, str],
    folder: str | Path,
    mirror: str | Path | None,
    lock_path: str | Path,
    listing: str | Path,
    policy: RetryPolicy = RETRY_POLICY,
) -> None:
    """Fetch what a model or a task needs of a repository; write down which files these are.

    `request` has the fields of a `Repository`, and `files` of a model's weights (`any_tokenizer`
    where it has tokens of its own) or `patterns` of a data set's splits. `listing` gets repository,
    revision, commit and {role: addresses}, which are paths below `folder`.

    Raises InputError when something is missing, refused, or another file than was expected.
    """
    fields = ("kind", "name", "revision", "server")
    repository = Repository(**{key: request[key] for key in fields})
    snapshot = Snapshot(
        repository, folder=folder, mirror=mirror, lock_path=lock_path, sha256=sha256, policy=policy
    )
    if "patterns" in request:
        roles = fetch_splits(snapshot, request["patterns"])
    else:
        any_tokenizer = request.get("any_tokenizer", False)
        roles = fetch_weights(snapshot, request["files"], any_tokenizer)
    snapshot.keep_listing()
    addresses = {role: [repository.address(n) for n in names] for role, names in roles.items()}
    facts = {key: getattr(repository, key) for key in fields}
    write_json(listing, {**facts, "commit": snapshot.listing.commit, "files": addresses})
    logger.info("%s: %s", repository.shown, json.dumps(roles))


def _list_folder(place: Path) -> dict[str, Path]:
    """Return {name: path} of the finished files below a folder, which may be missing."""
    return {
        path.relative_to(place).as_posix(): path
        for path in sorted(place.rglob("*"))
        if path.is_file() and not path.name.endswith(UNFINISHED) and not path.name.startswith(".")
    }


def _shortened(names: Sequence[str]) -> str:
    rest = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {rest} more" if rest > 0 else "")
