"""`ClusterService`: which server a request is for. There is one."""

from __future__ import annotations

from flyteidl2.cluster.payload_pb2 import SelectClusterRequest, SelectClusterResponse

from flyte._server.codes import Context


class ClusterService:
    """Says that clients stay where they are."""

    async def select_cluster(self, request: SelectClusterRequest, ctx: Context) -> SelectClusterResponse:
        """An empty address: whatever it is about, the server that was asked has it."""
        return SelectClusterResponse()
