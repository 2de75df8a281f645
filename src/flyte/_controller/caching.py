"""The cache of one run: results of earlier equal calls handed out, new ones kept, equal calls at one time made one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flyteidl2.task.common_pb2 import Inputs, Outputs

from flyte._controller.local_run import LocalRunSpec
from flyte._engine.attempts import Finish
from flyte._engine.cache_keys import cache_key
from flyte._store.cache import CacheEntry, CacheReader, KeptOutputs, release, reserve
from flyte._store.journal import Journal
from flyte._store.payloads import load_payload
from flyte._store.records import ActionRecord, CacheStatus
from flyte.types._hashing import inputs_hash

if TYPE_CHECKING:
    from flyte._authoring.task import TaskTemplate

LEASE_S = 30.0
"""How long a reservation outlives the process that holds it."""

_FIRST_WAIT_S = 0.01
_LONGEST_WAIT_S = 0.5


@dataclass(frozen=True, slots=True)
class _Draft:
    """A result that is being computed and will be kept."""

    key: str
    version: str
    is_reserved: bool


class RunCache:
    """Looks results up and keeps them for the actions of one run.

    Args:
        is_on: False neither looks up nor keeps.
        overwrite: True computes everything again and keeps that.
    """

    def __init__(self, spec: LocalRunSpec, journal: Journal, *, is_on: bool, overwrite: bool) -> None:
        self.is_on = is_on
        self._overwrite = overwrite
        self._spec = spec
        self._journal = journal
        self._drafts: dict[int, _Draft] = {}
        self._computing: dict[str, asyncio.Event] = {}
        self._reader: CacheReader | None = None

    async def result(
        self,
        task: TaskTemplate[Any, Any, Any],
        inputs: Inputs,
        record: ActionRecord,
        compute: Callable[[], Awaitable[Outputs | Finish]],
    ) -> Outputs | Finish:
        """The kept result, or what `compute` returns, which `entry` then keeps. `record` gets its cache status."""
        settings = task.cache
        ignored = frozenset(settings.get_ignored_inputs())
        version = task.cache_version
        key = cache_key(inputs_hash(inputs, ignored), task.name, task.codec.interface_hash, version)
        if settings.behavior == "override" or self._overwrite:
            self._drafts[record.action_id] = _Draft(key, version, is_reserved=False)
            record.cache_status = CacheStatus.POPULATED
            return await compute()
        max_age_s = settings.max_age.total_seconds() if settings.max_age is not None else None  # type: ignore[union-attr]
        kept = self._find(key, max_age_s)
        if kept is None and settings.serialize:
            kept = await self._wait_or_reserve(key, max_age_s, record)
        if kept is not None:
            record.cache_status = CacheStatus.HIT
            return Outputs.FromString(load_payload(self._spec.home, kept.outputs, kept.outputs_file) or b"")
        self._drafts[record.action_id] = _Draft(key, version, is_reserved=settings.serialize)
        record.cache_status = CacheStatus.POPULATED
        return await compute()

    def entry(self, task: TaskTemplate[Any, Any, Any], inputs: Inputs, record: ActionRecord) -> CacheEntry | None:
        """The entry that keeps the outputs of a succeeded action; None when they came from the cache."""
        draft = self._drafts.get(record.action_id)
        if draft is None:
            return None
        ignored = task.cache.get_ignored_inputs()
        hashes = {
            named.name: inputs_hash(Inputs(literals=[named])) for named in inputs.literals if named.name not in ignored
        }
        return CacheEntry(
            cache_key=draft.key,
            task_name=task.name,
            version=draft.version,
            interface=task.codec.interface_hash,
            input_hashes=json.dumps(hashes),
            created_us=time.time_ns() // 1000,
            run_name=self._spec.name,
            action_name=record.name,
            outputs=record.outputs,
            outputs_file=record.outputs_file,
        )

    async def settle(self, record: ActionRecord) -> None:
        """The action is over, however it ended: who waited for its result goes on."""
        draft = self._drafts.pop(record.action_id, None)
        if draft is not None and draft.is_reserved:
            await self._journal.commit(release(draft.key, self._holder(record)))
            self._computing.pop(draft.key).set()

    def close(self) -> None:
        """Nothing is looked up any more."""
        if self._reader is not None:
            self._reader.close()

    def _find(self, key: str, max_age_s: float | None) -> KeptOutputs | None:
        if self._reader is None:
            self._reader = CacheReader(self._spec.home)
        kept = self._reader.find(key)
        if kept is not None and max_age_s is not None and time.time() - kept.created_us / 1e6 > max_age_s:
            return None
        return kept

    async def _wait_or_reserve(self, key: str, max_age_s: float | None, record: ActionRecord) -> KeptOutputs | None:
        """The result that another call has computed meanwhile; None once this one has the reservation to compute it."""
        wait_s = _FIRST_WAIT_S
        while True:
            beside = self._computing.get(key)
            if beside is not None:
                await beside.wait()
            elif await self._reserve(key, record):
                # It may have been computed between the first look and the reservation.
                kept = self._find(key, max_age_s)
                if kept is not None:
                    await self._journal.commit(release(key, self._holder(record)))
                    self._computing.pop(key).set()
                return kept
            else:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            kept = self._find(key, max_age_s)
            if kept is not None:
                return kept

    async def _reserve(self, key: str, record: ActionRecord) -> bool:
        self._computing[key] = done = asyncio.Event()
        if await self._commit_reservation(key, record):
            asyncio.get_running_loop().call_later(LEASE_S / 3, self._renew, key, done, record)
            return True
        self._computing.pop(key).set()
        return False

    async def _commit_reservation(self, key: str, record: ActionRecord) -> bool:
        now_us = time.time_ns() // 1000
        change = reserve(key, self._holder(record), now_us, now_us + round(LEASE_S * 1e6))
        return bool(await self._journal.commit(change))

    def _renew(self, key: str, done: asyncio.Event, record: ActionRecord) -> None:
        if not done.is_set():
            renewal = asyncio.ensure_future(self._commit_reservation(key, record))
            renewal.add_done_callback(lambda _: None)
            asyncio.get_running_loop().call_later(LEASE_S / 3, self._renew, key, done, record)

    def _holder(self, record: ActionRecord) -> str:
        return f"{self._spec.name}/{record.name}"
