"""A list of species is drawn by the paper's rule, and anybody can draw it again."""

import hashlib
import json

import pytest

from dnalm.errors import InputError
from dnalm.genome.species.assembly_summaries import genus_of, read_summary
from dnalm.genome.species.draw import SpeciesConfig, draw_species, write_sheet
from dnalm.genome.species.sheet import read_sheet

# As NCBI writes it: a line about the file, a header, tabs; fewer of the columns that are not read.
COLUMNS = [
    *("assembly_accession", "bioproject", "refseq_category", "taxid", "species_taxid"),
    *("organism_name", "version_status", "assembly_level", "ftp_path", "group"),
]
HEADER = "#" + "\t".join(COLUMNS)
ABOUT = "##  See ftp://ftp.ncbi.nlm.nih.gov/genomes/README_assembly_summary.txt, made 2024-05-17\n"
FOLDER = "https://ftp.ncbi.nlm.nih.gov/genomes/all/GCF/000"


def row(number, organism, taxid, **cells):
    """Return one row, of a latest contig-level assembly unless `cells` says otherwise."""
    accession = cells.get("assembly_accession", f"GCF_{number:09}.1")
    values = {
        "assembly_accession": accession,
        "bioproject": "PRJNA1",
        "refseq_category": "na",
        "taxid": "1",
        "species_taxid": str(taxid),
        "organism_name": organism,
        "version_status": "latest",
        "assembly_level": "Contig",
        "ftp_path": f"{FOLDER}/{accession}_ASM{number}v1",
        "group": "fungi",
    }
    return "\t".join({**values, **cells}[column] for column in COLUMNS) + "\n"


def write(path, rows, header=HEADER):
    path.write_text(ABOUT + header + "\n" + "".join(rows))
    return path


def configure(counts, seed=42, include=()):
    summaries = {group: f"https://h.org/{group}.txt" for group in counts}
    return SpeciesConfig(seed=seed, counts=counts, summaries=summaries, include=list(include))


def draw_fungi(folder, rows, count, **settings):
    """Return the draw of so many fungi from these rows."""
    path = write(folder / "fungi.txt", rows)
    return draw_species(configure({"fungi": count}, **settings), {"fungi": path})


# Ten genera of three species, the accession's number 100 * genus + species.
GENERA = [f"Genus{letter}" for letter in "abcdefghij"]
MANY = [
    row(100 * i + j, f"{genus} species{j}", 1000 + 10 * i + j)
    for i, genus in enumerate(GENERA)
    for j in range(3)
]


@pytest.mark.parametrize("header", ["#", "# "])
def test_the_best_assembly_of_a_species_is_taken(tmp_path, header):
    rows = [
        row(1, "Aus bus", 7, assembly_level="Complete Genome"),
        row(4, "Aus bus strain 4", 7, refseq_category="representative genome"),
        row(3, "Aus bus", 7, refseq_category="reference genome", assembly_level="Scaffold"),
        row(2, "Aus bus", 7, refseq_category="reference genome", assembly_level="Chromosome"),
        row(5, "Cus dus", 8, assembly_level="Chromosome"),
        row(6, "Cus dus", 8, assembly_level="Complete genome"),
        row(8, "Eus fus", 9),
        row(7, "Eus fus", 9),
    ]
    path = write(tmp_path / "summary.txt", rows, header + "\t".join(COLUMNS))
    best = read_summary(path, group="fungi", include=[]).species
    assert {taxid: assembly.accession for taxid, assembly in best.items()} == {
        "7": "GCF_000000002.1",
        "8": "GCF_000000006.1",
        "9": "GCF_000000007.1",
    }


def test_rows_that_cannot_be_drawn_are_skipped_and_counted(tmp_path):
    rows = [
        row(1, "Aus bus", 1),
        row(2, "Cus dus", 2, version_status="replaced"),
        row(3, "Eus fus", 3, ftp_path="na"),
        row(4, "uncultured bacterium", 4),
        row(5, "Gus hus", 5, group="plant"),
        row(6, "Ius jus", 6, group="viral"),
        row(7, "Kus lus", 7, group="Ascomycota"),
        row(8, "Mus nus", ""),
        row(9, "Ous pus", "na"),
    ]
    draw = draw_fungi(tmp_path, rows, 2)
    assert {entry["species"] for entry in draw.rows} == {"Aus bus", "Kus lus"}
    assert draw.record["groups"]["fungi"]["rows"] == {
        "candidates": 2,
        "not the latest version": 1,
        "without files": 1,
        "named without a genus": 1,
        "of another group": 2,
        "without a species": 2,
    }


@pytest.mark.parametrize(
    ("organism", "genus"),
    [
        ("Escherichia coli str. K-12 substr. MG1655", "Escherichia"),
        ("Candidatus Pelagibacter ubique", "Pelagibacter"),
        ("'Candidatus Phytoplasma mali'", "Phytoplasma"),
        ("[Clostridium] symbiosum", "Clostridium"),
        ('"Bacillus" sp. 1', "Bacillus"),
        ("Wolbachia endosymbiont of Drosophila melanogaster", "Wolbachia"),
        ("Cyanobacterium aponinum", "Cyanobacterium"),
        ("uncultured bacterium", None),
        ("Uncultured Acidobacterium sp.", None),
        ("unclassified Bacillus", None),
        ("bacterium 336/3", None),
        ("synthetic construct", None),
        ("candidate division TM7", None),
        ("Lachnospiraceae bacterium 3_1_57FAA", None),
        ("Rhizobiales bacterium", None),
        ("SAR324 cluster bacterium", None),
        ("", None),
    ],
)
def test_the_genus_is_the_first_word_unless_that_is_none(organism, genus):
    assert genus_of(organism) == genus


def test_a_genus_gives_one_species_and_a_group_as_many_as_asked_for(tmp_path):
    draw = draw_fungi(tmp_path, MANY, 6)
    genera = [entry["species"].split()[0] for entry in draw.rows]
    assert len(genera) == len(set(genera)) == 6
    assert draw.record["genomes"] == 6
    assert draw.record["groups"]["fungi"]["candidate_genera"] == 10
    assert draw.record["groups"]["fungi"]["candidate_species"] == 30


def test_the_seed_alone_decides_the_draw_and_its_order(tmp_path):
    lists = {seed: draw_fungi(tmp_path, MANY, 6, seed=seed).rows for seed in range(40)}
    assert draw_fungi(tmp_path, MANY[::-1], 6, seed=3).rows == lists[3]
    drawn = [{entry["species"] for entry in rows} for rows in lists.values()]
    # Every species has 6 chances in 30 with every seed, so in 40 seeds each is drawn at times.
    assert set.union(*drawn) == {line.split("\t")[5] for line in MANY}
    orders = {seed: [entry["species"][:6] for entry in rows] for seed, rows in lists.items()}
    assert sum(order == sorted(order) for order in orders.values()) <= 2


def test_a_genus_that_is_added_changes_at_most_one_species(tmp_path):
    before = draw_fungi(tmp_path, MANY, 6).rows
    for name in ("Newus", "Otherus", "Thirdus", "Lastus"):
        after = draw_fungi(tmp_path, [*MANY, row(9999, f"{name} novus", 9999)], 6).rows
        kept = [entry for entry in after if entry in before]
        assert len(kept) >= 5
        assert kept == [entry for entry in before if entry in after]


def test_included_species_come_first_count_and_stand_for_their_genus(tmp_path):
    rows = [
        *MANY,
        row(5001, "Saccharomyces cerevisiae S288C", 4932, refseq_category="reference genome"),
        row(5002, "Saccharomyces cerevisiae YJM", 4932),
        row(5003, "Saccharomyces paradoxus", 27291),
        row(5004, "[Candida] albicans", 5476),
        row(5005, "Candida albicans X", 99),
    ]
    include = ["saccharomyces cerevisiae", "GCF_000000102", "Candida albicans"]
    for seed in range(5):
        draw = draw_fungi(tmp_path, rows, 6, seed=seed, include=include)
        first = [entry["accession"] for entry in draw.rows[:3]]
        assert first == ["GCF_000005001.1", "GCF_000000102.1", "GCF_000005004.1"]
        genera = [entry["species"].strip("[").split()[0].strip("]") for entry in draw.rows]
        assert len(draw.rows) == len(set(genera)) == 6
    assert draw.record["groups"]["fungi"]["included"] == first
    assert draw.record["groups"]["fungi"]["drawn"] == 3


def test_an_included_accession_is_taken_though_its_species_has_a_better_one(tmp_path):
    rows = [row(1, "Aus bus", 7, refseq_category="reference genome"), row(2, "Aus bus", 7)]
    draw = draw_fungi(tmp_path, rows, 1, include=["GCF_000000002.1"])
    assert [entry["accession"] for entry in draw.rows] == ["GCF_000000002.1"]


@pytest.mark.parametrize(
    ("count", "include", "sentence"),
    [
        (11, [], "species.counts.fungi: 11 genera are to be drawn, but https://h.org/fungi.txt"),
        (11, [], "has 10; lower the number to 10"),
        (11, ["Genusa species0"], "10 genera are to be drawn beside the 1 of species.include"),
        (1, ["Genusa species0", "Genusb species0"], "1 species are asked for, but 2 are in"),
        (6, ["Homo sapiens"], "'Homo sapiens' is in none of the summaries of fungi"),
        (6, ["GCF_000000000.2"], "'GCF_000000000.2' is in none"),
        (6, ["Genusa"], "'Genusa' fits 3 species, among them Genusa species0 (GCF_000000000.1)"),
        (6, ["Genusa species0", "GCF_000000000"], "are the same species; drop one"),
    ],
)
def test_a_list_that_cannot_be_drawn_is_refused_with_a_sentence(tmp_path, count, include, sentence):
    with pytest.raises(InputError) as error:
        draw_fungi(tmp_path, MANY, count, include=include)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", ":1: there is no line that begins with #assembly_accession"),
        ("<html>\n<body>\n", ":1: there is no line"),
        (f"{ABOUT}#assembly_accession\tbioproject\n", ":2: the column refseq_category is missing"),
        (
            f"{ABOUT}{HEADER}\n{MANY[0]}GCF_000000001.1\tPRJ\n",
            ":4: the row ends after 2 cells of at least 10",
        ),
    ],
)
def test_a_file_that_is_no_summary_is_refused_with_its_line(tmp_path, text, sentence):
    path = tmp_path / "summary.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"summary\.txt") as error:
        read_summary(path, group="fungi", include=[])
    assert sentence in str(error.value)


def test_a_folder_is_no_summary(tmp_path):
    with pytest.raises(InputError, match=r"species\.summaries\.fungi: .* is a folder"):
        read_summary(tmp_path, group="fungi", include=[])


def broken(line: str, column: str, mark: str) -> str:
    """Return a row with a tab or line break inside a cell, behind six letters of it."""
    cells = line.split("\t")
    at = COLUMNS.index(column)
    cells[at] = f"{cells[at][:6]}{mark}{cells[at][6:]}"
    return "\t".join(cells)


@pytest.mark.parametrize("mark", ["\t", "\n", "\r\n", "\r", "\t\t", "\n\n", "\t\n"])
@pytest.mark.parametrize("column", ["bioproject", "refseq_category", "organism_name", "ftp_path"])
def test_a_tab_or_line_break_in_a_cell_never_moves_a_column(tmp_path, caplog, column, mark):
    rows = [row(number, f"Genus{'abc'[number]} sp", number + 1) for number in range(3)]
    rows[1] = broken(rows[1], column, mark)
    path = write(tmp_path / "fungi.txt", rows)
    summary = read_summary(path, group="fungi", include=[])
    # A cell that nobody reads may be cut; so may a line, in a cell whose text is not what is asked.
    assert {"1", "3"} <= summary.species.keys() <= {"1", "2", "3"}
    for taxid, assembly in summary.species.items():
        accession = f"GCF_{int(taxid) - 1:09}.1"
        assert assembly.url.startswith(f"{FOLDER}/{accession}_ASM")
        assert (assembly.accession, assembly.genus[:5]) == (accession, "Genus")
    left_out = summary.rows["broken by a tab or a line break"]
    assert left_out == 3 - len(summary.species)
    assert ("those of the lines 4" in caplog.text) == bool(left_out)
    if column == "bioproject":
        assert not left_out


def test_a_row_without_an_accession_is_refused_or_belongs_to_the_one_before(tmp_path):
    path = write(tmp_path / "fungi.txt", ["notes\n", *MANY])
    with pytest.raises(InputError, match=r"fungi\.txt:3: the row begins with 'notes', which is no"):
        read_summary(path, group="fungi", include=[])
    path = write(tmp_path / "fungi.txt", [*MANY, "notes\n"])
    assert len(read_summary(path, group="fungi", include=[]).species) == len(MANY) - 1


def test_an_address_of_another_assembly_is_left_out(tmp_path):
    other = row(7, "Genusx sp", 7, ftp_path=f"{FOLDER}/GCF_000000008.1_ASM8v1")
    summary = read_summary(write(tmp_path / "f.txt", [*MANY, other]), group="fungi", include=[])
    assert "7" not in summary.species


def test_a_summary_that_is_given_for_two_groups_is_refused_unless_it_says_which_rows(tmp_path):
    header = "# " + "\t".join(COLUMNS[:-1])
    lines = [line.rsplit("\t", 1)[0] + "\n" for line in MANY]
    path = write(tmp_path / "old.txt", lines, header)
    config = configure({"fungi": 1, "protozoa": 1})
    with pytest.raises(InputError, match="is in the summaries of fungi and protozoa"):
        draw_species(config, {"fungi": path, "protozoa": path})
    protozoa = [
        row(8000 + i, f"Proto{x} y", 8000 + i, group="protozoa") for i, x in enumerate("ab")
    ]
    path = write(tmp_path / "master.txt", [*MANY, *protozoa])
    draw = draw_species(configure({"fungi": 3, "protozoa": 2}), dict.fromkeys(config.counts, path))
    assert sorted(entry["group"] for entry in draw.rows) == ["fungi"] * 3 + ["protozoa"] * 2


def test_a_drawn_list_is_a_sheet_that_leads_to_ncbis_files(tmp_path):
    rows = [
        row(1, '"Aus" bus', 1, ftp_path="ftp://ftp.ncbi.nlm.nih.gov/genomes/all/GCF_1_x"),
        row(2, "Cus dus", 2),
    ]
    draw = draw_fungi(tmp_path, rows, 2, include=["Aus bus"])
    write_sheet(draw.rows, tmp_path / "genomes.tsv")
    header = (tmp_path / "genomes.tsv").read_text().splitlines()[0]
    assert header.split("\t") == ["name", "accession", "species", "group", "url", "md5"]
    assert read_sheet(tmp_path / "genomes.tsv") == {
        "GCF_000000001.1": {
            "accession": "GCF_000000001.1",
            "species": '"Aus" bus',
            "group": "fungi",
            "url": "https://ftp.ncbi.nlm.nih.gov/genomes/all/GCF_1_x/GCF_1_x_genomic.fna.gz",
        },
        "GCF_000000002.1": {
            "accession": "GCF_000000002.1",
            "species": "Cus dus",
            "group": "fungi",
            "url": f"{FOLDER}/GCF_000000002.1_ASM2v1/GCF_000000002.1_ASM2v1_genomic.fna.gz",
        },
    }


def test_the_rule_draws_from_the_summaries_of_the_configuration_and_records_them(
    workflow, tmp_path
):
    bacteria = [line.replace("\tfungi\n", "\tbacteria\n") for line in MANY]
    path = write(tmp_path / "bacteria.txt", bacteria)
    overlay = tmp_path / "species.yaml"
    settings = {
        "counts": dict.fromkeys(
            ["fungi", "invertebrate", "protozoa", "vertebrate_mammalian", "vertebrate_other"], 0
        ),
        "summaries": {"bacteria": str(path)},
        "include": ["Genusc species1"],
    }
    settings["counts"]["bacteria"] = 4
    results = {"results": str(tmp_path / "results")}
    overlay.write_text(json.dumps({"species": settings, "pathvars": results}))
    done = workflow.run("species_sheet", "--configfile", str(overlay))
    assert done.returncode == 0, done.stdout
    genomes = read_sheet(tmp_path / "results/species/genomes.tsv")
    assert len(genomes) == 4
    assert next(iter(genomes)) == "GCF_000000201.1"
    record = json.loads((tmp_path / "results/species/genomes.json").read_text())
    assert (record["seed"], record["counts"]["bacteria"]) == (42, 4)
    group = record["groups"]["bacteria"]
    assert (group["summary"], group["date"]) == (str(path), "2024-05-17")
    assert group["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert list(record["groups"]) == ["bacteria"]
