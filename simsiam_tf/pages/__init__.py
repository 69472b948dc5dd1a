"""HTML pages that need nothing but themselves: templates on a common base, with every value escaped."""

from __future__ import annotations

import base64
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined


def page(template: str, **values) -> str:
    """The HTML of a template of this folder; a value that it names and does not get is an error."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["zip"] = zip
    return environment.get_template(template).render(values)


def data_uri(content: bytes, kind: str) -> str:
    """Content that stands in the page itself, of a kind such as "image/jpeg"."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
