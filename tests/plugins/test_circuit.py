"""The circuit of one model: its rules one by one, and under real threads."""

from __future__ import annotations

import threading

import pytest

from plugins.breaker.circuit import Admission, Change, Circuit, CircuitConfig, Permit

CONFIG = CircuitConfig(failures=5, window_seconds=60.0, open_seconds=30.0)


def opened(at: float = 0.0) -> Circuit:
    """A circuit that five failures opened at this time."""
    circuit = Circuit()
    for _ in range(5):
        circuit.failed(admitted(circuit, at), at, CONFIG)
    return circuit


def admitted(circuit: Circuit, at: float) -> Permit:
    """A permit, which must be there."""
    permit = circuit.admit(at, CONFIG).permit
    assert permit is not None
    return permit


def state(circuit: Circuit, at: float = 0.0) -> str:
    """The state's name."""
    return circuit.view(at, CONFIG).state


def test_five_failures_within_a_minute_open_it_and_older_ones_do_not_count() -> None:
    """The window slides: four old failures and four new ones are not five; successes between do not matter."""
    circuit = Circuit()
    for at in (0, 1, 2, 3, 61, 62, 63, 64):
        assert circuit.failed(admitted(circuit, at), at, CONFIG) is None
        circuit.succeeded(admitted(circuit, at))
    assert circuit.failed(admitted(circuit, 64.5), 64.5, CONFIG) == Change("open", "failures", 5)


def test_open_for_thirty_seconds_then_one_probe() -> None:
    """Refusals say how long it still takes; at 30 s one request goes through, the second does not."""
    circuit = opened(100.0)
    assert circuit.admit(100.0, CONFIG).retry_after == 30.0
    assert circuit.admit(129.0, CONFIG).retry_after == 1.0
    admission = circuit.admit(130.0, CONFIG)
    assert admission.permit is not None
    assert admission.permit.probe
    assert admission.change == Change("half_open", "time")
    assert circuit.admit(130.0, CONFIG).permit is None


def test_a_good_probe_closes_and_forgets() -> None:
    """After it five new failures are needed again."""
    circuit = opened()
    assert circuit.succeeded(admitted(circuit, 30.0)) == Change("closed", "probe_succeeded")
    assert circuit.view(30.0, CONFIG).recent_failures == 0
    assert [circuit.failed(admitted(circuit, 31.0), 31.0, CONFIG) for _ in range(4)] == [None] * 4


def test_a_bad_probe_reopens_for_another_thirty_seconds() -> None:
    """Counted from the probe's end."""
    circuit = opened()
    permit = admitted(circuit, 30.0)
    assert circuit.failed(permit, 40.0, CONFIG) == Change("open", "probe_failed", 6)
    assert circuit.admit(69.9, CONFIG).permit is None
    assert admitted(circuit, 70.0).probe


def test_a_probe_without_a_verdict_hands_over_to_the_next_request() -> None:
    """A cancelled probe, or a client's own mistake, does not leave it half-open for ever."""
    circuit = opened()
    circuit.released(admitted(circuit, 30.0))
    assert state(circuit) == "half_open"
    assert admitted(circuit, 30.0).probe


def test_a_probe_that_hangs_loses_its_lease() -> None:
    """After 30 s the next request probes; a good end of the first one still counts: it began after the break."""
    circuit = opened()
    hanging = admitted(circuit, 30.0)
    assert circuit.admit(59.9, CONFIG).permit is None
    second = admitted(circuit, 60.0)
    assert second.probe
    assert circuit.admit(60.0, CONFIG).permit is None
    circuit.released(hanging)
    assert circuit.admit(60.0, CONFIG).permit is None, "the lease is the second one's"
    assert circuit.succeeded(hanging) == Change("closed", "probe_succeeded")
    assert circuit.failed(second, 61.0, CONFIG) is None
    assert state(circuit) == "closed"


def test_the_good_end_of_a_probe_from_before_a_reopening_is_no_news() -> None:
    """Two probes, the first without its lease: once the second has failed, the first cannot close the circuit."""
    circuit = opened()
    first, second = admitted(circuit, 30.0), admitted(circuit, 60.0)
    circuit.failed(second, 61.0, CONFIG)
    assert circuit.succeeded(first) is None
    assert state(circuit) == "open"


def test_what_began_before_the_break_changes_nothing_after_it() -> None:
    """A late success does not close an open or half-open circuit; a late failure does not count again."""
    circuit = Circuit()
    early = [admitted(circuit, 0.0) for _ in range(7)]
    for permit in early[:5]:
        circuit.failed(permit, 0.0, CONFIG)
    assert circuit.succeeded(early[5]) is None
    probe = admitted(circuit, 30.0)
    assert circuit.succeeded(early[5]) is None
    assert circuit.failed(early[6], 30.0, CONFIG) is None
    assert state(circuit) == "half_open"
    circuit.succeeded(probe)
    assert circuit.failed(early[6], 31.0, CONFIG) is None
    assert circuit.view(31.0, CONFIG).recent_failures == 0


def test_forced_is_forced() -> None:
    """Open lets no probe through, however long; closed stays closed, whatever fails; auto starts anew.

    Every order to hold it is a change, also where the state stays: what holds it is new.
    """
    circuit = Circuit()
    assert circuit.force("open") == Change("open", "forced")
    assert circuit.admit(1e6, CONFIG) == Admission(None, retry_after=None)
    assert circuit.view(1e6, CONFIG).seconds_to_probe is None
    assert circuit.force("closed") == Change("closed", "forced")
    assert [circuit.failed(admitted(circuit, 0.0), 0.0, CONFIG) for _ in range(10)] == [None] * 10
    assert circuit.force("closed") == Change("closed", "forced")
    assert circuit.force("auto") == Change("closed", "reset")
    assert circuit.force("auto") is None
    assert [circuit.failed(admitted(circuit, 0.0), 0.0, CONFIG) is None for _ in range(5)] == [True] * 4 + [False]
    assert circuit.force("auto") == Change("closed", "reset")


def test_changed_settings_hold_at_once() -> None:
    """An open circuit probes as soon as the newest BREAKER_OPEN_SECONDS have passed."""
    circuit = opened()
    assert circuit.admit(5.0, CircuitConfig(5, 60.0, 5.0)).permit is not None


@pytest.mark.parametrize("round_", range(5))
def test_exactly_one_probe_however_many_threads_ask(round_: int) -> None:
    """Forty threads at once: one goes through."""
    circuit = opened()
    barrier = threading.Barrier(40)
    permits: list[Permit] = []

    def ask() -> None:
        barrier.wait(timeout=60)
        permit = circuit.admit(30.0, CONFIG).permit
        if permit is not None:
            permits.append(permit)

    threads = [threading.Thread(target=ask) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert [permit.probe for permit in permits] == [True]
