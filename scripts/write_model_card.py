"""Write what is known of one model beside its export: a card of the Hugging Face hub."""

from dnalm.benchmark.scoring.bootstrap import BootstrapConfig
from dnalm.jobs.job import job
from dnalm.report.pages.cards.model_card import write_card

with job(snakemake.log[0]):
    write_card(
        dict(snakemake.input.items()),
        snakemake.params.rights,
        summary=snakemake.params.summary,
        bootstrap=BootstrapConfig(**snakemake.params.bootstrap),
        path=snakemake.output.card,
    )
