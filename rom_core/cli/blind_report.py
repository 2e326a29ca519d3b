"""The verdict of a blind test in the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from rom_core.cli.console import add_row, table

if TYPE_CHECKING:
    from rom_core.cli.console import Console
    from rom_core.ops.blind.folder import Folder
    from rom_core.ops.blind.verdict import Count, FactCheck, Verdict

_STYLES = {"better": "green", "not worse": "green", "worse": "red", "cannot judge": "yellow"}
_MISSED_SHOWN = 10


def show(
    test: Folder, people: Verdict | None, models: Verdict | None, facts: Mapping[str, FactCheck], console: Console
) -> None:
    """Print the verdict of people, then apart from it that of models, then what a program checked."""
    for letter, arm in test.arms.items():
        body = ", ".join(f"{key}={value}" for key, value in arm["body"].items())
        console.print(Text(f"arm {letter}: {arm['url']}" + (f" ({body})" if body else "")))
    if people is None:
        console.print(Text("people: nobody has judged yet: rom blind judge " + str(test.path), style="yellow"))
    else:
        _show_verdict("people", people, console)
    if models is not None:
        _show_verdict("models, each pair both ways round; no verdict by itself", models, console)
    made = table("facts checked by program", "held", "of")
    for name, check in facts.items():
        add_row(made, (f"arm {name}", str(check.held), str(check.checked)))
    console.print(made)
    for name, check in facts.items():
        for question, fact in check.missed[:_MISSED_SHOWN]:
            console.print(Text(f"  arm {name}, {question}: {fact}", style="dim"))


def _show_verdict(who: str, verdict: Verdict, console: Console) -> None:
    outcome = verdict.outcome.value
    console.print()
    console.print(
        Text(f"{who}: b is {outcome}" if outcome != "cannot judge" else f"{who}: cannot judge", _STYLES[outcome])
    )
    console.print(Text(f"  {_reason(verdict)}"))
    made = table("category", "b won", "b lost", "equal", "both bad")
    for name, count in [*verdict.categories.items(), ("all", verdict.count)]:
        add_row(made, (name, *(str(number) for number in _numbers(count))))
    console.print(made)
    agreement = "-" if verdict.agreement is None else f"{verdict.agreement:.2f}"
    console.print(Text(f"  judges: {', '.join(verdict.judges)}; agreement (Krippendorff's alpha): {agreement}"))
    if verdict.lost:
        console.print(Text(f"  b lost: {', '.join(verdict.lost)}"))


def _reason(verdict: Verdict) -> str:
    margin = f"{100 * verdict.margin:.0f} points"
    if verdict.outcome == "better":
        return f"it won more often than chance allows (p {verdict.p_better:.3f})"
    if verdict.outcome == "not worse":
        also = "; it lost measurably more often, by less than that" if verdict.p_worse <= 0.05 else ""
        return f"it is not worse by {margin} or more (p {verdict.p_not_worse:.3f}){also}"
    if verdict.outcome == "worse":
        return f"it lost more often than chance allows (p {verdict.p_worse:.3f})"
    more = "the shares lie just at the margin" if verdict.more is None else f"about {verdict.more} more questions"
    return (
        f"neither worse (p {verdict.p_worse:.3f}) nor not worse by {margin} (p {verdict.p_not_worse:.3f}) can be said "
        f"with 5 % of error; if the shares stay: {more}"
    )


def _numbers(count: Count) -> tuple[int, ...]:
    return count.won, count.lost, count.equal, count.both_bad
