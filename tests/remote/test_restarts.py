"""A control plane that is started again while somebody waits for it."""

from __future__ import annotations

import threading
import time

import pytest
from connectrpc.code import Code
from connectrpc.errors import ConnectError

import flyte
from conformance.peer import Peer
from flyte._rpc import retries
from flyte.errors import RunAlreadyExistsError, UnionRpcError
from tests.remote.programs import double


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits between two tries are a tenth of what they are."""
    monkeypatch.setattr(retries, "FIRST_S", 0.05)
    monkeypatch.setattr(retries, "LONGEST_S", 0.2)


def restart(peer: Peer, after_s: float, away_s: float, then: object = None) -> threading.Thread:
    """The peer goes away for a while, on a thread."""

    def away() -> None:
        time.sleep(after_s)
        peer.stop()
        time.sleep(away_s)
        if callable(then):
            then()
        peer.start()

    thread = threading.Thread(target=away, name="restart")
    thread.start()
    return thread


def test_a_wait_survives_a_restart(peer: Peer) -> None:
    run = flyte.run(double, x=3)
    thread = restart(peer, 0.2, 0.8, lambda: peer.settle(run.name, outputs=double.codec.encode_outputs(6)))
    run.wait(quiet=True)
    thread.join()
    assert run.outputs().o0 == 6


def test_outputs_survive_a_restart(peer: Peer) -> None:
    run = flyte.run(double, x=3)
    peer.settle(run.name, outputs=double.codec.encode_outputs(6))
    peer.stop()
    thread = threading.Timer(0.8, peer.start)
    thread.start()
    assert run.outputs().o0 == 6
    thread.join()


def test_a_watch_that_is_cut_is_opened_again(peer: Peer) -> None:
    run = flyte.run(double, x=3)
    peer.cuts["WatchActionDetails"] = 3
    threading.Timer(0.3, lambda: peer.settle(run.name, outputs=double.codec.encode_outputs(6))).start()
    run.wait(quiet=True)
    assert run.done()
    assert len(peer.requests("WatchActionDetails")) == 4


def test_a_wait_ends_when_nobody_answers_for_long(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    run = flyte.run(double, x=3)
    peer.stop()
    monkeypatch.setattr("flyte._rpc.streams.PATIENCE_S", 0.1)
    monkeypatch.setattr("flyte.remote._action_details.resumed.__kwdefaults__", {"patience_s": 0.2}, raising=False)
    started = time.monotonic()
    with pytest.raises(UnionRpcError, match="no control plane"):
        run.wait(quiet=True)
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("name", ["once", None])
def test_a_run_is_created_once_though_its_answer_was_lost(peer: Peer, name: str | None) -> None:
    peer.drops["CreateRun"] = 1
    run = flyte.with_runcontext(name=name).run(double, x=3)
    assert list(peer.runs) == [run.name]
    assert len(peer.requests("CreateRun")) == 2


def test_an_earlier_run_of_that_name_is_not_taken_for_the_one_whose_answer_was_lost(peer: Peer) -> None:
    flyte.with_runcontext(name="once").run(double, x=3)
    peer.runs["once"].actions["a0"].status.start_time.FromSeconds(int(time.time()) - 3600)
    peer.drops["CreateRun"] = 1
    with pytest.raises(RunAlreadyExistsError, match="'once'"):
        flyte.with_runcontext(name="once").run(double, x=4)


def test_a_run_is_created_once_where_the_server_says_later_after_it_has_it(peer: Peer) -> None:
    def say_later(name: str) -> None:
        peer.on_run = lambda name: None
        raise ConnectError(Code.UNAVAILABLE, "later")

    peer.on_run = say_later
    run = flyte.run(double, x=3)
    assert list(peer.runs) == [run.name]


def test_an_upload_is_tried_again(peer: Peer) -> None:
    peer.faults["PUT"] = [ConnectError(Code.UNAVAILABLE, ""), ConnectError(Code.UNAVAILABLE, "")]
    flyte.run(double, x=3)
    assert len(peer.puts) == 3
