"""The clock's own parts that the rest is built upon."""

from __future__ import annotations

import threading

from rom_core.concurrency.clock import Signal, SystemClock


def test_a_signal_lets_its_waiter_go_on() -> None:
    """Whether it is set before the wait or during it, from whatever thread, once or twice; and it stays set."""
    signal = Signal()
    assert not signal.wait(0)
    assert not signal.wait(-1)
    threading.Timer(0.01, signal.set).start()
    assert SystemClock().wait(signal, 60)
    signal.set()
    assert signal.is_set()
    assert signal.wait()
    assert signal.wait(0)


def test_a_signal_that_nobody_sets_costs_its_time_only() -> None:
    """A wait without a signal ends by itself and says so."""
    signal = Signal()
    assert not SystemClock().wait(signal, 0.001)
    assert not signal.is_set()


def test_a_signal_set_by_many_at_once_is_set_once() -> None:
    """The worker that ends and the canceller may both set it in the same moment; none of them fails."""
    for _ in range(50):
        signal, start = Signal(), threading.Barrier(4)

        def hit(signal: Signal = signal, start: threading.Barrier = start) -> None:
            start.wait(60)
            signal.set()

        threads = [threading.Thread(target=hit) for _ in range(3)]
        for thread in threads:
            thread.start()
        start.wait(60)
        assert signal.wait(60)
        for thread in threads:
            thread.join()
