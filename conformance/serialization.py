"""Compares, field by field, the messages that this project and the official release make of the same tasks.

    python conformance/serialization.py OFFICIAL_PYTHON

`OFFICIAL_PYTHON` is the interpreter of an environment with `flyte==2.12.1` and `kubernetes`; the running one has this
project and `kubernetes`. The programs are copied into a git repository, so that links to the code can be compared.
Prints what is equal, what differs on purpose with its reason, and what else differs; ends with 1 if anything does.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
REMOTE = "git@github.com:acme/digits.git"
ABSENT = "(absent)"


@dataclass(frozen=True)
class OnPurpose:
    """A difference that is meant.

    Attributes:
        task: Pattern of the whole name of the task, with its context.
        field: Pattern of the whole path of the field.
        reason: Why it differs.
    """

    task: str
    field: str
    reason: str


ON_PURPOSE = (
    OnPurpose(".*", r"task_template\.metadata\.runtime\.version", "each release says its own version"),
    OnPurpose(
        ".*",
        r"documentation\.source_code\.link",
        "ours points at the first decorator, where the settings are; the official one at the line below it",
    ),
    OnPurpose(
        ".* pickle",
        r"task_template\.metadata\.code_bundle_uri",
        "a pickled bundle is a code bundle, and the official reader of the field expects one; it is left out there",
    ),
    OnPurpose(
        r"(plain\.(inner|member|scalar_defaults)|warm\.warm_task)#.*",
        r"task_template\.container\.args\.--resolver",
        "ours names the variable that holds this very task, also what override made; the official one always names the "
        "function, and cannot find it where the module has no such variable",
    ),
    OnPurpose(
        "warm.*",
        r"task_template\.custom\.version",
        "ours covers all that a worker is made of; the official one lacks concurrency, scope and accelerators, so that "
        "a task that overrides them gets the workers of the others",
    ),
    OnPurpose(
        "(image-auto|image-built).*",
        r"task_template\.(container\.image)",
        "the default image is that of the release, and images of your own are tagged by other bytes",
    ),
    OnPurpose(
        r"apple\..*",
        r"task_template\.container\.env\[.*",
        "variables for the host process of the official release on a Mac; our runtime has none",
    ),
    OnPurpose(
        r"plain\.given_docs#.*",
        r"documentation\.short_description",
        "docs= is what the user wrote about the task; the official one shows the docstring all the same",
    ),
    OnPurpose(
        r"secret-both\..*",
        r"task_template\.security_context\.secrets.*",
        "a secret that is asked for as a file and as a variable comes as both; the official one drops the file",
    ),
    OnPurpose(
        r"wordy\..*",
        r"environment\.description",
        "the mark of a text that was cut is '...', and not '...(tr.)'",
    ),
)


@dataclass(frozen=True)
class Difference:
    """One field of one task that differs."""

    task: str
    field: str
    ours: Any
    official: Any

    @property
    def purpose(self) -> OnPurpose | None:
        """The entry of the table of this module that says why; None where nothing does."""
        return self.purpose_of(ON_PURPOSE)

    def purpose_of(self, table: Iterable[OnPurpose]) -> OnPurpose | None:
        """The entry of a table that says why; None where nothing does."""
        return next(
            (entry for entry in table if re.fullmatch(entry.task, self.task) and re.fullmatch(entry.field, self.field)),
            None,
        )


@dataclass(frozen=True)
class Comparison:
    """What came of comparing; `table` has the purposes that differences may have."""

    tasks: int
    equal_fields: int
    on_purpose: tuple[Difference, ...]
    unexpected: tuple[Difference, ...]
    unused: tuple[OnPurpose, ...]
    table: tuple[OnPurpose, ...]


def fields_of(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a JSON document by their path; lists of named things by name, command lines as one."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from fields_of(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        for position, item in enumerate(value):
            yield from fields_of(item, f"{path}[{position}]")
    elif path.endswith(("container.args", "].args")):
        yield from arguments_of(value, path)
    else:
        yield path, value


def arguments_of(arguments: list[str], path: str) -> Iterator[tuple[str, Any]]:
    """A command line as its order, which counts too, and the value of each option."""
    yield f"{path}.order", [each for each in arguments if each.startswith("--")]
    option = ""
    values: dict[str, list[str]] = {}
    for each in arguments:
        option = each if each.startswith("--") else option
        values.setdefault(option, []).append(each)
    for name, given in values.items():
        yield f"{path}{name and '.' + name}", given


def compare(ours: dict[str, Any], official: dict[str, Any]) -> Comparison:
    """Each field of each task; both by the name of the task."""
    equal, differences = 0, []
    for task in sorted(ours.keys() | official.keys()):
        here, there = ({} if task not in side else dict(fields_of(side[task])) for side in (ours, official))
        for field in sorted(here.keys() | there.keys()):
            pair = here.get(field, ABSENT), there.get(field, ABSENT)
            if pair[0] == pair[1]:
                equal += 1
            else:
                differences.append(Difference(task, field, *pair))
    used = {each.purpose for each in differences}
    return Comparison(
        tasks=len(ours.keys() | official.keys()),
        equal_fields=equal,
        on_purpose=tuple(each for each in differences if each.purpose),
        unexpected=tuple(each for each in differences if not each.purpose),
        unused=tuple(entry for entry in ON_PURPOSE if entry not in used),
        table=tuple(ON_PURPOSE),
    )


def serialized(python: str, side: str, repository: Path) -> dict[str, Any]:
    """The messages by task and context, made by a process of that interpreter.

    Raises:
        RuntimeError: it fails.
    """
    done = subprocess.run(
        [python, "serialize_programs.py", side],
        cwd=repository,
        env=os.environ | {"DO_NOT_TRACK": "1", "PYTHONDONTWRITEBYTECODE": "1", "FLYTE_HOME": str(repository / ".git")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(
            f"{python} serialize_programs.py {side} ended with {done.returncode}:\n{done.stderr[-3000:]}"
        )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {f"{line['task']} {line['context']}": line["spec"] for line in lines}


def make_repository(folder: Path) -> Path:
    """A git repository with the programs, all of them committed, whose remote is on a known host."""
    repository = folder / "digits"
    shutil.copytree(FOLDER, repository, ignore=shutil.ignore_patterns("__pycache__"))
    identity = ["-c", "user.name=acme", "-c", "user.email=acme@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["remote", "add", "origin", REMOTE], ["add", "."], ["commit", "-qm", "Programs"]):
        subprocess.run(["git", *identity, *command], cwd=repository, check=True, capture_output=True)
    return repository


def compare_releases(official_python: str) -> Comparison:
    """Serialize the programs with both releases, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        repository = make_repository(Path(folder))
        ours = serialized(sys.executable, "ours", repository)
        return compare(ours, serialized(official_python, "official", repository))


def report(comparison: Comparison, what: str = "tasks in their contexts") -> Iterator[str]:
    """The lines to print of a comparison of so many of those."""
    yield f"{comparison.tasks} {what}, {comparison.equal_fields} fields are equal."
    counts = Counter(each.purpose_of(comparison.table) for each in comparison.on_purpose)
    yield f"{len(comparison.on_purpose)} fields differ on purpose:"
    for entry, count in counts.items():
        assert entry is not None
        yield f"  {count:4} x {entry.task} {entry.field}: {entry.reason}"
    for entry in comparison.unused:
        yield f"UNUSED: nothing differs as the table says: {entry.task} {entry.field}: {entry.reason}"
    yield f"{len(comparison.unexpected)} fields differ otherwise" + (":" if comparison.unexpected else ".")
    for each in comparison.unexpected:
        yield f"  {each.task}  {each.field}\n      ours:     {each.ours!r}\n      official: {each.official!r}"


def main() -> int:
    """0 when every difference is on purpose, and every purpose has its difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("official_python", help="interpreter with flyte==2.12.1 and kubernetes")
    comparison = compare_releases(parser.parse_args().official_python)
    print("\n".join(report(comparison)))
    return 1 if comparison.unexpected or comparison.unused else 0


if __name__ == "__main__":
    sys.exit(main())
