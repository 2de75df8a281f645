"""The cache of one run: results of earlier equal calls handed out, new ones kept, equal calls at one time made one."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import timedelta

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._controller.calls import Call, Task
from flyte._controller.local_run import LocalRunSpec
from flyte._engine.cache_keys import cache_key
from flyte._store.cache import (
    Answer,
    CacheEntry,
    CacheLookup,
    CacheReader,
    put_cache_version,
    release,
    reserve,
)
from flyte._store.journal import Journal
from flyte._store.kept_results import NOT_ASKED, Found, find_result
from flyte._store.records import ActionRecord, CacheStatus
from flyte.types._hashing import inputs_hash

_FIRST_WAIT_S = 0.01
_LONGEST_WAIT_S = 0.5


class RunCache:
    """Looks results up and keeps them for the actions of one run. Lives on the engine's loop.

    Args:
        is_on: False neither looks up nor keeps.
        overwrite: True computes everything again and keeps that.
    """

    def __init__(self, spec: LocalRunSpec, journal: Journal, *, is_on: bool, overwrite: bool) -> None:
        self.is_on = is_on
        self._overwrite = overwrite
        self._spec = spec
        self._journal = journal
        self._loop = asyncio.get_running_loop()
        self._reader: CacheReader | None = None
        self._missed: dict[int, CacheLookup] = {}
        self._reserved: dict[int, str] = {}
        self._computing: dict[str, asyncio.Event] = {}
        self._versions_met: set[tuple[str, str]] = set()

    def ask(self, call: Call) -> Outputs | None:
        """The kept result of an equal call; None when there is none to be used."""
        task = call.task
        settings = task.cache
        version = task.cache_version
        ignored = settings.get_ignored_inputs()
        digest = inputs_hash(call.inputs, ignored) if ignored else call.inputs_hash or inputs_hash(call.inputs)
        key = cache_key(digest, task.name, task.codec.interface_hash, version)
        is_asked = settings.behavior != "override" and not self._overwrite
        return self._take(call, key, version, self._find(key, _max_age_s(task)) if is_asked else NOT_ASKED)

    async def wait_or_reserve(self, call: Call) -> Outputs | None:
        """After `ask` had none: the result that an equal call computes meanwhile; None once this one is to compute it.

        Only a task that asks for it with `serialize` waits.
        """
        missed = self._missed[call.record.action_id]
        if not call.task.cache.serialize or missed.answer is Answer.NOT_ASKED:
            return None
        found = await self._wait_or_reserve(missed.cache_key, _max_age_s(call.task))
        if found.outputs is None:
            self._reserved[call.record.action_id] = missed.cache_key
        return self._take(call, missed.cache_key, missed.version, found)

    def entry(self, call: Call) -> CacheEntry | None:
        """The entry that keeps the outputs of an action that succeeded; None when they came from the cache."""
        record = call.record
        missed = self._missed.get(record.action_id)
        if missed is None:
            return None
        record.cache_status = CacheStatus.POPULATED
        return CacheEntry(
            cache_key=missed.cache_key,
            task_name=call.task.name,
            version=missed.version,
            interface=missed.interface,
            input_hashes=missed.input_hashes or "{}",
            created_us=time.time_ns() // 1000,
            run_name=self._spec.name,
            action_name=record.name,
            outputs=record.outputs,
            outputs_file=record.outputs_file,
        )

    async def settle(self, record: ActionRecord) -> None:
        """The action is over, however it ended: who waited for its result goes on."""
        self._missed.pop(record.action_id, None)
        key = self._reserved.pop(record.action_id, None)
        if key is not None:
            await self._give_back(key)

    def close(self) -> None:
        """Nothing is looked up any more."""
        if self._reader is not None:
            self._reader.close()

    def _find(self, key: str, max_age_s: float | None) -> Found:
        if self._reader is None:
            self._reader = CacheReader(self._spec.home)
        if not self._reader.has_snapshot:
            # The calls of one turn of the loop ask one snapshot, which takes half the time.
            self._reader.open_snapshot()
            self._loop.call_soon(self._reader.close_snapshot)
        return find_result(self._reader, self._spec.home, key, max_age_s)

    def _take(self, call: Call, key: str, version: str, found: Found) -> Outputs | None:
        """What was found, noted in the record of the call."""
        task, record, kept = call.task, call.record, found.kept
        if (task.name, version) not in self._versions_met:
            self._versions_met.add((task.name, version))
            self._journal.beside(put_cache_version(task.name, version, _made_from(task)))
        is_hit = found.outputs is not None
        lookup = CacheLookup(
            record.action_id,
            key,
            version,
            task.codec.interface_hash,
            None if is_hit else _input_hashes(call),
            found.answer,
            *((kept.created_us, kept.run_name, kept.action_name) if kept else ()),
        )
        self._journal.looked_up(lookup)
        if is_hit:
            record.cache_status = CacheStatus.HIT
            self._missed.pop(record.action_id, None)
        else:
            record.cache_status = CacheStatus.MISS
            self._missed[record.action_id] = lookup
        return Outputs.FromString(found.outputs) if found.outputs is not None else None

    async def _wait_or_reserve(self, key: str, max_age_s: float | None) -> Found:
        """The result that another call has computed meanwhile, or none once this one has the key to compute it."""
        wait_s = _FIRST_WAIT_S
        while True:
            beside = self._computing.get(key)
            if beside is not None:
                await beside.wait()
            elif await self._reserve(key):
                # It may have been computed between the first look and the reservation.
                found = self._find(key, max_age_s)
                if found.outputs is not None:
                    await self._give_back(key)
                return found
            else:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            found = self._find(key, max_age_s)
            if found.outputs is not None:
                return found

    async def _reserve(self, key: str) -> bool:
        """Whether this run now has the key; the other calls of the run wait until `_give_back`."""
        self._computing[key] = asyncio.Event()
        is_granted = False
        try:
            abandoned_by = self._reader.abandoned_by(key) if self._reader else None
            if abandoned_by is not None:
                await self._journal.commit(release(key, abandoned_by))
            is_granted = bool(await self._journal.commit(reserve(key, self._spec.run_id, time.time_ns() // 1000)))
        except asyncio.CancelledError:
            # It may have been granted all the same.
            await self._give_back(key)
            raise
        finally:
            if not is_granted:
                self._wake(key)
        return is_granted

    async def _give_back(self, key: str) -> None:
        try:
            await self._journal.commit(release(key, self._spec.run_id))
        finally:
            self._wake(key)

    def _wake(self, key: str) -> None:
        computing = self._computing.pop(key, None)
        if computing is not None:
            computing.set()


def _max_age_s(task: Task) -> float | None:
    max_age = task.cache.max_age
    return max_age.total_seconds() if isinstance(max_age, timedelta) else max_age


def _input_hashes(call: Call) -> str:
    ignored = call.task.cache.get_ignored_inputs()
    named = (each for each in call.inputs.literals if each.name not in ignored)
    return json.dumps({each.name: inputs_hash(Inputs(literals=[each])) for each in named})


def _made_from(task: Task) -> str:
    settings = task.cache
    if settings.version_override is not None:
        return json.dumps({"version_override": settings.version_override})
    policies = [type(policy).__name__ for policy in settings.policies]  # type: ignore[union-attr]
    return json.dumps({"code": task.code_version, "salt": settings.salt, "policies": policies})
