"""The table of recipes: what every one owes, and that configuration offers exactly these."""

from pathlib import Path

import pytest
import yaml

from dnalm.benchmark.tasks.recipes.recipe import KEYS_OF_FILES
from dnalm.benchmark.tasks.recipes.table import RECIPES, find_recipe
from dnalm.configuration import schema
from dnalm.errors import InputError

ROOT = Path(__file__).parents[5]
SHIPPED = yaml.safe_load((ROOT / "config.yaml").read_text())
with open(ROOT / "resources/schemas/config.schema.yaml") as file:
    SCHEMA = schema.read_schema(file)
DEFINED = SCHEMA["$defs"]


def test_the_schema_offers_the_recipes_of_the_table_and_no_other():
    assert DEFINED["build"]["properties"]["recipe"] == {"$ref": "#/$defs/recipe"}
    defaults = SCHEMA["properties"]["build"]["properties"]["recipes"]
    assert defaults["propertyNames"] == {"$ref": "#/$defs/recipe"}
    assert DEFINED["recipe"]["enum"] == [recipe.name for recipe in RECIPES]
    assert SHIPPED["build"]["recipes"].keys() <= set(DEFINED["recipe"]["enum"])


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.name)
def test_every_key_of_a_recipe_has_a_type_and_a_default(recipe):
    own = SHIPPED["build"]["recipes"].get(recipe.name, {})
    extra = [key for file in recipe.extra_files for key in KEYS_OF_FILES[file]]
    for key in (*recipe.keys, *extra, recipe.labels_by):
        assert key in DEFINED["build"]["properties"]
        assert key in DEFINED["recipe_defaults"]["properties"]
        assert key in {**SHIPPED["build"], **own}
    for file in (recipe.source, *recipe.extra_files):
        assert file in DEFINED["build"]["properties"]
    assert own.keys() <= {*SHIPPED["build"], *recipe.keys, *extra}


@pytest.mark.parametrize(("key", "field"), [("placement", "placements"), ("decoys", "decoys")])
def test_every_choice_of_windows_and_negatives_is_of_some_recipe(key, field):
    made = {choice for recipe in RECIPES for choice in getattr(recipe, field)}
    assert made == set(DEFINED[key]["enum"])


def test_an_unknown_recipe_is_named_with_the_known_ones_the_nearest_first():
    sentence = r"^build\.recipe: 'splice_site' is not allowed; choose one of splice_sites, "
    with pytest.raises(InputError, match=sentence):
        find_recipe("splice_site")
