"""The table of the newest entries."""

from camguard.detect.newest import Newest


def test_a_full_table_forgets_what_was_put_in_longest_ago_and_says_so() -> None:
    table: Newest[str, int] = Newest(2)
    assert not table.put("a", 1)
    assert not table.put("b", 2)
    assert not table.put("a", 3), "the same again takes no room"
    assert table.put("c", 4)
    assert list(table.items()) == [("a", 3), ("c", 4)]


def test_a_flood_takes_no_more_room_than_was_given() -> None:
    table: Newest[int, int] = Newest(100)
    evicted = sum(table.put(number, number) for number in range(10_000))
    assert (len(table), evicted, list(table)) == (100, 9_900, list(range(9_900, 10_000)))
