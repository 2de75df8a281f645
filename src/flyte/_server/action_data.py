"""What actions got and gave, what they ran, and what they left: read from the store, and from where it points."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from flyteidl2.task.common_pb2 import Inputs, Outputs
from flyteidl2.task.run_pb2 import RunSpec
from flyteidl2.task.task_definition_pb2 import TaskSpec
from flyteidl2.workflow.run_definition_pb2 import ActionSpec
from google.protobuf.message import DecodeError

from flyte._controller.local_run import run_folder
from flyte._server.refusals import NotNowError, UnknownError
from flyte._store.reader import StoreReader
from flyte._store.records import ActionKind, StoredAction, StoredRun
from flyte._store.served import load_served_run
from flyte._store.statements import statement
from flyte._worker.files import OUTPUTS_FILE
from flyte.errors import DataNotFoundError, StoreError
from flyte.models import ActionPhase
from flyte.report._files import report_address
from flyte.storage._addresses import absolute, is_remote, join, local_path
from flyte.storage._backend import backend_of

ANSWER_BYTES = 64 << 20
"""So much data an answer may have; what is larger is read from where it is."""

Data = TypeVar("Data", Inputs, Outputs)

_BUNDLE_OPTIONS = ("--tgz", "--pkl")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the data of a served action is.

    Attributes:
        target: What was asked for, without the spec of its task.
        spec_digest: Of that spec.
        output_uri: Where its last attempt leaves its outputs; of a trace, the file.
    """

    target: ActionSpec
    spec_digest: bytes | None
    output_uri: str


@dataclass(frozen=True, slots=True)
class ActionData:
    """What an action got and gave. Addresses are empty where there is nothing."""

    inputs: Inputs
    outputs: Outputs
    inputs_uri: str
    outputs_uri: str


class ActionReader:
    """An action as the store has it.

    Raises:
        RunNotFoundError: there is none.
    """

    def __init__(self, reader: StoreReader, run_name: str, action_name: str) -> None:
        self._reader = reader
        self.run: StoredRun = reader.load_run(run_name)
        self.action: StoredAction = reader.load_action(self.run, action_name)

    def places(self) -> Places | None:
        """Where its data is; None for one of a local run, whose data is in the store."""
        rows = self._rows("served_places", (self.action.action_id,))
        if not rows:
            return None
        target = ActionSpec.FromString(rows[0]["target"])
        return Places(target, rows[0]["spec_digest"], rows[0]["output_uri"])

    def data(self) -> ActionData:
        """What it got and gave.

        Raises:
            UnknownError: something that was recorded is there no more.
            NotNowError: it is too large for an answer.
        """
        places = self.places()
        inputs_uri = self._inputs_uri(places)
        inputs = self._kept(self._reader.load_inputs)
        if inputs is None and inputs_uri:
            inputs = self._load(inputs_uri)
        outputs, outputs_uri = self._outputs(places)
        size_bytes = len(inputs or b"") + len(outputs or b"")
        if size_bytes > ANSWER_BYTES:
            where = " and ".join(each for each in (inputs_uri, outputs_uri) if each) or "the store"
            raise NotNowError(
                f"inputs and outputs have {size_bytes} bytes, and an answer up to {ANSWER_BYTES}: read them at {where}."
            )
        return ActionData(
            *(_parsed(Inputs, inputs, inputs_uri), _parsed(Outputs, outputs, outputs_uri)),
            *(inputs_uri, outputs_uri),
        )

    def report_uri(self, attempt_no: int) -> str:
        """Where the report of an attempt is, or would be; 0 for the last attempt.

        Raises:
            UnknownError: there is no such attempt.
        """
        if attempt_no > self.action.attempt_no:
            raise UnknownError(
                f"action {self.action.name!r} of run {self.run.name!r} has no attempt {attempt_no}: its last one is "
                f"{self.action.attempt_no}."
            )
        places = self.places()
        if places is None:
            base_dir = self.run.settings.get("run_base_dir") or run_folder(self._reader.home, self.run.name)
            return report_address(join(str(base_dir), self.action.name))
        prefix = places.output_uri.rstrip("/")
        if attempt_no:
            prefix = f"{prefix.rpartition('/')[0]}/{attempt_no}"
        return report_address(prefix)

    def bundle_uri(self) -> str:
        """Where the code that it runs is.

        Raises:
            UnknownError: it runs code that was not sent.
        """
        places = self.places()
        spec = None if places is None or places.spec_digest is None else self._spec(places.spec_digest)
        address = "" if spec is None else bundle_uri_of(spec)
        if not address:
            raise UnknownError(
                f"action {self.action.name!r} of run {self.run.name!r} has no code bundle: it runs code that is where "
                "its task runs."
            )
        return address

    def _kept(self, load: Callable[[StoredAction], bytes | None]) -> bytes | None:
        try:
            return load(self.action)
        except StoreError as error:
            # Of the store itself it is read by now, so it is a file beside it that is gone.
            raise UnknownError(f"the data of {self.run.name}/{self.action.name} is gone: {error}") from error

    def _load(self, address: str) -> bytes:
        self._check_place(address)
        return _load(address)

    def _check_place(self, address: str) -> None:
        """Nothing, of an address that data of the run may be at.

        Raises:
            NotNowError: it is a path on this machine, outside of the home and of the folder that the run was given.
        """
        if is_remote(address):
            return
        folders = [self._reader.home]
        served = self._reader.ask(lambda connection: load_served_run(connection, self.run.run_id))
        if served is not None:
            given = RunSpec.FromString(served.run_spec).run_base_dir
            folders += [local_path(each) for each in (served.base_dir, given) if each and not is_remote(each)]
        path = local_path(address).resolve()
        if not any(path.is_relative_to(folder.resolve()) for folder in folders):
            raise NotNowError(
                f"the data of {self.run.name}/{self.action.name} is at {address}, which is neither in the home of this "
                "server nor in the base folder of the run, so it is not read."
            )

    def _rows(self, name: str, parameters: tuple[object, ...]) -> list[sqlite3.Row]:
        return self._reader.ask(lambda connection: connection.execute(statement(name), parameters).fetchall())

    def _spec(self, digest: bytes) -> TaskSpec | None:
        rows = self._rows("spec_by_digest", (digest,))
        return TaskSpec.FromString(rows[0]["spec"]) if rows else None

    def _inputs_uri(self, places: Places | None) -> str:
        if places is not None:
            return str(places.target.input_uri)
        file = self.action.inputs_file
        return str(self._reader.home / file) if file else ""

    def _outputs(self, places: Places | None) -> tuple[bytes | None, str]:
        outputs = self._kept(self._reader.load_outputs)
        file = self.action.outputs_file
        address = str(self._reader.home / file) if file else ""
        if places is not None and places.output_uri and self.action.phase.is_terminal:
            address = places.output_uri
            if self.action.kind is ActionKind.TASK:
                address = join(address.rstrip("/"), OUTPUTS_FILE)
        has_outputs = self.action.phase in (ActionPhase.SUCCEEDED, ActionPhase.RECOVERED)
        if outputs is None and has_outputs and address:
            try:
                outputs = self._load(address)
            except UnknownError:
                # A task without outputs may leave none.
                return None, ""
        return outputs, address if has_outputs else ""


def bundle_uri_of(spec: TaskSpec) -> str:
    """Where the code bundle of a task is; empty where it has none."""
    template = spec.task_template
    if template.metadata.code_bundle_uri:
        return str(template.metadata.code_bundle_uri)
    arguments = list(template.container.args)
    for option, value in pairwise(arguments):
        if option in _BUNDLE_OPTIONS:
            return str(value)
    return ""


def _load(address: str) -> bytes:
    address = absolute(address)
    try:
        return bytes(backend_of(address).read(address))
    except DataNotFoundError as error:
        raise UnknownError(str(error)) from error


def _parsed(kind: type[Data], data: bytes | None, address: str) -> Data:
    try:
        message: Data = kind.FromString(data or b"")
    except DecodeError as error:
        raise UnknownError(f"{address or 'the store'} holds no {kind.__name__.lower()}: {error}.") from error
    return message
