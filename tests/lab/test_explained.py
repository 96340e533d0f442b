"""Each alert that real captures raise was read by somebody and is explained; what is new here must be read."""

import pytest

from tests.lab import corpus, explained


@pytest.fixture(scope="module")
def told() -> list[explained.Told]:
    where = corpus.folder()
    if not (where / "truth.json").exists():
        pytest.skip(f"no corpus at {where}")
    return list(explained.judge(where))


def test_every_alert_is_explained(told: list[explained.Told]) -> None:
    assert [one for one in told if explained.row_of(one) is None] == []


def test_every_explanation_is_of_an_alert(told: list[explained.Told]) -> None:
    used = {explained.row_of(one) for one in told}
    assert [row for row in explained.ROWS if row not in used] == []


def test_the_table_has_them_all(told: list[explained.Told]) -> None:
    wrong = {row.capture for one in told if (row := explained.row_of(one)) and not row.right}
    assert wrong == {"generic/ndpi_wireguard.pcap", "stream/ndpi_rtp.pcapng"}, "files of several captures"
