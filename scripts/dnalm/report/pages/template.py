"""Turning a template of the folder templates into a page that needs no network."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import jinja2
import vl_convert

FEW_ROWS = 8  # of a table with no more rows nobody searches


def render(template: str, **values: Any) -> str:
    """Return the HTML of a template, with the libraries that draw charts and sort tables in it."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    bundle = jinja2.filters.Markup(vl_convert.javascript_bundle())
    return environment.get_template(template).render(
        bundle=bundle, sorting=_datatables(), few_rows=FEW_ROWS, **values
    )


def _datatables() -> dict[str, jinja2.filters.Markup]:
    """Return code and style of DataTables, as itables carries them (MIT, both).

    The bundle is a module; inside a page nothing can be imported from it without a request, so that
    what it exports becomes a name of the page's own module. itables itself is not imported.
    """
    found = importlib.util.find_spec("itables")
    folder = Path(found.submodule_search_locations[0]) / "html"
    code = (folder / "dt_bundle.js").read_text(encoding="utf-8")
    exported = re.search(r"export\s*\{([^}]*)\}", code)
    name = re.search(r"(\w+) as default", exported[1])[1]
    rest = code[exported.end() :].lstrip(";")
    code = f"{code[: exported.start()]}const DataTable = {name};{rest}"
    style = (folder / "dt_bundle.css").read_text(encoding="utf-8")
    return {"code": jinja2.filters.Markup(code), "css": jinja2.filters.Markup(style)}
