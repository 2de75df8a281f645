"""What this project makes of the programs in `conformance/` differs from the official messages only on purpose.

The official release is asked where `FLYTE_OFFICIAL_PYTHON` names an interpreter that has it.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from flyteidl2.task.common_pb2 import Outputs

from conformance import serialization

PROJECT = serialization.FOLDER.parent

official = pytest.mark.skipif("FLYTE_OFFICIAL_PYTHON" not in os.environ, reason="FLYTE_OFFICIAL_PYTHON is not set")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Our messages of the programs, by task and context."""
    repository = serialization.make_repository(tmp_path_factory.mktemp("conformance"))
    return serialization.serialized(sys.executable, "ours", repository)


def test_every_program_is_serialized_in_its_contexts(ours: dict[str, Any]) -> None:
    assert not [name for name, spec in ours.items() if "error" in spec]
    assert len({name.split()[0] for name in ours}) >= 80


def test_every_field_that_the_documentation_names_is_in_some_program(ours: dict[str, Any]) -> None:
    fields = {name for spec in ours.values() for name, _ in serialization.fields_of(spec)}
    template, metadata = "task_template", "task_template.metadata"
    expected = {
        *("default_inputs[0].name", "short_name", "environment.description", "documentation.long_description"),
        *(
            "documentation.source_code.link",
            f"{template}.custom.spec.ttl_seconds",
            f"{template}.config.primary_container_name",
        ),
        *(f"{template}.interface.inputs.variables[0].value.description", f"{template}.reuse_policy.scope"),
        *(f"{template}.k8s_pod.metadata.labels.team", f"{template}.k8s_pod.pod_spec.containers[1].args.--inputs"),
        *(f"{template}.security_context.run_as.k8s_service_account", f"{template}.security_context.secrets[0].group"),
        *(f"{template}.extended_resources.gpu_accelerator.partition_size", f"{template}.container.env[0].key"),
        *(f"{template}.extended_resources.shared_memory.size_limit", f"{template}.container.resources.limits[0].value"),
        *(
            f"{metadata}.{name}"
            for name in ("discoverable", "discovery_version", "cache_serializable", "cache_max_age")
        ),
        *(
            f"{metadata}.{name}"
            for name in ("timeout", "timeouts.deadline", "timeouts.queued_timeout", "interruptible")
        ),
        *(f"{metadata}.{name}" for name in ("retries.retries", "retries.backoff.cap", "generates_deck", "debuggable")),
        *(
            f"{metadata}.{name}"
            for name in ("is_entrypoint", "code_bundle_uri", "pod_template_name", "log_links[0].uri")
        ),
        *(f"{metadata}.{name}" for name in ("cache_ignore_input_vars", "image_build_run.name", "runtime.version")),
    }
    assert expected <= fields


def test_programs_that_are_equal_have_no_differences(ours: dict[str, Any]) -> None:
    comparison = serialization.compare(ours, ours)
    assert (comparison.unexpected, comparison.on_purpose) == ((), ())
    assert comparison.unused == serialization.ON_PURPOSE


SPEC = """
{"task_template": {"type": "python", "container": {"args": ["a0", "--inputs", "x", "--name", "y"]}},
 "default_inputs": [{"name": "z"}]}
"""


@pytest.mark.parametrize(
    ("here", "there", "field"),
    [
        ('"python"', '"other"', "task_template.type"),
        ('"type": "python"', '"kind": "python"', "task_template.kind"),
        ('"--inputs", "x"', '"--inputs", "w"', "task_template.container.args.--inputs"),
        ('"--inputs", "x", "--name", "y"', '"--name", "y", "--inputs", "x"', "task_template.container.args.order"),
        ('[{"name": "z"}]', "[]", "default_inputs[0].name"),
    ],
)
def test_difference_in_any_field_is_found(here: str, there: str, field: str) -> None:
    comparison = serialization.compare({"t": json.loads(SPEC)}, {"t": json.loads(SPEC.replace(here, there))})
    assert field in [each.field for each in comparison.unexpected]
    assert comparison.equal_fields > 0


def test_task_that_one_side_lacks_is_a_difference() -> None:
    assert serialization.compare({"t archive": {"short_name": "t"}}, {}).unexpected[0].official == serialization.ABSENT


def test_every_purpose_is_told_in_the_documentation() -> None:
    page = (serialization.FOLDER.parent / "docs" / "serialization.md").read_text("utf-8")
    assert not [entry.reason for entry in serialization.ON_PURPOSE if entry.reason not in page]


@official
def test_nothing_differs_from_the_official_release_but_on_purpose() -> None:
    comparison = serialization.compare_releases(os.environ["FLYTE_OFFICIAL_PYTHON"])
    assert [dataclasses.asdict(each) for each in comparison.unexpected] == []
    assert comparison.unused == ()
    assert comparison.equal_fields > 4000


SERIALIZE = r"""
import sys
from pathlib import Path

root, archive, inputs = map(Path, sys.argv[1:])
sys.path.insert(0, str(root / "src"))
from digits.weighing import weigh
from flyte._serialization import ImageCache, task_spec
from flyte.models import CodeBundle, SerializationContext

bundle, images = CodeBundle(computed_version="cv", tgz=str(archive)), ImageCache({"digits": "base:1"})
spec = task_spec(weigh, SerializationContext("v1", code_bundle=bundle, image_cache=images, root_dir=root))
inputs.write_bytes(weigh.codec.encode_inputs({"rows": [1, 2]}).SerializeToString())
print(*spec.task_template.container.args, sep="\n")
"""


@official
def test_official_task_process_runs_a_task_from_our_command_line(tmp_path: Path) -> None:
    root = Path(shutil.copytree(PROJECT / "tests" / "serialization" / "project", tmp_path / "project"))
    archive = shutil.make_archive(str(tmp_path / "fast"), "gztar", root)
    command = [sys.executable, "-c", SERIALIZE, str(root), archive, str(tmp_path / "inputs.pb")]
    arguments = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    outputs = run_official(arguments, tmp_path)
    assert outputs.literals[0].value.scalar.primitive.float_value == 0.75


def run_official(arguments: list[str], folder: Path) -> Outputs:
    """Do what a control plane does with the command line, and read what comes of it."""
    filled_in = {
        "{{.input}}": str(folder / "inputs.pb"),
        "{{.outputPrefix}}": str(folder / "out"),
        "{{.rawOutputDataPrefix}}": str(folder / "raw"),
        "{{.checkpointOutputPrefix}}": str(folder / "checkpoint"),
        "{{.prevCheckpointPrefix}}": "",
        "{{.runName}}": "r1",
        "{{.actionName}}": "a0",
    }
    environment = {
        "_U_RUN_BASE": str(folder),
        "_U_ORG_NAME": "acme",
        "_U_EP_OVERRIDE": "localhost:1",
        "_F_SYS_PATH": "./src",
        "FLYTE_INTERNAL_EXECUTION_PROJECT": "digits",
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": "development",
        "DO_NOT_TRACK": "1",
    }
    for name in ("out", "work"):
        (folder / name).mkdir()
    program = Path(os.environ["FLYTE_OFFICIAL_PYTHON"]).parent / "a0"
    done = subprocess.run(
        [program, *(filled_in.get(each, each) for each in arguments[1:])],
        cwd=folder / "work",
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Outputs.FromString((folder / "out" / "outputs.pb").read_bytes())
