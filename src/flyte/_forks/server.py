"""The program of a fork server.

It has one thread of the operating system, always: a fork then takes nothing with it that another thread was in the
middle of. A module of the user's that starts threads when it is imported is therefore not kept: the server begins
anew without it, and each process imports it for itself.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import selectors
import signal
import socket
import sys
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import Any

from flyte._forks.wire import framed, receive

_OWNER_SEEN_EVERY_S = 5.0
_PR_SET_PDEATHSIG = 1


def main(requests: int, answers: int, start: dict[str, Any]) -> None:
    """Serves until the owner is gone, and ends the process.

    Args:
        requests: Descriptor of the socket that the owner asks by.
        answers: Descriptor of the socket that it is answered by.
        start: `entry`, the function that a forked process calls with the descriptor it gets; and `preload`, with its
            argument `preload_with`, that loads the user's code. Functions are named as `module:name`.
    """
    owner = os.getppid()
    for descriptor in (requests, answers):
        # What the user's code starts must not keep the owner from seeing that this process has ended.
        os.set_inheritable(descriptor, False)
    entry = _function(start["entry"])
    if start.get("preload") and not _preload(start):
        for descriptor in (requests, answers):
            os.set_inheritable(descriptor, True)
        os.execv(sys.executable, [*sys.orig_argv[:-1], json.dumps({**start, "preload": None})])
    gc.collect()
    # What is there now is never garbage: a collection in a forked process would copy its pages.
    gc.freeze()
    with suppress(EOFError, OSError):
        _Server(socket.socket(fileno=requests), socket.socket(fileno=answers), entry, owner).serve()
    os._exit(0)


def _preload(start: dict[str, Any]) -> bool:
    """Whether the user's code is loaded and has left one thread. What it raises, each process meets for itself."""
    try:
        _function(start["preload"])(start["preload_with"])
    except BaseException:
        return False
    finally:
        # Else each process would have what was printed in its own buffer.
        _flush_streams()
    if _thread_count() > 1:
        # Some libraries, as OpenBLAS in numpy, end their threads for a fork, and start them when they are used again.
        _fork_once()
    return _thread_count() == 1


def _fork_once() -> None:
    with warnings.catch_warnings():
        # Python warns where there are threads; this process does nothing but end.
        warnings.simplefilter("ignore")
        pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _thread_count() -> int:
    """Threads of this process, those of C libraries too; 2 where the system does not tell, which is never safe."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 2


def _function(name: str) -> Callable[[Any], object]:
    module, _, attribute = name.partition(":")
    function: Callable[[Any], object] = getattr(import_module(module), attribute)
    return function


class _Server:
    """Forks when it is told to, and tells how each process ended."""

    def __init__(
        self, requests: socket.socket, answers: socket.socket, entry: Callable[[Any], object], owner: int
    ) -> None:
        self._requests = requests
        self._answers = answers
        self._entry = entry
        self._owner = owner
        self._unsent = bytearray()
        self._selector = selectors.DefaultSelector()
        self._launches: dict[int, int] = {}
        """Processes that are not waited for yet, with the number of their launch."""
        self._woken, self._waker = os.pipe()
        for descriptor in (self._woken, self._waker):
            os.set_blocking(descriptor, False)

    def serve(self) -> None:
        """Serves until the owner is gone; then nothing that was forked is left.

        Raises:
            EOFError: the owner is gone.
        """
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._waker, warn_on_full_buffer=False)
        self._selector.register(self._requests, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        # The owner blocks while it asks: a server that blocked while it answers would wait for it for ever.
        self._answers.setblocking(False)
        self._answer({"ready": os.getpid()})
        try:
            while os.getppid() == self._owner:
                for key, _ in self._selector.select(_OWNER_SEEN_EVERY_S):
                    if key.fileobj is self._requests:
                        self._obey(*receive(self._requests))
                    elif key.fileobj is self._answers:
                        self._selector.unregister(self._answers)
                        self._send()
                    else:
                        with suppress(BlockingIOError):
                            while os.read(self._woken, 4096):
                                pass
                self._reap()
        finally:
            for pid in self._launches:
                _kill_group(pid)

    def _obey(self, message: dict[str, Any], descriptors: list[int]) -> None:
        if "kill" in message:
            for pid, launch in self._launches.items():
                if launch == message["kill"]:
                    _kill_group(pid, message["signal"])
            return
        try:
            pid = os.fork()
        except OSError as error:
            for descriptor in descriptors:
                os.close(descriptor)
            self._answer({"launch": message["launch"], "failed": error.strerror or str(error)})
            return
        if pid == 0:
            self._become(descriptors, message.get("folder"))
        for descriptor in descriptors:
            os.close(descriptor)
        self._launches[pid] = message["launch"]
        self._answer({"launch": message["launch"], "pid": pid})

    def _answer(self, message: dict[str, Any]) -> None:
        is_under_way = bool(self._unsent)
        self._unsent += b"".join(framed(message))
        if not is_under_way:
            self._send()

    def _send(self) -> None:
        with suppress(BlockingIOError):
            del self._unsent[: self._answers.send(self._unsent)]
        if self._unsent:
            self._selector.register(self._answers, selectors.EVENT_WRITE)

    def _reap(self) -> None:
        while self._launches:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None:
                return
            # As long as its leader is not waited for, the group's number is not given to another one.
            if ended.si_pid in self._launches:
                _kill_group(ended.si_pid)
            _, status = os.waitpid(ended.si_pid, 0)
            launch = self._launches.pop(ended.si_pid, None)
            if launch is not None:
                self._answer({"launch": launch, "exit": os.waitstatus_to_exitcode(status)})

    def _become(self, descriptors: list[int], folder: str | None) -> None:
        """In the forked process: it runs the entry with the first descriptor; the others are its standard streams."""
        code = 1
        try:
            os.setsid()
            _end_with_parent()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for descriptor in (self._woken, self._waker):
                os.close(descriptor)
            self._requests.close()
            self._answers.close()
            connection, *streams = descriptors
            for number, stream in enumerate(streams, start=1):
                os.dup2(stream, number)
                os.close(stream)
            if folder is not None:
                os.chdir(folder)
            _seed_chance()
            self._entry(connection)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)


def _kill_group(pid: int, number: int = signal.SIGKILL) -> None:
    """A process that was forked, and is not waited for yet, gets a signal with all of its group."""
    with suppress(ProcessLookupError, PermissionError):
        try:
            os.killpg(pid, number)
        except ProcessLookupError:
            # It was forked a moment ago, and has not come to lead a group.
            os.kill(pid, number)


def _end_with_parent() -> None:
    """This process is killed when its fork server is, however that ends."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _seed_chance() -> None:
    """Each process has its own random numbers; Python's own module sees to itself, numpy's does not."""
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
