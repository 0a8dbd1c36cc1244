"""Reading Markdown: headings, links, fenced blocks."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)|<img[^>]*src=\"(?P<image>[^\"]+)\"")
SKIPPED = {".venv", ".git", "node_modules", ".pytest_cache", "demo-output", "bench-output"}


def documents() -> list[Path]:
    """Every Markdown file of the repository."""
    return sorted(p for p in ROOT.rglob("*.md") if not SKIPPED & set(p.relative_to(ROOT).parts))


def prose(path: Path) -> str:
    """The text without fenced blocks."""
    return FENCE.sub("", path.read_text())


def headings(path: Path) -> list[str]:
    """Heading texts, backticks dropped."""
    return [h.strip().replace("`", "") for h in re.findall(r"^#{1,6} (.+)$", prose(path), re.MULTILINE)]


def anchors(path: Path) -> set[str]:
    """Anchors as a Markdown site makes them from headings."""
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings(path)}


def links(path: Path) -> list[str]:
    """Targets of links and pictures, outside ones left out."""
    found = (m.group("target") or m.group("image") for m in LINK.finditer(prose(path)))
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def blocks(path: Path, language: str) -> list[str]:
    """Bodies of fenced blocks in one language, in order."""
    return [m.group("body") for m in FENCE.finditer(path.read_text()) if m.group("language") == language]


def rows(text: str) -> list[list[str]]:
    """Cells of every table row, header and rule lines left out."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    rules = {i for i, row in enumerate(cells) if all(re.fullmatch(r":?-+:?", cell) for cell in row)}
    return [row for i, row in enumerate(cells) if i not in rules and i + 1 not in rules]
