"""What both embedded servers need: where their programs and sockets lie, whether they live, and why they do not."""

import hashlib
import importlib.util
import os
import socket
import tempfile
import time
from pathlib import Path

import psutil

LONGEST_SOCKET_PATH = 100
"""Bytes; the kernels allow 103 (macOS) and 107 (Linux)."""
START_SECONDS = 300
"""Crash recovery of a large log takes minutes; anything longer is a fault to look at."""
STOP_SECONDS = 60
FAILED_STARTS = 5


class EmbeddedError(Exception):
    """An embedded server cannot run; the message says why and what to do."""


def answers(path: Path) -> bool:
    """Whether somebody listens on a unix socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        return connection.connect_ex(str(path)) == 0


def socket_folder(home: Path) -> Path:
    """Beside the data, unless that path is too long for a socket."""
    folder = home / "run"
    if len(os.fsencode(folder / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH:
        return folder
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"plixa-{digest}"


def forget_socket_folder(home: Path) -> None:
    """Leave nothing of ours outside the home."""
    folder = socket_folder(home)
    if folder.parent != home and folder.exists() and not any(folder.iterdir()):
        folder.rmdir()


def package(name: str) -> Path:
    """The folder of an installed package. Not imported: only its programs are wanted, not its side effects."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedError(f"The package {name} is missing: install Plixa again, or set PLIXA_DATABASE_URL and PLIXA_REDIS_URL.")
    return Path(spec.origin).parent


def refuse_foreign_owner(folder: Path, uid: int) -> None:
    """Taking over somebody's data would lock its owner out."""
    owner = folder.stat().st_uid
    if owner != uid:
        raise EmbeddedError(f"{folder} belongs to user id {owner}: run Plixa as that user, or set another PLIXA_HOME.")


def is_program(pid: int, name: str) -> bool:
    try:
        process = psutil.Process(pid)
        return process.name() == name and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_until_gone(pid: int, name: str) -> None:
    """Return when the process has ended; one that nobody reaps counts as ended."""
    deadline = time.monotonic() + STOP_SECONDS
    while is_program(pid, name):
        if time.monotonic() > deadline:
            raise EmbeddedError(f"{name} ({pid}) does not stop.")
        time.sleep(0.02)


def first_number(file: Path) -> int:
    """The process number at the head of a pid file; 0, nobody's, while there is none."""
    text = file.read_text().split(maxsplit=1) if file.exists() else []
    return int(text[0]) if text else 0


def tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:]) if log.exists() else "(no log)"
