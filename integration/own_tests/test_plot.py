"""benchmarks.plot draws a bar per client and measure."""

from __future__ import annotations

from xml.etree import ElementTree

from integration.benchmarks.clients import COLUMNS, DOCKER
from integration.benchmarks.figures import Figures, Measure
from integration.benchmarks.plot import COLORS, svg

SVG = "{http://www.w3.org/2000/svg}"


def test_every_client_of_the_benchmark_has_a_bar_and_a_colour_of_its_own() -> None:
    figures = Figures()
    for number, client in enumerate(COLUMNS, 1):
        figures.add(Measure("start & stop", "ms"), client, 100.0 * number)

    picture = ElementTree.fromstring(svg(figures, COLUMNS, DOCKER))

    bars = [bar.get("fill") for bar in picture.iter(f"{SVG}rect")][1:]
    assert bars == list(COLORS[: len(COLUMNS)])
    assert {text.text for text in picture.iter(f"{SVG}text")} >= {*COLUMNS, "start & stop [ms]"}


def test_a_measure_that_has_nothing_to_compare_with_is_left_out() -> None:
    figures = Figures()
    figures.add(Measure("lonely", "ms"), COLUMNS[0], 1.0)

    assert "lonely" not in svg(figures, COLUMNS, DOCKER)
