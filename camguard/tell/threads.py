"""Work that blocks, away from the event loop, in a thread of its own that nobody ever waits for at the end.

The pools of asyncio and concurrent.futures have few threads, shared by all, and are waited for when the program ends: a
name server or a plugin that hangs would hold up other channels and the end.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

_Result = TypeVar("_Result")


async def in_thread(work: Callable[[], _Result], name: str) -> _Result:
    """What `work()` returns or raises. When the caller gives up, the thread runs on and its result is thrown away."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[_Result] = loop.create_future()

    def hand_over(result: _Result | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)  # type: ignore[arg-type]
        else:
            done.set_exception(error)

    def run() -> None:
        result, error = None, None
        try:
            result = work()
        except BaseException as caught:  # noqa: BLE001 else its traceback, which may show a URL, is printed
            error = caught if isinstance(caught, Exception) else RuntimeError(type(caught).__name__)
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            loop.call_soon_threadsafe(hand_over, result, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await done


class Patient(Generic[_Result]):
    """Work whose thread may never end (a disk that is gone): begun once, and waited for a while, again and again."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._task: asyncio.Task[_Result] | None = None

    async def result(self, work: Callable[[], _Result], limit_s: float) -> _Result:
        """What `work()` returns or raises; TimeoutError after `limit_s`. While it goes on it is not begun again."""
        if self._task is None:
            self._task = asyncio.create_task(in_thread(work, self._name))
        await asyncio.wait([self._task], timeout=limit_s)
        if not self._task.done():
            raise TimeoutError
        task, self._task = self._task, None
        return task.result()
