"""Reading ahead changes speed, not what is read nor its order."""

import itertools
import threading
import time

import pytest

from magvit_jax.data.ahead import read_ahead


def slow(start, count):
    for number in range(count):
        time.sleep(0.001 * ((start * 7) % 3))
        yield start + number


def makers(count):
    return (lambda start=start: slow(start, start % 11) for start in range(0, 100 * count, 100))


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_items_come_in_order(threads):
    expected = [item for make in makers(9) for item in make()]
    assert list(read_ahead(makers(9), threads)) == expected


def test_an_error_comes_in_its_place():
    def failing():
        yield "last"
        raise KeyError("here")

    items = read_ahead([lambda: iter(["first"]), failing, lambda: iter(["never"])], 3)
    assert list(itertools.islice(items, 2)) == ["first", "last"]
    with pytest.raises(KeyError, match="here"):
        next(items)


def test_nothing_runs_far_ahead_and_threads_end_with_their_reader():
    taken = []

    def endless():
        for number in itertools.count():
            taken.append(number)
            yield number

    before = threading.active_count()
    items = read_ahead([endless] * 2, 2)
    assert [next(items), next(items)] == [0, 1]
    time.sleep(0.2)
    assert len(taken) <= 2 * 6 + 2
    items.close()
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
