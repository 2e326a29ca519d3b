"""The circuit of one model agrees with a simple reference model, whatever happens in whatever order."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, precondition, rule

from plugins.breaker.circuit import Change, Circuit, CircuitConfig, Force, Permit


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
