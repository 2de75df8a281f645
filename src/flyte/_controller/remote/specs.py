"""Tasks as they are sent with each of their calls, serialized once."""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from flyteidl2.core.interface_pb2 import TypedInterface, VariableMap
from flyteidl2.task.common_pb2 import Inputs
from flyteidl2.task.task_definition_pb2 import TaskIdentifier, TaskSpec

from flyte._authoring.cache import FunctionBodyPolicy, VersionParameters
from flyte._authoring.task import TaskTemplate
from flyte._controller.remote.attempts import Place
from flyte._engine.cache_keys import cache_key
from flyte.types._codec import InterfaceCodec
from flyte.types._hashing import inputs_hash

_traces: WeakKeyDictionary[Callable[..., Any], str] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True, eq=False)
class CalledTask:
    """A task that is called, as it travels.

    Attributes:
        codec: Converts its inputs and outputs.
        identity: What it is for the names of its actions: its name, its interface and its code.
        ignored_inputs: Names of inputs that tell neither names nor cache keys apart.
        limited: What has the bound of its inputs and outputs.
    """

    name: str
    spec: TaskSpec
    codec: InterfaceCodec
    identity: str
    interface_hash: str
    ignored_inputs: frozenset[str]
    queue: str
    limited: Any

    @property
    def task_id(self) -> TaskIdentifier:
        """Which task of the control plane it is."""
        found = self.spec.task_template.id
        return TaskIdentifier(
            org=found.org, project=found.project, domain=found.domain, name=found.name, version=found.version
        )

    @property
    def has_outputs(self) -> bool:
        """Whether there is anything to read once it has succeeded."""
        return len(self.spec.task_template.interface.outputs.variables) > 0

    def inputs_hash(self, inputs: Inputs) -> str:
        """The hash of the inputs that count."""
        return inputs_hash(inputs, self.ignored_inputs)

    def cache_key(self, inputs_hash: str) -> str | None:
        """Of a call with inputs of this hash; None where results are not kept."""
        metadata = self.spec.task_template.metadata
        if not metadata.discoverable:
            return None
        return cache_key(inputs_hash, self.name, self.interface_hash, metadata.discovery_version)


def called_task(spec: TaskSpec, codec: InterfaceCodec, limited: Any, queue: str = "") -> CalledTask:
    """The task of that spec.

    Args:
        limited: What has the bound of its inputs and outputs, as `max_inline_io_bytes`, and a name.
    """
    template = spec.task_template
    interface_hash = _interface_hash(template.interface)
    version = template.metadata.discovery_version
    return CalledTask(
        name=template.id.name,
        spec=spec,
        codec=codec,
        identity=_digest(f"{template.id.name}-{interface_hash}-{version}"),
        interface_hash=interface_hash,
        ignored_inputs=frozenset(template.metadata.cache_ignore_input_vars),
        queue=queue,
        limited=limited,
    )


class CalledTasks:
    """The tasks that a process has called. Safe to use from any thread."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[TaskTemplate[Any, Any, Any], dict[Any, CalledTask]] = WeakKeyDictionary()
        self._lock = threading.Lock()

    def of(self, task: Any, place: Place) -> CalledTask:
        """The task as a call from that place sends it.

        Raises:
            BaseRuntimeError: it cannot be serialized; see `task_spec`.
            CodeBundleError: it travels as a pickle, and cannot be pickled.
        """
        with self._lock:
            known = self._known.setdefault(task, {})
            found = known.get(place.key)
            if found is None:
                found = known[place.key] = _serialized(task, place)
            return found


def trace_identity(function: Callable[..., Any]) -> str:
    """What a traced function is for the names of its actions: its name and its code, where that can be read."""
    identity = _traces.get(function)
    if identity is None:
        identity = _traces[function] = _read_identity(function)
    return identity


def _read_identity(function: Callable[..., Any]) -> str:
    try:
        version = FunctionBodyPolicy().get_version("", VersionParameters(func=function))
    except (OSError, TypeError, ValueError, SyntaxError):
        return function.__name__
    return f"{function.__name__}-{version}"


def _serialized(task: Any, place: Place) -> CalledTask:
    from flyte._serialization import task_spec

    code = place.code
    if place.pickles_tasks:
        from flyte._bundle.pickled import build_pickled_bundle

        code = build_pickled_bundle(task, place.root_dir, to=place.run_base_dir)
    spec = task_spec(task, place.serialization(code), documented=False)
    # Calls are sent with all inputs.
    spec.ClearField("default_inputs")
    return called_task(spec, task.codec, task, task.queue or "")


def _interface_hash(interface: TypedInterface) -> str:
    def in_order(variables: VariableMap) -> VariableMap:
        return VariableMap(variables=sorted(variables.variables, key=lambda entry: entry.key))

    ordered = TypedInterface(inputs=in_order(interface.inputs), outputs=in_order(interface.outputs))
    return _digest(ordered.SerializeToString(deterministic=True))


def _digest(data: str | bytes) -> str:
    return b64encode(sha256(data.encode() if isinstance(data, str) else data).digest()).decode()


def named(values: Mapping[str, str]) -> list[Any]:
    """Pairs as they travel beside inputs."""
    from flyteidl2.core.literals_pb2 import KeyValuePair

    return [KeyValuePair(key=key, value=value) for key, value in values.items()]
