"""The command `oncorobust attack`: one attack by its name in torchattacks, outside the protocols."""

from __future__ import annotations

from typing import Any

import click

from benchmark.cli_evaluate import MODALITY, entries_of
from benchmark.cli_json import SUBMISSION, facts


@click.command()
@SUBMISSION
@click.argument("attack")
@click.option("--modality", type=MODALITY, default="all", show_default=True)
@click.option("--track", default="phantom", show_default=True, help="phantom, or a folder of images.")
@click.option(
    "--epsilon", "epsilons", multiple=True, default=("0.004",), show_default=True, help="May be repeated."
)
@click.option("--starts", type=click.IntRange(1), default=1, show_default=True)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=VALUE",
    help="A parameter of the attack; may be repeated.",
)
@click.option("--device", default="auto", show_default=True)
def attack(
    submission: str,
    attack: str,
    modality: str,
    track: str,
    epsilons: tuple[str, ...],
    starts: int,
    settings: tuple[str, ...],
    device: str,
) -> None:
    """Try one L∞ ATTACK of torchattacks, by its name there, on SUBMISSION: outside the protocols, judged like any other.

    Example: oncorobust attack vgg16-slim-naive VMIFGSM --modality ct --set steps=5
    """
    from benchmark.attacks.battery import named
    from benchmark.evaluation.entry import run_attack

    spec = named(attack, starts, **dict(_setting(text) for text in settings))
    for name, each in entries_of(submission, modality, track):
        record = run_attack(spec, name, each, track, epsilons, device)
        click.echo(f"{record.submission} · {each}: clean {record.clean_accuracy:.3f}")
        robust = {epsilon: record.robust_accuracy(epsilon) for epsilon in record.epsilons}
        facts(
            attacks=[
                {
                    "submission": record.submission,
                    "modality": each,
                    "clean": record.clean_accuracy,
                    "robust": robust,
                }
            ]
        )
        for epsilon in record.epsilons:
            click.echo(f"  {attack} ε = {epsilon}: {robust[epsilon]:.3f} robust")


def _setting(text: str) -> tuple[str, Any]:
    import ast

    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value
