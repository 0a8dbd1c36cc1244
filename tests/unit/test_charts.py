"""Figures: deterministic, escaped, readable without colour, honest about what was suppressed."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from made_results import CURVES, HAZARD, RESULT

from isthmus.charts import axis, forest, palette, survival, svg, terminal
from isthmus.charts.figure import Curve, SurvivalFigure
from isthmus.sdk import figures

FIGURE = figures.survival_figure("survival", CURVES, RESULT)
FOREST = figures.forest_figure("hazard", HAZARD, RESULT)
DRAWN = {"survival": survival.draw(FIGURE), "forest": forest.draw(FOREST)}


@pytest.mark.parametrize("name", DRAWN)
def test_a_figure_is_well_formed_and_standalone(name: str) -> None:
    root = ET.fromstring(DRAWN[name])
    assert root.attrib["role"] == "img"
    assert [child.tag.split("}")[1] for child in root][:2] == ["title", "desc"]
    assert not re.search(r"(?:style|href|src)=|url\(", DRAWN[name])


@pytest.mark.parametrize("name", DRAWN)
def test_coordinates_are_finite_and_inside(name: str) -> None:
    root = ET.fromstring(DRAWN[name])
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    for node in root.iter():
        for key, limit in (("x", width), ("x1", width), ("x2", width), ("y", height), ("y1", height), ("y2", height)):
            if key in node.attrib:
                assert 0 <= float(node.attrib[key]) <= limit


def test_equal_figures_give_equal_bytes() -> None:
    assert survival.draw(replace(FIGURE)) == DRAWN["survival"]


def test_labels_are_escaped() -> None:
    bad = replace(FIGURE, title="<script>&", curves=(replace(FIGURE.curves[0], label="a < b"),))
    drawn = survival.draw(bad)
    assert "<script>" not in drawn
    assert ET.fromstring(drawn) is not None
    assert "a &lt; b" in drawn


def test_series_differ_without_colour() -> None:
    assert len({pen.dash for pen in palette.PENS}) == len(palette.PENS)


@pytest.mark.parametrize("pen", palette.PENS)
def test_colours_are_readable_on_white(pen: palette.Pen) -> None:
    channels = [int(pen.colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    assert 1.05 / (luminance + 0.05) >= 4.5  # WCAG 2.2, 1.4.3


def test_a_suppressed_step_is_neither_drawn_nor_counted() -> None:
    curve = FIGURE.curves[1]
    assert curve.time == (365.0, 730.0)
    assert survival.at_risk(curve, 730.0, stepped=True) is None


def test_numbers_at_risk_on_a_grid_are_those_of_the_step_that_holds_the_time() -> None:
    curve = FIGURE.curves[0]
    assert [survival.at_risk(curve, t, stepped=True) for t in (0.0, 365.0, 400.0, 1095.0)] == [530, 450, 450, None]


def test_numbers_at_risk_at_recorded_times_are_those_just_before() -> None:
    curve = Curve(
        label="all", time=(2.0, 5.0), survival=(0.9, 0.5), low=(0.8, 0.4), high=(1.0, 0.6), at_risk=(10.0, 6.0)
    )
    assert [survival.at_risk(curve, t, stepped=False) for t in (0.0, 2.0, 3.0, 5.0, 6.0)] == [10, 10, 6, 6, None]


def test_a_forest_plot_of_ratios_leaves_out_the_intercept() -> None:
    body = figures.forest_figure("response", RESULT["analyses"]["response"], RESULT)
    assert [row.label for row in body.rows] == ["age", "arm[ddI]"]
    assert body.log


def test_the_terminal_drawing_fits_and_names_every_series() -> None:
    lines = ["".join(piece.text for piece in line) for line in terminal.draw(FIGURE, width=70, height=10)]
    assert max(map(len, lines)) <= 70
    text = "\n".join(lines)
    for word in ("100%", "ZDV", "ddI", "530", "Number at risk"):
        assert word in text
    assert any(0x2800 < ord(c) < 0x2900 for c in text)


def test_curves_start_at_one_and_never_rise() -> None:
    corners = survival._path(
        survival._Frame(0.0, 0.0, 1095.0, 0.0, straight=False), FIGURE.curves[0].time, FIGURE.curves[0].survival
    )
    heights = [y for _, y in corners]
    assert heights == sorted(heights)
    assert heights[0] == 0.0


def test_an_empty_figure_is_still_a_picture() -> None:
    empty = SurvivalFigure(
        title="t", subtitle="s", curves=(), x_label="x", y_label="y", unit="day", stepped=True, notes=()
    )
    assert ET.fromstring(survival.draw(empty)) is not None
    assert terminal.draw(empty)


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (-0.001, "0"), (1.005, "1"), (2.346, "2.35"), (10.0, "10")])
def test_numbers_have_one_spelling(value: float, text: str) -> None:
    assert svg.number(value) == text


@pytest.mark.parametrize(
    ("span", "unit", "step"),
    [
        (1095, "day", 182),
        (90, "day", 14),
        (365 * 10, "day", 730),
        (60, "month", 12),
        (10, "year", 2),
        (0.8, "year", 0.1),
    ],
)
def test_time_axes_use_steps_people_use(span: float, unit: str, step: float) -> None:
    assert axis.time_step(span, unit, 8) == pytest.approx(step)


def test_long_text_is_broken_and_nothing_is_lost() -> None:
    words = "a sentence that is much too long for one line of this figure"
    lines = svg.wrap(words, 120, 12)
    assert len(lines) > 1
    assert " ".join(lines) == words
