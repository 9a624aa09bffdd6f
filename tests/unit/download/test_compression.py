"""Gzip and bgzip files of every making, against what zcat reads of them."""

import gzip
import hashlib
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pysam
import pytest
import yaml

from dnalm.benchmark.tasks.table import make_task
from dnalm.configuration.task_sheet import read_task_sheet
from dnalm.download.compression import is_truncated_bgzf, is_whole_bgzf, open_binary
from dnalm.errors import InputError
from dnalm.files import sha256_of
from dnalm.genome.annotation import read_gtf
from dnalm.genome.fasta import read_fasta
from dnalm.genome.intervals import read_bed
from dnalm.genome.species.sheet import read_sheet
from dnalm.genome.vcf import VariantReader

SHIPPED = yaml.safe_load((Path(__file__).parents[3] / "config.yaml").read_text())["task"]
DATA = np.random.default_rng(0).integers(65, 91, 300_000, dtype=np.uint8).tobytes()
MORE = b"ACGT\n" * 30_000


@pytest.fixture
def bgzip(tmp_path):
    """Return a function that compresses bytes with bgzip."""

    def compress(data: bytes) -> bytes:
        plain, packed = tmp_path / "plain", tmp_path / "plain.gz"
        plain.write_bytes(data)
        pysam.tabix_compress(str(plain), str(packed), force=True)
        return packed.read_bytes()

    return compress


def read(path) -> bytes:
    with open_binary(path) as file:
        return file.read()


def test_members_of_any_kind_are_read_one_after_the_other_as_zcat_reads_them(tmp_path, bgzip):
    members = {"g": gzip.compress(DATA), "b": bgzip(MORE), "z": b"\0" * 5000}
    path = tmp_path / "x.gz"
    for order in ("g", "b", "gg", "bb", "gb", "bg", "bgb", "gbz", "bz", "gzg", "bzgz"):
        path.write_bytes(b"".join(members[kind] for kind in order))
        assert read(path) == b"".join({"g": DATA, "b": MORE, "z": b""}[kind] for kind in order)
        if "zg" not in order:  # zcat stops at zeros
            # Its status is 2 for a warning of the zeros at the end.
            assert read(path) == subprocess.run(["zcat", path], capture_output=True).stdout, order
        assert not is_truncated_bgzf(path), order
        assert is_whole_bgzf(path) == (set(order) == {"b"}), order


@pytest.mark.parametrize("rest", [b"j", b"\x1f", b"some notes\n", b"\0\0\0x", b"index" * 9000])
@pytest.mark.parametrize("kind", ["gzip", "bgzip", "both"])
def test_bytes_behind_the_end_are_left_out_with_a_warning(tmp_path, bgzip, caplog, kind, rest):
    packed = {"gzip": gzip.compress(DATA), "bgzip": bgzip(DATA)}
    packed["both"] = packed["bgzip"] + packed["gzip"]
    path = tmp_path / "x.gz"
    path.write_bytes(packed[kind] + rest)
    with caplog.at_level(logging.WARNING):
        assert read(path) == DATA * (2 if kind == "both" else 1)
    behind = len(packed[kind]) + len(rest) - len(rest.lstrip(b"\0"))
    (record,) = caplog.records
    assert f"head -c {behind}" in record.getMessage()


def test_another_file_behind_the_end_is_refused(tmp_path):
    path = tmp_path / "x.fa.gz"
    path.write_bytes(gzip.compress(b">a\nACGT\n") + b">b\nACGT\n")
    with pytest.raises(InputError, match=r"8 bytes stand behind the end .*head -c 28"):
        read(path)


@pytest.mark.parametrize("kind", ["gzip", "bgzip", "members"])
def test_data_with_one_changed_byte_is_refused_or_read_right(tmp_path, bgzip, kind):
    packed = {"gzip": gzip.compress(DATA), "bgzip": bgzip(DATA)}
    packed["members"] = gzip.compress(DATA[:1000]) + gzip.compress(DATA[1000:])
    data, path, refused = packed[kind], tmp_path / "x.gz", 0
    random = np.random.default_rng(1)
    second = len(gzip.compress(DATA[:1000])) if kind == "members" else 20_000
    places = [*random.integers(3, len(data), 200), *range(second, second + 20)]
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= random.integers(1, 256)
        path.write_bytes(damaged)
        try:
            assert read(path) == DATA, place  # a time or a flag in a header
        except InputError as error:
            refused += str(path) in str(error)
    assert refused > len(places) / 2


@pytest.mark.parametrize("kind", ["gzip", "bgzip", "both"])
def test_truncated_data_is_refused_wherever_it_ends(tmp_path, bgzip, kind):
    packed = {"gzip": gzip.compress(DATA), "bgzip": bgzip(DATA)}
    packed["both"] = packed["bgzip"] + packed["gzip"]
    data, path = packed[kind], tmp_path / "x.gz"
    ends = {*np.random.default_rng(2).integers(18, len(data), 60), len(data) - 1, len(data) - 28}
    for end in sorted(ends):
        path.write_bytes(data[:end])
        if kind == "both" and end == len(packed["bgzip"]):
            continue
        with pytest.raises(InputError, match=r"truncated|damaged"):
            read(path)


def test_a_byte_order_mark_is_dropped_in_plain_and_packed_files(tmp_path):
    for name, data in (("x", b"\xef\xbb\xbf>a\n"), ("x.gz", gzip.compress(b"\xef\xbb\xbf>a\n"))):
        (tmp_path / name).write_bytes(data)
        assert read(tmp_path / name) == b">a\n"


def test_without_isal_the_standard_library_reads_the_same(tmp_path, bgzip):
    texts = [b">one\nACGT\n" * 1000, b">two\nTTTT\n"]
    whole, torn = tmp_path / "whole.gz", tmp_path / "torn.gz"
    whole.write_bytes(gzip.compress(texts[0]) + gzip.compress(texts[1]) + b"\0" * 100)
    torn.write_bytes(gzip.compress(texts[0])[:-5])
    code = (
        "import sys, hashlib\n"
        "sys.modules['isal'] = None\n"
        "from dnalm.download.compression import DamagedGzipError, open_binary\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        print(hashlib.sha256(open_binary(path).read()).hexdigest())\n"
        "    except DamagedGzipError:\n"
        "        print('damaged')\n"
        "assert 'isal.igzip' not in sys.modules\n"
    )
    scripts = Path(__file__).parents[3] / "scripts"
    found = subprocess.run(
        [sys.executable, "-c", code, str(whole), str(torn)],
        env=os.environ | {"PYTHONPATH": str(scripts)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert found == [hashlib.sha256(b"".join(texts)).hexdigest(), "damaged"]


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_refused_by_every_reader_before_it_waits(tmp_path, kind):
    """A reader of a pipe that nobody writes to would wait for ever, without a word."""
    path = tmp_path / "x.csv"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        socket.socket(socket.AF_UNIX).bind(str(path))
    else:
        path.symlink_to("/dev/zero")
    task = {**SHIPPED, "format": "csv"}
    folds = {"scheme": "kfold", "splits": 2, "validation_share": 0.5, "seed": 1}
    variants = {"known_contigs": [], "samples": None, "index": None}
    readers = (
        lambda: open_binary(path),
        lambda: make_task({"train": str(path), "test": []}, task, "mine.x", folds),
        lambda: read_bed(path),
        lambda: read_gtf(path),
        lambda: list(read_fasta(path)),
        lambda: VariantReader(path, "1", **variants),
        lambda: read_sheet(path),
        lambda: read_task_sheet(path),
        lambda: sha256_of(path),
    )
    for read in readers:
        with pytest.raises(InputError, match="is a pipe, a socket or a device, not a file: write"):
            read()
