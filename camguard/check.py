"""`camguard check`: can it look, what does it see, can it tell you. One line each, one fix per fault."""

from camguard.config import Paths


def run(paths: Paths, *, as_json: bool = False) -> int:
    """Print the answers (a JSON object a line with `as_json`); 0 when all is well, 1 on any fault."""
    raise NotImplementedError
