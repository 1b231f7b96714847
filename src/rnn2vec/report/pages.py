"""Pages from templates, with everything from data escaped."""

from __future__ import annotations

import jinja2


def environment() -> jinja2.Environment:
    """Return the templates of this folder; a name that a template misses is an error."""
    return jinja2.Environment(
        loader=jinja2.PackageLoader("rnn2vec.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
