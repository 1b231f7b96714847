"""The tour's page: one self-contained HTML file whose content policy forbids loading anything else.

Text and layout are in `templates/tour.html.jinja`; `tour_panels` and `facts` prepare the content. Figures are embedded
as JSON together with one copy of plotly.js, and the page draws them in the colours of the reader's scheme.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import plotly.offline
from markupsafe import Markup

from rnn2vec._files import write_atomically
from rnn2vec._progress import Progress, silent
from rnn2vec.experiments.tour import facts
from rnn2vec.experiments.tour.measure import TourFindings, TourResults, measure
from rnn2vec.report import figures
from rnn2vec.report import tour_panels as panels
from rnn2vec.report.pages import environment
from rnn2vec.report.text import language_html, number_text
from rnn2vec.zoo.store import Zoo


def write_tour_report(
    path: Path,
    zoo: Zoo,
    runs: Mapping[str, Path],
    *,
    command: str = "rnn2vec tour",
    progress: Progress = silent,
) -> TourFindings:
    """Measure the runs' encoders on unseen languages and write the page.

    Args:
        path: HTML file to write; its folder must exist.
        zoo: the zoo on which the runs were pre-trained.
        runs: folders that `pretrain` wrote, by encoder name: `interactive-probing`, `noninteractive-probing` and,
            optionally, `task-blind`. Without the last, the floor is the closed-form floor.
        command: command line that made the tour, shown on the page.
        progress: callback that receives the number of parts done.

    Returns:
        The findings that the page shows.

    Raises:
        UsageError: if a run is missing, of another encoder or on another zoo, or no task of the zoo is unseen.
        DataError: if files of the zoo or of a run are damaged.
        StorageError: if the page cannot be written.
    """
    results = measure(zoo, runs, progress)
    write_atomically(path, render(results, command=command).encode())
    progress(1, 1, "done")
    return results.findings


def render(results: TourResults, *, command: str) -> str:
    """Render the page as HTML.

    Args:
        results: measurements to show.
        command: command line that made the tour.
    """
    templates = environment()
    templates.filters |= {"language": language_html, "number": number_text}
    themes = {scheme: figures.template(scheme).to_plotly_json() for scheme in figures.PALETTES}
    return templates.get_template("tour.html.jinja").render(
        plotly=Markup(plotly.offline.get_plotlyjs()),  # noqa: S704 (the library itself)
        palettes=figures.PALETTES,
        themes=panels.as_script(themes),
        findings=results.findings,
        facts=facts.zoo_facts(results),
        has_blind=results.blind is not None,
        curves=panels.curves(results),
        maps=panels.maps(results),
        legend=panels.category_legend(results),
        token_colours=list(enumerate(figures.CATEGORY_COLOURS)),
        performances=panels.performances(results),
        example=panels.example(results),
        scale=facts.paper_comparison(results),
        details=facts.details(results, command),
    )
