"""What the application offers of the contract it offers without any shortfall; what it does not offer yet is listed."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from litestar import Litestar

FOLDER = Path(__file__).parent
PRESENT = 133
"""Operations of the contract done so far."""


def test_what_is_there_is_there_completely(app: Litestar, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(app.openapi_schema.to_schema()))
    command = [sys.executable, str(FOLDER / "check_contract.py"), str(document), "--strict"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    *lines, covered = done.stdout.strip().splitlines()
    missing = [line for line in lines if line.endswith(": operation missing")]
    with capsys.disabled():
        print(f"\n{covered}; not offered yet:")  # noqa: T201
        print("\n".join(f"  {line.partition(':')[0]}" for line in missing))  # noqa: T201
    assert [line for line in lines if line not in missing] == []
    assert covered.startswith(f"covered {PRESENT} of 161 operations")
