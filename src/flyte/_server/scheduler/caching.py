"""Results of earlier equal calls, handed out to the actions of served runs; equal calls at one time made one."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import suppress
from pathlib import Path

from flyteidl2.task.common_pb2 import Inputs
from flyteidl2.task.run_pb2 import CACHE_LOOKUP_SCOPE_PROJECT_DOMAIN
from google.protobuf.message import DecodeError

from flyte._server.data_addresses import read_data
from flyte._server.refusals import RefusedError
from flyte._server.scheduler.commits import Commits
from flyte._server.scheduler.states import OpenAction
from flyte._store.cache import (
    Answer,
    CacheEntry,
    CacheLookup,
    CacheReader,
    put_cache_entries,
    put_cache_lookups,
    release,
    reserve,
)
from flyte._store.kept_results import NOT_ASKED, Found, find_result
from flyte._store.records import CacheStatus
from flyte.types._hashing import inputs_hash

_FIRST_WAIT_S = 0.01
_LONGEST_WAIT_S = 0.5


class ResultCache:
    """Looks results up and keeps them. Lives on the server's loop."""

    def __init__(self, home: Path, commits: Commits) -> None:
        self._home = home
        self._commits = commits
        self._reader = CacheReader(home)
        self._missed: dict[OpenAction, CacheLookup] = {}
        self._reserved: dict[OpenAction, str] = {}
        self._computing: dict[str, asyncio.Event] = {}

    async def ask(self, action: OpenAction) -> bytes | None:
        """The kept result of an equal call; None once this one is to compute it."""
        assert action.known is not None
        rules, key = action.known.cache, _scoped_key(action)
        if rules is None or key is None:
            return None
        settings = action.run.run_spec
        if settings.overwrite_cache or settings.cache_config.overwrite_cache:
            found = NOT_ASKED
        else:
            found = self._find(key, rules.max_age_s)
        if found.outputs is None and rules.serialize and found.answer is not Answer.NOT_ASKED:
            found = await self._wait_or_reserve(action, key, rules.max_age_s)
        await self._note(action, key, found)
        return found.outputs

    def go_on(self, action: OpenAction) -> None:
        """It computes since an earlier server, of whose reservations nothing is left."""
        rules = None if action.known is None or action.cache_key is None else action.known.cache
        lookup = None if rules is None else self._reader.load_lookup(action.record.action_id)
        if rules is None or lookup is None or lookup.answer is Answer.HIT:
            return
        self._missed[action] = lookup
        key = lookup.cache_key
        if rules.serialize and lookup.answer is not Answer.NOT_ASKED and key not in self._computing:
            self._computing[key] = asyncio.Event()
            self._reserved[action] = key
            self._commits.beside(reserve(key, action.run.run_id, time.time_ns() // 1000))

    def keep(self, action: OpenAction) -> None:
        """The outputs of an action that has succeeded are kept, if it computed them for that."""
        lookup = self._missed.pop(action, None)
        record = action.record
        if lookup is None or (record.outputs is None and record.outputs_file is None):
            return
        assert action.known is not None
        record.cache_status = CacheStatus.POPULATED
        entry = CacheEntry(
            cache_key=lookup.cache_key,
            task_name=action.known.name,
            version=lookup.version,
            interface=lookup.interface,
            input_hashes=lookup.input_hashes or "{}",
            created_us=time.time_ns() // 1000,
            run_name=action.run.name,
            action_name=action.name,
            outputs=record.outputs,
            outputs_file=record.outputs_file,
        )
        self._commits.beside(put_cache_entries([entry]))

    def settle(self, action: OpenAction) -> None:
        """The action is over, however it ended: who waited for its result goes on."""
        self._missed.pop(action, None)
        self._give_back(action)

    def _give_back(self, action: OpenAction) -> None:
        key = self._reserved.pop(action, None)
        if key is not None:
            committed = self._commits.beside(release(key, action.run.run_id))
            # Whoever waits looks for the result, so not before it is there.
            committed.add_done_callback(lambda _: self._wake(key))

    def close(self) -> None:
        """Nothing is looked up any more."""
        self._reader.close()

    def _find(self, key: str, max_age_s: float | None) -> Found:
        return find_result(self._reader, self._home, key, max_age_s)

    async def _note(self, action: OpenAction, key: str, found: Found) -> None:
        assert action.known is not None
        kept, known = found.kept, action.known
        is_hit = found.outputs is not None
        hashes = None if is_hit else await _input_hashes(self._home, action)
        lookup = CacheLookup(
            action.record.action_id,
            key,
            known.version,
            known.interface_hash,
            hashes,
            found.answer,
            *((kept.created_us, kept.run_name, kept.action_name) if kept else ()),
        )
        self._commits.beside(put_cache_lookups([lookup]))
        action.record.cache_status = CacheStatus.HIT if is_hit else CacheStatus.MISS
        if not is_hit:
            self._missed[action] = lookup

    async def _wait_or_reserve(self, action: OpenAction, key: str, max_age_s: float | None) -> Found:
        wait_s = _FIRST_WAIT_S
        while True:
            beside = self._computing.get(key)
            if beside is not None:
                await beside.wait()
            elif await self._reserve(action, key):
                # It may have been computed between the first look and the reservation.
                found = self._find(key, max_age_s)
                if found.outputs is not None:
                    self.settle(action)
                return found
            else:
                await asyncio.sleep(wait_s)
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
            found = self._find(key, max_age_s)
            if found.outputs is not None:
                return found

    async def _reserve(self, action: OpenAction, key: str) -> bool:
        """Whether the action now has the key; others wait until it is settled."""
        self._computing[key] = asyncio.Event()
        self._reserved[action] = key
        try:
            abandoned_by = self._reader.abandoned_by(key)
            if abandoned_by is not None:
                await self._commits.insist(release(key, abandoned_by))
            if await self._commits.insist(reserve(key, action.run.run_id, time.time_ns() // 1000)):
                return True
        except BaseException:
            # It may be granted all the same, and then it is given back.
            self._give_back(action)
            raise
        del self._reserved[action]
        self._wake(key)
        return False

    def _wake(self, key: str) -> None:
        computing = self._computing.pop(key, None)
        if computing is not None:
            computing.set()


def _scoped_key(action: OpenAction) -> str | None:
    key, run = action.cache_key, action.run
    if key is not None and run.run_spec.cache_config.cache_lookup_scope == CACHE_LOOKUP_SCOPE_PROJECT_DOMAIN:
        return f"{run.project}/{run.domain}/{key}"
    return key


async def _input_hashes(home: Path, action: OpenAction) -> str:
    """The hash of each input that counts, which tells later why another call missed."""
    assert action.known is not None
    ignored = action.known.cache.ignored if action.known.cache else ()
    folders = (action.run.base_dir, action.run.run_spec.run_base_dir)
    with suppress(RefusedError, DecodeError):
        inputs = Inputs.FromString(await asyncio.to_thread(read_data, action.target.input_uri, home, folders))
        named = (each for each in inputs.literals if each.name not in ignored)
        return json.dumps({each.name: inputs_hash(Inputs(literals=[each])) for each in named})
    return "{}"
