"""A task's message says all that a control plane must know, and what the official release says of the same task."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Optional

import pytest
from flyteidl2.core.identifier_pb2 import TASK
from flyteidl2.core.security_pb2 import Secret as SecretMessage
from flyteidl2.core.tasks_pb2 import GPUAccelerator, Resources, RuntimeMetadata
from flyteidl2.core.tasks_pb2 import Sql as SqlMessage
from flyteidl2.core.types_pb2 import SimpleType
from google.protobuf.json_format import MessageToDict

import flyte
from flyte._serialization import entry_arguments, task_spec
from flyte.errors import ModuleLoadError, RuntimeUserError, TaskDefinitionError
from flyte.models import CodeBundle, NativeInterface, SerializationContext
from tests.serialization.serving import BUILT, context, metadata_of, spec_of, task_with

env = flyte.TaskEnvironment("digits", image="base:1", description="All about digits.")


class Place(NamedTuple):
    x: int
    y: float


@env.task(short_name="n" * 80)
async def documented(z: int, a: str = "text", m: Optional[int] = None) -> Place:
    """Place the digit.

    It is placed
    where it fits.

    Args:
        z: How many there are.
        a: Their name.

    Returns:
        x: To the right.
    """
    return Place(z, 0.0)


@env.task
def plain() -> None: ...


def test_template_has_the_identity_of_the_task_in_its_place() -> None:
    identity = spec_of(plain).task_template.id
    assert (identity.resource_type, identity.name, identity.version) == (TASK, "digits.plain", "v1")
    assert (identity.org, identity.project, identity.domain) == ("acme", "digits", "development")


def test_template_says_what_runs_it() -> None:
    template = spec_of(plain).task_template
    runtime = template.metadata.runtime
    assert (template.type, template.task_type_version) == ("python", 0)
    assert (runtime.type, runtime.version, runtime.flavor) == (RuntimeMetadata.FLYTE_SDK, flyte.__version__, "python")


def test_equal_tasks_make_equal_messages() -> None:
    assert spec_of(documented, documented=True) == spec_of(documented, documented=True)


def test_command_line_is_the_one_that_a_task_process_reads() -> None:
    container = spec_of(plain, image_cache=BUILT).task_template.container
    assert list(container.command) == []
    assert list(container.args) == [
        *("a0", "--inputs", "{{.input}}", "--outputs-path", "{{.outputPrefix}}", "--version", "v1"),
        *("--raw-data-path", "{{.rawOutputDataPrefix}}", "--checkpoint-path", "{{.checkpointOutputPrefix}}"),
        *("--prev-checkpoint", "{{.prevCheckpointPrefix}}", "--run-name", "{{.runName}}", "--name", "{{.actionName}}"),
        *("--run-start-time", "{{.runStartTime}}", "--image-cache", BUILT.to_transport),
        *("--tgz", "s3://bucket/fast0.tar.gz", "--dest", "."),
        *("--resolver", "flyte._internal.resolvers.default.DefaultTaskResolver"),
        *("mod", "tests.serialization.test_task_spec", "instance", "plain"),
    ]


def test_pickled_bundle_needs_no_resolver_and_no_root_folder() -> None:
    bundle = CodeBundle(computed_version="cv", pkl="s3://bucket/0.pkl.gz", destination="/code")
    template = spec_of(plain, code_bundle=bundle, root_dir=None).task_template
    assert list(template.container.args)[-4:] == ["--pkl", "s3://bucket/0.pkl.gz", "--dest", "/code"]
    assert "--resolver" not in template.container.args
    assert template.metadata.code_bundle_uri == "s3://bucket/0.pkl.gz"
    assert template.metadata.discovery_version == "cv"


def test_archive_beside_a_pickle_is_the_one_that_is_used() -> None:
    both = CodeBundle(computed_version="cv", tgz="s3://a.tar.gz", pkl="s3://b.pkl.gz")
    arguments = entry_arguments(plain, context(code_bundle=both))
    assert "--tgz" in arguments
    assert "--pkl" not in arguments
    assert "--resolver" in arguments


def test_code_that_is_in_the_image_needs_a_resolver_and_no_bundle() -> None:
    arguments = entry_arguments(plain, context(code_bundle=None))
    assert not {"--tgz", "--pkl", "--dest"} & set(arguments)
    assert arguments[-4:] == ["mod", "tests.serialization.test_task_spec", "instance", "plain"]


def test_task_that_must_be_found_needs_a_root_folder() -> None:
    with pytest.raises(RuntimeUserError, match=r"'digits\.plain' is found again by its module.*root_dir") as raised:
        entry_arguments(plain, context(root_dir=None))
    assert raised.value.code == "SerializationError"


def test_task_that_cannot_be_found_again_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModuleLoadError, match="outside the root folder"):
        spec_of(plain, root_dir=tmp_path)


def test_variables_of_the_interface_are_sorted_and_described() -> None:
    interface = spec_of(documented, documented=True).task_template.interface
    inputs = [(entry.key, entry.value.description) for entry in interface.inputs.variables]
    assert inputs == [("a", "Their name."), ("m", ""), ("z", "How many there are.")]
    assert [entry.key for entry in interface.outputs.variables] == ["x", "y"]
    assert interface.inputs.variables[2].value.type.simple == SimpleType.INTEGER


def test_defaults_are_literals_in_the_order_of_the_parameters() -> None:
    defaults = spec_of(documented).default_inputs
    assert [named.name for named in defaults] == ["a", "m"]
    assert defaults[0].parameter.default.scalar.primitive.string_value == "text"
    assert defaults[1].parameter.default.scalar.union.value.scalar.HasField("none_type")
    assert defaults[0].parameter.var.type.simple == SimpleType.STRING


def test_default_of_a_task_known_from_a_control_plane_goes_back_as_it_came() -> None:
    literal = spec_of(documented).default_inputs[0].parameter.default
    interface = NativeInterface.from_types({"a": (str, NativeInterface.has_default)}, {}, {"a": literal})
    known: Any = Query(name="known.task", interface=interface)
    assert spec_of(known).default_inputs[0].parameter.default == literal


def test_default_that_is_no_value_of_its_type_is_an_error_with_its_input() -> None:
    interface = NativeInterface({"rows": (list[int], ["a"])}, {})
    wrong: Any = Query(name="wrong.task", interface=interface)
    with pytest.raises(TaskDefinitionError, match=r"'wrong\.task': the default of input 'rows' cannot be sent"):
        spec_of(wrong)


def test_documentation_is_there_for_people_only_when_asked_for() -> None:
    spec = spec_of(documented, documented=True)
    assert spec.documentation.short_description == "Place the digit."
    assert spec.documentation.long_description == "It is placed\nwhere it fits."
    assert (spec.environment.name, spec.environment.description) == ("digits", "All about digits.")
    bare = spec_of(documented)
    assert not bare.HasField("documentation")
    assert (bare.environment.name, bare.environment.description) == ("digits", "")
    assert not any(entry.value.description for entry in bare.task_template.interface.inputs.variables)


def test_docs_win_over_the_docstring() -> None:
    task = task_with({"docs": flyte.Documentation("Short.\n\nLong.")})
    documentation = spec_of(task, documented=True).documentation
    assert (documentation.short_description, documentation.long_description) == ("Short.", "Long.")


def test_texts_are_cut_to_what_a_control_plane_takes() -> None:
    task = task_with({"docs": flyte.Documentation("s" * 300 + "\n\n" + "l" * 3000)})
    documentation = spec_of(task, documented=True).documentation
    assert documentation.short_description == "s" * 252 + "..."
    assert documentation.long_description == "l" * 2045 + "..."
    assert spec_of(documented).short_name == "n" * 63


def test_nothing_but_no_retries_is_said_of_a_plain_task() -> None:
    metadata = MessageToDict(spec_of(plain).task_template.metadata, preserving_proto_field_name=True)
    del metadata["runtime"], metadata["discovery_version"]
    assert metadata == {
        "retries": {},
        "interruptible": False,
        "generates_deck": False,
        "debuggable": True,
        "code_bundle_uri": "s3://bucket/fast0.tar.gz",
    }


def test_retries_have_their_count_and_backoff() -> None:
    backoff = flyte.Backoff(timedelta(seconds=1.5), factor=2.0, cap=timedelta(minutes=1))
    retries = metadata_of({"retries": flyte.RetryStrategy(5, backoff)}).retries
    assert retries.retries == 5
    assert retries.backoff.base.ToTimedelta() == timedelta(seconds=1.5)
    assert (retries.backoff.factor, retries.backoff.cap.seconds) == (2.0, 60)


def test_each_time_limit_has_its_field() -> None:
    timeout = flyte.Timeout(max_runtime=timedelta(seconds=1.25), max_queued_time=60, deadline=3600)
    metadata = metadata_of({"timeout": timeout})
    assert metadata.timeout.ToTimedelta() == timedelta(seconds=1.25)
    assert (metadata.timeouts.queued_timeout.seconds, metadata.timeouts.deadline.seconds) == (60, 3600)


def test_limits_of_zero_are_absent() -> None:
    metadata = metadata_of({"timeout": flyte.Timeout(0, 0, timedelta())})
    assert not metadata.HasField("timeout")
    assert not metadata.HasField("timeouts")


def test_cache_settings_travel() -> None:
    cache = flyte.Cache("auto", version_override="7", serialize=True, ignored_inputs="x", max_age=60)
    metadata = metadata_of({"cache": cache})
    assert (metadata.discoverable, metadata.discovery_version, metadata.cache_serializable) == (True, "7", True)
    assert (list(metadata.cache_ignore_input_vars), metadata.cache_max_age.seconds) == (["x"], 60)


def test_version_of_the_code_is_said_of_tasks_that_are_not_cached_too() -> None:
    cached, uncached = metadata_of({"cache": "auto"}), metadata_of()
    assert cached.discovery_version == uncached.discovery_version != ""
    assert (cached.discoverable, uncached.discoverable) == (True, False)


def test_version_of_code_without_a_source_file_is_that_of_what_it_compiled_to() -> None:
    names: dict[str, Any] = {}
    exec("async def unsourced() -> int:\n    return 3", names)
    task: Any = flyte.TaskEnvironment("served", image="base:1").task(names["unsourced"])
    bundle = CodeBundle(computed_version="cv", tgz="s3://bucket/0.tar.gz")
    globals()["unsourced"] = task
    task.func.__module__ = __name__
    version = task_spec(task, context(code_bundle=bundle)).task_template.metadata.discovery_version
    assert version == task.code_version != ""


@pytest.mark.parametrize(
    ("option", "field"),
    [("report", "generates_deck"), ("interruptible", "interruptible"), ("entrypoint", "is_entrypoint")],
)
def test_flags_travel(option: str, field: str) -> None:
    said, unsaid = (getattr(metadata_of({option: flag}), field) for flag in (True, False))
    assert (getattr(said, "value", said), getattr(unsaid, "value", unsaid)) == (True, False)


def test_run_that_built_the_image_is_named() -> None:
    metadata = spec_of(task_with(), image_cache=BUILT).task_template.metadata
    assert (metadata.image_build_run.name, metadata.image_build_run.project) == ("b1", "system")
    assert not spec_of(plain, image_cache=BUILT).task_template.metadata.HasField("image_build_run")


def test_links_have_placeholders_for_what_differs_between_actions() -> None:
    class Page:
        name = "Experiment"
        icon_uri = None

        def get_link(self, **given: Any) -> str:
            return "https://pages.example/{project}/{domain}/{run_name}/{action_name}/{pod_name}".format(**given)

    (link,) = metadata_of({"links": Page()}).log_links
    expected = "{{.executionProject}}/{{.executionDomain}}/{{.runName}}/{{.actionName}}/{{.podName}}"
    assert (link.name, link.uri, link.icon_uri) == ("Experiment", f"https://pages.example/{expected}", "")


@pytest.mark.parametrize(("address", "said"), [(None, "must give a str as address"), (1 / 3, "must give a str")])
def test_link_that_gives_no_address_is_an_error_with_its_name(address: Any, said: str) -> None:
    class Page:
        name = "Experiment"
        icon_uri = ""

        def get_link(self, **given: Any) -> Any:
            return address

    with pytest.raises(TaskDefinitionError, match=rf"link 'Experiment' {said}"):
        metadata_of({"links": Page()})


def test_link_that_fails_is_an_error_with_its_name() -> None:
    class Page:
        name = "Experiment"
        icon_uri = ""

        def get_link(self) -> str:
            return ""

    with pytest.raises(TaskDefinitionError, match="link 'Experiment' fails to give an address: TypeError"):
        metadata_of({"links": Page()})


def resources_of(**resources: Any) -> tuple[dict[str, str], dict[str, str], Any]:
    """Requests and limits by name, and the extended resources."""
    template = spec_of(task_with(resources=flyte.Resources(**resources))).task_template
    name = Resources.ResourceName.Name
    found = template.container.resources
    requests = {name(entry.name): entry.value for entry in found.requests}
    return requests, {name(entry.name): entry.value for entry in found.limits}, template.extended_resources


def test_single_amounts_are_requests_and_pairs_have_limits_too() -> None:
    assert resources_of(cpu=0.5, memory="1Gi", disk="2Gi")[:2] == (
        {"CPU": "0.5", "MEMORY": "1Gi", "EPHEMERAL_STORAGE": "2Gi"},
        {},
    )
    assert resources_of(cpu=(1, "2"), memory=("1Gi", "2Gi"))[:2] == (
        {"CPU": "1", "MEMORY": "1Gi"},
        {"CPU": "2", "MEMORY": "2Gi"},
    )


def test_count_of_any_gpu_names_no_model() -> None:
    requests, limits, extended = resources_of(gpu=2)
    assert (requests, limits) == ({"GPU": "2"}, {})
    assert not extended.HasField("gpu_accelerator")


def test_models_go_by_the_labels_of_clusters() -> None:
    requests, _, extended = resources_of(gpu=flyte.GPU("A100", 2, "1g.5gb"))
    accelerator = extended.gpu_accelerator
    assert requests == {"GPU": "2"}
    assert (accelerator.device, accelerator.partition_size) == ("nvidia-tesla-a100", "1g.5gb")
    assert accelerator.device_class == GPUAccelerator.NVIDIA_GPU


@pytest.mark.parametrize(
    ("gpu", "device", "device_class"),
    [
        ("B200:8", "B200", 0),
        (flyte.TPU("V5P", "2x2x1"), "tpu-v5p-slice", 1),
        ("Trn1:16", "Trn1", 2),
        ("MI300X:1", "MI300X", 3),
        ("Gaudi1:1", "Gaudi1", 4),
        ("AppleSilicon:1", "AppleSilicon", 5),
        (flyte.Device(1, "AMD_GPU"), "", 3),
    ],
)
def test_each_family_of_accelerators_has_its_class(gpu: Any, device: str, device_class: int) -> None:
    accelerator = resources_of(gpu=gpu)[2].gpu_accelerator
    assert (accelerator.device, accelerator.device_class) == (device, device_class)


@pytest.mark.parametrize(("shm", "size"), [("1Gi", "1Gi"), ("auto", "")])
def test_shared_memory_is_an_extended_resource(shm: str, size: str) -> None:
    memory = resources_of(shm=shm)[2].shared_memory
    assert (memory.mount_path, memory.mount_name, memory.size_limit) == ("/dev/shm", "flyte-shm", size)


def test_variables_are_in_the_order_they_were_given() -> None:
    variables = spec_of(task_with(env_vars={"B": "2", "A": "1"})).task_template.container.env
    assert [(each.key, each.value) for each in variables] == [("B", "2"), ("A", "1")]


def test_secrets_come_as_variables_or_files() -> None:
    secrets = [flyte.Secret("token", group="team"), flyte.Secret("cert", mount=Path("/etc/flyte/secrets"))]
    found = spec_of(task_with(secrets=secrets)).task_template.security_context.secrets
    assert [(each.group, each.key, each.mount_requirement, each.env_var) for each in found] == [
        ("team", "token", SecretMessage.ENV_VAR, "TEAM_TOKEN"),
        ("", "cert", SecretMessage.FILE, ""),
    ]


def test_secret_that_is_asked_for_in_both_ways_comes_in_both() -> None:
    secret = flyte.Secret("cert", mount=Path("/etc/flyte/secrets"), as_env_var="CERT")
    found = spec_of(task_with(secrets=secret)).task_template.security_context.secrets
    assert [(each.mount_requirement, each.env_var) for each in found] == [
        (SecretMessage.FILE, ""),
        (SecretMessage.ENV_VAR, "CERT"),
    ]


def test_account_is_the_one_of_the_task() -> None:
    template = spec_of(task_with(service_account="worker")).task_template
    assert template.security_context.run_as.k8s_service_account == "worker"
    assert not spec_of(task_with()).task_template.HasField("security_context")


POLICY = flyte.ReusePolicy((1, 4), idle_ttl=120, concurrency=8, scaledown_ttl=45, scope="run")


def test_reused_workers_are_described_twice() -> None:
    template = spec_of(task_with(reusable=POLICY)).task_template
    policy = template.reuse_policy
    assert template.type == "actor"
    assert (policy.min_replicas, policy.max_replicas, policy.concurrency, policy.scope) == (1, 4, 8, policy.RUN)
    assert (policy.idle_ttl.seconds, policy.scaledown_ttl.seconds) == (120, 45)
    custom = MessageToDict(template.custom)
    assert len(custom.pop("version")) == 15
    assert custom == {
        "name": "served",
        "type": "actor",
        "spec": {
            "container_image": "base:1",
            "backlog_length": None,
            "parallelism": 8.0,
            "min_replica_count": 1.0,
            "replica_count": 4.0,
            "ttl_seconds": 120.0,
            "scaledown_ttl_seconds": 45.0,
        },
    }
    assert not template.metadata.debuggable


def workers_of(policy: flyte.ReusePolicy = POLICY, name: str = "one", bundle: str = "cv", **settings: Any) -> str:
    """What tells the workers of this environment from those of another."""
    task = task_with({"short_name": name}, reusable=policy, **settings)
    changed = CodeBundle(computed_version=bundle, tgz="s3://x.tar.gz")
    return str(spec_of(task, code_bundle=changed).task_template.custom["version"])


def test_tasks_of_an_environment_share_their_workers() -> None:
    assert workers_of(name="one") == workers_of(name="two")


@pytest.mark.parametrize(
    "change",
    [
        {"bundle": "other"},
        {"image": "base:2"},
        {"env_vars": {"A": "1"}},
        {"secrets": "key"},
        {"interruptible": True},
        {"resources": flyte.Resources(cpu=1)},
        {"resources": flyte.Resources(shm="1Gi")},
        {"policy": flyte.ReusePolicy((1, 4), idle_ttl=120, concurrency=1, scaledown_ttl=45, scope="run")},
        {"policy": flyte.ReusePolicy((1, 4), idle_ttl=120, concurrency=8, scaledown_ttl=45, scope="global")},
    ],
)
def test_tasks_that_differ_in_what_a_worker_is_made_of_do_not(change: dict[str, Any]) -> None:
    assert workers_of(**change) != workers_of()


def test_image_is_the_declared_one_where_nothing_was_built() -> None:
    assert spec_of(plain).task_template.container.image == "base:1"
    assert spec_of(task_with(image=None)).task_template.container.image == ""


def test_image_is_the_one_that_was_built_for_the_environment() -> None:
    assert spec_of(task_with(), image_cache=BUILT).task_template.container.image == "registry.example/served:1"
    assert spec_of(plain, image_cache=BUILT).task_template.container.image == "base:1"


def test_image_with_layers_that_was_not_built_is_an_error_that_says_what_was() -> None:
    environment = flyte.TaskEnvironment(
        "other", image=flyte.Image.from_debian_base(name="i").with_pip_packages("numpy")
    )

    @environment.task
    async def lost() -> None: ...

    with pytest.raises(RuntimeUserError, match=r"environment 'other' was not built; built are those of: served\. Name"):
        spec_of(lost, image_cache=BUILT)


class Query(flyte.TaskTemplate[Any, Any, Any]):
    """A task of a kind that has no Python function."""

    def sql(self, sctx: SerializationContext) -> SqlMessage:
        return SqlMessage(statement="SELECT 1", dialect=SqlMessage.ANSI)


class Program(flyte.TaskTemplate[Any, Any, Any]):
    """A task that is a program of its own."""

    def container_args(self, serialize_context: SerializationContext) -> list[str]:
        return ["run", serialize_context.input_path]

    def config(self, sctx: SerializationContext) -> dict[str, str]:
        return {"size": "big"}

    def custom_config(self, sctx: SerializationContext) -> dict[str, Any]:
        return {"steps": [1, 2]}


def test_query_has_no_container() -> None:
    query: Any = Query(name="q.one", interface=NativeInterface({}, {}), task_type="sql")
    template = spec_of(query).task_template
    assert (template.WhichOneof("target"), template.sql.statement, template.type) == ("sql", "SELECT 1", "sql")


def test_kind_of_task_of_its_own_says_its_command_line_and_settings() -> None:
    program: Any = Program(name="p.one", interface=NativeInterface({}, {}), task_type="program", task_type_version=2)
    template = spec_of(program).task_template
    assert list(template.container.args) == ["run", "{{.input}}"]
    assert [(each.key, each.value) for each in template.container.config] == [("size", "big")]
    assert MessageToDict(template.custom) == {"steps": [1.0, 2.0]}
    assert (template.type, template.task_type_version) == ("program", 2)
    assert template.metadata.discovery_version == ""


def test_settings_of_its_own_cannot_stand_where_reused_workers_have_theirs() -> None:
    program: Any = Program(name="p.one", interface=NativeInterface({}, {}), reusable=POLICY)
    with pytest.raises(TaskDefinitionError, match="a Program has settings of its own"):
        spec_of(program)


def test_settings_of_its_own_that_json_lacks_are_refused_with_their_value() -> None:
    class Odd(Program):
        def custom_config(self, sctx: SerializationContext) -> dict[str, Any]:
            return {"when": timedelta(1)}

    odd: Any = Odd(name="p.odd", interface=NativeInterface({}, {}))
    with pytest.raises(TaskDefinitionError, match=r"custom_config must give what JSON has, got \{'when': datetime"):
        spec_of(odd)
