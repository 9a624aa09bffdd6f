"""Gene models: any GTF and GFF3 file against what it was written from, and introns base by base."""

import tempfile
from dataclasses import replace
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from dnalm.genome.annotation import Transcript, read_gtf, splice_sites

BASES = 80
SPANS = st.lists(
    st.tuples(st.integers(0, BASES), st.integers(1, 15)).map(lambda s: (s[0], s[0] + s[1])),
    min_size=1,
    max_size=5,
)
# What files write besides: other features, and lines that belong to no transcript or strand.
OTHERS = st.lists(st.sampled_from(["gene", "transcript", "lost", "no strand", "#"]), max_size=4)


@st.composite
def transcripts(draw):
    """Return transcripts of both strands, some of several contigs, some with CDS lines alone."""
    made = []
    for number in range(draw(st.integers(1, 4))):
        exons = draw(SPANS)
        coding = draw(st.just([]) | SPANS)
        alone = bool(coding) and draw(st.booleans())
        made.append(
            Transcript(
                contig=draw(st.sampled_from(["chr1", "2", "chrUn_KI270302v1"])),
                strand=draw(st.sampled_from("+-")),
                gene=f"gene{number // 2}",
                name=f"t.{number}",
                level=draw(st.none() | st.integers(1, 3)),
                exons=tuple(sorted(coding if alone else exons)),
                coding=tuple(sorted(coding)),
            )
        )
        # The same id on another contig, as of genes that are on chrX and chrY.
        if draw(st.booleans()):
            made.append(Transcript(**{**vars(made[-1]), "contig": "chrY"}))
    return made, draw(st.booleans())


def gtf_attributes(transcript):
    level = f" level {transcript.level};" if transcript.level else ""
    return f'gene_id "{transcript.gene}"; transcript_id "{transcript.name}";{level}'


def gff3_attributes(transcript):
    level = f";level={transcript.level}" if transcript.level else ""
    return f"ID=x{id(transcript)};Parent={transcript.name};gene_id={transcript.gene}{level}"


def write(path, made, coding_alone, attributes, draw):
    """Write the lines of transcripts in any order, with lines between that are to be left out."""
    lines = []
    for transcript in made:
        parts = [("CDS", place) for place in transcript.coding]
        if not (coding_alone and transcript.exons == transcript.coding):
            parts += [("exon", place) for place in transcript.exons]
        lines += [
            f"{transcript.contig}\tx\t{feature}\t{start + 1}\t{end}\t.\t{transcript.strand}\t.\t"
            + attributes(transcript)
            for feature, (start, end) in parts
        ]
    for other in draw(OTHERS):
        known = attributes(made[0])
        lines += [
            {
                "gene": f'chr1\tx\tgene\t1\t900\t.\t+\t.\tgene_id "{made[0].gene}";',
                "transcript": f"chr1\tx\ttranscript\t1\t900\t.\t+\t.\t{known}",
                "lost": "chr1\tx\texon\t500\t600\t.\t+\t.\tgene_id=gene0",
                "no strand": f"chr1\tx\texon\t500\t600\t.\t.\t.\t{known}",
                "#": "# a comment",
            }[other]
        ]
    path.write_text("\n".join(draw(st.permutations(lines))) + "\n")
    return path


def once(transcript):
    """Return a transcript with each of its parts once, however many lines of it are written."""
    parts = {name: tuple(sorted(set(getattr(transcript, name)))) for name in ("exons", "coding")}
    return replace(transcript, **parts)


def contents(found):
    found = list(found)
    key = sorted((one.name, one.contig) for one in found)
    return sorted(map(repr, found)), key


@given(transcripts(), st.data())
def test_what_is_written_as_gtf_and_as_gff3_is_read(made, data):
    transcripts, coding_alone = made
    with tempfile.TemporaryDirectory() as folder:
        for suffix, attributes in (("gtf", gtf_attributes), ("gff3", gff3_attributes)):
            path = Path(folder) / f"x.{suffix}"
            write(path, transcripts, coding_alone, attributes, data.draw)
            assert contents(read_gtf(path)) == contents(map(once, transcripts))


def sites_by_base(transcripts, min_intron):
    """Return the splice sites of runs of bases, of `min_intron` at least, between exons."""
    found = set()
    for one in transcripts:
        exonic = {base for start, end in one.exons for base in range(start, end)}
        run = []
        for base in range(min(exonic), max(exonic) + 1):
            if base not in exonic:
                run.append(base)
            elif run:
                if len(run) >= min_intron:
                    kinds = ("donor", "acceptor") if one.strand == "+" else ("acceptor", "donor")
                    for place, kind in zip((run[0], run[-1]), kinds, strict=True):
                        found.add((one.contig, place, one.strand, kind))
                run = []
    return sorted(found)


@given(transcripts(), st.integers(0, 20))
def test_splice_sites_are_the_ends_of_what_lies_between_exons(made, min_intron):
    found = splice_sites(made[0], min_intron)
    rows = list(found.itertuples(index=False, name=None))
    assert rows == sites_by_base(made[0], min_intron)
