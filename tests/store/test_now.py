"""now.json and the two ways to write a time."""

from pathlib import Path

import pytest

from camguard.store import boottime_s, now_age_s, read_now, rfc3339, seconds, write_now


def test_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "now.json"
    assert read_now(path) is None
    write_now(path, {"version": 1, "cameras": ["Büro"]})
    found = read_now(path)
    assert found is not None
    assert found["cameras"] == ["Büro"]
    assert 0.0 <= now_age_s(found) < 2.0
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in tmp_path.iterdir()] == ["now.json"]


def test_age(tmp_path: Path) -> None:
    path = tmp_path / "now.json"
    write_now(path, {})
    found = read_now(path) or {}
    assert 29.0 < now_age_s(found | {"boottime_s": boottime_s() - 30}) < 31.0
    assert now_age_s(found | {"boot_id": "another"}) == float("inf")
    assert now_age_s({}) == float("inf")
    assert now_age_s(found | {"boottime_s": "soon"}) == float("inf")


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"\xff\xfe", b"null"])
def test_what_is_no_live_figure_is_none(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "now.json"
    path.write_bytes(text)
    assert read_now(path) is None


def test_times() -> None:
    assert rfc3339(1_795_000_000.25) == "2026-11-18T11:06:40.250Z"
    assert seconds("2026-11-18T11:06:40.250Z") == 1_795_000_000.25
    assert seconds(None) is None
    assert seconds("soon") is None
