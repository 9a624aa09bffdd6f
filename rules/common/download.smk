"""Where files from outside lie, and what the rules of downloads are given."""

from dnalm.download.addresses import list_unmirrored
from dnalm.download.checksums import check_downloaded

WARNED = set()  # keys whose file is gone


def locate(source):
    """Return the file of a path or address."""
    return f"<results>/downloads/{address_of(source)}" if "://" in source else source


def watch(path, key, made):
    """Return a file that `key` of the configuration names; warn once where it is gone.

    Where what was `made` of it is there, Snakemake says nothing: a name that is mistyped
    later would pass for the file of before. What is ours to make or fetch is not looked at.
    """
    gone = not path.startswith("<") and not os.path.exists(get_place(path))
    if gone and key not in WARNED and workflow.exec_mode == ExecMode.DEFAULT:
        if os.path.exists(get_place(made)):
            WARNED.add(key)
            logger.warning(
                f"{key}: {path} is not there; what was made before, {get_place(made)}, stays."
            )
    return path


def get_downloads():
    """Return the files of the target `downloads`, after a look at the sums they came with.

    With a mirror these are also its copies of files that are there but not yet in it.
    """
    folder, lock = map(get_place, ("<results>/downloads", "<results>/downloads.lock.tsv"))
    try:
        check_downloaded(folder, lock, {**DOWNLOADS, **FETCHED})
    except InputError as error:
        raise WorkflowError(str(error)) from None
    files = [f"<results>/downloads/{address}" for address in DOWNLOADS] + LISTINGS
    # Downloads fill the mirror themselves, but have nothing to do for a file that is there.
    missing = list_unmirrored(folder, config["mirror"], {**DOWNLOADS, **FETCHED})
    return files + [f"{config['mirror']}/{address}" for address in missing]


def get_download(wildcards, output):
    """Return where a download is found and its sums.

    Snakemake takes what a function with `output` returns as derived from it, and fetches no file
    again because a sum or another address was added. The first address is in the file's path, and
    the sums of the files that are there are looked at by `get_downloads`.
    """
    known = Needed("downloads", {**SUMMARY_DOWNLOADS, **DOWNLOADS})
    return known[wildcards.address]


def get_repository(wildcards):
    """Return what is fetched of a hub for a model or a task."""
    find = {"models": weights.resolve_repository, "tasks": resolve.resolve_data_set}
    return find[wildcards.kind](config, wildcards.entry)


def get_repository_sums(wildcards, output):
    """Return {file: sha256} of a repository; as with `get_download` a new sum fetches nothing."""
    if wildcards.kind == "tasks":
        return {}
    return weights.resolve_weights(config, wildcards.entry).sha256
