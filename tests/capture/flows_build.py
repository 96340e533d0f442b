"""Rebuilds camguard/capture/flows.bpf.o from its source: `python tests/capture/flows_build.py` (clang-14, llvm-14).

The object is committed, so the user's machine needs no compiler. Paths are relative and the folder is left out, so the
same compiler gives the same bytes wherever the project lies.
"""

import hashlib
import json
import platform
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCE, OBJECT = "camguard/capture/flows.bpf.c", "camguard/capture/flows.bpf.o"
MANIFEST = ROOT / "camguard/capture/manifest.json"
COMPILE = (
    "clang-14 -O2 -g -Wall -Werror -target bpf -fdebug-compilation-dir=. "
    f"-idirafter /usr/include/MACHINE-linux-gnu -c {SOURCE} -o OBJECT"
)
STRIP = "llvm-objcopy-14 --strip-debug OBJECT"


def build(target: Path) -> None:
    """Compile the kernel program into `target`."""
    for command in (COMPILE, STRIP):
        words = command.replace("OBJECT", str(target)).replace("MACHINE", platform.machine()).split()
        subprocess.run(words, cwd=ROOT, check=True)


def compiler() -> str:
    """The compiler's first line, as the manifest keeps it."""
    said = subprocess.run(["clang-14", "--version"], capture_output=True, text=True, check=True)
    return said.stdout.splitlines()[0]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> int:
    build(ROOT / OBJECT)
    MANIFEST.write_text(
        json.dumps(
            {
                "compiler": compiler(),
                "command": [COMPILE, STRIP],
                "source": {"path": SOURCE, "sha256": sha256(ROOT / SOURCE)},
                "object": {"path": OBJECT, "sha256": sha256(ROOT / OBJECT)},
            },
            indent=2,
        )
        + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
