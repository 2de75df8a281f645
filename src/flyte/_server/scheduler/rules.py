"""What a task's spec asks of whoever runs it."""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Iterator, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from weakref import WeakValueDictionary

from flyteidl2.core.tasks_pb2 import TaskMetadata
from flyteidl2.task.task_definition_pb2 import TaskSpec
from google.protobuf.duration_pb2 import Duration

from flyte._engine.attempts import DEFAULT_FIRST_DELAY_S, AttemptRules, Backoff
from flyte._server.executors.capacity import requested
from flyte._server.executors.orders import Capacity

_ACTOR = "actor"


@dataclass(frozen=True, slots=True)
class CacheRules:
    """How the results of a task are kept.

    Attributes:
        serialize: Equal calls at one time are made one.
        max_age_s: Older results are not used; None for any age.
        ignored: Names of inputs that do not count.
    """

    serialize: bool
    max_age_s: float | None
    ignored: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lane:
    """Attempts that share reused workers.

    Attributes:
        key: Equal for those that do.
        seats: How many of them the workers can hold at once.
    """

    key: str
    seats: int


class KnownSpec:
    """A spec and what follows from it; read only.

    Attributes:
        digest: SHA-256 of its bytes.
        data: Its bytes.
        is_stored: Whether the store has it, or will before anything that names it is committed.
    """

    def __init__(self, digest: bytes, data: bytes, spec: TaskSpec) -> None:
        self.digest = digest
        self.data = data
        self.spec = spec
        self.is_stored = False

    @property
    def name(self) -> str:
        """Full name of the task."""
        return str(self.spec.task_template.id.name)

    @property
    def version(self) -> str:
        """Of the task's code as the cache knows it."""
        return str(self._metadata.discovery_version)

    @cached_property
    def attempts(self) -> AttemptRules:
        """How often an action of the task is tried."""
        retries = self._metadata.retries
        if not retries.HasField("backoff"):
            return AttemptRules(retries.retries + 1)
        declared = retries.backoff
        base_s, cap_s = _seconds(declared.base), _seconds(declared.cap)
        backoff = Backoff(base_s or DEFAULT_FIRST_DELAY_S, declared.factor or 1.0, cap_s)
        return AttemptRules(retries.retries + 1, backoff)

    @cached_property
    def max_runtime_s(self) -> float | None:
        """How long an attempt may run."""
        return _seconds(self._metadata.timeout)

    @cached_property
    def max_queued_s(self) -> float | None:
        """How long an attempt may wait until it runs."""
        return _seconds(self._metadata.timeouts.queued_timeout)

    @cached_property
    def deadline_s(self) -> float | None:
        """How long all attempts may take together, from the call on."""
        return _seconds(self._metadata.timeouts.deadline)

    @cached_property
    def cache(self) -> CacheRules | None:
        """How results are kept; None where none are."""
        metadata = self._metadata
        if not metadata.discoverable:
            return None
        return CacheRules(
            metadata.cache_serializable, _seconds(metadata.cache_max_age), tuple(metadata.cache_ignore_input_vars)
        )

    @cached_property
    def interface_hash(self) -> str:
        """Base64 of SHA-256 of the interface, as it enters cache keys."""
        wire = self.spec.task_template.interface.SerializeToString(deterministic=True)
        return b2a_base64(sha256(wire).digest(), newline=False).decode()

    @cached_property
    def request(self) -> Capacity:
        """What an attempt takes of the executor."""
        return requested(self.spec)

    @cached_property
    def lane(self) -> Lane | None:
        """The reused workers that it runs in; None where each attempt has a process."""
        template = self.spec.task_template
        if template.type != _ACTOR or not template.HasField("reuse_policy"):
            return None
        policy = template.reuse_policy
        actor = dict(template.custom)
        return Lane(
            f"{actor.get('name', self.name)}@{actor.get('version', self.digest.hex())}",
            max(1, policy.max_replicas) * max(1, policy.concurrency),
        )

    @property
    def _metadata(self) -> TaskMetadata:
        return self.spec.task_template.metadata


class KnownSpecs:
    """The specs of the actions that are open, each once."""

    def __init__(self) -> None:
        self._known: WeakValueDictionary[bytes, KnownSpec] = WeakValueDictionary()
        self._wanted: set[bytes] | None = None

    @contextmanager
    def noting(self) -> Iterator[Set[bytes]]:
        """The digests of all specs that are known now, or will be asked for until the block ends."""
        self._wanted = set(self._known)
        try:
            yield self._wanted
        finally:
            self._wanted = None

    def of(self, spec: TaskSpec) -> KnownSpec:
        """The one that equals this spec, which must not be changed any more."""
        data: bytes = spec.SerializeToString(deterministic=True)
        digest = sha256(data).digest()
        known = self._found(digest)
        if known is None:
            known = self._known[digest] = KnownSpec(digest, data, spec)
        return known

    def of_bytes(self, digest: bytes, data: bytes) -> KnownSpec:
        """The one that the store has under a digest."""
        known = self._found(digest)
        if known is None:
            known = self._known[digest] = KnownSpec(digest, data, TaskSpec.FromString(data))
        return known

    def _found(self, digest: bytes) -> KnownSpec | None:
        if self._wanted is not None:
            self._wanted.add(digest)
        return self._known.get(digest)


def _seconds(duration: Duration) -> float | None:
    """Zero, which an unset message says too, means no bound."""
    seconds = float(duration.seconds + duration.nanos / 1e9)
    return seconds if seconds > 0 else None
