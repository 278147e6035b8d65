"""What the page says of a flag is what the check that raises it does: same names, severities and thresholds."""

from __future__ import annotations

import ast
from collections import defaultdict
from importlib import import_module
from pathlib import Path

import pytest

from benchmark.checks import CHECKS

BENCHMARK = Path(__file__).resolve().parent.parent / "benchmark"
# Ids that are chosen in a loop stand in these dictionaries and tuples of the same function.
LOOPS = {
    ("answers", "check"): {"random", "batch-dependent", "attack-aware"},
    ("outcomes", "check"): {
        "noise-beats-attack",
        "black-box-beats-white-box",
        "one-step-beats-iterative",
    },
}


def raised() -> list[tuple[str, str, object, str]]:
    """Every place that raises a flag: id, severity, the threshold's value (None: computed there), the file's source."""
    found = []
    for path in sorted(BENCHMARK.rglob("*.py")):
        source = path.read_text("utf-8")
        for node in ast.walk(ast.parse(source)):
            if not (
                isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Flag"
            ):
                continue
            if len(node.args) < 4:
                continue  # read from a file
            name, severity, _, threshold = node.args[:4]
            module = import_module(
                ".".join(path.relative_to(BENCHMARK.parent).with_suffix("").parts).removesuffix(".__init__")
            )
            value = None
            if isinstance(threshold, ast.Constant):
                value = threshold.value
            elif isinstance(threshold, ast.Name):
                value = getattr(module, threshold.id)
            ids = {name.value} if isinstance(name, ast.Constant) else LOOPS[path.stem, name.id]
            found += [(each, severity.value, value, source) for each in sorted(ids)]
    return found


def test_every_flag_that_is_raised_is_told_and_every_one_told_is_raised() -> None:
    severities: dict[str, set[str]] = defaultdict(set)
    for name, severity, _, source in raised():
        severities[name].add(severity)
        assert f'"{name}"' in source
    assert dict(severities) == {name: set(check.severities) for name, check in CHECKS.items()}


@pytest.mark.parametrize("name", list(CHECKS))
def test_the_threshold_that_is_told_is_the_one_that_is_used(name: str) -> None:
    used = [value for each, _, value, _ in raised() if each == name]
    assert used
    told = CHECKS[name].threshold
    # A notice beside a doubt of the same name may ask something else.
    assert told in used if len(used) > 1 else used == [told]


def test_the_words_are_whole_sentences() -> None:
    for check in CHECKS.values():
        assert check.asks.endswith(("?", "."))
        assert check.measure
