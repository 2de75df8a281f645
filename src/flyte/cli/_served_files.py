"""Where the runs that the control plane of this machine serves have their data, reports and code."""

from __future__ import annotations

from flyte._server.refusals import UnknownError
from flyte._server.services.artifacts import bundle_uri, report_uri
from flyte._server.services.run_reads import inputs_address, outputs_address, viewed_action
from flyte._store.reader import StoreReader
from flyte._store.records import StoredAction, StoredRun
from flyte.cli._errors import CommandError
from flyte.models import CodeBundle
from flyte.storage._addresses import absolute
from flyte.storage._backend import backend_of


def served_payload(reader: StoreReader, run: StoredRun, action: StoredAction, side: str) -> bytes | None:
    """The action's serialized `inputs` or `outputs` from their own address; None where there are none.

    Raises:
        StorageError: they cannot be read.
    """
    viewed = viewed_action(reader, run.name, action.name)
    address = inputs_address(viewed) if side == "inputs" else outputs_address(viewed)
    if not address:
        return None
    where = absolute(address)
    # A task without outputs may leave none.
    return None if backend_of(where).find(where) is None else bytes(backend_of(where).read(where))


def served_report(reader: StoreReader, run: StoredRun, action: StoredAction) -> str:
    """Where the report of an action is, or would be."""
    return report_uri(reader.home, viewed_action(reader, run.name, action.name), 0)


def served_code(reader: StoreReader, run: StoredRun, action: StoredAction) -> CodeBundle:
    """The code that an action runs.

    Raises:
        CommandError: it was not sent: an image has it.
    """
    viewed = viewed_action(reader, run.name, action.name)
    try:
        address = bundle_uri(viewed.spec, f"action {action.name} of run {run.name}")
    except UnknownError as error:
        raise CommandError(str(error)) from None
    is_pickled = address.endswith(".pkl.gz")
    return CodeBundle(
        computed_version=run.version, tgz=None if is_pickled else address, pkl=address if is_pickled else None
    )
