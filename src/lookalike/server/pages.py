"""Pages: Jinja templates of web/templates, filled. Names of files are hostile, and are escaped and made showable."""

from __future__ import annotations

from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from lookalike import __version__
from lookalike.writing import showable


def page(template: str, status: int = 200, **values: object) -> HTMLResponse:
    """A page of web/templates."""
    return HTMLResponse(_pages.get_template(template).render(version=__version__, **values), status)


_pages = Environment(
    loader=PackageLoader("lookalike", "server/web/templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: showable(value) if type(value) is str else value,
)
