"""Which attempts may start: those that fit the machine, by the priority of their queue and then by age."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from flyte._server.executors.orders import Capacity
from flyte._server.scheduler.rules import Lane


class Seat:
    """What an attempt takes of the executor. Given back while the attempt waits for its children."""

    def __init__(self, admission: Admission, request: Capacity, lane: Lane | None, run_id: int) -> None:
        self.request = request
        self.lane = lane
        self.run_id = run_id
        self._admission = admission
        self._is_held = False
        self._is_over = False

    def take(self) -> None:
        """It counts, whether or not it fits."""
        if not self._is_held and not self._is_over:
            self._is_held = True
            self._admission.count(self, 1)

    def lend(self) -> None:
        """It does not count for now."""
        if self._is_held:
            self._is_held = False
            self._admission.count(self, -1)

    def give_back(self) -> None:
        """The attempt is over. Safe to call twice."""
        self.lend()
        self._is_over = True


@dataclass(slots=True, eq=False)
class _Waiting:
    order: tuple[int, int]
    seat: Seat
    limit: int
    future: asyncio.Future[None]

    def __lt__(self, other: _Waiting) -> bool:
        return self.order < other.order


_Group = tuple[str | None, int, Capacity]


class Admission:
    """Hands out seats. Lives on the server's loop.

    An attempt that asks for more than the whole machine starts when nothing else runs. Whoever waits behind one that
    does not fit yet starts if it fits, except that the same one is passed over only so many times.

    Args:
        capacity: Of the executor.
        priorities: By the name of the queue; a queue that is not there has priority 0. Higher goes first.
    """

    MOST_PASSED_OVER = 64

    def __init__(self, capacity: Callable[[], Capacity], priorities: Mapping[str, int] | None = None) -> None:
        self._capacity = capacity
        self._priorities = priorities or {}
        self._cpu_millis = self._memory_bytes = self._gpus = 0
        self._held = 0
        self._in_lane: Counter[str] = Counter()
        self._in_run: Counter[int] = Counter()
        # Those of one group ask for the same, so that only the first of each has to be looked at.
        self._groups: dict[_Group, list[_Waiting]] = {}
        self._numbers = count()
        self._is_due = False
        self._starved: _Waiting | None = None
        self._passed_over = 0

    @property
    def held(self) -> int:
        """How many seats count now."""
        return self._held

    @property
    def waiting(self) -> int:
        """How many attempts wait for one."""
        return sum(not each.future.done() for group in self._groups.values() for each in group)

    async def seat(self, request: Capacity, lane: Lane | None, run_id: int, limit: int, queue: str) -> Seat:
        """A seat, once there is room.

        Args:
            request: What the attempt takes.
            lane: The workers that it shares.
            run_id: Its run.
            limit: How many attempts of the run may have a seat; 0 for any number.
            queue: Name of its queue.
        """
        order = (-self._priorities.get(queue, 0), next(self._numbers))
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(order, Seat(self, request, lane, run_id), limit, future)
        group: _Group = (None if lane is None else lane.key, run_id if limit else 0, request)
        heapq.heappush(self._groups.setdefault(group, []), waiting)
        self._look_soon()
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                waiting.seat.give_back()
            self._look_soon()
            raise
        return waiting.seat

    def count(self, seat: Seat, sign: int) -> None:
        """The seat counts (1), or no longer does (-1)."""
        share = 1 if seat.lane is None else seat.lane.seats
        self._held += sign
        self._cpu_millis += sign * (seat.request.cpu_millis // share)
        self._memory_bytes += sign * (seat.request.memory_bytes // share)
        self._gpus += sign * seat.request.gpus
        self._in_run[seat.run_id] += sign
        if self._in_run[seat.run_id] == 0:
            del self._in_run[seat.run_id]
        if seat.lane is not None:
            self._in_lane[seat.lane.key] += sign
            if self._in_lane[seat.lane.key] == 0:
                del self._in_lane[seat.lane.key]
        if sign < 0:
            self._look_soon()

    def _look_soon(self) -> None:
        if not self._is_due and self._groups:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._look)

    def _look(self) -> None:
        """Whoever fits has a seat."""
        self._is_due = False
        heads = [(self._first(key), key) for key in list(self._groups)]
        firsts = [(first, key) for first, key in heads if first is not None]
        heapq.heapify(firsts)
        while firsts:
            first, key = heapq.heappop(firsts)
            if not self._is_allowed(first):
                continue
            if not self._fits(first.seat):
                if self._has_starved(first):
                    return
                continue
            heapq.heappop(self._groups[key])
            first.seat.take()
            first.future.set_result(None)
            self._granted(first)
            following = self._first(key)
            if following is not None:
                heapq.heappush(firsts, (following, key))

    def _first(self, key: _Group) -> _Waiting | None:
        """The first of a group that still waits; a group without one is forgotten."""
        group = self._groups[key]
        while group:
            if not group[0].future.done():
                return group[0]
            heapq.heappop(group)
        del self._groups[key]
        return None

    def _has_starved(self, waiting: _Waiting) -> bool:
        """Whether enough others have gone before the oldest one that does not fit."""
        if self._starved is None or self._starved.future.done() or waiting < self._starved:
            self._starved, self._passed_over = waiting, 0
        return self._starved is waiting and self._passed_over >= self.MOST_PASSED_OVER

    def _granted(self, waiting: _Waiting) -> None:
        if self._starved is waiting:
            self._starved = None
        elif self._starved is not None and self._starved < waiting:
            self._passed_over += 1

    def _is_allowed(self, waiting: _Waiting) -> bool:
        seat = waiting.seat
        if waiting.limit and self._in_run[seat.run_id] >= waiting.limit:
            return False
        return seat.lane is None or self._in_lane[seat.lane.key] < seat.lane.seats

    def _fits(self, seat: Seat) -> bool:
        if self._held == 0:
            return True
        capacity = self._capacity()
        share = 1 if seat.lane is None else seat.lane.seats
        return (
            self._cpu_millis + seat.request.cpu_millis // share <= capacity.cpu_millis
            and self._memory_bytes + seat.request.memory_bytes // share <= capacity.memory_bytes
            and self._gpus + seat.request.gpus <= capacity.gpus
        )
