"""Reading phased genotypes: names of contigs, damaged files, and the index that we make."""

import gzip
from pathlib import Path

import numpy as np
import pysam
import pytest

from dnalm.errors import InputError
from dnalm.genome.vcf import VariantReader, index_variants, match_contig
from dnalm.genome.vcf_lines import open_lines

HEADER = """##fileformat=VCFv4.2
##contig=<ID=1>
##contig=<ID=2>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=DP,Number=1,Type=Integer,Description="Depth">
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	a	b	c
"""
LINES = [
    "1\t5\t.\tac\tg\t.\t.\t.\tGT\t0|1\t1|0\t0|1",
    "1\t7\t.\tA\tC\t.\t.\t.\tGT:DP\t0|1:3\t0|0:1\t./.:0",
    "1\t9\t.\tA\tC\t.\t.\t.\tGT\t0\t1\t0|0",
    "1\t9\t.\tA\tC,G,T,AA,AC,AG,AT,CA,CC,CG\t.\t.\t.\tGT\t10|9\t0/0\t0|10",
    "2\t3\t.\tT\tG\t.\t.\t.\tGT\t1|1\t0|0\t0|0",
]


def write(path: Path, lines: list[str], kind: str) -> Path:
    """Write a VCF file as text, bgzipped, or as BCF."""
    path.write_text(HEADER + "\n".join(lines) + "\n")
    if kind == "vcf":
        return path
    packed = path.with_name(path.name + ".gz")
    if kind == "vcf.gz":
        pysam.tabix_compress(str(path), str(packed), force=True)
        return packed
    packed = path.with_suffix(".bcf")
    pysam.bcftools.view("-Ob", "-o", str(packed), str(path), catch_stdout=False)
    return packed


def read(path, contig="1", samples=None, index=None):
    return VariantReader(path, contig, known_contigs=["1", "2"], samples=samples, index=index)


@pytest.mark.parametrize("kind", ["vcf", "vcf.gz", "bcf"])
def test_genotypes_of_every_width_are_read_with_their_samples(tmp_path, kind):
    reader = read(write(tmp_path / "v.vcf", LINES, kind))
    records = list(reader)
    assert reader.samples == ["a", "b", "c"]
    assert [(r.position, r.reference, r.alternatives[0]) for r in records] == [
        (4, "AC", "G"),
        (6, "A", "C"),
        (8, "A", "C"),
        (8, "A", "C"),
    ]
    found = [{text: samples.tolist() for text, samples in r.genotypes.items()} for r in records]
    assert found == [
        {"0|1": [0, 2], "1|0": [1]},
        {"0|1": [0], "./.": [2]},
        {"1": [1]},
        {"10|9": [0], "0|10": [2]},
    ]
    assert [r.haploid.tolist() for r in records] == [[], [], [0, 1], []]


@pytest.mark.parametrize("kind", ["vcf.gz", "bcf"])
def test_one_contig_is_read_by_our_own_index_which_leaves_the_file_alone(tmp_path, kind):
    path = write(tmp_path / "v.vcf", LINES, kind)
    before = sorted(tmp_path.iterdir())
    index_variants(path, tmp_path / "ours.csi")
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "ours.csi"])
    records = list(read(path, contig="2", index=tmp_path / "ours.csi"))
    assert [record.position for record in records] == [2]


@pytest.mark.parametrize(
    ("contig", "present", "name"),
    [
        ("chr20", ["20"], "20"),
        ("20", ["chr20", "20_random"], "chr20"),
        ("chr20", ["20", "chr20"], "chr20"),
        ("chrM", ["1", "MT"], "MT"),
        ("MT", ["chrM"], "chrM"),
    ],
)
def test_a_contig_is_found_under_its_other_name(contig, present, name):
    assert match_contig(contig, present, [contig], Path("v.vcf")) == name


def test_a_contig_of_two_names_or_none_is_an_error_that_lists_them():
    with pytest.raises(InputError, match="chrM of the genome may be M or MT there"):
        match_contig("chrM", ["M", "MT"], ["chrM"], Path("v.vcf"))
    with pytest.raises(InputError, match=r"no contig chr7; it has 1, 2, the genome has chr7, chr8"):
        match_contig("chr7", ["1", "2"], ["chr7", "chr8"], Path("v.vcf"))
    many = [f"NC_{i}" for i in range(20)]
    with pytest.raises(InputError, match=r"it has chr21_alt, NC_0, .* genome has chr21x, NC_0, "):
        match_contig("chr21", [*many, "chr21_alt"], [*many, "chr21x"], Path("v.vcf"))


def test_a_file_that_is_cut_off_is_refused_before_it_is_read(tmp_path):
    path = write(tmp_path / "v.vcf", LINES, "vcf.gz")
    path.write_bytes(path.read_bytes()[:-28])
    with pytest.raises(InputError, match=r"v\.vcf\.gz: the end mark of bgzip is missing"):
        read(path)


BAD = {
    "out of order": ([LINES[1], LINES[0]], "1:5 stands after 1:7; sort the file"),
    "no genotypes": (["1\t7\t.\tA\tC\t.\t.\t.\tDP\t1\t2\t3"], r"1:7 has no genotypes .*DP"),
    "malformed": ([LINES[0], "1\tseven\t.\tA\tC\t.\t.\t.\tGT\t0|1\t0|1\t0|1"], "follows 1:5"),
    "too few columns": (
        [LINES[0], "1\t7\t.\tA\tC\t.\t.\t.\tGT\t0|1"],
        "1:7: there are 1 genotypes of 3",
    ),
    "too many columns": ([LINES[0] + "\t0|1"], "1:5: there are 4 genotypes of 3 samples"),
    "nothing behind FILTER": (
        [LINES[0], "1\t7\t.\tA\tC\t.\tPASS\t"],
        "follows 1:5 has too few columns",
    ),
    "no value": (["1\t7\t.\tA\tC\t.\t.\t.\tGT\t0|1\t\t0|1"], "1:7: '' is no genotype"),
    "a letter": (["1\t7\t.\tA\tC\t.\t.\t.\tGT\t0|1\t0|x\t0|1"], "1:7: '0.x' is no genotype"),
    "a foreign digit": (["1\t7\t.\tA\tC\t.\t.\t.\tGT\t0|1\t0|²\t1"], "1:7: .* is no genotype"),
    "a huge number": ([f"1\t7\t.\tA\tC\t.\t.\t.\tGT\t1\t{'9' * 5000}\t1"], "is no genotype"),
    "a huge position": ([f"1\t{'9' * 5000}\t.\tA\tC\t.\t.\t.\tGT\t1\t1\t1"], "no number in the"),
    "no DNA": (["1\t7\t.\t.\tC\t.\t.\t.\tGT\t0|1\t0|1\t0|1"], "1:7: REF is '.', which is no DNA"),
}


@pytest.mark.parametrize(("lines", "sentence"), BAD.values(), ids=BAD)
def test_a_damaged_record_is_named_by_the_place_before_it(tmp_path, lines, sentence):
    with pytest.raises(InputError, match=sentence):
        list(read(write(tmp_path / "v.vcf", lines, "vcf.gz")))


@pytest.mark.parametrize("contig", ["1", "2"])
def test_a_text_file_that_is_cut_anywhere_in_its_last_line_is_told(tmp_path, contig, caplog):
    """All but a cut behind a line end, or one that takes a digit off the last allele."""
    path = write(tmp_path / "v.vcf", LINES, "vcf")
    before = path.read_bytes()
    line = f"{contig}\t11\t.\tA\tC,G,T,AA,AC,AG,AT,CA,CC,CG\t.\t.\t.\tGT\t1|1\t0|0\t0|10".encode()
    for end in range(1, len(line) + 1):
        path.write_bytes(before + line[:end])
        caplog.clear()
        is_read = contig == "2"  # of another contig the columns count alone
        if line[:end].endswith((b"0|1", b"0|10")) if is_read else line[:end].count(b"\t") == 11:
            assert len(list(read(path, contig="2"))) == 1 + is_read
            assert ("has no line end: if the file is cut off" in caplog.text) == is_read
        else:
            with pytest.raises(InputError, match=r"cut off|no genotype|genotypes of 3"):
                list(read(path, contig="2"))


def test_a_haploid_call_at_the_end_of_a_whole_file_is_read(tmp_path, caplog):
    path = write(tmp_path / "v.vcf", [LINES[0], "1\t7\t.\tA\tC\t.\t.\t.\tGT\t0|1\t0|1\t0"], "vcf")
    assert len(list(read(path))) == 2
    path.write_bytes(path.read_bytes()[:-1] + b"\r\n")
    assert len(list(read(path))) == 2
    assert not caplog.records
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match="1:7, the last line, has no line end, and its last geno"):
        list(read(path))
    path = write(tmp_path / "v.vcf", ["1\t7\t.\tA\tC\t.\t.\t.\tGT\t0\t1\t0"], "vcf")
    path.write_bytes(path.read_bytes()[:-1])
    assert len(list(read(path))) == 1
    assert "compare its size or checksum" in caplog.text


def test_files_that_are_no_variants_are_refused(tmp_path):
    page = tmp_path / "page.vcf"
    page.write_text("<html>404</html>")
    with pytest.raises(InputError, match="no VCF or BCF file"):
        read(page)
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "absent.vcf")
    for path in (tmp_path, tmp_path / "absent.vcf"):
        with pytest.raises(InputError, match=r"cannot be read .*; correct the panel's `path`"):
            open_lines(path, None)
    sites = tmp_path / "sites.vcf"
    sites.write_text(HEADER.replace("\tFORMAT\ta\tb\tc", "") + "1\t5\t.\tA\tC\t.\t.\t.\n")
    with pytest.raises(InputError, match="has no samples"):
        read(sites)
    plain = write(tmp_path / "v.vcf", LINES, "vcf")
    with pytest.raises(InputError, match="no index can be made"):
        index_variants(plain, tmp_path / "v.csi")


def test_a_file_of_any_compression_gives_the_same_records(tmp_path):
    plain = write(tmp_path / "v.vcf", LINES, "vcf")
    packed, text = write(tmp_path / "v.vcf", LINES, "vcf.gz").read_bytes(), plain.read_bytes()
    more = b"1\t11\t.\tA\tC\t.\t.\t.\tGT\t0|1\t1|1\t0|0\n"
    expected = [record.position for record in read(plain)]
    for number, (data, positions) in enumerate(
        [
            (gzip.compress(text), expected),
            (gzip.compress(text) + b"behind the end", expected),
            (packed + b"behind the end", expected),
            (packed + gzip.compress(more), [*expected, 10]),
            (gzip.compress(text) + gzip.compress(more), [*expected, 10]),
            (b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"), expected),
        ]
    ):
        path = tmp_path / f"{number}.vcf.gz"
        path.write_bytes(data)
        assert [record.position for record in read(path)] == positions
        with pytest.raises(InputError, match=r"zcat -f FILE \| bgzip"):
            index_variants(path, tmp_path / "v.csi")


def test_contigs_that_the_header_does_not_name_are_those_of_the_records(tmp_path):
    lines = [line for line in HEADER.splitlines() if not line.startswith("##contig")]
    path = tmp_path / "v.vcf"
    path.write_text("\n".join([*lines, *LINES]) + "\n")
    assert [record.position for record in read(path, contig="chr2")] == [2]
    pysam.tabix_compress(str(path), f"{path}.gz", force=True)
    index_variants(f"{path}.gz", tmp_path / "v.csi")
    reader = read(f"{path}.gz", contig="chr2", index=tmp_path / "v.csi")
    assert (reader.contig, [record.position for record in reader]) == ("2", [2])
    with pytest.raises(InputError, match="no contig 7; it has 1, 2, the genome has"):
        read(path, contig="7")


def test_names_that_are_no_utf8_are_read_as_latin1(tmp_path):
    path = tmp_path / "v.vcf"
    text = (HEADER + LINES[0] + "\n").replace("\tb\tc", "\tJosé\tc")
    for encoding in ("latin-1", "utf-8"):
        path.write_bytes(text.encode(encoding))
        assert read(path).samples == ["a", "José", "c"]
    path.write_text(HEADER.replace("\tb\tc", "\tb\tb") + LINES[0] + "\n")
    with pytest.raises(InputError, match="two samples are called b"):
        read(path)


def test_genotypes_of_vcf_4_4_say_the_phase_of_their_first_allele(tmp_path):
    lines = [
        "1\t5\t.\tA\tG\t.\t.\t.\tGT\t|0|1\t/0|1\t/0/1",
        "1\t6\t.\tA\tG\t.\t.\t.\tGT\t|1\t/1\t|0",
        "1\t7\t.\tA\tG\t.\t.\t.\tGT\t|.\t/.\t|0|0",
        "1\t8\t.\tA\tG\t.\t.\t.\tDP:GT\t3:|0|1\t3\t4:1|1",
    ]
    records = list(read(write(tmp_path / "v.vcf", lines, "vcf")))
    assert [{text: who.tolist() for text, who in r.genotypes.items()} for r in records] == [
        {"0|1": [0, 1], "0/1": [2]},
        {"1": [0, 1]},
        {".": [0, 1]},
        {"0|1": [0], ".": [1], "1|1": [2]},
    ]
    assert [record.haploid.tolist() for record in records] == [[], [0, 1, 2], [], []]


@pytest.mark.parametrize("seed", range(3))
def test_any_contig_of_a_long_indexed_file_is_read_as_pysam_reads_it(tmp_path, seed):
    random = np.random.default_rng(seed)
    names, genotypes = ["c1", "2", "chrX"], ["0|0", "0|1", "1|0", "1|1", "0/1", ".", "1", ".|1"]
    lines = [
        f"{name}\t{position}\trs{random.integers(1e9)}\tA\tC\t.\t.\t.\tGT\t"
        + "\t".join(random.choice(genotypes, 3, p=[0.6, *[0.4 / 7] * 7]))
        for name in names
        for position in np.sort(random.integers(1, 10**6, random.integers(1, 9000)))
    ]
    contigs = "".join(f"##contig=<ID={name},length=1000000>\n" for name in [*names, "absent"])
    header = HEADER.replace("##contig=<ID=1>\n##contig=<ID=2>\n", contigs)
    path = tmp_path / "v.vcf"
    path.write_text(header + "\n".join(lines) + "\n")
    pysam.tabix_compress(str(path), f"{path}.gz", force=True)
    index_variants(f"{path}.gz", tmp_path / "v.csi")
    with pysam.VariantFile(f"{path}.gz", index_filename=str(tmp_path / "v.csi")) as file:
        for name in [*names, "absent"]:
            told = [
                (record.start, [sample["GT"] for sample in record.samples.values()])
                for record in file.fetch(name)
            ]
            made = [
                (record.position, alleles_of(record))
                for record in read(f"{path}.gz", contig=name, index=tmp_path / "v.csi")
            ]
            assert made == told


def alleles_of(record) -> list[tuple[int | None, ...]]:
    found = [(0,) if sample in record.haploid else (0, 0) for sample in range(3)]
    for text, samples in record.genotypes.items():
        for sample in samples:
            cells = text.replace("/", "|").split("|")
            found[sample] = tuple(None if cell == "." else int(cell) for cell in cells)
    return found


ODD = [b"\t", b"\n", b"\r", b"\0", b"|", b".", b"#", b"9" * 30, b"\xe9", "²".encode(), b":", b""]


@pytest.mark.parametrize("kind", ["vcf", "vcf.gz", "bcf"])
def test_any_damage_is_read_or_ends_in_one_sentence(tmp_path, kind):
    random, path = np.random.default_rng(7), write(tmp_path / "v.vcf", LINES, kind)
    whole, refused = path.read_bytes(), []
    for _ in range(300):
        at, length = random.integers(len(whole)), random.integers(0, 4)
        path.write_bytes(whole[:at] + ODD[random.integers(len(ODD))] + whole[at + length :])
        try:
            assert all(record.position >= -1 for record in read(path))
        except InputError as error:
            refused.append(str(error))
    assert len(refused) > 50
    assert all(str(path) in sentence and "\n" not in sentence for sentence in refused)


def test_a_bcf_file_whose_contigs_are_not_numbered_from_0_is_refused(tmp_path):
    text, path = tmp_path / "a.vcf", tmp_path / "a.bcf"
    text.write_text(
        "##fileformat=VCFv4.2\n##contig=<ID=c>\n"
        '##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">\n'
        "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\ts\nc\t1\t.\tA\tC\t.\t.\t.\tGT\t0|1\n"
    )
    pysam.bcftools.view("-Ou", "-o", str(path), str(text), catch_stdout=False)
    data = gzip.decompress(path.read_bytes())
    assert b"##contig=<ID=c,IDX=0>" in data
    path.write_bytes(data.replace(b"##contig=<ID=c,IDX=0>", b"##contig=<ID=c,IDX=7>"))
    with pytest.raises(InputError, match="no VCF or BCF file that can be read"):
        VariantReader(path, "c", known_contigs=["c"], samples=None, index=None)


def test_a_sample_that_is_not_there_is_named(tmp_path):
    path = write(tmp_path / "v.vcf", LINES, "vcf")
    with pytest.raises(InputError, match="no sample x among its 3 samples"):
        read(path, samples=["a", "x"])
    assert read(path, samples=["c", "a"]).samples == ["a", "c"]
    names = "\t".join(f"HG{i}" for i in range(20))
    path.write_text(HEADER.replace("a\tb\tc", f"{names}\tNA12878"))
    with pytest.raises(InputError, match=r"no sample NA12879 among its 21 samples, NA12878, HG0, "):
        read(path, samples=["NA12879"])
