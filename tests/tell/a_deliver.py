"""Deliver processes that are killed, for tests: `python a_deliver.py FOLDER URL ROUNDS`.

For each round N: FOLDER/N gets a copy of FOLDER/guard.db; a process is started that kills itself with SIGKILL at the
N-th step it takes (a step: a commit begins, a commit is done, a send begins, a send is done), and then one that is not
killed and ends when nothing waits any more. Everything but the counting is the real thing. Prints the name of the step
of each round, or "end" where there was none left.
"""

import asyncio
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from camguard import store
from camguard.config import Channel
from camguard.store.outgoing import Deliveries
from camguard.tell.deliver import Deliver
from camguard.tell.following import Follower
from camguard.tell.outbox import Letter, Outbox
from camguard.tell.webhook import Webhook


class Steps:
    """Counts, and kills."""

    def __init__(self, deadly: int, told: int) -> None:
        self.left, self.told = deadly, told

    def take(self, name: str) -> None:
        self.left -= 1
        if self.left == 0:
            os.write(self.told, name.encode())
            os.kill(os.getpid(), signal.SIGKILL)


class Counted(Deliveries):
    steps: Steps

    def save(self, *args: Any, **more: Any) -> None:
        self.steps.take("commit begins")
        super().save(*args, **more)
        self.steps.take("commit done")


class Sending(Webhook):
    steps: Steps

    async def send(self, message: Letter, **more: Any) -> str | None:  # type: ignore[override]
        self.steps.take("send begins")
        answer = await super().send(message, **more)
        self.steps.take("send done")
        return answer


async def deliver(folder: Path, url: str, steps: Steps) -> None:
    deliveries = Counted.open(folder / "deliver.db")
    deliveries.steps = steps
    outbox = Outbox(deliveries, [Channel("hook", "webhook")], zone="UTC", quiet_hours=None, at=store.boottime_s())

    def make(channel: Channel) -> Webhook:
        sender = Sending(channel.name, url)
        sender.steps = steps
        return sender

    program = Deliver(outbox, Follower(folder / "guard.db", outbox.cursor or 0, lambda _: None), make)
    last = store.Reader(folder / "guard.db").last_seq()

    async def end_when_done() -> None:
        while outbox.cursor != last or any(queue.waiting for queue in outbox.queues.values()):
            await asyncio.sleep(0.01)
        program.end()
        await asyncio.Event().wait()

    await program.serve({"the end": end_when_done})


def child(folder: Path, url: str, deadly: int) -> str:
    """Runs one process to its end; what killed it, or "end"."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            asyncio.run(deliver(folder, url, Steps(deadly, write)))
            status = 0
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as told:
        name = told.read()
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return name
    return "end" if os.WEXITSTATUS(status) == 0 else "fault"


def main() -> None:
    top, url, rounds = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    for number in range(1, rounds + 1):
        folder = top / str(number)
        folder.mkdir()
        for part in top.glob("guard.db*"):
            shutil.copy(part, folder)
        names = [child(folder, f"{url}/{number}", number), child(folder, f"{url}/{number}", -1)]
        print(*names, sep="|", flush=True)
        if names[0] == "end":
            return


if __name__ == "__main__":
    main()
