"""The import rules hold, and each of them bites: a violation planted into a small tree is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SOUND = {
    "plixa/__init__.py": "",
    "plixa/app.py": "import plixa.api",
    "plixa/api.py": "import plixa.inbox.controllers\nimport plixa.billing.controllers",
    "plixa/worker.py": "import plixa.inbox.actors\nimport plixa.inbox.policies\nimport projections.registry",
    "plixa/seeds.py": "import projections.registry",
    "plixa/cli/__init__.py": "import plixa.app",
    "plixa/kernel/__init__.py": "",
    "plixa/identity/__init__.py": "",
    "plixa/billing/__init__.py": "",
    "plixa/billing/controllers.py": "",
    "plixa/scheduling/__init__.py": "",
    "plixa/inbox/__init__.py": "",
    "plixa/inbox/controllers.py": "import plixa.inbox.commands\nimport plixa.inbox.queries",
    "plixa/inbox/actors.py": "import plixa.inbox.commands",
    "plixa/inbox/policies.py": "import plixa.inbox.commands",
    "plixa/inbox/commands.py": "import plixa.inbox.domain\nimport plixa.inbox.models",
    "plixa/inbox/queries.py": "import projections.inbox",
    "plixa/inbox/models.py": "",
    "plixa/inbox/client.py": "",
    "plixa/inbox/domain.py": "import plixa.kernel",
    "projections/__init__.py": "",
    "projections/registry.py": "import projections.inbox",
    "projections/inbox.py": "import plixa.inbox.domain",
}

DOWNWARD = "Modules import downward only"
WITHIN = "Inside a module"
PLANTED = {
    "an import upward": (DOWNWARD, "plixa/kernel/__init__.py", "import plixa.identity"),
    "strangers that meet": (DOWNWARD, "plixa/inbox/commands.py", "import plixa.scheduling"),
    "a package without a place": (DOWNWARD, "plixa/odds.py", ""),
    "an import upward inside a module": (WITHIN, "plixa/inbox/domain.py", "import plixa.inbox.models"),
    "a framework in a domain": ("Domain imports no framework", "plixa/inbox/domain.py", "import sqlalchemy"),
    "a command in a projection": ("Projections know", "projections/inbox.py", "import plixa.inbox.commands"),
    "a cycle": ("No cycles", "projections/inbox.py", "import projections.registry"),
    "a controller out of place": ("Only the router", "plixa/inbox/commands.py", "import plixa.billing.controllers"),
    "an actor out of place": ("Only the worker", "plixa/app.py", "import plixa.inbox.actors"),
    "a projection out of place": ("Only queries", "plixa/inbox/commands.py", "import projections.inbox"),
}


def test_every_module_obeys_the_import_rules() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


def test_a_tree_as_the_rules_want_it_passes(tmp_path: Path) -> None:
    plant(tmp_path)
    done = lint(tmp_path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("violation", PLANTED)
def test_the_rules_find(violation: str, tmp_path: Path) -> None:
    plant(tmp_path)
    contract, file, text = PLANTED[violation]
    (tmp_path / file).write_text(f"{SOUND.get(file, '')}\n{text}\n")
    broken = [line for line in lint(tmp_path).stdout.splitlines() if line.endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), broken


def plant(root: Path) -> None:
    """Write the sound tree."""
    shutil.copy(ROOT / "pyproject.toml", root)
    for name, text in SOUND.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def lint(root: Path) -> "subprocess.CompletedProcess[str]":
    """Import-linter on the tree at ``root``, whatever is installed."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environ = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.run(command, cwd=root, env=environ, capture_output=True, text=True, check=False)
