"""`flyte explain cache`: what the cache did for an action, and why it missed."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from flyte._engine.cache_misses import Asked, Difference, nearest
from flyte._store.cache import Answer, CacheLookup, CacheReader, EntryFilter, ListedEntry
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind, CacheStatus, StoredAction, StoredRun, to_datetime, to_microseconds
from flyte.cli._cache_views import SHORT_VERSION
from flyte.cli._cache_words import cache_word
from flyte.cli._documents import print_details, print_document
from flyte.cli._invocation import OutputFormat
from flyte.cli._literals import inputs_of, show_value
from flyte.cli._moments import show_duration
from flyte.cli._recorded import one_line, open_run
from flyte.errors import BaseRuntimeError
from flyte.models import ActionPhase

_ENTRIES_COMPARED = 10_000
"""The newest so many results of the task are compared with a call that missed."""

_VALUE_CHARACTERS = 80
_CODE_POLICY = "FunctionBodyPolicy"

Source = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs from the nearest kept result. `before` and `now` are None where they are not known."""

    what: str
    sentence: str
    name: str | None = None
    before: Any = None
    now: Any = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the cache did, as a word for programs and a sentence for people."""

    reason: str
    sentence: str
    changes: list[Change] = field(default_factory=list)
    nearest: ListedEntry | None = None


def show_explanation(run_name: str, action_name: str, output: OutputFormat) -> None:
    """What the cache did for one action and why, as lines or as a JSON document."""
    with open_run(run_name) as (store, run), CacheReader(store.home) as cache:
        action = store.load_action(run, action_name)
        lookup = cache.load_lookup(action.action_id)
        explanation = _explain(store, cache, run, action, lookup)
        source = cache.version_source(action.task_name, lookup.version) if lookup else {}
    if output.is_document:
        print_document(_document(run, action, lookup, source, explanation), output)
        return
    print_details(
        [
            ("Action", f"{action.name} of run {run.name}"),
            ("Task", action.task_name),
            ("Cache", cache_word(action.cache_status)),
            ("Version", f"{lookup.version[:SHORT_VERSION]} {_source_text(source)}".strip() if lookup else ""),
            ("Why", explanation.sentence),
            *(("Changed", change.sentence) for change in explanation.changes),
            ("Compared with", _entry_text(explanation.nearest) if explanation.nearest else ""),
        ]
    )


def _explain(
    store: StoreReader, cache: CacheReader, run: StoredRun, action: StoredAction, lookup: CacheLookup | None
) -> Explanation:
    if action.cache_status in (CacheStatus.DISABLED, CacheStatus.SKIPPED):
        return Explanation("disabled", _why_disabled(run, action))
    if lookup is None:
        return Explanation("unknown", "what it asked the cache for is not recorded, as of an action that just began.")
    found = f"action {lookup.found_action} of run {lookup.found_run}"
    age = show_duration(max(_asked_us(action) - (lookup.found_us or 0), 0) / 1e6)
    match lookup.answer:
        case Answer.HIT:
            return Explanation("hit", f"the result of {found} was used, kept {age} before.")
        case Answer.NOT_ASKED if run.settings.get("overwrite_cache"):
            return Explanation("overwrite", "the run was told to compute everything again (`overwrite_cache`).")
        case Answer.NOT_ASKED:
            return Explanation("override", 'the task computes always: its cache is "override", which only keeps.')
        case Answer.TOO_OLD:
            return Explanation("too_old", f"the result of {found} was {age} old, older than the task's `max_age`.")
        case Answer.LOST:
            return Explanation("lost", f"the file that held the result of {found} was gone.")
    return _compare(store, cache, run, action, lookup)


def _asked_us(action: StoredAction) -> int:
    return to_microseconds(action.started_at or action.created_at)


def _why_disabled(run: StoredRun, action: StoredAction) -> str:
    if action.kind is not ActionKind.TASK:
        return f"a {action.kind.name.lower()} is no task: its run records it, and no other run meets it."
    if action.phase is ActionPhase.RECOVERED:
        return "its outputs were recovered from an earlier run."
    if run.settings.get("disable_run_cache"):
        return "the run was started without the cache (`disable_run_cache`)."
    return 'the task keeps no results. To have it keep them: @env.task(cache="auto")'


def _compare(
    store: StoreReader, cache: CacheReader, run: StoredRun, action: StoredAction, lookup: CacheLookup
) -> Explanation:
    entries = cache.list_entries(EntryFilter(action.task_name, _asked_us(action)), _ENTRIES_COMPARED)
    # What the run itself kept a moment ago is rarely what a person had in mind.
    entries = [entry for entry in entries if entry.run_name != run.name] or entries
    asked = Asked(lookup.version, lookup.interface, lookup.hash_of_input())
    found = nearest(asked, (Asked(entry.version, entry.interface, entry.input_hashes) for entry in entries))
    if found is None:
        return Explanation("nothing_kept", f"no result of task {action.task_name} was kept before.")
    index, difference = found
    entry = entries[index]
    changes = [*_input_changes(store, action, entry, difference)]
    if difference.version:
        now, before = (cache.version_source(action.task_name, each.version) for each in (lookup, entry))
        changes.append(_version_change(now, before, lookup.version, entry.version))
    if difference.interface:
        changes.append(Change("interface", "the inputs or outputs of the task are of other types"))
    return Explanation(*_why_no_entry(difference), changes, entry)


def _why_no_entry(difference: Difference) -> tuple[str, str]:
    parts = [name for name in ("version", "interface") if getattr(difference, name)]
    another = f"another {' and '.join(parts)} of the task"
    if difference.inputs:
        return "inputs", f"no result was kept for these inputs{f', and the nearest is of {another}' if parts else ''}."
    if parts:
        return parts[0], f"the result that was kept for these inputs is of {another}."
    return "lost", "an equal result was kept before, and was gone when this one asked."


def _input_changes(
    store: StoreReader, action: StoredAction, entry: ListedEntry, difference: Difference
) -> Iterator[Change]:
    if not difference.inputs:
        return
    now, before = inputs_of(store.load_inputs(action)), _inputs_then(store, entry)
    for name in difference.inputs:
        yield _input_change(name, now, before)


def _inputs_then(store: StoreReader, entry: ListedEntry) -> dict[str, Any] | None:
    """What the kept result was computed from; None where that is no longer recorded."""
    try:
        run = store.load_run(entry.run_name)
        return inputs_of(store.load_inputs(store.load_action(run, entry.action_name)))
    except BaseRuntimeError:
        return None


def _input_change(name: str, now: Mapping[str, Any], before: Mapping[str, Any] | None) -> Change:
    if name not in now:
        return Change("input", f"input {name} is gone", name, before=(before or {}).get(name))
    if before is None:
        sentence = f"input {name} is {_shown(now[name])}, and what it was is no longer recorded"
        return Change("input", sentence, name, now=now[name])
    if name not in before:
        return Change("input", f"input {name} = {_shown(now[name])} is new", name, now=now[name])
    old, new = _shown(before[name]), _shown(now[name])
    sentence = f"input {name} was {old}, now {new}" if old != new else f"input {name} has another content: {new}"
    return Change("input", sentence, name, before[name], now[name])


def _version_change(now: Source, before: Source, version: str, version_before: str) -> Change:
    return Change("version", _version_sentence(now, before, version, version_before), None, before, now)


def _version_sentence(now: Source, before: Source, version: str, version_before: str) -> str:
    if not now or not before:
        return f"version was {version_before[:SHORT_VERSION]}, now {version[:SHORT_VERSION]}"
    if "version_override" in now or "version_override" in before:
        return f"version was {_source_text(before)}, now {_source_text(now)}"
    parts = []
    if now["policies"] != before["policies"]:
        parts.append(f"the policies were {_joined(before)}, now {_joined(now)}")
    if now["salt"] != before["salt"]:
        parts.append(f"the salt was {before['salt']!r}, now {now['salt']!r}")
    if now["code"] != before["code"] and _CODE_POLICY in now["policies"]:
        parts.append("the code of the function changed")
    return ", ".join(parts) or f"what {_joined(now)} computed changed"


def _joined(source: Source) -> str:
    return ", ".join(source["policies"]) or "none"


def _source_text(source: Source) -> str:
    """What a version was made from, in a few words."""
    if not source:
        return ""
    if "version_override" in source:
        return f"set to {source['version_override']!r}"
    made_by = "from the code of the function" if source["policies"] == [_CODE_POLICY] else f"from {_joined(source)}"
    return f"{made_by} and salt {source['salt']!r}" if source["salt"] else made_by


def _shown(value: Any) -> str:
    return one_line(show_value(value), _VALUE_CHARACTERS)


def _entry_text(entry: ListedEntry) -> str:
    age = show_duration(max(time.time() - entry.created_us / 1e6, 0))
    return f"the result of action {entry.action_name} of run {entry.run_name}, kept {age} ago"


def _document(
    run: StoredRun, action: StoredAction, lookup: CacheLookup | None, source: Source, explanation: Explanation
) -> dict[str, Any]:
    entry = explanation.nearest
    return {
        "run": run.name,
        "action": action.name,
        "task": action.task_name,
        "cache": cache_word(action.cache_status),
        "reason": explanation.reason,
        "explanation": explanation.sentence,
        "version": lookup.version if lookup else None,
        "version_made_from": dict(source) or None,
        "found": _place(lookup.found_run, lookup.found_action, lookup.found_us) if lookup else None,
        "nearest": _place(entry.run_name, entry.action_name, entry.created_us) if entry else None,
        "changes": [asdict(change) for change in explanation.changes],
    }


def _place(run_name: str | None, action_name: str | None, created_us: int | None) -> dict[str, Any] | None:
    created_at = to_datetime(created_us)
    return {"run": run_name, "action": action_name, "created_at": created_at.isoformat()} if created_at else None
