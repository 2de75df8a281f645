"""Prints each task of the programs as JSON, one line a task; run by the interpreter of either release.

Arguments: `ours` or `official`.
"""

import asyncio
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
BUNDLES: dict[str, dict[str, Any] | None] = {
    "archive": {"computed_version": "cv", "tgz": "s3://bucket/fast0.tar.gz", "destination": "."},
    "pickle": {"computed_version": "cv", "pkl": "s3://bucket/0.pkl.gz", "destination": "/code"},
    "none": None,
}
"""Code bundles by the name of the context."""
FEW = ("plain.nothing", "plain.cached", "warm.warm_task", "pod-full.pod_full", "image-built.image_built")
"""Tasks that are serialized in every context; the others in the first."""


def context_of(name: str, image_cache: Any) -> Any:
    """The context of that name, with what both releases have."""
    models = import_module("flyte.models")
    bundle = BUNDLES[name]
    return models.SerializationContext(
        version="v1",
        project="digits",
        domain="development",
        org="acme",
        code_bundle=None if bundle is None else models.CodeBundle(**bundle),
        image_cache=image_cache,
        root_dir=FOLDER,
    )


def ours(task: Any, context: Any) -> Any:
    """What this project makes of a task that is deployed."""
    return import_module("flyte._serialization").task_spec(task, context)


def official(task: Any, context: Any) -> Any:
    """What the official release makes of a task that is deployed, without sending it."""
    deploy, models = import_module("flyte._deploy"), import_module("flyte.models")
    serde = import_module("flyte._internal.runtime.task_serde")
    convert = import_module("flyte._internal.runtime.convert")
    action = models.ActionID(
        name="{{.actionName}}",
        run_name="{{.runName}}",
        project="{{.executionProject}}",
        domain="{{.executionDomain}}",
        org="{{.executionOrg}}",
    )
    task_context = models.TaskContext(
        action=action,
        output_path=context.output_path,
        version=context.version,
        raw_data_path=models.RawDataPath(path=""),
        compiled_image_cache=context.image_cache,
        run_base_dir="",
        report=import_module("flyte.report").Report(name=action.name),
        custom_context={},
    )
    defaults = asyncio.run(convert.convert_upload_default_inputs(task.interface))
    spec = serde.translate_task_to_wire(task, context, default_inputs=defaults, task_context=task_context)
    environment = task.parent_env() if task.parent_env else None
    if environment is not None and environment.description:
        spec.environment.description = environment.description
    spec.documentation.CopyFrom(deploy._get_documentation_entity(task))
    interface = spec.task_template.interface
    interface.CopyFrom(deploy._update_interface_inputs_and_outputs_docstring(interface, task.native_interface))
    return spec


def built_images(side: str, program: Any) -> Any:
    """What the image builder of that side hands on."""
    module = import_module("flyte._serialization" if side == "ours" else "flyte._internal.imagebuild.image_builder")
    return module.ImageCache(image_lookup=program.BUILT, build_run_ids=program.BUILD_RUNS)


def main(side: str) -> None:
    """Print what `side` makes of each task, or the error it ends with."""
    from google.protobuf.json_format import MessageToDict

    sys.path.insert(0, str(FOLDER))
    program = import_module("programs.serialized_tasks")
    serialize = ours if side == "ours" else official
    built = built_images(side, program)
    for context_name in BUNDLES:
        for position, task in enumerate(program.TASKS):
            if context_name != "archive" and task.name not in FEW:
                continue
            context = context_of(context_name, None if context_name == "none" else built)
            try:
                message: Any = MessageToDict(
                    serialize(task, context), preserving_proto_field_name=True, use_integers_for_enums=True
                )
            except Exception as error:
                message = {"error": f"{type(error).__name__}: {error}"}
            print(json.dumps({"task": f"{task.name}#{position}", "context": context_name, "spec": message}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
