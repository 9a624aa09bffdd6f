"""The table of recipes for tasks that are cut from a genome.

A new recipe is a file beside this one and its name here.
"""

from dnalm.benchmark.tasks.recipes.enhancers import ENHANCERS
from dnalm.benchmark.tasks.recipes.peaks import PEAKS
from dnalm.benchmark.tasks.recipes.promoters import PROMOTERS
from dnalm.benchmark.tasks.recipes.recipe import Recipe
from dnalm.benchmark.tasks.recipes.regions import REGIONS
from dnalm.benchmark.tasks.recipes.splice_annotation import SPLICE_ANNOTATION
from dnalm.benchmark.tasks.recipes.splice_sites import SPLICE_SITES
from dnalm.benchmark.tasks.recipes.splice_table import SPLICE_TABLE
from dnalm.suggestions import check_choice

RECIPES = (
    *(PROMOTERS, SPLICE_SITES, ENHANCERS, PEAKS, REGIONS),
    *(SPLICE_TABLE, SPLICE_ANNOTATION),
)
BY_NAME = {recipe.name: recipe for recipe in RECIPES}


def find_recipe(name: str) -> Recipe:
    """Return a recipe; raise InputError, with the known ones, for another name."""
    check_choice("build.recipe", name, BY_NAME)
    return BY_NAME[name]
