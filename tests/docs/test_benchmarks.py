"""The page of timings says what each part of the bench measures."""

from __future__ import annotations

import ast

from documents import ROOT, rows


def test_the_first_table_lists_every_part_once() -> None:
    body = ast.parse((ROOT / "bench" / "__main__.py").read_text()).body
    stated = [node.value for node in body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PARTS"]
    before = (ROOT / "docs" / "benchmarks.md").read_text().split("\n## ")[0]
    assert sorted(row[0] for row in rows(before)) == sorted(ast.literal_eval(stated[0]))
