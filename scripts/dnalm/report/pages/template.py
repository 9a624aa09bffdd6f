"""Turning a template of this folder into a page that needs no network."""

from pathlib import Path
from typing import Any

import jinja2
import vl_convert


def render(template: str, **values: Any) -> str:
    """Return the HTML of a template; one that draws `specifications` gets what draws them."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    bundle = jinja2.filters.Markup(vl_convert.javascript_bundle())
    return environment.get_template(template).render(bundle=bundle, **values)
