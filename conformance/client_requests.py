"""Compares, field by field, what this project's client and the official one send to a control plane.

    python conformance/client_requests.py OFFICIAL_PYTHON

`OFFICIAL_PYTHON` is the interpreter of an environment with `flyte==2.12.1`. Both releases run
`programs/requested_runs.py` against a control plane in memory, which records what it is asked. Prints what is equal,
what differs on purpose with its reason, and what else differs; ends with 1 if anything does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path[:0] = [str(FOLDER.parent)] if str(FOLDER.parent) not in sys.path else []

from google.protobuf.json_format import MessageToDict  # noqa: E402

from conformance.peer import Peer  # noqa: E402
from conformance.serialization import ABSENT, Comparison, Difference, OnPurpose, fields_of, report  # noqa: E402

PROGRAM = "requested_runs.py"
ANY = ".*"

ON_PURPOSE = (
    OnPurpose(
        "(CreateRun|UploadInputs) .*",
        r"(project_id|run_id)\..*",
        "ours names each run itself, so that a request whose answer is lost is repeated without a second run",
    ),
    OnPurpose(ANY, "content_md5", "the archives hold the same files, compressed by another library"),
    OnPurpose(ANY, r"(task_)?spec\.task_template\.metadata\.runtime\.version", "each release says its own version"),
    OnPurpose(
        ANY,
        r"(task_)?spec\.task_template\.(id|container\.args)\.(--)?version",
        "the version is that of the archive, whose bytes differ",
    ),
    OnPurpose(
        ANY,
        r"(run_spec\.envs\.values|(task_)?spec\.task_template\.container\.env)\[\d+\]\.value",
        "an entry of sys.path that is there twice is sent once",
    ),
    OnPurpose(
        "(CreateRun|UploadInputs) 4",
        r"task_spec\.task_template\.(container\.args\.--tgz|metadata\.code_bundle_uri)",
        "the code of a run in another project is sent to that one; the official one names what it sent elsewhere",
    ),
    OnPurpose("CreateUploadLocation 8|SelectCluster 1 elsewhere/staging", ANY, "the same: it is sent there"),
    OnPurpose(
        "CreateUploadLocation [3-6]",
        "filename(_root)?",
        "files of a folder keep their relative paths, which the official one drops, so that two of one name are one",
    ),
    OnPurpose(
        "(CreateRun|UploadInputs) 12",
        r"offloaded_input_data\..*|inputs\.literals\[\d\]\.value\.(hash|scalar\.blob\.uri)",
        "the hash of a file or folder is BLAKE3 of all of it; and the addresses of uploads are made up",
    ),
    OnPurpose("GetActionDetails [23]", ANY, "ours has the details of the root action from those of the run"),
    OnPurpose("ListActions 2", r"request\.sort_by\..*", "conditions are listed in the order in which they were asked"),
    OnPurpose("SelectCluster 9 .*", ANY, "inputs of triggers are small, and stay in the request that deploys them"),
)


def recorded_by(python: str, folder: Path) -> dict[str, dict[str, Any]]:
    """The requests of the program under that interpreter, by a name that tells which is which.

    Raises:
        RuntimeError: the program fails.
    """
    program = folder / "program"
    program.mkdir(parents=True)
    shutil.copy(FOLDER / "programs" / PROGRAM, program)
    peer = Peer(folder / "server")
    peer.on_run = peer.settle
    with peer.serving():
        done = subprocess.run(
            [python, PROGRAM, peer.endpoint],
            cwd=program,
            env=_environment(folder),
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    if done.returncode != 0:
        raise RuntimeError(f"{python} {PROGRAM} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return named_requests(peer)


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of whoever calls this: neither configuration nor caches."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FLYTE", "_U_", "_F_", "UCTL"))}
    home = {"HOME": str(folder), "FLYTE_HOME": str(folder / "home")}
    return kept | home | {"DO_NOT_TRACK": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def named_requests(peer: Peer) -> dict[str, dict[str, Any]]:
    """What was recorded, as JSON: `CreateRun 3` is the third; those made at once are in order of name."""
    words = {str(peer.folder): "(server)", peer.endpoint: "(endpoint)"}
    words |= {name: f"(run {number})" for number, name in enumerate(peer.runs)}
    by_method: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for each in peer.recorded:
        document = MessageToDict(each.message, preserving_proto_field_name=True, use_integers_for_enums=True)
        by_method[each.method].append(_replaced(document, words))
    named = {}
    for method, documents in by_method.items():
        if method in ("DeployTask", "CreateUploadLocation"):
            documents.sort(key=_order)
        for number, document in enumerate(documents, 1):
            which = _resource(document) if method == "SelectCluster" else str(number)
            named[f"{method} {which}"] = document
    return named


def _order(document: dict[str, Any]) -> str:
    """Of requests that are made at once the order means nothing."""
    return str(document.get("task_id", {}).get("name") or document.get("filename", "").rpartition("/")[2])


def _resource(document: dict[str, Any]) -> str:
    """What `SelectCluster` is asked about: each once, and then it is known."""
    project = document.get("project_id")
    if project is not None:
        return f"{document['operation']} {project['name']}/{project['domain']}"
    return f"{document['operation']} {json.dumps(document, sort_keys=True)}"


def _replaced(value: Any, words: dict[str, str]) -> Any:
    """The document with the names that each run makes up replaced by words."""
    if isinstance(value, dict):
        return {key: _replaced(item, words) for key, item in value.items()}
    if isinstance(value, list):
        return [_replaced(item, words) for item in value]
    if isinstance(value, str):
        for word, name in words.items():
            value = value.replace(word, name)
    return value


def compare(
    ours: dict[str, dict[str, Any]], official: dict[str, dict[str, Any]], purposes: Iterable[OnPurpose] = ON_PURPOSE
) -> Comparison:
    """Each field of each request; both by the name of the request."""
    known = tuple(purposes)
    equal, differences = 0, []
    for request in sorted(ours.keys() | official.keys()):
        here, there = (dict(fields_of(side.get(request, {}))) for side in (ours, official))
        for field in sorted(here.keys() | there.keys()):
            pair = here.get(field, ABSENT), there.get(field, ABSENT)
            if pair[0] == pair[1]:
                equal += 1
            else:
                differences.append(Difference(request, field, *pair))
    found = [(each, each.purpose_of(known)) for each in differences]
    used = {purpose for _, purpose in found}
    return Comparison(
        tasks=len(ours.keys() | official.keys()),
        equal_fields=equal,
        on_purpose=tuple(each for each, purpose in found if purpose),
        unexpected=tuple(each for each, purpose in found if not purpose),
        unused=tuple(entry for entry in known if entry not in used),
        table=known,
    )


def compare_releases(official_python: str) -> Comparison:
    """Run the program with both releases, and compare."""
    with tempfile.TemporaryDirectory() as folder:
        ours = recorded_by(sys.executable, Path(folder) / "ours")
        return compare(ours, recorded_by(official_python, Path(folder) / "official"))


def main() -> int:
    """0 when every difference is on purpose, and every purpose has its difference."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("official_python", help="interpreter with flyte==2.12.1")
    comparison = compare_releases(parser.parse_args().official_python)
    print("\n".join(report(comparison, "requests")))
    return 1 if comparison.unexpected or comparison.unused else 0


if __name__ == "__main__":
    sys.exit(main())
