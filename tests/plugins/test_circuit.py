"""The circuit of one model: against a simple reference model, and under real threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from plugins.breaker.circuit import Admission, Change, Circuit, CircuitConfig, Force, Permit

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


# -- against a reference model ---------------------------------------------------------------------------------------


@dataclass(eq=False)
class Sent:
    """A request that was let through: when, as a probe or not, and by which era of the circuit."""

    permit: Permit
    at: int
    probe: bool
    era: int


class Reference:
    """The rules as one would explain them: an era is the time between two transitions, and verdicts from an earlier
    era are no news. Times are whole seconds."""

    def __init__(self) -> None:
        self.state = "closed"
        self.forced = False
        self.era = 0
        self.failed_at: list[int] = []
        self.broke_off_at: list[int] = []
        self.opened_at = 0
        self.probe: Sent | None = None

    def to(self, new: str) -> None:
        self.state, self.era, self.probe = new, self.era + 1, None

    def admits(self, now: int) -> bool:
        if self.forced or self.state == "closed":
            return self.state == "closed"
        if self.state == "open":
            return now >= self.opened_at + 30
        return self.probe is None or now >= self.probe.at + 30

    def sent(self, permit: Permit, now: int) -> Sent:
        probe = self.state != "closed"
        if self.state == "open":
            self.to("half_open")
        made = Sent(permit, now, probe, self.era)
        if probe:
            self.probe = made
        return made

    def failed(self, sent: Sent, now: int, began: bool) -> None:
        if sent.era != self.era or self.forced:
            return
        (self.broke_off_at if began else self.failed_at).append(now)
        if sent.probe or self.recent(now) >= 2:
            self.to("open")
            self.opened_at = now

    def recent(self, now: int) -> int:
        return sum(at > now - 60 for at in self.failed_at + self.broke_off_at)

    def succeeded(self, sent: Sent) -> None:
        if sent.era != self.era:
            return
        self.broke_off_at = []
        if sent.probe:
            self.to("closed")
            self.failed_at = []

    def released(self, sent: Sent) -> None:
        if self.probe is sent:
            self.probe = None

    def force(self, to: Force) -> None:
        self.to("open" if to == "open" else "closed")
        self.forced = to != "auto"
        self.failed_at = []
        self.broke_off_at = []


# Fewer failures than usual open it, so that short histories go through all states.
_FEW = CircuitConfig(failures=2, window_seconds=60.0, open_seconds=30.0)


class CircuitMachine(RuleBasedStateMachine):
    """Requests start and end in any order, concurrently, some never; the circuit and the reference always agree."""

    flying = Bundle("flying")

    def __init__(self) -> None:
        super().__init__()
        self.now = 0
        self.circuit = Circuit()
        self.reference = Reference()

    @rule(target=flying, callers=st.integers(1, 3))
    def arrive(self, callers: int) -> object:
        """Some callers at the same time."""
        return multiple(*(sent for _ in range(callers) for sent in self._ask()))

    def _ask(self) -> list[Sent]:
        """The request if it was let through, which both must agree on."""
        expected = self.reference.admits(self.now)
        admission = self.circuit.admit(self.now, _FEW)
        assert (admission.permit is not None) == expected
        if admission.permit is None:
            assert admission.change is None
            if self.reference.forced:
                assert admission.retry_after is None
            else:
                assert admission.retry_after is not None
                assert 0 < admission.retry_after <= 30
            return []
        before = self.reference.state
        sent = self.reference.sent(admission.permit, self.now)
        self._agree_on(admission.change, before)
        assert admission.permit.probe == sent.probe
        return [sent]

    @rule()
    def outage(self) -> None:
        """As many failures as may open it, then as long as it stays open: the way to the interesting states."""
        for _ in range(_FEW.failures):
            for sent in self._ask():
                self.fail(sent, began=False)
        self.now += 30

    @rule(sent=consumes(flying), began=st.booleans())
    def fail(self, sent: Sent, began: bool) -> None:
        """A request ends badly, at once or in the middle of its answer."""
        before = self.reference.state
        change = self.circuit.failed(sent.permit, self.now, _FEW, began=began)
        self.reference.failed(sent, self.now, began)
        self._agree_on(change, before)

    @rule(sent=consumes(flying))
    def succeed(self, sent: Sent) -> None:
        """A request ends well."""
        before = self.reference.state
        change = self.circuit.succeeded(sent.permit)
        self.reference.succeeded(sent)
        self._agree_on(change, before)

    @rule(sent=consumes(flying))
    def end_without_verdict(self, sent: Sent) -> None:
        """A request is cancelled, or the client's own fault."""
        self.circuit.released(sent.permit)
        self.reference.released(sent)

    @rule(seconds=st.sampled_from([1, 29, 30, 60]))
    def pass_time(self, seconds: int) -> None:
        """Time passes."""
        self.now += seconds

    @precondition(lambda self: self.reference.forced or self.now % 4 == 0)
    @rule(to=st.sampled_from(["open", "closed", "auto"]))
    def force(self, to: Force) -> None:
        """An administrator steps in; only letting go of what is neither held nor open changes nothing."""
        idle = to == "auto" and self.reference.state == "closed" and not self.reference.forced
        change = self.circuit.force(to)
        self.reference.force(to)
        assert (change is None) == idle
        assert change is None or change.state == self.reference.state

    def _agree_on(self, change: Change | None, before: str) -> None:
        """Every transition is a Change with its new state, and nothing else is one."""
        after = self.reference.state
        assert (change.state if change is not None else None) == (after if after != before else None)

    @invariant()
    def agree(self) -> None:
        """The same state, the same failures within the window, and no dead end."""
        view = self.circuit.view(self.now, _FEW)
        assert (view.state, view.forced, view.recent_failures) == (
            self.reference.state,
            self.reference.forced,
            self.reference.recent(self.now),
        )
        if view.state != "closed" and not view.forced:
            assert view.seconds_to_probe is not None
            assert 0 <= view.seconds_to_probe <= 30
            assert (view.seconds_to_probe == 0) == self.reference.admits(self.now)
        else:
            assert view.seconds_to_probe is None


CircuitMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestCircuit = CircuitMachine.TestCase


# -- the rules one by one --------------------------------------------------------------------------------------------


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
