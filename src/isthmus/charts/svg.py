"""SVG as deterministic text: same figure, same bytes. No style attributes, so that it passes a strict CSP."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from isthmus.charts import palette

if TYPE_CHECKING:
    from collections.abc import Iterable

FONT = "Inter, 'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"

# Advance widths in thousandths of the font size of a common sans serif; others take MEAN.
_WIDTHS = (
    dict.fromkeys(" .,:;/!|[]()ftI", 278)
    | dict.fromkeys("ijl'", 222)
    | dict.fromkeys("r-", 333)
    | dict.fromkeys("ckszvxyJ", 500)
    | dict.fromkeys("abdeghnopqu0123456789L", 556)
    | dict.fromkeys("wCDHNRU", 722)
    | dict.fromkeys("mM%", 833)
)
_MEAN = 640


def number(value: float) -> str:
    """At most two decimals, no trailing zeros, never `-0`."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def text_width(text: str, size: float) -> float:
    """About how wide `text` is in user units, slightly too wide rather than too narrow."""
    return sum(_WIDTHS.get(c, _MEAN) for c in text) * size / 1000 * 1.04


def element(tag: str, attributes: dict[str, str | float], children: Iterable[str] = ()) -> str:
    """One element; underscores in attribute names become dashes, numbers are rounded to two decimals."""
    pairs = "".join(
        f' {name.replace("_", "-")}="{escape(value if isinstance(value, str) else number(value))}"'
        for name, value in attributes.items()
    )
    inner = "".join(children)
    return f"<{tag}{pairs}>{inner}</{tag}>" if inner else f"<{tag}{pairs}/>"


def label(x: float, y: float, text: str, **attributes: str | float) -> str:
    """A line of text; anchored at its start unless `text_anchor` says otherwise."""
    return element("text", {"x": x, "y": y, **attributes}, [escape(text, quote=False)])


def line(start: tuple[float, float], end: tuple[float, float], colour: str, width: float = 1.0, dash: str = "") -> str:
    """A straight line."""
    shown: dict[str, str | float] = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
    shown |= {"stroke": colour, "stroke_width": width}
    return element("line", shown | ({"stroke_dasharray": dash} if dash else {}))


def rectangle(corner: tuple[float, float], size: tuple[float, float], colour: str, radius: float = 0.0) -> str:
    """A filled rectangle."""
    shown: dict[str, str | float] = {"x": corner[0], "y": corner[1], "width": size[0], "height": size[1]}
    return element("rect", shown | ({"rx": radius} if radius else {}) | {"fill": colour})


def points(pairs: Iterable[tuple[float, float]]) -> str:
    """A path's `M x y L x y ...`."""
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in pairs)


def document(size: tuple[float, float], title: str, description: str, children: Iterable[str]) -> str:
    """A standalone picture with a title and a description for people who cannot see it."""
    shown: dict[str, str | float] = {
        "xmlns": "http://www.w3.org/2000/svg",
        "viewBox": f"0 0 {number(size[0])} {number(size[1])}",
        "width": size[0],
        "height": size[1],
        "role": "img",
        "aria_labelledby": "title description",
        "font_family": FONT,
        "font_size": 12.0,
        "fill": palette.INK,
    }
    head = [
        element("title", {"id": "title"}, [escape(title, quote=False)]),
        element("desc", {"id": "description"}, [escape(description, quote=False)]),
        rectangle((0, 0), size, palette.PAPER),
    ]
    return element("svg", shown, ["\n", "\n".join([*head, *children]), "\n"]) + "\n"


def wrap(text: str, width: float, size: float) -> list[str]:
    """Greedy line breaking by estimated width; never an empty list."""
    lines: list[str] = []
    current = ""
    for word in text.split():
        longer = f"{current} {word}".strip()
        if current and text_width(longer, size) > width:
            lines.append(current)
            current = word
        else:
            current = longer
    return [*lines, current]
