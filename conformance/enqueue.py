"""Compares, field by field, what an attempt of this project and one of the official release ask a control plane for.

    python conformance/enqueue.py OFFICIAL_PYTHON

`OFFICIAL_PYTHON` is the interpreter of an environment with `flyte==2.12.1`; the running one has this project. Both run
`a0` for the same action of `programs/enqueuing.py` against a control plane that notes each request to enqueue. Prints
what is equal, what differs on purpose with its reason, and what else differs; ends with 1 if anything does.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent))

from flyteidl2.actions.actions_service_pb2 import Action  # noqa: E402
from flyteidl2.task.common_pb2 import Inputs, Outputs  # noqa: E402
from google.protobuf.json_format import MessageToDict  # noqa: E402

from conformance.serialization import fields_of  # noqa: E402
from tests.controller.remote.peer import End, Listening, Peer  # noqa: E402

ON_PURPOSE = {
    "task.spec.task_template.metadata.runtime.version": "each release says its own version",
    "trace.start_time": "the moment",
    "trace.end_time": "the moment",
}


def outputs_of(action: Action, inputs: Inputs) -> End | None:
    """Each task returns its first input; conditions are answered with true."""
    if action.HasField("condition"):
        end = Outputs()
        end.literals.add().value.scalar.primitive.boolean = True
        return End(value=end.literals[0].value)
    outputs = Outputs()
    if action.task.spec.task_template.interface.outputs.variables:
        outputs.literals.add(name="o0").value.CopyFrom(inputs.literals[0].value)
    return End(outputs)


def enqueued_by(command: list[str], folder: Path) -> list[Action]:
    """What an attempt asks for, in the order of the names of its actions."""
    folder.mkdir()
    shutil.copy(FOLDER / "programs" / "enqueuing.py", folder)
    (folder / "inputs.pb").write_bytes(Inputs().SerializeToString())
    peer = Peer(folder / "run", outputs_of)
    server = Listening(peer)
    server.start()
    try:
        options = ["--inputs", str(folder / "inputs.pb"), "--outputs-path", str(folder / "run/a0/1"), "--version", "v1"]
        options += ["--raw-data-path", str(folder / "raw"), "--run-name", "r1", "--name", "a0"]
        options += ["--run-base-dir", str(folder / "run"), "--resolver"]
        options += ["flyte._internal.resolvers.default.DefaultTaskResolver", "mod", "enqueuing", "instance", "parent"]
        variables = {
            "_U_EP_OVERRIDE": server.address,
            "_U_USE_ACTIONS": "1",
            "_U_ORG_NAME": "acme",
            "FLYTE_INTERNAL_EXECUTION_PROJECT": "digits",
            "FLYTE_INTERNAL_EXECUTION_DOMAIN": "development",
            "FSSPEC_FILE_AUTO_MKDIR": "true",
            "DO_NOT_TRACK": "1",
        }
        done = subprocess.run(
            [*command, *options],
            cwd=folder,
            env={**os.environ, **variables},
            timeout=120,
            capture_output=True,
            text=True,
        )
        if not (folder / "run/a0/1/outputs.pb").exists():
            raise SystemExit(f"{command[0]} left no outputs:\n{done.stdout}\n{done.stderr}")
    finally:
        server.stop()
    return sorted(peer.enqueued, key=lambda action: (action.WhichOneof("spec") or "", action.action_id.name))


def fields(action: Action, folder: Path) -> dict[str, Any]:
    """The fields of a request by their path, without where the files of this attempt are."""
    document = MessageToDict(action, preserving_proto_field_name=True)
    found: dict[str, Any] = {}
    for path, value in fields_of(document):
        found[path] = value.replace(str(folder), "FOLDER") if isinstance(value, str) else value
    return found


def main() -> int:
    """Compares; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("official", help="interpreter with the official release")
    arguments = parser.parse_args()
    entry = "from flyte._worker.program import main; main()"
    official_entry = "import sys; sys.argv[0] = 'a0'; from flyte._bin.runtime import main; main()"
    with tempfile.TemporaryDirectory() as temporary:
        ours_folder, official_folder = Path(temporary, "ours"), Path(temporary, "official")
        ours = [fields(each, ours_folder) for each in enqueued_by([sys.executable, "-c", entry], ours_folder)]
        official = [
            fields(each, official_folder)
            for each in enqueued_by([arguments.official, "-c", official_entry], official_folder)
        ]
    equal, on_purpose, unexpected = 0, set(), []
    if len(ours) != len(official):
        unexpected.append(f"{len(ours)} requests of ours, {len(official)} of the official release")
    for mine, theirs in zip(ours, official, strict=False):
        what = mine.get("task.id.name") or mine.get("trace.name") or mine.get("condition.name")
        for path in sorted(mine.keys() | theirs.keys()):
            if mine.get(path) == theirs.get(path):
                equal += 1
            elif path in ON_PURPOSE:
                on_purpose.add(path)
            else:
                unexpected.append(f"{what}: {path}: {mine.get(path)!r}, official {theirs.get(path)!r}")
    print(f"{len(ours)} requests, {equal} equal fields")
    for path in sorted(on_purpose):
        print(f"on purpose: {path}: {ON_PURPOSE[path]}")
    for line in unexpected:
        print(f"differs: {line}")
    return 1 if unexpected else 0


if __name__ == "__main__":
    sys.exit(main())
