"""What can be read of runs, for the services that show them: questions to the store, as messages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flyteidl2.common.cache_pb2 import CacheMetadata
from flyteidl2.core.execution_pb2 import TaskLog
from flyteidl2.workflow import run_definition_pb2 as messages

from flyte._server.refusals import UnknownError
from flyte._server.services.attempts import AttemptView
from flyte._server.services.places import Places
from flyte._server.services.views import Viewed, attempt_identifier, details_without_attempts
from flyte._store.listing import ListedAction, ListedRun, find_action, find_run, load_spec
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind, StoredAttempt, to_datetime
from flyte._store.statements import statement


def run_of(reader: StoreReader, name: str) -> ListedRun:
    """The run of that name.

    Raises:
        UnknownError: there is none.
    """
    run = find_run(reader, name)
    if run is None:
        raise UnknownError(f"there is no run {name!r}: `flyte get run` lists those there are.")
    return run


def viewed_action(reader: StoreReader, run_name: str, action_name: str) -> Viewed:
    """The action of that name in a run.

    Raises:
        UnknownError: there is no such run, or no such action in it.
    """
    run = run_of(reader, run_name)
    action = find_action(reader, run.run.run_id, action_name)
    if action is None:
        raise UnknownError(
            f"run {run_name!r} has no action {action_name!r}: `flyte get action {run_name}` lists those it has."
        )
    return Viewed(run, action, load_spec(reader, action.spec_digest))


def action_details(reader: StoreReader, places: Places, viewed: Viewed) -> messages.ActionDetails:
    """All there is to say about an action."""
    shown = details_without_attempts(places, viewed)
    if viewed.action.kind is ActionKind.TASK:
        views = attempt_views(reader, places, viewed)
        shown.attempts.extend(view.message() for view in views)
        source = _cache_source(reader, places, viewed)
        if source is not None and shown.attempts:
            shown.attempts[-1].cache_metadata.CopyFrom(source)
    return shown


def run_details(reader: StoreReader, places: Places, name: str) -> messages.RunDetails:
    """All there is to say about a run.

    Raises:
        UnknownError: there is none of that name.
    """
    with reader.snapshot():
        run = run_of(reader, name)
        if run.root is None:
            raise UnknownError(f"run {name!r} is being deleted.")
        details = action_details(reader, places, Viewed(run, run.root, run.spec))
    run_spec = run.run_spec
    if run.is_local and run.run.labels:
        run_spec.labels.values.update(run.run.labels)
    return messages.RunDetails(run_spec=run_spec, action=details)


def attempt_views(reader: StoreReader, places: Places, viewed: Viewed) -> list[AttemptView]:
    """The attempts at an action, the last one included, which is what the action itself says."""
    action = viewed.action
    earlier = map(StoredAttempt.from_row, reader.select(statement("list_attempts"), (action.action_id,)))
    last = StoredAttempt(
        action.attempt_no, viewed.phase, to_datetime(action.started_us), to_datetime(action.ended_us), action.error
    )
    views: list[AttemptView] = []
    queued_us = action.created_us
    for attempt in [*earlier, *([last] if action.attempt_no else [])]:
        views.append(_view(places, viewed, attempt, queued_us))
        if attempt.ended_at is not None:
            queued_us = round(attempt.ended_at.timestamp() * 1_000_000)
    return views


def _view(places: Places, viewed: Viewed, attempt: StoredAttempt, queued_us: int) -> AttemptView:
    action, spec = viewed.action, viewed.spec
    pod_name = f"{viewed.run.run.name}-{action.name}-{attempt.attempt_no}"
    metadata = spec.task_template.metadata if spec is not None else None
    identifier = places.run_identifier(viewed.run.run)
    names = {
        "runName": identifier.name,
        "actionName": action.name,
        "podName": pod_name,
        "executionProject": identifier.project,
        "executionDomain": identifier.domain,
        "executionOrg": identifier.org,
    }
    return AttemptView(
        attempt=attempt,
        phase=attempt.phase,
        queued_us=queued_us,
        outputs=_outputs_of(action, attempt.attempt_no),
        has_report=metadata is not None and metadata.generates_deck.value,
        links=[_filled(link, names) for link in metadata.log_links] if metadata is not None else [],
        cache_status=action.cache_status if attempt.attempt_no == action.attempt_no else 0,
        pod_name=pod_name,
    )


def _outputs_of(action: ListedAction, attempt_no: int) -> str:
    folder, _, last = action.output_uri.rpartition("/")
    # An outcome from the cache or of another run lies where that run left it.
    return f"{folder}/{attempt_no}" if last == str(action.attempt_no) else action.output_uri


def _filled(link: TaskLog, names: Mapping[str, str]) -> TaskLog:
    filled = TaskLog()
    filled.CopyFrom(link)
    for name, value in names.items():
        filled.uri = filled.uri.replace("{{." + name + "}}", value)
    return filled


def _cache_source(reader: StoreReader, places: Places, viewed: Viewed) -> CacheMetadata | None:
    rows = reader.select(statement("cache_source"), (viewed.action.action_id,))
    if not rows:
        return None
    source = attempt_identifier(places, viewed.run, rows[0]["found_run"], rows[0]["found_action"])
    return CacheMetadata(source_action_attempt=source)


def inputs_address(viewed: Viewed) -> str:
    """Where the inputs of an action are; empty where they are in the store alone."""
    return viewed.action.target.input_uri if viewed.action.target is not None else ""


def outputs_address(viewed: Viewed) -> str:
    """The file with the outputs of an action; empty where there are none, or they are in the store alone."""
    action = viewed.action
    if not action.output_uri or not action.phase.is_terminal or action.error is not None:
        return ""
    return action.output_uri if action.kind is ActionKind.TRACE else f"{action.output_uri}/outputs.pb"


def stored_payloads(reader: StoreReader, viewed: Viewed, home: Path) -> tuple[bytes | None, bytes | None]:
    """The serialized `Inputs` and `Outputs` of an action as far as its row has them.

    Files of a served run are left out: a request named them, so they are read as any address is.

    Raises:
        StoreError: the row points to a file that is gone.
    """
    from flyte._store.payloads import load_payload

    rows = reader.select(statement("action_payloads"), (viewed.action.action_id,))
    if not rows:
        return None, None
    row = rows[0]
    if not viewed.run.is_local:
        return row["inputs"], row["outputs"]
    return (
        load_payload(home, row["inputs"], row["inputs_file"]),
        load_payload(home, row["outputs"], row["outputs_file"]),
    )
