"""Values → words: how the page writes names, shares, differences, counts and what a record says of itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from benchmark.statistics import Estimate


def slug(text: str) -> str:
    """A name that is safe as a file name and as an anchor, and different for different texts.

    >>> slug("phantom")
    'phantom'
    """
    plain = re.sub(r"[^a-z0-9-]+", "-", text.lower()).strip("-")
    return plain if plain == text else f"{plain or 'x'}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def number(share: float | None) -> str:
    """A share as a table prints it, in percent.

    >>> number(0.25), number(None)
    ('25.0', '–')
    """
    return "–" if share is None else f"{100 * share:.1f}"


def percent(share: float | None) -> str:
    """A share as a sentence prints it; the sign stays on the line of its number."""
    return "–" if share is None else f"{number(share)}\N{NO-BREAK SPACE}%"


def interval(estimate: Estimate | None) -> str:
    """The bounds of a share in percent; empty where there are none.

    >>> interval(Estimate(0.5, 0.25, 0.75)), interval(Estimate(0.5))
    ('25.0–75.0', '')
    """
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    return f"{number(estimate.low)}–{number(estimate.high)}"


def with_interval(estimate: Estimate) -> str:
    """A share in percent with its bounds, where it has them: "85.5 (78.2–91.8)"."""
    bounds = interval(estimate)
    return number(estimate.value) + (f" ({bounds})" if bounds else "")


def signed(share: float) -> str:
    """A difference of shares in points, with a true minus sign."""
    return f"{100 * share:+.1f}".replace("-", "−")


def short(count: int) -> str:
    r"""A count of passes in three digits.

    >>> short(392_000), short(1_234_567), short(90)
    ('392\xa0k', '1.23\xa0M', '90')
    """
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")):
        if count >= size:
            return f"{count / size:.3g}\N{NO-BREAK SPACE}{letter}"
    return str(count)


def unbroken(title: str) -> str:
    """An attack's title that breaks only where it reads well: before its starts, or a long one before its steps."""
    name, dash, steps = title.replace("× ", "×\N{NO-BREAK SPACE}").rpartition("-")
    firm = "\N{NON-BREAKING HYPHEN}"
    return name.replace("-", firm) + (dash if len(title) > 7 and " " not in title else dash and firm) + steps


def plain_text(value: Any) -> str:
    """What a submission or a record wrote, as one line of text; lists and mappings by their parts."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(plain_text(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {plain_text(item)}" for key, item in value.items())
    return str(value)


def training_words(training: Any) -> str:
    """How an entry was trained, in a line: "adversarial: PGD-10, step ε/4, ε = 0.004".

    >>> training_words({"kind": "adversarial", "attack": "PGD-10", "epsilon": "0.004", "recipe": "pgd-at"})
    'adversarial: PGD-10, ε = 0.004'
    """
    if not isinstance(training, Mapping):
        return plain_text(training)
    kind = {"none": "not trained"}.get(str(training.get("kind")), plain_text(training.get("kind")))
    epsilon = training.get("epsilon")
    details = [training.get("attack"), f"ε = {epsilon}" if epsilon else None]
    told = ", ".join(plain_text(detail) for detail in details if detail)
    external = ", ".join(map(plain_text, training.get("external_data") or ()))
    return (f"{kind}: {told}" if told else kind) + (f"; external data: {external}" if external else "")
