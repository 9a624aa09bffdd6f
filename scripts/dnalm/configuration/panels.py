"""Panels of phased genotypes: where their files are, and what does not fit in the configuration."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dnalm.suggestions import nearest

ANY = "*"
OPTIONS = ("samples", "unphased", "symbolic_deletions", "largest_mismatch")


def resolve_panel(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return how the genotypes of a panel are read, defaults filled in."""
    options = {**config["panel"], **config["panels"][name]}
    return {key: options[key] for key in OPTIONS}


def select_panels(config: Mapping[str, Any], corpora: Iterable[str]) -> list[str]:
    """Return the panels that some corpora need, each once."""
    used = (config["corpora"][corpus].get("haplotypes") for corpus in corpora)
    return list(dict.fromkeys(haplotypes["panel"] for haplotypes in used if haplotypes))


def find_variants(panel: Mapping[str, Any], contig: str) -> tuple[str, bool]:
    """Return the path or address of a contig's variants, and whether they have a file alone.

    They have it where the contig is in the file's name or the file is that contig's own entry.
    """
    source, template = _source(panel), _template(panel, contig)
    named = "{contig" in template or (isinstance(source, Mapping) and contig in source)
    files = list(_list_files(panel))
    return template.format(contig=contig), named and len(set(files)) == len(files)


def _source(panel: Mapping[str, Any]) -> str | Mapping[str, str]:
    return panel["path"] if "path" in panel else panel["url"]


def _template(panel: Mapping[str, Any], contig: str) -> str:
    source = _source(panel)
    return source.get(contig, source.get(ANY, "")) if isinstance(source, Mapping) else source


def _list_files(panel: Mapping[str, Any]) -> Iterator[str]:
    for contig in panel["contigs"]:
        yield _template(panel, contig).format(contig=contig)


def list_panel_downloads(config: Mapping[str, Any], panels: Iterable[str]) -> list[dict[str, Any]]:
    """Return {urls, sha256, md5} of every file to download for these panels."""
    urls: list[str] = []
    for panel in (config["panels"][name] for name in panels):
        urls += [] if "path" in panel else _list_files(panel)
        populations = panel.get("populations", {})
        urls += [populations["url"]] if "url" in populations else []
    return [{"urls": [url], "sha256": None, "md5": None} for url in dict.fromkeys(urls)]


def find_panel_errors(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield one sentence per panel, or use of one, that does not fit the configuration."""
    for name, panel in config["panels"].items():
        key = f"panels.{name}"
        if panel["genome"] not in config["genomes"]:
            yield (
                f"{key}.genome: '{panel['genome']}' is unknown"
                f"{nearest(panel['genome'], config['genomes'])}"
            )
        elif chosen := config["genomes"][panel["genome"]].get("contigs"):
            names = list(chosen.values()) if isinstance(chosen, Mapping) else chosen
            for contig in panel["contigs"]:
                if contig not in names:
                    yield (
                        f"{key}.contigs: '{contig}' is not among the `contigs` of genome "
                        f"'{panel['genome']}'{nearest(contig, names)}"
                    )
        kind = "path" if "path" in panel else "url"
        try:
            files = list(_list_files(panel))
        except (AttributeError, LookupError, TypeError, ValueError):
            yield f"{key}.{kind}: only {{contig}} may stand in braces; rename the file."
            continue
        if braces := next((file for file in files if "{" in file or "}" in file), None):
            yield f"{key}.{kind}: the file {braces} has a brace in its name; rename the file."
        for contig, file in zip(panel["contigs"], files, strict=True):
            if not file:
                yield f"{key}.{kind}: there is no file for {contig}; add a line for it or for '*'."
        if 1 < len(set(files)) < len(files):
            shared = next(file for file in files if files.count(file) > 1)
            yield (
                f"{key}.{kind}: {shared} is of several contigs but not of all; give one file of all"
                " contigs, one of each, or a panel of its own for the others."
            )
    for name, corpus in config["corpora"].items():
        if haplotypes := corpus.get("haplotypes"):
            yield from _use(f"corpora.{name}.haplotypes", haplotypes, corpus, config["panels"])


def _use(
    key: str, haplotypes: Mapping[str, Any], corpus: Mapping[str, Any], panels: Mapping[str, Any]
) -> Iterator[str]:
    panel = haplotypes["panel"]
    if panel not in panels:
        yield f"{key}.panel: '{panel}' is unknown{nearest(panel, panels)}"
    elif panels[panel]["genome"] not in corpus.get("genomes", []):
        yield (
            f"{key}.panel: '{panel}' has the genotypes of genome '{panels[panel]['genome']}', which"
            " is not among the corpus's `genomes`; add it there."
        )
