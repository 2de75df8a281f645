"""`flyte status`: the server of a home, and what it does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flyte._server.instances import Instance, running_instance
from flyte._server.metrics import OpenWork
from flyte._server.open_work import open_work
from flyte._store.reader import StoreReader
from flyte.cli._documents import print_document
from flyte.cli._invocation import OutputFormat
from flyte.cli._moments import show_local
from flyte.cli._terminal import note

_NONE = 1


def show_status(home: Path, output: OutputFormat) -> int:
    """The exit code, after what there is to say."""
    instance = running_instance(home)
    if instance is None:
        if output.is_document:
            print_document({"running": False, "home": str(home)}, output)
        else:
            note(f"No server of {home} runs: `flyte start` starts one.")
        return _NONE
    with StoreReader(home) as reader:
        work = open_work(reader)
    up = datetime.now(UTC) - instance.started_at
    if output.is_document:
        print_document(_document(home, instance, up, work), output)
    else:
        for name, value in _lines(home, instance, up, work):
            print(f"{name:<9} {value}", flush=True)
    return 0


def _document(home: Path, instance: Instance, up: timedelta, work: OpenWork) -> dict[str, object]:
    return {
        "running": True,
        "home": str(home),
        "address": instance.url,
        "version": instance.version,
        "pid": instance.pid,
        "started_at": instance.started_at.isoformat(),
        "uptime_s": round(up.total_seconds(), 1),
        "open_runs": dict(work.runs),
        "open_actions": dict(work.actions),
        "open_attempts": work.attempts,
    }


def _lines(home: Path, instance: Instance, up: timedelta, work: OpenWork) -> list[tuple[str, str]]:
    whole = timedelta(seconds=int(up.total_seconds()))
    return [
        ("Address", instance.url),
        ("Version", instance.version),
        ("Process", str(instance.pid)),
        ("Home", str(home)),
        ("Up", f"{whole}, since {show_local(instance.started_at)}"),
        ("Runs", _counts(work.runs)),
        ("Actions", _counts(work.actions)),
        ("Attempts", str(work.attempts)),
    ]


def _counts(by_phase: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {phase}" for phase, count in by_phase.items()) or "none open"
