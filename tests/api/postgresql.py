"""A PostgreSQL server of the tests' own: on a socket in a folder of its own, without a port, gone afterwards."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DEBIAN_PROGRAMS = "/usr/lib/postgresql"
ACCOUNT = "postgres"
"""The server refuses to run as root."""
OPTIONS = "-c fsync=off -c listen_addresses='' -c shared_buffers=16MB -c max_connections=200"


def programs() -> Path | None:
    """The folder of `initdb` and `pg_ctl`, if this machine has them."""
    folders = sorted(Path(DEBIAN_PROGRAMS).glob("*/bin"), reverse=True)
    if found := shutil.which("pg_ctl"):
        folders.append(Path(found).resolve().parent)
    return next((folder for folder in folders if all((folder / name).exists() for name in ("initdb", "pg_ctl"))), None)


def account() -> pwd.struct_passwd | None:
    """Who runs the server; None when nobody may."""
    if os.getuid():
        return pwd.getpwuid(os.getuid())
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        return None


@contextmanager
def postgresql(folder: Path, who: pwd.struct_passwd) -> Iterator[str]:
    """A running server; the URL of its database `postgres`."""
    with tempfile.TemporaryDirectory(prefix="pivot-pg-", dir="/tmp") as home:  # a socket's path has at most 107 bytes
        os.chown(home, who.pw_uid, who.pw_gid)
        data = f"{home}/data"

        def run(*command: str) -> None:
            user = {"user": who.pw_uid, "group": who.pw_gid, "extra_groups": []} if not os.getuid() else {}
            environment = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": home}
            done = subprocess.run(
                [str(folder / command[0]), *command[1:]],
                cwd=home,
                env=environment,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                check=False,
                **user,  # type: ignore[call-overload]
            )
            assert done.returncode == 0, done.stderr.decode()

        run("initdb", "-D", data, "-U", ACCOUNT, "-A", "trust", "--no-sync")
        run("pg_ctl", "-D", data, "-w", "-l", f"{home}/log", "-o", f"{OPTIONS} -k {home}", "start")
        try:
            yield f"postgresql://{ACCOUNT}@/postgres?host={home}"
        finally:
            run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
