"""Blocking work in threads that nobody waits for."""

import asyncio
import subprocess
import sys
import threading

import pytest

from camguard.tell.threads import Patient, in_thread


def test_results_and_errors_come_back() -> None:
    assert asyncio.run(in_thread(lambda: 7, "t")) == 7

    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        asyncio.run(in_thread(fail, "t"))


def test_a_hundred_that_hang_hold_up_neither_others_nor_the_end() -> None:
    code = (
        "import asyncio, time\nfrom camguard.tell.threads import in_thread\n"
        "async def main():\n"
        "    stuck = [asyncio.create_task(in_thread(lambda: time.sleep(600), 's')) for _ in range(100)]\n"
        "    await asyncio.sleep(0)\n"
        "    print(await in_thread(lambda: 'through', 't'))\n"
        "    for one in stuck: one.cancel()\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "through\n"
    assert done.stderr == ""


def test_a_result_that_comes_after_the_caller_gave_up_is_thrown_away() -> None:
    release = threading.Event()

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await in_thread(lambda: release.wait(60), "t")
        release.set()
        await asyncio.sleep(0.05)

    asyncio.run(main())


def test_what_hangs_is_begun_once_and_asked_for_again() -> None:
    async def main() -> None:
        free, begun = threading.Event(), []

        def work() -> str:
            begun.append(1)
            free.wait(60)
            return "there"

        patient: Patient[str] = Patient("hangs")
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await patient.result(work, 0.05)
        free.set()
        assert await patient.result(work, 60) == "there"
        assert len(begun) == 1
        assert await patient.result(lambda: "anew", 60) == "anew"

    asyncio.run(main())
