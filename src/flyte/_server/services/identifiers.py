"""The names in a request, checked: what is missing, too long or too large is refused by its field."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from flyteidl2.common.identifier_pb2 import ActionIdentifier, ProjectIdentifier, RunIdentifier
from flyteidl2.task.task_definition_pb2 import TaskIdentifier
from google.protobuf.timestamp_pb2 import Timestamp

from flyte._engine.names import check_run_name
from flyte._server.refusals import InvalidRequestError
from flyte.errors import RuntimeUserError
from flyte.storage._addresses import is_remote, local_path

_MAX_INT = 2**63 - 1
_LATEST_S = 253_402_300_799 - 1
"""The last second but one that a date has a year for."""

PLACE_LENGTH = 63
TASK_NAME_LENGTH = 255
ADDRESS_LENGTH = 4096
ACTION_NAME_BYTES = 200
"""Names of actions are names of folders, in which a file system has room for a little more."""

_PLACE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def text_of(value: str, field: str, length: int, *, may_be_empty: bool = False) -> str:
    """`value`, when it has 1 to `length` characters.

    Raises:
        InvalidRequestError: it has not, or holds a zero character.
    """
    if not value and not may_be_empty:
        raise InvalidRequestError(f"{field} is empty: expected 1 to {length} characters.")
    if len(value) > length:
        raise InvalidRequestError(f"{field} has {len(value)} characters: expected at most {length}.")
    if "\0" in value:
        raise InvalidRequestError(f"{field} holds a zero character, which no name may.")
    return value


def place_of(value: str, field: str) -> str:
    """`value`, when it can be the name of a project, a domain or an organisation: a part of addresses and of folders.

    Raises:
        InvalidRequestError: it cannot.
    """
    text_of(value, field, PLACE_LENGTH)
    if not _PLACE.fullmatch(value):
        raise InvalidRequestError(
            f"{field} is {value!r}: expected letters, digits, '.', '_' and '-', starting and ending with a letter or "
            "a digit."
        )
    return value


def address_of(value: str, field: str, *, may_be_empty: bool = False) -> str:
    """`value`, when it can be an address: nothing in it leads to the folder above, and so out of a home.

    Raises:
        InvalidRequestError: it cannot.
    """
    text_of(value, field, ADDRESS_LENGTH, may_be_empty=may_be_empty)
    if ".." in value.split("/"):
        raise InvalidRequestError(f"{field} is {value!r}: expected an address without '..' in its path.")
    return value


def folder_of(value: str, field: str) -> str:
    """`value`, when it is empty or the address of a folder for data. A relative path is another one for each process.

    Raises:
        InvalidRequestError: it cannot.
    """
    address_of(value, field, may_be_empty=True)
    if value and not (is_remote(value) or local_path(value).is_absolute()):
        raise InvalidRequestError(f"{field} is {value!r}: expected an absolute path or a URL.")
    return value


def check_variable(name: str, value: str, field: str) -> None:
    """Nothing, of a variable that a process can have.

    Raises:
        InvalidRequestError: none can have it.
    """
    if not name or "=" in name or "\0" in name + value:
        raise InvalidRequestError(
            f"{field} has a variable {name[:60]!r}: expected a name without '=', and no zero character."
        )


def number_of(value: int, field: str, at_most: int = _MAX_INT) -> int:
    """`value`, when it is no larger than that.

    Raises:
        InvalidRequestError: it is.
    """
    if value > at_most:
        raise InvalidRequestError(f"{field} is {value}: expected at most {at_most}.")
    return value


def moment_of(time: Timestamp, field: str) -> datetime:
    """The time, when it is one from 1970 on.

    Raises:
        InvalidRequestError: it is none.
    """
    if not (0 <= time.seconds <= _LATEST_S and 0 <= time.nanos < 1_000_000_000):
        raise InvalidRequestError(
            f"{field} has {time.seconds} seconds and {time.nanos} nanoseconds: expected a time from 1970 to 9999."
        )
    return datetime.fromtimestamp(time.seconds, UTC) + timedelta(microseconds=time.nanos // 1000)


def run_name_of(run: RunIdentifier, field: str = "run_id") -> str:
    """The name in an identifier of a run; the rest of it is what the run says.

    Raises:
        InvalidRequestError: it can be the name of no run.
    """
    if not run.name:
        raise InvalidRequestError(f"{field}.name is empty: expected the name of a run.")
    try:
        return check_run_name(run.name)
    except RuntimeUserError as error:
        raise InvalidRequestError(f"{field}.name: {error}") from error


def action_names_of(action: ActionIdentifier, field: str = "action_id") -> tuple[str, str]:
    """The names of the run and of the action in an identifier.

    Raises:
        InvalidRequestError: one is missing, or can be the name of none.
    """
    return run_name_of(action.run, f"{field}.run"), action_name_of(action.name, f"{field}.name")


def action_name_of(name: str, field: str) -> str:
    """`name`, when it can be that of an action: it becomes a folder.

    Raises:
        InvalidRequestError: it cannot.
    """
    text_of(name, field, ACTION_NAME_BYTES)
    if "/" in name or name in (".", "..") or not name.isprintable() or len(name.encode()) > ACTION_NAME_BYTES:
        raise InvalidRequestError(
            f"{field} is {name!r}: expected at most {ACTION_NAME_BYTES} bytes of printable characters without '/'."
        )
    return name


def project_of(project: ProjectIdentifier, field: str = "project_id") -> tuple[str, str]:
    """The names of project and domain.

    Raises:
        InvalidRequestError: one is missing, or can be the name of none.
    """
    return place_of(project.name, f"{field}.name"), place_of(project.domain, f"{field}.domain")


def task_key_of(task: TaskIdentifier, field: str = "task_id") -> tuple[str, str, str, str]:
    """Project, domain, name and version of a task.

    Raises:
        InvalidRequestError: one is missing, or can be the name of none.
    """
    return (
        place_of(task.project, f"{field}.project"),
        place_of(task.domain, f"{field}.domain"),
        text_of(task.name, f"{field}.name", TASK_NAME_LENGTH),
        text_of(task.version, f"{field}.version", TASK_NAME_LENGTH),
    )
