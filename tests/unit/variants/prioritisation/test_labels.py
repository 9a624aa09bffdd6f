"""Labels, classes and matched negatives: planted cases, and what is refused in one sentence."""

import gzip
import logging

import numpy as np
import pandas as pd
import pysam
import pytest

from dnalm.errors import InputError
from dnalm.variants.prioritisation.allele_tables import read_alleles, read_variant_table
from dnalm.variants.prioritisation.consequences import ConsequenceConfig, read_consequences
from dnalm.variants.prioritisation.labelled_set import SetConfig, label_set, write_vcf
from dnalm.variants.prioritisation.labels import LabelConfig
from dnalm.variants.prioritisation.matching import MatchConfig, match_negatives

HEADER = (
    "##fileformat=VCFv4.1\n"
    '##ID=<Description="ClinVar Variation ID">\n'
    '##INFO=<ID=CLNSIG,Number=.,Type=String,Description="significance">\n'
    '##INFO=<ID=AF,Number=A,Type=Float,Description="frequency">\n'
    '##INFO=<ID=MC,Number=.,Type=String,Description="consequence">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)
LABEL = {
    "info": None,
    "path": None,
    "column": "label",
    "positives": None,
    "negatives": None,
    "positive": [],
    "negative": [],
}
CLINVAR = {"info": "CLNSIG", "positive": ["Pathogenic"], "negative": ["Benign", "Likely_benign"]}
SEVERITY = ["intron_variant", "synonymous_variant", "missense_variant", "stop_gained"]
CONSEQUENCE = ConsequenceConfig(
    info="MC",
    column=None,
    pattern=r"\|(\w+)",
    rename={"nonsense": "stop_gained"},
    single=False,
    severity=SEVERITY,
)


def write_records(path, *lines):
    path.write_text(HEADER + "".join("\t".join(map(str, line)) + "\n" for line in lines))
    return str(path)


def record(pos, alt="T", info=".", chrom="1", ref="A"):
    return (chrom, pos, f"v{pos}", ref, alt, ".", ".", info)


def make_set(**given):
    settings = {"name": "s", "vcf": None, "match": None, "consequence": None, "compare": {}}
    settings |= given
    label = settings.pop("label", None)
    return SetConfig(**settings, label=LabelConfig(**{**LABEL, **label}) if label else None)


def test_values_are_those_of_their_allele_whatever_stands_before_it(tmp_path):
    """An alternative that is missing has none, but its place in the lists of values."""
    path = write_records(tmp_path / "x.vcf", record(5, alt=".,T", info="AF=0.1,0.2"))
    found = read_alleles(path, ["AF"])
    assert found[["alt_index", "alt", "AF"]].to_numpy().tolist() == [[1, "T", "0.2"]]
    write_records(tmp_path / "x.vcf", record(5, alt="."), record(6))
    assert read_alleles(path)["pos"].tolist() == [6]


def test_fields_of_one_value_per_allele_are_split_and_others_are_the_records(tmp_path):
    path = write_records(
        tmp_path / "a.vcf",
        record(5, "C,T", "AF=0.1,0.2;CLNSIG=Benign,x"),
        record(6, ".", "AF=0.5"),
        record(7, "G", "AF=0.3,0.4"),
    )
    table = read_alleles(path, ["AF", "CLNSIG"])
    assert table[["record", "alt_index", "alt", "AF", "CLNSIG"]].to_numpy().tolist() == [
        [0, 0, "C", "0.1", "Benign,x"],
        [0, 1, "T", "0.2", "Benign,x"],
        [2, 0, "G", "", ""],  # a record with too many values says nothing of its allele
    ]


def test_bcf_and_compressed_files_read_as_their_text_does(tmp_path):
    lines = [record(5, "C,T", "AF=0.1,0.2;CLNSIG=Benign"), record(9, "G", "CLNSIG=Pathogenic")]
    path = write_records(tmp_path / "a.vcf", *lines)
    packed = tmp_path / "b.vcf.gz"
    packed.write_bytes(gzip.compress((tmp_path / "a.vcf").read_bytes()))
    text = (tmp_path / "a.vcf").read_text().replace("##ID=<", "##contig=<ID=1>\n##ID=<")
    (tmp_path / "c.vcf").write_text(text)
    pysam.bcftools.view("-Ob", "-o", str(tmp_path / "c.bcf"), str(tmp_path / "c.vcf"),
                        catch_stdout=False)  # fmt: skip
    expected = read_alleles(path, ["AF", "CLNSIG"])
    for other in (packed, tmp_path / "c.bcf"):
        pd.testing.assert_frame_equal(read_alleles(other, ["AF", "CLNSIG"]), expected)


def test_a_field_labels_what_its_lists_name_and_counts_the_rest(tmp_path):
    words = ["Pathogenic", "Benign", "Pathogenic,_low", "Pathogenic|Benign", "Uncertain", ""]
    lines = [
        record(at, info=f"CLNSIG={word}" if word else ".") for at, word in enumerate(words, 10)
    ]
    path = write_records(tmp_path / "a.vcf", *lines)
    table, counts = label_set(make_set(vcf=path, label=CLINVAR))
    assert table["label"].tolist() == [True, False, True, pd.NA, pd.NA, pd.NA]
    assert counts["unlabelled"] == {"Pathogenic|Benign": 1, "Uncertain": 1, "": 1}
    assert (counts["positives"], counts["negatives"], counts["without_label"]) == (2, 1, 3)


def test_a_table_labels_the_variants_of_a_file_whatever_prefix_contigs_have(tmp_path):
    vcf = write_records(tmp_path / "a.vcf", *[record(at) for at in (5, 6, 7)])
    rows = "chrom\tpos\tref\talt\tlabel\nchr1\t5\ta\tt\t1\nchr1\t7\tA\tT\t0\nchr1\t9\tA\tT\t0\n"
    (tmp_path / "l.tsv").write_text(rows)
    label = {"path": str(tmp_path / "l.tsv")}
    table, counts = label_set(make_set(vcf=vcf, label=label))
    assert table["label"].tolist() == [True, pd.NA, False]
    assert counts["labels_without_variant"] == 1
    alone, _ = label_set(make_set(label=label))
    assert alone["pos"].tolist() == [5, 7, 9]


def test_a_variant_called_both_has_no_label_and_repeats_count_once(tmp_path, caplog):
    first = write_records(tmp_path / "p.vcf", record(5), record(6), record(6))
    second = write_records(tmp_path / "n.vcf", record(5), record(8))
    with caplog.at_level(logging.WARNING):
        table, counts = label_set(make_set(label={"positives": first, "negatives": second}))
    assert table[["pos", "label"]].to_numpy().tolist() == [[5, pd.NA], [6, True], [8, False]]
    assert (counts["contradictory"], counts["repeated"]) == (1, 2)
    assert "1:5 A>T" in caplog.text


def refusal(config):
    with pytest.raises(InputError) as refused:
        label_set(config)
    sentence = str(refused.value)
    assert sentence.endswith((".", "?"))
    assert "\n" not in sentence
    return sentence


def test_labels_that_say_nothing_are_refused_in_a_sentence(tmp_path):
    vcf = write_records(tmp_path / "a.vcf", record(5, info="CLNSIG=Benign"), record(6))
    assert "no variant is positive, all 1 with a label are negative" in refusal(
        make_set(vcf=vcf, label=CLINVAR)
    )
    assert "did you mean 'CLNSIG'" in refusal(make_set(vcf=vcf, label={**CLINVAR, "info": "CLNSG"}))
    label = {"path": str(tmp_path / "l.tsv")}
    (tmp_path / "l.tsv").write_text("chrom\tpos\tref\talt\tlabel\n2\t5\tA\tT\t1\n")
    assert "its contigs are 2, those of the variants 1" in refusal(make_set(vcf=vcf, label=label))
    (tmp_path / "l.tsv").write_text("chrom\tpos\tref\talt\tlabel\n1\t5\tT\tA\t1\n")
    assert "at the same places" in refusal(make_set(vcf=vcf, label=label))
    (tmp_path / "l.tsv").write_text("chrom\tpos\tref\talt\tlabel\n1\t4\tA\tT\t1\n")
    assert "1-based" in refusal(make_set(vcf=vcf, label=label))
    (tmp_path / "l.tsv").write_text("chrom\tpos\tref\talt\tlabel\n1\t5\tA\tT\tmaybe\n")
    assert "row 1 has the label 'maybe'" in refusal(make_set(vcf=vcf, label=label))
    (tmp_path / "l.tsv").write_text("chrom\tpos\tref\talt\tlabl\n1\t5\tA\tT\t1\n")
    assert "did you mean 'labl'" in refusal(make_set(vcf=vcf, label=label))
    (tmp_path / "l.tsv").write_text("chrom\tpos\tref\talt\tlabel\n1\t5.5\tA\tT\t1\n")
    assert "row 1 has no position" in refusal(make_set(vcf=vcf, label=label))


def test_traitgyms_parquet_is_read_with_its_classes_and_groups(tmp_path):
    table = pd.DataFrame(
        {
            "chrom": pd.Categorical(["1", "1", "X"]),
            "pos": np.array([5, 9, 7], dtype=np.int32),
            "ref": ["A", "C", "G"],
            "alt": ["T", "G", "A"],
            "label": [True, False, False],
            "consequence": ["intron_variant", "PLS", "intron_variant"],
            "tss_dist": [10, 20, 30],
            "match_group": ["intron_variant_0", "PLS_1", "intron_variant_0"],
        }
    )
    table.to_parquet(tmp_path / "test.parquet")
    by_column = ConsequenceConfig(
        info=None, column="consequence", pattern=None, rename={}, single=False, severity=SEVERITY
    )
    config = make_set(label={"path": str(tmp_path / "test.parquet")}, consequence=by_column)
    found, _ = label_set(config)
    assert found["label"].tolist() == [True, False, False]
    assert found["consequence"].tolist() == ["intron_variant", "PLS", "intron_variant"]
    assert found["match_group"].tolist() == table["match_group"].tolist()
    write_vcf(found, tmp_path / "made.vcf.gz")
    with pysam.VariantFile(str(tmp_path / "made.vcf.gz")) as file:
        records = [(r.chrom, r.pos, r.ref, r.alts[0], r.info["LABEL"]) for r in file]
    assert records == [("1", 5, "A", "T", 1), ("1", 9, "C", "G", 0), ("X", 7, "G", "A", 0)]
    assert read_variant_table(tmp_path / "test.parquet")["pos"].tolist() == [5, 9, 7]


def test_of_several_consequences_the_most_severe_counts():
    texts = pd.Series(
        [
            "SO:0001627|intron_variant,SO:0001583|missense_variant",
            "SO:1|nonsense",
            "SO:1|frameshift_variant,SO:2|intron_variant",
            "",
        ]
    )
    expected = ["missense_variant", "stop_gained", "intron_variant", ""]
    assert read_consequences(texts, CONSEQUENCE).tolist() == expected


def planted_positives(random, count, span):
    pos = np.sort(random.choice(span, count, replace=False)) + 1
    classes = random.choice(["intron_variant", "missense_variant"], count)
    columns = {"chrom": "1", "pos": pos, "ref": "A", "alt": "T", "consequence": classes}
    return pd.DataFrame(columns)


@pytest.mark.parametrize("choose", ["random", "nearest"])
def test_matched_negatives_are_near_of_the_same_class_drawn_once_and_seeded(choose):
    random = np.random.default_rng(1)
    positives = planted_positives(random, 60, 100_000)
    candidates = planted_positives(random, 800, 100_000)
    config = MatchConfig(
        common="c.vcf", tss=None, frequency="AF", min_frequency=0.05, within=3_000,
        same_consequence=True, choose=choose, ratio=3, seed=7,
    )  # fmt: skip
    rows, groups, counts = match_negatives(positives, candidates, config)
    assert len(set(rows)) == len(rows) == counts["matched_negatives"]
    drawn, own = candidates.iloc[rows], positives.iloc[groups]
    assert (np.abs(drawn["pos"].to_numpy() - own["pos"].to_numpy()) <= 3_000).all()
    assert (drawn["consequence"].to_numpy() == own["consequence"].to_numpy()).all()
    sizes = np.bincount(groups, minlength=60)
    assert counts["positives_with_too_few_negatives"] == (sizes < 3).sum()
    assert sizes.max() == 3
    again, _, _ = match_negatives(positives, candidates, config)
    np.testing.assert_array_equal(rows, again)


def test_positives_with_few_candidates_choose_first_and_shortage_is_counted():
    positives = pd.DataFrame({"chrom": "1", "pos": [100, 200], "ref": "A", "alt": "T"})
    # The one at 150 is near both; the first has no other.
    candidates = pd.DataFrame({"chrom": "chr1", "pos": [150, 290, 295], "ref": "C", "alt": "G"})
    config = MatchConfig(
        common="c.vcf", tss=None, frequency="AF", min_frequency=0.05, within=100,
        same_consequence=False, choose="random", ratio=1, seed=0,
    )  # fmt: skip
    for seed in range(20):
        rows, groups, counts = match_negatives(
            positives, candidates, MatchConfig(**{**vars(config), "seed": seed})
        )
        assert dict(zip(groups, rows, strict=True))[0] == 0
        assert counts["positives_with_too_few_negatives"] == 0
    two = MatchConfig(**{**vars(config), "ratio": 2})
    assert match_negatives(positives, candidates, two)[2]["positives_with_too_few_negatives"] == 1


def test_classes_of_positives_in_a_table_and_of_common_variants_in_a_file_are_matched(tmp_path):
    rows = "chrom\tpos\tref\talt\tclass\n1\t1000\tA\tT\tmissense_variant\n"
    (tmp_path / "p.tsv").write_text(rows)
    lines = [record(1_100, info="AF=0.3;MC=SO:1|intron_variant")]
    lines += [record(1_900, info="AF=0.3;MC=SO:1|missense_variant")]
    match = MatchConfig(
        common=write_records(tmp_path / "c.vcf", *lines), tss=None, frequency="AF",
        min_frequency=0.05, within=1_000, same_consequence=True, choose="nearest", ratio=1, seed=0,
    )  # fmt: skip
    classes = ConsequenceConfig(
        **{**vars(CONSEQUENCE), "column": "class", "pattern": r"(\w+_variant)"}
    )
    label = {"positives": str(tmp_path / "p.tsv")}
    table, _ = label_set(make_set(label=label, match=match, consequence=classes))
    assert table["pos"].tolist() == [1_000, 1_900]
    assert table["consequence"].tolist() == ["missense_variant"] * 2


def test_negatives_of_a_set_are_the_common_ones_of_a_file(tmp_path):
    positives = write_records(tmp_path / "p.vcf", record(1_000), record(900_000))
    lines = [
        record(1_000, info="AF=0.5"),
        record(1_500, "G", "AF=0.04"),
        record(1_600, "G", "AF=0.96"),
    ]
    lines += [
        record(1_700, "G", "AF=0.3"),
        record(1_800, "GT", "AF=0.3"),
        record(700_000, "C", "AF=0.3"),
    ]
    common = write_records(tmp_path / "c.vcf", *lines)
    match = MatchConfig(
        common=common, tss=None, frequency="AF", min_frequency=0.05, within=100_000,
        same_consequence=False, choose="random", ratio=1, seed=0,
    )  # fmt: skip
    table, counts = label_set(make_set(label={"positives": positives}, match=match))
    assert table.loc[~table["label"], "pos"].tolist() == [1_700]
    assert table["match_group"].tolist() == ["0", "1", "0"]
    assert counts["positives_with_too_few_negatives"] == 1
    rare = MatchConfig(**{**vars(match), "min_frequency": 0.45})
    assert "lower match.min_frequency" in refusal(
        make_set(
            label={"positives": positives},
            match=MatchConfig(**{**vars(rare), "min_frequency": 0.51}),
        )
    )


TABLE = b"chrom\tpos\tref\talt\tlabel\n1\t10\tA\tC\t1\n1\t12\tC\tG\t0\n"
# A note is opened in one row and closed in the next, so that the number of cells is right.
NOTES = b'chrom\tpos\tref\talt\tnote\tlabel\n1\t10\tA\tC\t"x\t1\n1\t12\tA\tC\ty"\t0\n'


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + TABLE,
        TABLE.decode().encode("utf-16"),
        TABLE.replace(b"\n", b"\r\n"),
        TABLE.replace(b"\n", b"\r"),
        gzip.compress(TABLE),
        gzip.compress(TABLE) + b"\0" * 512,
        TABLE.replace(b"1\n", b"1\t\n").replace(b"0\n", b"0\t\n"),
    ],
    ids=["bom", "utf16", "crlf", "cr", "gzip", "gzip padded", "tabs at the ends"],
)
@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz"])
def test_a_table_of_variants_is_read_by_what_it_holds_not_by_its_name(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    found = read_variant_table(tmp_path / name, ["label"])
    assert found["pos"].tolist() == [10, 12]
    assert found["label"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (gzip.compress(TABLE)[:-12], "truncated or damaged"),
        (gzip.compress(TABLE)[:-6] + b"\0\0" + gzip.compress(TABLE)[-4:], "truncated or damaged"),
        (TABLE.replace(b"\t1\n", b"\t\xe9\n"), ":2: the line holds the byte 0xe9"),
        (TABLE.replace(b"label", b"label\tlabel"), "the column label is there twice"),
        (TABLE.replace(b"\n1\t", b'\n"1\t').replace(b"\t12", b'"\t12'), "row 1 has a quotation"),
        (TABLE.replace(b"10", b"9" * 5000), "row 1 has no position"),
        (NOTES, "row 1 has a quotation mark that swallows other rows"),
        (TABLE.replace(b"\n1\t", b"\n7\t1\t"), "more cells than its header, as with names of rows"),
        (TABLE.replace(b"\tA\t", b"\t \t"), "row 1 has no chrom, ref or alt"),
    ],
    ids=[
        *("torn", "checksum", "latin1", "twice", "quote", "digits"),
        *("quote in notes", "names of rows", "blank"),
    ],
)
def test_a_damaged_table_of_variants_is_refused_in_a_sentence(tmp_path, data, said):
    (tmp_path / "t.tsv").write_bytes(data)
    with pytest.raises(InputError, match=said):
        read_variant_table(tmp_path / "t.tsv", ["label"])


ROWS = {"chrom": ["1"] * 3, "pos": [10, 12, 14], "ref": ["A"] * 3, "alt": ["C"] * 3}


@pytest.mark.parametrize(
    "labels",
    [[1, 0, None], [True, False, None], ["yes", "no", "NA"], [1.0, 0.0, np.nan], [b"1", b"0", b""]],
    ids=["numbers", "booleans", "texts", "floats", "bytes"],
)
@pytest.mark.parametrize("name", ["t.tsv", "t.parquet"])
def test_a_label_that_is_missing_is_none_and_no_error(tmp_path, name, labels):
    path = tmp_path / name
    if path.suffix == ".parquet":
        pd.DataFrame({**ROWS, "label": labels}).set_index(["chrom", "pos"]).to_parquet(path)
    else:
        texts = [one.decode() if isinstance(one, bytes) else one for one in labels]
        pd.DataFrame({**ROWS, "label": pd.array(texts, dtype=object)}).to_csv(
            path, sep="\t", index=False
        )
    table, counts = label_set(make_set(label={"path": str(path)}))
    assert table["label"].isna().tolist() == [False, False, True]
    assert table["label"].tolist()[:2] == [True, False]
    assert counts["without_label"] == 1


@pytest.mark.parametrize("labels", [[[1], [0], [1]], [{"a": 1}] * 3])
def test_labels_of_several_values_are_refused(tmp_path, labels):
    pd.DataFrame({**ROWS, "label": labels}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="the column label holds lists or structures"):
        label_set(make_set(label={"path": str(tmp_path / "t.parquet")}))


@pytest.mark.parametrize("column", [[True] * 3, pd.to_datetime(["2020-01-01"] * 3)])
def test_what_pandas_alone_takes_for_a_position_is_none(tmp_path, column):
    pd.DataFrame({**ROWS, "pos": column}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="row 1 has no position"):
        read_variant_table(tmp_path / "t.parquet")


def test_encoded_columns_of_parquet_are_read_as_plain_ones(tmp_path):
    table = pd.DataFrame({**ROWS, "label": ["1", "0", None], "class": ["missense", None, "x"]})
    classes = ConsequenceConfig(**{**vars(CONSEQUENCE), "column": "class", "pattern": None})
    found = []
    for encoded in (table, table.astype(dict.fromkeys(table, "category"))):
        encoded.astype({"pos": int}).to_parquet(tmp_path / "t.parquet")
        label = {"path": str(tmp_path / "t.parquet")}
        found.append(label_set(make_set(label=label, consequence=classes)))
    pd.testing.assert_frame_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]


def test_a_table_of_parquet_is_read_as_it_is_stored(tmp_path):
    """Contigs that a gap made floats of, texts that are stored as bytes, columns as an index."""
    table = {"chrom": ["1", "X"], "pos": [5, 6], "ref": ["A", "C"], "alt": ["C", "G"]}
    numbers, path = [("1", 5, "A", "C"), ("2", 6, "C", "G")], tmp_path / "t.parquet"
    for changes, expected in (
        ({"chrom": [1.0, 2.0]}, numbers),
        ({"chrom": [1, 2]}, numbers),
        ({"chrom": [b"1", b"X"], "ref": [b"A", b"C"]}, [("1", 5, "A", "C"), ("X", 6, "C", "G")]),
    ):
        made = pd.DataFrame(table | changes)
        for stored in (made, made.set_index(["chrom", "pos"])):
            stored.to_parquet(path)
            found = read_variant_table(path)[["chrom", "pos", "ref", "alt"]]
            assert list(found.itertuples(index=False, name=None)) == expected


@pytest.mark.parametrize("ending", ["tsv", "parquet"])
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pos": [True, True]}, "row 1 has no position"),
        ({"ref": ["A", "NA"]}, "row 2 has no chrom, ref or alt"),
        ({"chrom": ["1", "nan"]}, "row 2 has no chrom, ref or alt"),
        ({"alt": ["C", "G,T"]}, "row 2 has several alternatives, of which each has to have a row"),
    ],
)
def test_cells_that_are_no_variant_are_named(tmp_path, ending, changes, sentence):
    table = {"chrom": ["1", "X"], "pos": [5, 6], "ref": ["A", "C"], "alt": ["C", "G"]}
    path, made = tmp_path / f"t.{ending}", pd.DataFrame(table | changes)
    made.to_parquet(path) if ending == "parquet" else made.to_csv(path, sep="\t", index=False)
    with pytest.raises(InputError, match=sentence):
        read_variant_table(path)


@pytest.mark.parametrize(
    "changes", [{"chrom": [["1"], ["X"]]}, {"pos": pd.to_datetime(["2020-01-01", "2020-01-02"])}]
)
def test_lists_and_times_are_no_variants(tmp_path, changes):
    table = {"chrom": ["1", "X"], "pos": [5, 6], "ref": ["A", "C"], "alt": ["C", "G"]}
    pd.DataFrame(table | changes).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"chrom holds lists|row 1 has no position"):
        read_variant_table(tmp_path / "t.parquet")
