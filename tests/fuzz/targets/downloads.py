"""The record of checksums, and addresses of downloads."""

import re
from pathlib import Path
from random import Random
from urllib.parse import unquote, urlsplit

from dnalm.download.addresses import address_of, web_url
from dnalm.download.checksums import Checksums, record_checksums, recorded_sha256
from dnalm.jobs.credentials import hide_passwords
from fuzz.target import Target
from fuzz.targets.making import word as make_word

LINES = [
    f"h.org/{name}.fa.gz\t{number:064x}\t{number:032x}\t{number}\n"
    for number, name in enumerate("abc")
]


def checksum_record(_: Path) -> Target:
    sums = Checksums(sha256="f" * 64, md5="e" * 32, size=1)

    def read(path: Path, __: Path) -> str | None:
        found = recorded_sha256(path, "h.org/a.fa.gz")
        before = path.read_bytes()
        record_checksums(path, "h.org/new", sums)
        assert recorded_sha256(path, "h.org/a.fa.gz") == found
        assert recorded_sha256(path, "h.org/new") == sums.sha256
        path.write_bytes(before)
        return found

    seeds = (
        ("address\tsha256\tmd5\tbytes\n" + "".join(LINES)).encode(),
        ("address\tsha256\tmd5\tbytes\n" + LINES[1]).encode(),
    )
    return Target(name="checksum_record", read=read, seeds=seeds, suffix=".tsv", weight=3)


def addresses(_: Path) -> Target:
    """One address a line; every place on a disk lies below the folder of downloads."""

    def generate(random: Random, size: int) -> bytes:
        def word(random: Random) -> str:
            return re.sub(r"\.+", ".", make_word(random))

        parts = "/".join(word(random) for _ in range(1 + size % 4))
        query = random.choice(("", "?f=train", "?a=1&token=abc"))
        return f"{random.choice(('http', 'https'))}://{word(random).strip('.-_')}.org/{parts}{query}".encode()

    def read(path: Path, __: Path) -> str:
        url = path.read_bytes().decode("utf-8", "replace")
        found = address_of(url)
        assert web_url(url).lower().startswith("http")
        assert not found.startswith("/")
        assert not {"", ".", ".."} & set(found.split("/")[:1])
        assert ".." not in found.split("/")
        assert "abc" not in hide_passwords("https://h.org/x?token=abc")
        return found

    def compare(path: Path, found: str) -> str:
        parts = urlsplit(path.read_text())
        wanted = f"{parts.netloc}{unquote(parts.path)}"
        same = found == wanted if not parts.query else found.startswith(parts.netloc)
        return "" if same else f"{found} is {wanted}"

    seeds = (
        b"https://ftp.ncbi.nlm.nih.gov/genomes/all/GCF/a_genomic.fna.gz",
        b"ftp://ftp.ensembl.org/pub/a.gtf.gz",
        b"https://user:secret@h.org:8080/a/get?f=train&sig=x#y",
        b"http://[::1]:80/a%20b/c",
    )
    return Target(
        name="addresses",
        read=read,
        seeds=seeds,
        generate=generate,
        oracle=compare,
        one_file=False,
        weight=5,
    )
