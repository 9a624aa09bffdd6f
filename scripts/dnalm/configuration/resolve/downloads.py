"""Files that genomes and tasks of the configuration are downloaded from, each once."""

from collections.abc import Iterable, Mapping
from typing import Any

from dnalm.configuration.builds import list_build_downloads
from dnalm.configuration.resolve.task_entries import (
    is_of_hub,
    list_label_files,
    list_roles,
    list_sources,
    resolve_task,
)
from dnalm.download.addresses import address_of, web_url
from dnalm.errors import InputError


def list_downloads(
    config: Mapping[str, Any], genomes: Mapping[str, Mapping[str, Any]], tasks: Iterable[str]
) -> list[dict[str, Any]]:
    """Return {urls, sha256, md5} of every file to download for these genomes and tasks."""
    downloads = []
    for genome in genomes.values():
        if "url" in genome:
            urls = genome["url"]
            urls = [urls] if isinstance(urls, str) else urls
            sums = {key: genome.get(key) for key in ("sha256", "md5")}
            downloads.append({"urls": urls, **sums})
    for name in tasks:
        task = resolve_task(config, name)
        downloads += list_build_downloads(task["build"]) if "build" in task else []
        own = "url" in task and not is_of_hub(config, name)
        for split in list_roles(task) if own else ():
            sha256 = task.get("sha256", {}).get(split)
            for url in list_sources(task, name, split):
                downloads.append({"urls": [url], "sha256": sha256, "md5": None})
        for split in list_roles(task) if "labels_file" in task else ():
            sha256 = task.get("sha256", {}).get(f"{split}_labels")
            for url in list_label_files(task, name, split):
                if "://" in url:
                    downloads.append({"urls": [url], "sha256": sha256, "md5": None})
    return downloads


def merge_downloads(downloads: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return {address: download}, several requests for one file as one with all their sums.

    Their URLs are http(s), see `web_url`.

    Raises InputError for two of one address with other URLs or with sums that contradict.
    """
    merged: dict[str, dict[str, Any]] = {}
    for download in downloads:
        urls = [web_url(url) for url in download["urls"]]
        address, *_ = map(address_of, urls)
        kept = merged.setdefault(address, {**download, "urls": urls})
        if urls != kept["urls"]:
            raise InputError(
                f"{address} would be the copy of {', '.join(kept['urls'])} and of"
                f" {', '.join(urls)}; give the same addresses in both places, or keep"
                " a copy of one of them under `path`."
            )
        for key in ("sha256", "md5"):
            sums = [entry[key].lower() for entry in (kept, download) if entry[key]]
            if len(set(sums)) > 1:
                raise InputError(
                    f"{download['urls'][0]} is asked for with the {key} {' and '.join(sums)};"
                    " correct one of them."
                )
            kept[key] = sums[0] if sums else None
    _check_folders(merged)
    return merged


def _check_folders(addresses: Iterable[str]) -> None:
    """Raise InputError where one address is a folder of another one, and both would be files."""
    known = set(addresses)
    for address in known:
        parts = address.split("/")
        for end in range(2, len(parts)):
            if (above := "/".join(parts[:end])) in known:
                raise InputError(
                    f"{above} and {address} are both to be downloaded, but one is the folder of the"
                    " other on a disk; get one of them yourself and give its `path`."
                )
