"""NCBI's assembly summaries, reduced to the best assembly of every species.

Source: README_assembly_summary.txt on NCBI's server, which describes the columns.
"""

import io
import logging
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dnalm.download.compression import open_binary
from dnalm.errors import InputError

REQUIRED_COLUMNS = (
    "assembly_accession",
    "refseq_category",
    "species_taxid",
    "organism_name",
    "version_status",
    "assembly_level",
    "ftp_path",
)
OPTIONAL_COLUMNS = ("taxid", "group")
REFSEQ_CATEGORIES = ("reference genome", "representative genome")
VERSION_STATUSES = {"latest", "replaced", "suppressed"}
ASSEMBLY_LEVELS = ("complete genome", "chromosome", "scaffold", "contig")
# Values of the column `group`, in the files and in their description.
NCBI_GROUPS = {
    *("archaea", "bacteria", "fungi", "invertebrate", "metagenomes", "other", "plant", "plants"),
    *("protozoa", "vertebrate_mammalian", "vertebrate_other", "viral", "virus", "viruses"),
}
# First words of names that are no genus, capital or not, and second words that say that the first
# is a family, order or phylum ("Rhizobiales bacterium").
NOT_A_GENUS = {"uncultured", "unclassified", "unidentified", "unknown", "synthetic", "candidate"}
NOT_A_GENUS |= {"bacterium", "archaeon", "metagenome", "environmental"}
ABOVE_GENUS = {"bacterium", "proteobacterium", "archaeon", "fungus"}
ACCESSION_PATTERN = r"GC[AF]_\d{9}(?:\.\d+)?"
MAX_LISTED = 8  # lines that a message names

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Assembly:
    """One assembly; `rank` is lower for a better one of the same species."""

    accession: str
    organism: str
    taxid: str
    genus: str
    url: str
    rank: tuple[int, int, str]


@dataclass(frozen=True, kw_only=True)
class Summary:
    """The candidates of one file: `species` is {species taxid: its best assembly}.

    `rows` counts the candidates and, by reason, the rows skipped; `date` is that in the file's
    header, if there is one. The rest is what `find` needs.
    """

    date: str | None
    rows: Counter[str] = field(default_factory=Counter)
    species: dict[str, Assembly] = field(default_factory=dict)
    accessions: dict[str, Assembly] = field(default_factory=dict)
    named: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    prefixed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def find(self, entry: str) -> list[Assembly]:
        """Return the assemblies that fit an entry which the file was read with, at best one.

        An accession is given with or without its version. A name is that of a species, or else
        the beginning of longer ones (`Saccharomyces cerevisiae` of `Saccharomyces cerevisiae
        S288C`), and fits the best assembly of these species.
        """
        if entry in self.accessions:
            return [self.accessions[entry]]
        name = _plain_name(entry).lower()
        taxids = self.named.get(name) or self.prefixed.get(name, ())
        return [self.species[taxid] for taxid in sorted(taxids)]


def read_summary(path: str | Path, *, group: str, include: Iterable[str]) -> Summary:
    """Return the candidates of an assembly summary, RefSeq's or GenBank's.

    Rows are skipped, and counted, that are of another group by the column `group` (which older
    files lack), of no species by its number, not the latest version, without files on the server,
    or named without a genus. A tab or a line break inside a cell is mended where that can be done
    in one way only; otherwise its row is skipped, counted and warned of.
    `include` are accessions and names to `find` afterwards.

    Raises:
        InputError: the file is missing, has no header, lacks a column, or has a row cut short.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(
            f"species.summaries.{group}: {path} does not exist; give the path or the URL of an"
            " assembly_summary.txt."
        )
    if path.is_dir():
        raise InputError(f"species.summaries.{group}: {path} is a folder; give a file in it.")
    with open_binary(path) as raw:
        # Lines end as NCBI ends them: a carriage return may stand inside a cell.
        file = io.TextIOWrapper(raw, encoding="utf-8", errors="replace", newline="\n")
        lines = enumerate(file, start=1)
        header, date = _read_header(lines, path)
        reader = _Reader(header, group, list(include), date)
        for number, cells, joined in join_rows(path, lines):
            reader.add(cells, joined, f"{path}:{number}")
    if reader.broken:
        log.warning(
            "%s: %d rows have a tab or line break inside a cell and are left out, the first are"
            " those of the lines %s.",
            *(path, len(reader.broken), ", ".join(map(str, reader.broken[:MAX_LISTED]))),
        )
    return reader.summary


def join_rows(
    path: Path, lines: Iterable[tuple[int, str]]
) -> Iterator[tuple[int, list[str], bool]]:
    """Yield the number of the first line and the cells of every row, and whether it had more lines.

    Every row begins with an accession, so any other line goes on with a cell of the line before.
    """
    first, cells, joined = 0, [], False
    for number, line in lines:
        if not line.strip() or line.startswith("#"):
            continue
        found = line.rstrip("\r\n").split("\t")
        if re.fullmatch(ACCESSION_PATTERN, found[0].strip()):
            if cells:
                yield first, cells, joined
            first, cells, joined = number, found, False
        elif cells:
            cells[-1] = f"{cells[-1].strip()} {found[0].strip()}".strip()
            cells += found[1:]
            joined = True
        else:
            raise InputError(
                f"{path}:{number}: the row begins with '{found[0][:40]}', which is no accession;"
                " give one of NCBI's assembly_summary files as it is."
            )
    if cells:
        yield first, cells, joined


def genus_of(organism: str) -> str | None:
    """Return the genus in an organism's name, None where it has none."""
    first, *rest = _plain_name(organism).split(maxsplit=2) or [""]
    known = re.fullmatch(r"[A-Z][A-Za-z-]*[a-z]", first) and first.lower() not in NOT_A_GENUS
    above = first.endswith("aceae") or (rest and rest[0].lower() in ABOVE_GENUS)
    return first if known and not above else None


def url_of(ftp_path: str) -> str:
    """Return the https address of the sequences in an assembly's folder."""
    folder = re.sub(r"^[a-z]+://", "https://", ftp_path).rstrip("/")
    return f"{folder}/{folder.rsplit('/', 1)[-1]}_genomic.fna.gz"


def _read_header(lines: Iterator[tuple[int, str]], path: Path) -> tuple[list[str], str | None]:
    """Return the names of the columns, and the date in the lines before them if there is one."""
    date, number = None, 1
    for number, line in lines:
        header = [cell.strip() for cell in line.lstrip("#").split("\t")]
        if header[0] == REQUIRED_COLUMNS[0]:
            if missing := [column for column in REQUIRED_COLUMNS if column not in header]:
                raise InputError(
                    f"{path}:{number}: the column {missing[0]} is missing; give one of NCBI's"
                    " assembly_summary files with all its columns."
                )
            return header, date
        if not line.startswith("#"):
            break
        if dated := re.search(r"\d{4}[-/]\d{2}[-/]\d{2}", line):
            date = dated[0]
    raise InputError(
        f"{path}:{number}: there is no line that begins with #{REQUIRED_COLUMNS[0]}; give one of"
        " NCBI's assembly_summary files as it is."
    )


def _plain_name(organism: str) -> str:
    """Return an organism's name without brackets, quotes and the word Candidatus."""
    return re.sub(r"^Candidatus\s+", "", re.sub(r"[\[\]'\"]", "", organism).strip())


class _Reader:
    """Adds the rows of a file to its summary."""

    def __init__(self, header: list[str], group: str, include: list[str], date: str | None) -> None:
        self.summary, self.group = Summary(date=date), group
        self.columns = {
            name: header.index(name)
            for name in (*REQUIRED_COLUMNS, *OPTIONAL_COLUMNS)
            if name in header
        }
        self.longest, self.width = max(self.columns.values()), len(header)
        self.broken: list[int] = []  # lines
        self.accessions = {entry for entry in include if re.fullmatch(ACCESSION_PATTERN, entry)}
        self.names = tuple(_plain_name(entry).lower() for entry in include)

    def add(self, cells: list[str], joined: bool, place: str) -> None:
        """Count a row, and keep its assembly if it is the best of its species or included."""
        if len(cells) <= self.longest:
            raise InputError(
                f"{place}: the row ends after {len(cells)} cells of at least {self.longest + 1};"
                " get the file again."
            )
        row = self._read(cells, joined)
        if row is None:
            self.broken.append(int(place.rsplit(":", 1)[1]))
            self.summary.rows["broken by a tab or a line break"] += 1
            return
        genus = genus_of(row["organism_name"])
        outcome = self._classify(row, genus)
        self.summary.rows[outcome] += 1
        if outcome == "candidates":
            assembly = _assembly(row, genus)
            best = self.summary.species.setdefault(assembly.taxid, assembly)
            if assembly.rank < best.rank:
                self.summary.species[assembly.taxid] = assembly
            self._remember(assembly)

    def _read(self, cells: list[str], joined: bool) -> dict[str, str] | None:
        """Return the cells that are needed by column, None where they are not sure.

        Of a row with cells too many one was cut by tabs: each is tried, and what is read has to
        be the same for all that make sense.
        """
        extra = max(0, len(cells) - self.width)
        fits = _makes_sense if extra or joined else _has_address
        found = []
        for cut in range(self.width if extra else 1):
            whole = " ".join(cell.strip() for cell in cells[cut : cut + extra + 1])
            tried = [*cells[:cut], whole, *cells[cut + extra + 1 :]]
            row = {name: tried[column].strip() or "na" for name, column in self.columns.items()}
            if fits(row) and row not in found:
                found.append(row)
        return found[0] if len(found) == 1 else None

    def _classify(self, row: dict[str, str], genus: str | None) -> str:
        group = row.get("group", "").lower()
        if group in NCBI_GROUPS and group != self.group:
            return "of another group"
        if not re.fullmatch("[0-9]+", row["species_taxid"]):
            return "without a species"  # all of them would be one
        if row["version_status"] != "latest":
            return "not the latest version"
        if row["ftp_path"] == "na":
            return "without files"
        return "candidates" if genus else "named without a genus"

    def _remember(self, assembly: Assembly) -> None:
        accession = assembly.accession
        for entry in self.accessions & {accession, accession.split(".")[0]}:
            self.summary.accessions[entry] = assembly
        name = _plain_name(assembly.organism).lower()
        if name.startswith(self.names):
            self.summary.named[name].add(assembly.taxid)
            for beginning in self.names:
                if name.startswith(f"{beginning} "):
                    self.summary.prefixed[beginning].add(assembly.taxid)


def _has_address(row: dict[str, str]) -> bool:
    """Return whether `ftp_path` is empty or an address, and not one of another assembly."""
    path = row["ftp_path"]
    folder = path.rstrip("/").rsplit("/", 1)[-1]
    other = re.match(ACCESSION_PATTERN, folder) and not folder.startswith(row["assembly_accession"])
    return path == "na" or (re.fullmatch(r"[a-z]+://[^\s/]+/\S+", path) and not other)


def _makes_sense(row: dict[str, str]) -> bool:
    """Return whether all cells of a row are of the kinds that their columns hold."""
    return (
        _has_address(row)
        and re.fullmatch("[0-9]+", row["species_taxid"]) is not None
        and re.fullmatch("[0-9]+", row.get("taxid", "0")) is not None
        and row["refseq_category"].lower() in {"na", *REFSEQ_CATEGORIES}
        and row["version_status"].lower() in VERSION_STATUSES
        and row["assembly_level"].lower() in ASSEMBLY_LEVELS
        and row.get("group", "na").lower() in {"na", *NCBI_GROUPS}
    )


def _assembly(row: dict[str, str], genus: str) -> Assembly:
    category, level = row["refseq_category"].lower(), row["assembly_level"].lower()
    return Assembly(
        accession=row["assembly_accession"],
        organism=row["organism_name"],
        taxid=row["species_taxid"],
        genus=genus,
        url=url_of(row["ftp_path"]),
        rank=(
            REFSEQ_CATEGORIES.index(category)
            if category in REFSEQ_CATEGORIES
            else len(REFSEQ_CATEGORIES),
            ASSEMBLY_LEVELS.index(level) if level in ASSEMBLY_LEVELS else len(ASSEMBLY_LEVELS),
            row["assembly_accession"],
        ),
    )
