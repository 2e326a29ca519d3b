"""`rom blind`: the console front of rom_core.ops.blind."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from rom_core.cli.terminal import print_json, say
from rom_core.cli.values import Address, Share

if TYPE_CHECKING:
    from rom_core.cli.console import Console
    from rom_core.ops.blind.collect import ArmAddress, Asker
    from rom_core.ops.blind.folder import Arm, Choice, Folder, Judgement
    from rom_core.ops.blind.judging import Pair

EXIT_CODES = {"better": 0, "not worse": 0, "worse": 1, "cannot judge": 2}
OUR_QUESTIONS = "perguntas.jsonl"
_KEYS: dict[str, Choice] = {"e": "left", "d": "right", "i": "equal", "r": "both_bad"}
_ASK = "[e]squerda, [d]ireita, [i]guais, [r]uins as duas, [n]ota, [p]ular, [s]air"


class _Failed(click.ClickException):
    """Nothing was judged: the same exit code as for a verdict that cannot be given."""

    exit_code = EXIT_CODES["cannot judge"]


@click.group()
def blind() -> None:
    """Is a new arm worse? Ask two arms the same questions, judge without names, take the verdict."""


@blind.command()
@click.option("--questions", type=click.Path(path_type=Path), help="JSONL; default: our own 80 questions.")
@click.option("--a", "url_a", type=Address(), required=True, help="The server of arm a, the old one.")
@click.option("--b", "url_b", type=Address(), required=True, help="The server of arm b, the new one.")
@click.option("--a-header", multiple=True, metavar="NAME: VALUE", help="A header that arm a is asked with.")
@click.option("--b-header", multiple=True, metavar="NAME: VALUE", help="A header that arm b is asked with.")
@click.option("--a-set", multiple=True, metavar="NAME=VALUE", help="A member of the body for arm a, as model=ALIAS.")
@click.option("--b-set", multiple=True, metavar="NAME=VALUE", help="A member of the body for arm b.")
@click.option(
    "--margin", type=Share(), default="10%", show_default=True, help="By how much b may lose and be no worse."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder of the test.")
def ask(
    questions: Path | None,
    url_a: str,
    url_b: str,
    a_header: tuple[str, ...],
    b_header: tuple[str, ...],
    a_set: tuple[str, ...],
    b_set: tuple[str, ...],
    margin: float,
    out: Path,
) -> None:
    """Collect the answers of both arms; the same command goes on where it was interrupted.

    Keys: ROM_BLIND_A_KEY and ROM_BLIND_B_KEY, else ROM_API_KEY. The margin is fixed when the test begins.
    """
    import random

    from rom_core.concurrency.clock import SystemClock
    from rom_core.ops.bearer import BadToken
    from rom_core.ops.blind.collect import Asker, collect
    from rom_core.ops.blind.questions import BlindFailed

    arms: dict[Arm, ArmAddress] = {"a": _arm(url_a, "A", a_header, a_set), "b": _arm(url_b, "B", b_header, b_set)}
    try:
        folder = _begun(out, questions, arms, margin)
        askers = {name: Asker(arm, SystemClock()) for name, arm in arms.items()}
        collect(folder, askers, random.SystemRandom(), _show_answer)
    except (BlindFailed, BadToken) as error:
        raise _Failed(str(error)) from None
    except KeyboardInterrupt:
        raise _Failed(f"interrupted; what was collected is in {out}; the same command goes on") from None
    missing = sum(1 for answer in folder.answers().values() if answer.error)
    say(
        f"every question was asked, {missing} answers failed" if missing else "every question was answered by both arms"
    )
    say(f"next, each judge: rom blind judge {out}")


@blind.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--judge", "name", default="", help="Who judges; default: asked for.")
@click.option("--model", help="Let this model judge instead, over ROM_URL; reported apart.")
@click.option("--url", type=Address(), help="The server of the judging model, or ROM_URL.")
def judge(folder: Path, name: str, model: str | None, url: str | None) -> None:
    """Show a question and two answers without names; e, d, i or r. It may be interrupted and gone on with."""
    from rom_core.ops.blind.folder import Folder
    from rom_core.ops.blind.questions import BlindFailed

    try:
        test = Folder(folder)
        if model:
            _judge_by_model(test, model, url or os.environ.get("ROM_URL", ""))
        else:
            _judge_by_person(test, name)
    except BlindFailed as error:
        raise _Failed(str(error)) from None
    except (KeyboardInterrupt, click.Abort):
        say()
        raise _Failed(f"interrompido; o que foi julgado está em {folder}; o mesmo comando continua") from None


@blind.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object on standard output.")
def verdict(folder: Path, as_json: bool) -> None:
    """Is b worse than a? Exit 0 better or not worse, 1 worse, 2 cannot judge. Only people decide."""
    from rom_core.cli.console import Console
    from rom_core.ops.blind.folder import Folder
    from rom_core.ops.blind.questions import BlindFailed
    from rom_core.ops.blind.verdict import check_facts, verdict_of

    try:
        test = Folder(folder)
        people, models = verdict_of(test), verdict_of(test, "model")
        facts = check_facts(test)
    except BlindFailed as error:
        raise _Failed(str(error)) from None
    if as_json:
        print_json(
            {
                "people": people.as_dict() if people else None,
                "models": models.as_dict() if models else None,
                "facts": {arm: {"held": one.held, "checked": one.checked} for arm, one in facts.items()},
            }
        )
    else:
        from rom_core.cli.blind_report import show

        show(test, people, models, facts, Console())
    sys.exit(EXIT_CODES[people.outcome.value if people else "cannot judge"])


def _begun(out: Path, questions: Path | None, arms: Mapping[Arm, ArmAddress], margin: float) -> Folder:
    """The test in that folder, begun now if there is none. Raises BlindFailed if it is another test."""
    import random

    from rom_core.ops.blind.folder import Folder
    from rom_core.ops.blind.questions import BlindFailed, load_questions

    shown = {name: {"url": arm.url, "body": dict(arm.body)} for name, arm in arms.items()}
    if not (out / "test.json").exists():
        source = questions or Path(str(files("rom_core.ops.blind") / OUR_QUESTIONS))
        return Folder.create(out, load_questions(source), shown, margin, random.SystemRandom())
    folder = Folder(out)
    if folder.arms != shown or folder.margin != margin:
        raise BlindFailed(f"{out} holds a test of other arms or another margin; name another folder with --out")
    return folder


def _arm(url: str, letter: str, headers: tuple[str, ...], members: tuple[str, ...]) -> ArmAddress:
    import json

    from rom_core.ops.blind.collect import ArmAddress

    variable = f"ROM_BLIND_{letter}_KEY" if os.environ.get(f"ROM_BLIND_{letter}_KEY") else "ROM_API_KEY"
    given, body = {}, {}
    for header in headers:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not header.isprintable():
            raise click.UsageError(f"{header!r} is no header: write NAME: VALUE")
        given[name.strip()] = value.strip()
    for member in members:
        name, equals, value = member.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{member!r} is no member: write NAME=VALUE")
        try:
            body[name] = json.loads(value)
        except ValueError:
            body[name] = value
    return ArmAddress(url, os.environ.get(variable, ""), variable, given, body)


def _show_answer(answer: Any, done: int, total: int) -> None:
    say(f"{done}/{total}  {answer.question}  {answer.arm}  {answer.error or f'{answer.seconds:.1f} s'}")


def _judge_by_model(test: Folder, model: str, url: str) -> None:
    from rom_core.concurrency.clock import SystemClock
    from rom_core.ops.bearer import BadToken
    from rom_core.ops.blind.collect import ArmAddress, Asker
    from rom_core.ops.blind.model_judge import judge_by_model

    if not url:
        raise click.UsageError("name the server of the judging model with --url or ROM_URL")
    try:
        address = ArmAddress(url, os.environ.get("ROM_API_KEY", ""), body={"model": model, "temperature": 0})
        asker: Asker = Asker(address, SystemClock())
    except BadToken as error:
        raise _Failed(str(error)) from None
    judge_by_model(test, asker, model, lambda done, total, trouble: say(f"{done}/{total}  {trouble}".rstrip()))


def _judge_by_person(test: Folder, name: str) -> None:
    from datetime import UTC, datetime

    from rom_core.cli.console import Console
    from rom_core.ops.blind.folder import Judgement
    from rom_core.ops.blind.judging import unjudged

    name = name.strip() or click.prompt("Seu nome (só para separar quem julgou)").strip()
    console = Console()
    for pair, number, total in unjudged(test, name):
        _show_pair(console, pair, number, total)
        choice, note = _choice()
        if choice == "stop":
            break
        if choice != "skip":
            now = datetime.now(UTC).isoformat(timespec="seconds")
            test.add_judgement(Judgement(pair.question.id, name, choice, note=note, at=now))
    judged: list[Judgement] = [one for one in test.judgements() if one.judge == name and one.kind == "person"]
    say(f"{len(judged)} perguntas julgadas por {name}. Obrigado. O resultado: rom blind verdict {test.path}")


def _show_pair(console: Console, pair: Pair, number: int, total: int) -> None:
    from rich.columns import Columns
    from rich.panel import Panel
    from rich.text import Text

    console.rule(f"Pergunta {number} de {total}")
    console.print(Text(pair.question.prompt, style="bold"))
    half = console.width // 2 - 1
    sides = [("Esquerda", pair.left), ("Direita", pair.right)]
    wide = console.is_terminal and half >= 50
    panels = [Panel(Text(text), title=title, width=half if wide else None) for title, text in sides]
    console.print(Columns(panels) if wide else panels[0])
    if not wide:
        console.print(panels[1])


def _choice() -> tuple[Choice | Literal["skip", "stop"], str]:
    """What the judge chooses, and the note."""
    note = ""
    while True:
        key = click.prompt(_ASK, prompt_suffix=": ").strip().casefold()[:1]
        if key == "n":
            note = click.prompt("Nota", default="", show_default=False)
        elif key in ("p", "s"):
            return ("skip" if key == "p" else "stop"), note
        elif key in _KEYS:
            return _KEYS[key], note
        else:
            say("Responda com uma das letras.")
