"""A server in the background: started, found and stopped by other processes."""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flyte._server.instances import LOG_FILE, Instance, running_instance
from flyte._server.settings import LEAVE_SIGNAL, ServerSettings
from flyte._store.database import HOME_MODE
from flyte.errors import BaseRuntimeError, RuntimeSystemError

_START_LIMIT_S = 60.0
_LAST_LINES = 20
_POLL_S = 0.02
_READY = b"ready\n"


def start_detached(settings: ServerSettings) -> Instance:
    """A server that is ready, in a process of its own that outlives this one.

    Raises:
        BaseRuntimeError: it cannot be run so; the code is that of what `run_server` raises.
        RuntimeSystemError: code `ServerFailed`; it ended before it was ready, or took too long. What it logged last is
            in the text.
    """
    settings.home.mkdir(mode=HOME_MODE, parents=True, exist_ok=True)
    log_file = settings.home / LOG_FILE
    reading, writing = os.pipe()
    try:
        with log_file.open("ab") as log:
            began_at = log.tell()
            pid = _spawn(settings, log.fileno(), writing)
    finally:
        os.close(writing)
    try:
        said = _heard(reading, pid)
    finally:
        os.close(reading)
    if said == _READY and (instance := running_instance(settings.home)) is not None:
        return instance
    with suppress(ChildProcessError):
        os.waitpid(pid, 0)
    if said and said != _READY:
        refusal = json.loads(said)
        raise BaseRuntimeError(refusal["code"], refusal["kind"], refusal["message"])
    raise RuntimeSystemError("ServerFailed", f"the server ended before it was ready. {_last_lines(log_file, began_at)}")


def stop_server(home: Path, within_s: float, *, leaves_attempts: bool = False) -> Instance | None:
    """The server of a home that has ended; None where there was none.

    One that takes longer is killed: nothing that was acknowledged is lost.

    Args:
        home: Of the server.
        within_s: How long it may take.
        leaves_attempts: Its attempts go on, and meet the next server.
    """
    instance = running_instance(home)
    if instance is None:
        return None
    _signal(instance, LEAVE_SIGNAL if leaves_attempts else signal.SIGTERM)
    if not _ends(instance, within_s):
        _signal(instance, signal.SIGKILL)
        _ends(instance, _START_LIMIT_S)
    with suppress(ChildProcessError):
        # Where this process has started it, it also has to say that it has heard of its end.
        os.waitpid(instance.pid, 0)
    return instance


def main(arguments: Sequence[str]) -> None:
    """The process of a server in the background.

    Args:
        arguments: Its settings in JSON, and the descriptor that is told how starting ended.
    """
    settings = _settings_from(json.loads(arguments[0]))
    telling = int(arguments[1])
    os.setsid()
    os.chdir(settings.home)
    os.set_inheritable(telling, False)

    def ready(_: Instance) -> None:
        os.write(telling, _READY)
        os.close(telling)

    from flyte._server.process import run_server

    try:
        code = run_server(settings, ready, settings.home / LOG_FILE)
    except BaseRuntimeError as error:
        os.write(telling, json.dumps({"code": error.code, "kind": error.kind, "message": str(error)}).encode())
        sys.exit(2)
    sys.exit(code)


def _spawn(settings: ServerSettings, log: int, telling: int) -> int:
    # Without the working folder on its path, which may have modules of any name.
    # Not a `Popen`, which wants to be waited for: the process goes on when this one is long gone.
    os.set_inheritable(telling, True)
    text = json.dumps(asdict(settings), default=str)
    program = "import sys; from flyte._server.daemon import main; main(sys.argv[1:])"
    return os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-c", program, text, str(telling)],
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, log, 1),
            (os.POSIX_SPAWN_DUP2, log, 2),
        ],
    )


def _settings_from(fields: dict[str, Any]) -> ServerSettings:
    for name in ("home", "tls_cert", "tls_key"):
        if fields[name] is not None:
            fields[name] = Path(fields[name])
    for name in ("host_names", "images"):
        fields[name] = tuple(fields[name])
    return ServerSettings(**fields)


def _heard(reading: int, pid: int) -> bytes:
    """What the process says of its start; nothing where it ended, or was ended for taking too long."""
    until, said = time.monotonic() + _START_LIMIT_S, b""
    while select.select([reading], [], [], max(0.0, until - time.monotonic()))[0]:
        more = os.read(reading, 65_536)
        if not more:
            return said
        said += more
        if said == _READY:
            return said
    os.kill(pid, signal.SIGKILL)
    return b""


def _ends(instance: Instance, within_s: float) -> bool:
    return _eventually(lambda: not instance.is_alive, within_s)


def _eventually(condition: Callable[[], bool], within_s: float) -> bool:
    until = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(_POLL_S)
    return True


def _signal(instance: Instance, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(instance.pid, number)


def _last_lines(log_file: Path, began_at: int) -> str:
    with log_file.open("rb") as log:
        log.seek(began_at)
        lines = log.read().decode(errors="replace").splitlines()[-_LAST_LINES:]
    if not lines:
        return f"It logged nothing to {log_file}."
    return "\n".join([f"The last lines of {log_file}:", *lines])
