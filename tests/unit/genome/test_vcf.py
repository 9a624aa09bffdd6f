"""Reading phased genotypes: names of contigs, damaged files, and the index that we make."""

from pathlib import Path

import pysam
import pytest

from dnalm.errors import InputError
from dnalm.genome.vcf import VariantReader, index_variants, match_contig

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


def test_one_contig_is_read_by_our_own_index_which_leaves_the_file_alone(tmp_path):
    path = write(tmp_path / "v.vcf", LINES, "vcf.gz")
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


def test_a_file_that_is_cut_off_is_refused_before_it_is_read(tmp_path):
    path = write(tmp_path / "v.vcf", LINES, "vcf.gz")
    path.write_bytes(path.read_bytes()[:-28])
    with pytest.raises(InputError, match=r"v\.vcf\.gz: the end mark of bgzip is missing"):
        read(path)


BAD = {
    "out of order": ([LINES[1], LINES[0]], "1:5 stands after 1:7; sort the file"),
    "no genotypes": (["1\t7\t.\tA\tC\t.\t.\t.\tDP\t1\t2\t3"], r"1:7 has no genotypes .*DP"),
    "malformed": ([LINES[0], "1\tseven\t.\tA\tC\t.\t.\t.\tGT\t0|1\t0|1\t0|1"], "follows 1:5"),
    "too few columns": ([LINES[0], "1\t7\t.\tA\tC\t.\t.\t.\tGT\t0|1"], "follows 1:5"),
}


@pytest.mark.parametrize(("lines", "sentence"), BAD.values(), ids=BAD)
def test_a_damaged_record_is_named_by_the_place_before_it(tmp_path, lines, sentence):
    with pytest.raises(InputError, match=sentence):
        list(read(write(tmp_path / "v.vcf", lines, "vcf.gz")))


def test_files_that_are_no_variants_are_refused(tmp_path):
    page = tmp_path / "page.vcf"
    page.write_text("<html>404</html>")
    with pytest.raises(InputError, match="no VCF or BCF file"):
        read(page)
    with pytest.raises(InputError, match="No such file"):
        read(tmp_path / "absent.vcf")
    sites = tmp_path / "sites.vcf"
    sites.write_text(HEADER.replace("\tFORMAT\ta\tb\tc", "") + "1\t5\t.\tA\tC\t.\t.\t.\n")
    with pytest.raises(InputError, match="has no samples"):
        read(sites)
    plain = write(tmp_path / "v.vcf", LINES, "vcf")
    with pytest.raises(InputError, match="no index can be made"):
        index_variants(plain, tmp_path / "v.csi")


def test_a_sample_that_is_not_there_is_named(tmp_path):
    path = write(tmp_path / "v.vcf", LINES, "vcf")
    with pytest.raises(InputError, match="no sample x among its 3 samples"):
        read(path, samples=["a", "x"])
    assert read(path, samples=["c", "a"]).samples == ["a", "c"]
