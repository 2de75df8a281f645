"""How much one peer may ask for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flyte._server.limits import RequestRate
from tests.server.app.conftest import Serve
from tests.server.app.messages import UNARY


class Clock:
    """Stands still until it is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_after_a_burst_so_many_a_second_are_admitted() -> None:
    clock = Clock()
    rate = RequestRate(10, clock)
    assert [rate.admits("a") for _ in range(25)] == [True] * 20 + [False] * 5
    assert rate.admits("b")
    clock.now = 0.5
    assert [rate.admits("a") for _ in range(7)] == [True] * 5 + [False] * 2


@given(st.lists(st.floats(0, 0.5), min_size=1, max_size=200))
def test_no_peer_gets_more_than_its_rate(pauses: list[float]) -> None:
    clock = Clock()
    rate = RequestRate(5, clock)
    admitted = 0
    for pause in pauses:
        clock.now += pause
        admitted += rate.admits("a")
    assert admitted <= 10 + 5 * clock.now + 1e-6


def test_peers_that_have_not_come_for_long_are_forgotten() -> None:
    clock = Clock()
    rate = RequestRate(10, clock)
    for number in range(10_000):
        rate.admits(f"peer {number}")
    clock.now = 60
    rate.admits("one more")
    assert len(rate._left) == 1


async def test_requests_above_the_rate_are_told_to_come_back(serve: Serve) -> None:
    server = await serve(rate=RequestRate(1, Clock()))
    assert [(await server.http.get("/healthz")).status_code for _ in range(3)] == [200, 200, 503]
    answer = await server.http.post("/flyteidl2.workflow.RunService/AbortRun", headers=UNARY)
    # A code that clients wait and try again at.
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
