"""Which server of a control plane is called for data: mostly the one that answers everything else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from flyteidl2.cluster.payload_pb2 import SelectClusterRequest

from flyte._rpc.endpoints import Endpoint
from flyte._rpc.failures import UNIMPLEMENTED
from flyte._rpc.sessions import Session
from flyte.errors import UnionRpcError

_selected: WeakKeyDictionary[Session, dict[tuple[int, bytes], Session]] = WeakKeyDictionary()


async def session_for(session: Session, operation: int, **resource: Any) -> Session:
    """The session with the server that an operation on a resource goes to; asked for once.

    Args:
        session: With the control plane.
        operation: What is to be done.
        resource: The field of `SelectClusterRequest` that says with what.
    """
    known = _selected.setdefault(session, {})
    ((field, message),) = resource.items()
    key = (operation, field.encode() + message.SerializeToString(deterministic=True))
    if key not in known:
        known[key] = await _ask(session, SelectClusterRequest(operation=operation, **resource))
    return known[key]


async def _ask(session: Session, request: SelectClusterRequest) -> Session:
    try:
        answer = await session.clusters.select_cluster(request)
    except UnionRpcError as error:
        if error.code == UNIMPLEMENTED:
            return session
        raise
    settings = session.settings
    if not answer.cluster_endpoint:
        return session
    endpoint = Endpoint.parse(answer.cluster_endpoint, insecure=settings.endpoint.insecure)
    return session if endpoint == settings.endpoint else Session(replace(settings, endpoint=endpoint))
