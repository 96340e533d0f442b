"""lean: what the guard does not use does not come in, and what it hid for that is there again."""

import subprocess
import sys
from pathlib import Path

BUILD = """
import sys
from camguard.service import lean
lean.leave_out()
lean.give_back()
import asyncio, camguard.service.loop
with lean.without_plugins():
    from apscheduler.schedulers.asyncio import AsyncIOScheduler
print(sorted(sys.modules.keys() & {"ssl", "email", "zipfile", "multiprocessing"}))
print(sys.modules["ssl"], sys.modules["_hashlib"])
import importlib.metadata
print(importlib.metadata.version("psutil"))
"""


def test_modules_that_the_guard_does_not_use_stay_out() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BUILD], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    there, loaded, version = done.stdout.splitlines()
    assert there == "['ssl']", "marked as not there"
    assert loaded == "None None", "OpenSSL came in before it was left out"
    assert version[0].isdigit(), "importlib.metadata is itself again"
