"""The few threads in which files are written, so that a slow disk never stops the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from rookery.errors import StorageUnavailable

T = TypeVar("T")


class WriterThreads:
    """`count` threads that run blocking work; work with the same key runs one after another, in order.

    A key is usually one file. Any free thread takes the next key that has work, so that one long job never
    holds up other keys while a thread is free.
    """

    def __init__(self, count: int = 4, *, name: str = "rookery-writer") -> None:
        assert count > 0, "without a thread nothing would ever be written"
        self._lock = threading.Lock()
        self._lanes: dict[str, deque[_Job]] = {}
        self._ready: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._answers: _Answers | None = None
        self._closed = False
        self._threads = [
            threading.Thread(target=self._serve, name=f"{name}-{number}", daemon=True) for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    async def run(self, key: str, work: Callable[[], T]) -> T:
        """Run `work` in a thread and return what it returns, or raise what it raises.

        The work is done to its end in any case, also when the caller is cancelled while it waits. Raises
        `StorageUnavailable` after `close`.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        answers = self._answers
        if answers is None or answers.loop is not loop:
            answers = self._answers = _Answers(loop)
        job = _Job(key, work, future, answers)
        with self._lock:
            if self._closed:
                raise StorageUnavailable("The writer threads have been closed; nothing was written.")
            lane = self._lanes.get(key)
            if lane is None:
                self._lanes[key] = deque((job,))
                self._ready.put(job)
            else:
                lane.append(job)
        return await future

    async def close(self) -> None:
        """Finish all work that was handed in, then end the threads."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._lanes:
                self._dismiss()
        await asyncio.to_thread(self._join)

    def _join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _dismiss(self) -> None:
        for _ in self._threads:
            self._ready.put(None)

    def _serve(self) -> None:
        while (job := self._ready.get()) is not None:
            try:
                job.result = job.work()
            except BaseException as error:  # whatever it is, it belongs to the caller
                job.error = error
            with self._lock:
                lane = self._lanes[job.key]
                lane.popleft()
                if lane:
                    self._ready.put(lane[0])
                else:
                    del self._lanes[job.key]
                    if self._closed and not self._lanes:
                        self._dismiss()
            job.answers.give(job)
            del job  # an idle thread must not keep the last result alive


class _Job:
    __slots__ = ("answers", "error", "future", "key", "result", "work")

    def __init__(self, key: str, work: Callable[[], Any], future: asyncio.Future[Any], answers: _Answers) -> None:
        self.key = key
        self.work = work
        self.future = future
        self.answers = answers
        self.result: Any = None
        self.error: BaseException | None = None


class _Answers:
    """Brings results back to one event loop, waking it once for all that are ready by then."""

    __slots__ = ("_done", "_woken", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[_Job] = deque()
        self._woken = False

    def give(self, job: _Job) -> None:
        self._done.append(job)
        # Two threads may both see False and wake twice, which is harmless. Nobody can see a stale True: the
        # loop clears it before it empties the queue, so whoever reads True has his job still to be fetched.
        if not self._woken:
            self._woken = True
            # A loop that is gone belonged to a gateway torn down; nobody waits there any more.
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._fetch)

    def _fetch(self) -> None:
        self._woken = False
        while self._done:
            job = self._done.popleft()
            if job.future.done():
                continue
            if job.error is None:
                job.future.set_result(job.result)
            else:
                job.future.set_exception(job.error)
