"""What every command has: `--json`, names of submissions at a press of Tab, and the meaning of exit codes."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import wraps
from typing import TYPE_CHECKING, Any, NoReturn

import click

from benchmark.errors import BenchmarkError

if TYPE_CHECKING:
    from benchmark.evaluation.entry import Outcome

EXIT_CODES = """Exit codes: 0 done · 1 a bug of ours, with a traceback · 2 refused, with a sentence on stderr that says
how to go on · 3 done, but something that was expected is missing or differs · 130 interrupted."""
INTERRUPTED = "interrupted; finished blocks and epochs are kept, the same command goes on from there"

_FACTS = "benchmark.cli_json.facts"
_OPTION = click.Option(
    ["--json", "as_json"],
    is_flag=True,
    help="One JSON document instead of text, errors and exit code included.",
)


def facts(**named: Any) -> None:
    """What a command found out, as plain data for `--json`; lists of one name are joined."""
    context = click.get_current_context(silent=True)
    if context is None:
        return
    known = context.meta.setdefault(_FACTS, {})
    for name, value in named.items():
        known[name] = [*known[name], *value] if isinstance(known.get(name), list) else value


def with_json(command: click.Command) -> click.Command:
    """Give a command, or every command of a group, the option `--json`.

    The document: {"command", "exit_code", "error" (empty where there is none), "lines" (what it would have printed),
    and what the command itself told by `facts`}.
    """
    if isinstance(command, click.Group):
        for each in command.commands.values():
            with_json(each)
        return command
    if command.callback is not None and _OPTION not in command.params:
        command.params.append(_OPTION)
        command.callback = _answering(command.callback)
    return command


def _answering(inner: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(inner)
    def callback(*args: Any, as_json: bool, **given: Any) -> Any:
        if not as_json:
            return inner(*args, **given)
        said, code, error = io.StringIO(), 0, ""
        try:
            with redirect_stdout(said):
                inner(*args, **given)
        except BenchmarkError as told:
            code, error = 2, str(told)
        except KeyboardInterrupt:
            code, error = 130, INTERRUPTED
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        _answer(click.get_current_context(), code, error, said.getvalue().splitlines())

    return callback


class Answering(click.Group):
    """A group whose commands answer `--json` with a document also where they were called wrongly."""

    def main(self, *args: Any, **named: Any) -> Any:
        """As of a group of click."""
        told = args[0] if args else named.pop("args", None)
        given = list(sys.argv[1:] if told is None else told)
        if "--json" not in given:
            return super().main(given, *args[1:], **named)
        if all(word.startswith("-") for word in given[: given.index("--json")]):
            _answer(
                None, 2, "--json stands after the command, such as in: oncorobust check my-entry --json", []
            )
        try:
            code = super().main(given, *args[1:], **named | {"standalone_mode": False})
        except click.UsageError as wrong:
            _answer(wrong.ctx, wrong.exit_code, wrong.format_message(), [])
        sys.exit(code if isinstance(code, int) else 0)  # of --help, which is no refusal


def _answer(context: click.Context | None, code: int, error: str, lines: Sequence[str]) -> NoReturn:
    """Print the document, and end."""
    # `oncorobust` may be called by any name; what follows it says which command this is.
    command = " ".join(context.command_path.split()[1:]) if context else ""
    body = {"command": command, "exit_code": code, "error": error, "lines": list(lines)}
    found = context.meta.get(_FACTS, {}) if context else {}
    click.echo(json.dumps(body | found, indent=1, ensure_ascii=False))
    sys.exit(code)


def plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """What a program wants to know of a record: its figures with intervals, its flags, where it lies."""
    from dataclasses import asdict

    record = outcome.record
    return {
        "submission": record.submission,
        "modality": record.modality,
        "track": record.track,
        "protocol": record.protocol["name"],
        "headline_epsilon": record.headline,
        "ranked": record.ranked,
        "verified": outcome.verification is not None,
        "seconds": outcome.seconds,
        "path": str(outcome.path),
        "flags": [asdict(flag) for flag in record.flags],
        "claims": [asdict(claim) | {"outside": claim.outside} for claim in outcome.claims],
        **{name: record.summary()[name] for name in ("clean", "robust", "robust_balanced")},
    }


def complete_submission(context: click.Context, parameter: click.Parameter, begun: str) -> list[str]:
    """Entries whose name begins so, for the shell; folders are left to it."""
    from benchmark.submission_folder import names

    return [name for name in names() if name.startswith(begun)]


SUBMISSION = click.argument("submission", shell_complete=complete_submission)
