"""Work that blocks, away from the event loop, in a thread of its own that nobody ever waits for at the end.

The pools of asyncio and concurrent.futures have few threads, shared by all, and are waited for when the program ends: a
name server or a plugin that hangs would hold up other channels and the end.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TypeVar

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
