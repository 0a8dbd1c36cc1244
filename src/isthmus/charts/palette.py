"""Colours that survive colour-blind eyes, grey printers and dark screens: each comes with a dash pattern and a mark."""

from __future__ import annotations

from isthmus.model.record import record


@record
class Pen:
    """How one series looks: `colour` is dark enough for text on white (WCAG 4.5:1), `terminal` a 256-colour name."""

    colour: str
    dash: str
    terminal: str


# Hues of Okabe & Ito (2008), "Color Universal Design", darkened for contrast on white.
PENS = (
    Pen(colour="#0b65a8", dash="", terminal="dodger_blue2"),
    Pen(colour="#b94a08", dash="7 2.5", terminal="dark_orange3"),
    Pen(colour="#08765a", dash="2 2", terminal="spring_green4"),
    Pen(colour="#8d4a83", dash="9 2.5 2 2.5", terminal="orchid"),
    Pen(colour="#7a5c00", dash="4 2 1 2 1 2", terminal="gold3"),
    Pen(colour="#3d4f66", dash="12 3", terminal="slate_blue1"),
)

INK = "#14202e"
SOFT = "#55636f"
RULE = "#c9d1d9"
FAINT = "#e8ecf0"
PAPER = "#ffffff"
BAND = "#edf1f5"


def pen(index: int) -> Pen:
    """The pen of series `index`; they repeat after six, when dashes and labels still tell series apart."""
    return PENS[index % len(PENS)]
