"""Files under their final name only when complete, however many write them, wherever they run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dnalm import files
from dnalm.configuration.task_sheet import read_task_sheet
from dnalm.errors import InputError
from dnalm.files import atomic_path, read_facts, read_json, read_tsv
from dnalm.genome.haplotypes.populations import read_populations
from dnalm.genome.species.sheet import read_sheet
from dnalm.interpretation.likelihoods.assay_table import read_assay
from dnalm.jobs.processes import start_of
from dnalm.variants.prioritisation.allele_tables import read_variant_table

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(files.__file__).parents[1])}
# Writes half of a file, says so, and waits for a line before it would go on.
HALF = """
import sys
from dnalm.files import atomic_path
with atomic_path(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    print(temporary.name, flush=True)
    sys.stdin.readline()
    temporary.write_bytes(b"whole")
"""


def begin(path: Path) -> tuple[subprocess.Popen, Path]:
    """Return a process that has written half of `path`, and its temporary."""
    process = subprocess.Popen(
        [sys.executable, "-c", HALF, str(path)],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    return process, path.with_name(process.stdout.readline().strip())


def test_two_writers_with_one_process_number_never_share_a_temporary(tmp_path, monkeypatch):
    path = tmp_path / "x.npy"
    # In containers many processes have the number 1; started in one tick they are alike in all.
    monkeypatch.setattr(
        files, "_writer", lambda: f"0000abcd-1-{start_of(os.getpid())}", raising=False
    )
    first, second = atomic_path(path), atomic_path(path)
    one = first.__enter__()
    one.write_bytes(b"A" * 50)
    two = second.__enter__()
    two.write_bytes(b"B" * 25)
    first.__exit__(None, None, None)
    assert path.read_bytes() == b"A" * 50
    two.write_bytes(b"B" * 50)
    second.__exit__(None, None, None)
    assert path.read_bytes() == b"B" * 50
    assert os.listdir(tmp_path) == ["x.npy"]


def test_what_a_killed_writer_left_goes_and_what_a_living_one_writes_stays(tmp_path):
    path = tmp_path / "x.tsv"
    killed, left = begin(path)
    living, growing = begin(path)
    assert left.exists()
    assert growing.suffix == ".tsv"
    killed.kill()
    killed.wait()
    others = [tmp_path / name for name in (".x.tsv", left.name.replace(".x.", ".x.y."))]
    for other in others:
        other.touch()
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"ours")
    assert not left.exists()
    assert growing.read_bytes() == b"half"
    assert all(other.exists() for other in others)
    living.communicate("\n", timeout=60)
    assert path.read_bytes() == b"whole"


@pytest.mark.parametrize("folder", [False, True])
def test_a_temporary_of_another_machine_goes_when_nobody_wrote_it_for_a_week(
    tmp_path, monkeypatch, folder
):
    path = tmp_path / "x"
    # Its number and beginning are those of a process that runs here.
    elsewhere = tmp_path / f".x.0123abcd-{os.getpid()}-{start_of(os.getpid())}-00000000"
    if folder:
        elsewhere.mkdir()
        (elsewhere / "part").touch()
    else:
        elsewhere.touch()
    os.utime(elsewhere, (0, 0))  # as a link to an old file has it
    with atomic_path(path) as temporary:
        temporary.touch()
    assert elsewhere.exists()
    now = files.time.time()
    monkeypatch.setattr(files.time, "time", lambda: now + 8 * 86_400)
    with atomic_path(path) as temporary:
        temporary.touch()
    assert not elsewhere.exists()


def test_an_error_leaves_the_file_as_it_was_and_no_temporary(tmp_path):
    path = tmp_path / "x"
    path.write_text("before")

    def fail(temporary: Path) -> None:
        temporary.mkdir()
        raise KeyError

    with pytest.raises(KeyError), atomic_path(path) as temporary:
        fail(temporary)
    assert path.read_text() == "before"
    assert os.listdir(tmp_path) == ["x"]


OTHER_LOCALE = """
import locale, sys
from pathlib import Path
from dnalm.download.checksums import Checksums, record_checksums, recorded_sha256
from dnalm.files import read_json, write_json
from dnalm.genome.bases import GenomeBases, write_bases

assert locale.getpreferredencoding(False).lower().replace("-", "") != "utf8"
folder = Path(sys.argv[1])
write_json(folder / "x.json", {"name": "caf\\u00e9 \\u6f22"})
assert read_json(folder / "x.json") == {"name": "caf\\u00e9 \\u6f22"}
record_checksums(folder / "lock.tsv", "h/\\u00e9", Checksums(sha256="0" * 64, md5="0" * 32, size=1))
assert recorded_sha256(folder / "lock.tsv", "h/\\u00e9") == "0" * 64
(folder / "g.fa").write_bytes(">caf\\u00e9\\nACGT\\n".encode())
paths = {name: folder / f"g.{name}" for name in ("bases", "contigs", "manifest")}
write_bases(folder / "g.fa", name="g", config={"species": "\\u6f22"}, **paths)
genome = GenomeBases(paths["bases"], paths["contigs"])
assert genome.contigs["contig"].tolist() == ["caf\\u00e9"]
"""


def test_files_are_utf8_whatever_the_locale_of_a_machine(tmp_path):
    """A cluster's locale may be of another encoding, in which a name cannot be written."""
    settings = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", OTHER_LOCALE, str(tmp_path)],
        env=ENVIRONMENT | settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", [b"", b"{", b"\xff", b"[" * 100_000, b'{"a": 1'])
def test_a_damaged_json_file_is_named(tmp_path, text):
    path = tmp_path / "run.json"
    path.write_bytes(text)
    with pytest.raises(InputError, match=r"run\.json is no JSON file"):
        read_json(path)


@pytest.mark.parametrize("name", ["run.json", "file/run.json", "."])
def test_a_json_file_that_is_not_there_is_named(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=re.escape(f"There is no file {tmp_path / name};")):
        read_json(tmp_path / name)


def test_the_keys_of_a_json_file_are_there(tmp_path):
    path = tmp_path / "run.json"
    path.write_text('{"k": 6}')
    assert read_facts(path, ["k"]) == {"k": 6}
    with pytest.raises(InputError, match=r"run\.json has no key encoder"):
        read_facts(path, ["k", "encoder"])
    path.write_text("[1]")
    with pytest.raises(InputError, match=r"run\.json is no JSON object"):
        read_facts(path, ["k"])


def read_table(path, text: bytes):
    path.write_bytes(text)
    return read_tsv(path, ["name"], numbers=["value"], whole=["rows"], remedy="make it anew")


def test_a_table_is_read_with_its_types(tmp_path):
    table = read_table(tmp_path / "t.tsv", b"name\tvalue\trows\na\t0.5\t7\nb\t\t8\n")
    assert table["name"].tolist() == ["a", "b"]
    assert table["value"].isna().tolist() == [False, True]
    assert table["rows"].tolist() == [7, 8]
    assert read_table(tmp_path / "t.tsv", b"name\tvalue\trows\n").empty


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no table that can be read"),
        (b"\xce", "no table that can be read"),
        (b"name\tvalue\trows\na\t1\t2\na\t1\t2\t3\n", "no table that can be read"),
        (b"name\tvalue\na\t1\n", "the column rows is missing"),
        (b'name\tvalue\trows\na\t0"\t1\n', "a cell of the column value is not a number"),
        (b"name\tvalue\trows\na\t1\t1.5\n", "a cell of the column rows is not a whole number"),
    ],
)
def test_a_damaged_table_is_one_sentence_with_the_remedy(tmp_path, text, said):
    path = tmp_path / "t.tsv"
    with pytest.raises(InputError, match=said) as refused:
        read_table(path, text)
    assert str(refused.value).startswith(f"{path}: ")
    assert str(refused.value).endswith("; make it anew.")
    assert "\n" not in str(refused.value)


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"t\.tsv: No such file"):
        read_tsv(tmp_path / "t.tsv")


ASSAY = {"assay": "a", "columns": {}, "interval": None}


@pytest.mark.parametrize(
    "read",
    [
        read_task_sheet,
        read_sheet,
        read_variant_table,
        lambda path: read_populations(path, ["one"]),
        lambda path: read_assay(path, ASSAY, None),
    ],
    ids=["tasks", "genomes", "variants", "populations", "assays"],
)
def test_a_table_of_semicolons_is_told_by_them(tmp_path, read):
    path = tmp_path / "t.csv"
    path.write_text("name;task;sample;pos\none;mine.a;one;1\n")
    with pytest.raises(InputError, match=r"t\.csv: its columns are separated by ';'; separate"):
        read(path)
