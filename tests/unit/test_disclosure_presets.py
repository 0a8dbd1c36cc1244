"""Rule sets of others: complete in what they state, and no rules file until a person has stated the rest."""

from __future__ import annotations

import json

import pytest
import yaml

from isthmus.cli.app import main
from isthmus.disclosure.presets import PRESETS, UNSTATED, as_yaml, preset
from isthmus.disclosure.rules import RULES, read_rules
from isthmus.model.errors import Invalid
from stated_rules import STRICT


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_no_rules_file_until_the_rest_is_stated(name: str) -> None:
    printed = yaml.safe_load(as_yaml(preset(name)))
    assert list(printed) == list(RULES)
    with pytest.raises(Invalid):
        read_rules(printed, "federated")
    filled = {rule: STRICT[rule] if value == UNSTATED else value for rule, value in printed.items()}
    assert read_rules(filled, "federated").minimum_count == int(PRESETS[name].stated["minimum_count"])


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("mode", ["federated", "rehearsal"])
def test_one_question_mark_is_enough_to_refuse(name: str, mode: str) -> None:
    printed = yaml.safe_load(as_yaml(preset(name)))
    for rule in (rule for rule, value in printed.items() if value == UNSTATED):
        others = {r: STRICT[r] if v == UNSTATED and r != rule else v for r, v in printed.items()}
        with pytest.raises(Invalid):
            read_rules(others, mode)


def test_the_page_lists_them(root) -> None:
    page = (root / "docs" / "reference" / "rules.md").read_text()
    assert [name for name in PRESETS if f"| `{name}` |" not in page] == []


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["rules", "show", "opensafely"])
    assert ended.value.code == 0
    assert "Midpoint-6 rounding" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["rules", "list", "--json"])
    assert list(json.loads(capsys.readouterr().out)["sets"]) == list(PRESETS)
    with pytest.raises(SystemExit) as ended:
        main(["rules", "show", "opensafly"])
    assert ended.value.code == 2
    assert "did you mean 'opensafely'?" in capsys.readouterr().err
