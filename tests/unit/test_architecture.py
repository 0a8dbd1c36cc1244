"""The house rules that a reader would otherwise have to police (CONTRIBUTING.md lists them)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "isthmus"
MODULE_LINES = 400
FUNCTION_LINES = 50

# Switches that turn a check off. There is none in this project, not even for tests.
TRAPDOORS = re.compile(
    r"\A(skip|disable|ignore|bypass|no|without)_"
    r"(check|checks|verify|verification|gate|disclosure|mask|masking|rules?|tls|auth)\Z"
    r"|\A(trusted|insecure|unsafe|force|debug_mode|allow_any|verify|check|secure)\Z"
)
ENTRY_POINTS = {"cli", "federation", "sdk"}  # these may read the environment
LAST_FRAMES = {PACKAGE / "federation" / "nursery.py"}  # a forked process ends here: it must write down why
GATE = PACKAGE / "disclosure" / "gate.py"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def sources() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text(), str(path)) for path in sorted(PACKAGE.rglob("*.py"))}


def nodes(kind: type[ast.AST] | tuple[type[ast.AST], ...]) -> Iterator[tuple[Path, ast.AST]]:
    return ((p, n) for p, tree in sources().items() for n in ast.walk(tree) if isinstance(n, kind))


def functions() -> Iterator[tuple[Path, Function]]:
    for path, node in nodes((ast.FunctionDef, ast.AsyncFunctionDef)):
        assert isinstance(node, Function)
        yield path, node


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"


def names(node: ast.AST | None) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} if node is not None else set()


def called(node: ast.AST) -> str:
    match node:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name
    return ""


def test_a_module_tells_one_story() -> None:
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in sources()}
    assert not {name: lines for name, lines in lengths.items() if lines > MODULE_LINES}


def test_a_function_does_one_thing() -> None:
    assert not [f"{where(p, f)} {f.name}: {length(f)} lines" for p, f in functions() if length(f) > FUNCTION_LINES]


def length(function: Function) -> int:
    """Lines from `def` to the end, the docstring not counted."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        first = function.body[0]
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def test_every_module_says_what_it_is() -> None:
    assert not [str(p.relative_to(ROOT)) for p, tree in sources().items() if not ast.get_docstring(tree)]


def test_checks_that_matter_raise() -> None:
    """`python -O` deletes assert."""
    assert not [where(p, n) for p, n in nodes(ast.Assert)]


def test_no_error_is_swallowed_wholesale() -> None:
    broad = {"Exception", "BaseException"}
    handlers = ((p, n) for p, n in nodes(ast.ExceptHandler) if isinstance(n, ast.ExceptHandler))
    found = [(p, n) for p, n in handlers if n.type is None or broad & names(n.type)]
    assert not [where(p, n) for p, n in found if p not in LAST_FRAMES]
    assert [p for p, _ in found if p in LAST_FRAMES] == sorted(LAST_FRAMES)


def test_nothing_is_left_to_be_written() -> None:
    unfinished = [
        where(p, n) for p, n in nodes(ast.Raise) if isinstance(n, ast.Raise) and "NotImplementedError" in names(n.exc)
    ]
    notes = [
        str(p.relative_to(ROOT)) for p in sources() if re.search(r"#\s*(TODO|FIXME|XXX)(?!\(#\d+\))", p.read_text())
    ]
    assert not unfinished + notes


def test_no_boolean_opens_a_trapdoor() -> None:
    """STYLE rule 8: no `trusted=True`, no `skip_checks`: two functions, or a type."""
    found = []
    for path, function in functions():
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        found += [
            f"{where(path, function)} {a.arg}"
            for a in arguments
            if TRAPDOORS.match(a.arg) and isinstance(a.annotation, ast.Name) and a.annotation.id == "bool"
        ]
    assert not found


def test_only_entry_points_read_the_environment() -> None:
    reads = [
        where(p, n)
        for p, n in nodes(ast.Attribute)
        if isinstance(n, ast.Attribute)
        and n.attr in {"environ", "getenv"}
        and p.relative_to(PACKAGE).parts[0] not in ENTRY_POINTS
    ]
    assert not reads


def test_only_the_gate_makes_a_release() -> None:
    """ARCHITECTURE idea 4: types stop mistakes, this test stops forgeries."""
    made = [where(p, n) for p, n in nodes(ast.Call) if p != GATE and called(n) in {"Release", "Clearance"}]
    forged = [
        where(p, n)
        for p, n in nodes(ast.Call)
        if p != GATE and called(n) in {"__new__", "__setattr__", "replace"} and names(n) & {"Release", "Clearance"}
    ]
    assert not made + forged


def test_numpy_makes_no_randomness_in_crypto() -> None:
    assert not [p.name for p in (PACKAGE / "crypto").rglob("*.py") if "np.random" in p.read_text()]


def test_imports_point_down() -> None:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache", "--config", "pyproject.toml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:]


HEAVY = {"pandas", "scipy.stats", "duckdb", "pyarrow", "grpc", "sqlalchemy", "formulaic", "lifelines", "matplotlib"}


def loaded_by(program: str) -> set[str]:
    """Heavy modules in memory after `program`."""
    program += f"\nimport sys; print('\\n' + ' '.join({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_importing_the_package_loads_nothing_heavy() -> None:
    """ARCHITECTURE, decisions: `import isthmus` under 0.5 s."""
    assert not loaded_by("import isthmus")


def test_asking_a_hub_loads_neither_statistics_nor_a_database() -> None:
    assert loaded_by("import isthmus.federation.grpc_client") == {"grpc"}


def test_asking_for_help_loads_nothing_heavy() -> None:
    """ARCHITECTURE, decisions: `isthmus --help` under 0.8 s."""
    program = """
import sys
sys.argv = ["isthmus", "--help"]
from isthmus.cli import main
try:
    main()
except SystemExit:
    pass
"""
    assert not loaded_by(program)


def test_no_two_test_files_share_a_name() -> None:
    """Test folders are on one import path: a second `helpers.py` would hide the first."""
    names_used = [p.name for p in (ROOT / "tests").rglob("*.py") if p.name != "conftest.py"]
    assert sorted(names_used) == sorted(set(names_used))
