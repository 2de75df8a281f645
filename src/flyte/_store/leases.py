"""The thread that keeps saying which runs this process owns, whatever its event loop is busy with."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from flyte._faults import reach
from flyte._store.owners import this_process
from flyte._store.records import LEASE_US, LET_GO
from flyte._store.writer import Writer, renew_leases
from flyte.errors import StoreError

RENEW_EVERY_S = LEASE_US / 1_000_000 / 4


class LeaseKeeper:
    """Renews the leases of the runs it was given, for one store. Its thread lives while there are any."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._changed = threading.Condition()
        self._giving_up = threading.Lock()
        self._run_ids: set[int] = set()
        self._given_up: set[int] = set()
        self._thread: threading.Thread | None = None

    def keep(self, run_id: int) -> None:
        """The run counts as owned until `let_go` or `give_up`."""
        with self._changed:
            self._run_ids.add(run_id)
            self._ensure_thread()

    def let_go(self, run_id: int) -> None:
        """The run's lease is renewed no more."""
        with self._changed:
            self._run_ids.discard(run_id)
            self._changed.notify_all()

    def give_up(self, run_id: int) -> None:
        """The run is over for this process; where that is not recorded, as on a full disk, it can be resumed.

        Else it would show as running for as long as the process lives. Tried again until the store takes it.
        """
        with self._changed:
            self._run_ids.discard(run_id)
            self._given_up.add(run_id)
            self._ensure_thread()
            self._changed.notify_all()

    def record_given_up(self) -> None:
        """What was given up is recorded.

        Raises:
            StoreError: it could not be.
        """
        with self._giving_up:
            given_up = sorted(self._given_up)
            if given_up:
                self._writer.write(renew_leases(given_up, this_process(), LET_GO))
                with self._changed:
                    self._given_up.difference_update(given_up)
                    self._changed.notify_all()

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._renew, name="flyte-lease-keeper", daemon=True)
            self._thread.start()

    def _renew(self) -> None:
        while True:
            with suppress(StoreError):
                self.record_given_up()
            with self._changed:
                self._changed.wait_for(lambda: not self._run_ids and not self._given_up, RENEW_EVERY_S)
                if not self._run_ids and not self._given_up:
                    self._thread = None
                    return
                run_ids = sorted(self._run_ids)
            if run_ids:
                reach("lease.renew")
                self._writer.submit(renew_leases(run_ids, this_process(), time.time_ns() // 1000 + LEASE_US), _ignore)


def _ignore(result: object, error: StoreError | None) -> None:
    """A renewal that failed is followed by another; the lease lasts for four."""
