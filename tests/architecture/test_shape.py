"""Sizes, names and places, checked so that nobody has to remember them."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from plixa.cli import main

ROOT = Path(__file__).parents[2]
FILE_LINES = 400
FUNCTION_LINES = 40
PARAMETERS = 5

CODE = sorted(file for folder in ("plixa", "projections") for file in (ROOT / folder).rglob("*.py"))
GIVEN = {"check_contract.py"}
"""Comes with the contract, and stays as it came."""
TESTS = sorted(file for file in (ROOT / "tests").rglob("*.py") if file.name not in GIVEN)
MIGRATIONS = sorted((ROOT / "migrations").rglob("*.py"))

PARTS = {"__init__", "domain", "models", "client", "queries", "commands", "controllers", "actors", "policies"}
EXTRA_PARTS = {"whatsapp": {"sandbox"}}
"""The sandbox gateway is a server of its own, not a part that other modules have."""
FREE_FORM = {"kernel", "cli", "panel"}
VAGUE = {"utils", "util", "helpers", "helper", "services", "service", "common", "base", "manager", "misc"}
MEANT = {f"plixa/scheduling/{part}/services.py" for part in ("commands", "queries", "controllers")}
"""Where services are what customers book."""
IMPURE = re.compile(r"\b(datetime\.now|datetime\.utcnow|date\.today|uuid[14]\(|random|secrets|time\.)")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def test_no_file_is_longer_than_its_budget() -> None:
    assert [name(file) for file in (*CODE, *TESTS) if len(file.read_text().splitlines()) > FILE_LINES] == []


def test_no_function_is_longer_than_its_budget() -> None:
    long = [f"{place} {end - start + 1}" for place, start, end in spans() if end - start + 1 > FUNCTION_LINES]
    assert long == []


def test_no_function_takes_more_parameters_than_its_budget() -> None:
    assert [place for place, function in functions() if len(parameters(function)) > PARAMETERS] == []


def test_a_module_holds_only_the_files_everybody_knows() -> None:
    odd = [
        f"{module.name}/{entry.name}"
        for module in sorted((ROOT / "plixa").iterdir())
        if module.is_dir() and module.name not in FREE_FORM | {"__pycache__"}
        for entry in sorted(module.iterdir())
        if entry.suffix in {".py", ""} and entry.name != "__pycache__"
        if entry.stem not in PARTS | EXTRA_PARTS.get(module.name, set())
    ]
    assert odd == []


def test_no_file_has_a_name_that_could_hold_anything() -> None:
    vague = {name(file) for file in (*CODE, *TESTS) if {file.stem, file.parent.name} & VAGUE}
    assert sorted(vague - MEANT) == []


def test_every_package_says_what_it_owns() -> None:
    silent = [name(file) for file in CODE if not ast.get_docstring(ast.parse(file.read_text()))]
    assert silent == []


def test_projections_know_no_clock_and_no_chance() -> None:
    impure = [
        f"{name(file)}:{number}"
        for file in sorted((ROOT / "projections").rglob("*.py"))
        for number, line in enumerate(file.read_text().splitlines(), 1)
        if IMPURE.search(line)
    ]
    assert impure == []


def test_migrations_stand_alone() -> None:
    """They must still run when today's code is gone."""
    importing = [name(file) for file in MIGRATIONS for module in imported(file) if module.split(".")[0] == "plixa"]
    assert importing == []


def test_no_test_is_skipped_sleeps_or_mocks() -> None:
    lazy = re.compile(r"mark\.(skip|xfail)\b|time\.sleep\(|unittest\.mock")
    found = [name(file) for file in TESTS if file != Path(__file__) and lazy.search(file.read_text())]
    assert found == []


def test_the_readme_begins_with_the_two_commands() -> None:
    assert readme_commands()[:2] == ["make up", "make test"]


@pytest.mark.parametrize("place", ["README.md"])
def test_every_command_in_the_readme_exists(place: str) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    known = {"make": targets, "plixa": set(main.commands)}
    unknown = [
        line
        for line in readme_commands()
        if (words := re.sub(r"^(\w+=\S+ )+|^\.venv/bin/", "", line).split())
        if words[0] not in known or words[1] not in known[words[0]]
    ]
    assert unknown == []


def readme_commands() -> list[str]:
    """The lines of the README's shell blocks, without comments."""
    blocks = re.findall(r"^```(?:sh|bash|console|shell)\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    lines = (re.sub(r"\s+#.*|^\$ ", "", line).strip() for block in blocks for line in block.splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def functions() -> Iterator[tuple[str, Function]]:
    for file in CODE:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, Function):
                yield f"{name(file)}:{node.lineno} {node.name}", node


def spans() -> Iterator[tuple[str, int, int]]:
    for place, function in functions():
        yield place, function.lineno, function.end_lineno or function.lineno


def parameters(function: Function) -> list[str]:
    """Names of what a caller passes."""
    taken = function.args
    names = [each.arg for each in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)]
    return [each for each in names if each not in {"self", "cls"}]


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))
