"""What pydantic finds wrong with `submission.toml`, in sentences of ours: each says what was expected and how to mend it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

Problem = Mapping[str, Any]
# pydantic's kinds of complaint. {…} is of its context: what the schema says.
WORDS = {
    "missing": "is missing; add it",
    "too_long": "has {actual_length} items, allowed are {max_length}",
    "too_short": "has {actual_length} items, expected at least {min_length}",
    "string_type": 'must be text in quotes, such as "…"',
    "string_too_long": "has more than {max_length} characters; shorten it",
    "string_pattern_mismatch": "must be 2 to 41 lower-case letters, digits and dashes, a letter or digit first",
    "int_type": "must be a whole number, without quotes",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number, without quotes",
    "finite_number": "must be a number that is neither infinite nor nan",
    "greater_than_equal": "must be at least {ge:g}",
    "less_than_equal": "must be at most {le:g}",
    "literal_error": "must be {expected}",
    "tuple_type": "must be a list in [ ]",
    "dict_type": "must be a table, such as {{ key = 1 }}",
    "model_type": "must be a table, such as [training] or {{ key = 1 }}",
}


def sentences(problems: Sequence[Problem], tables: Mapping[str, Sequence[str]]) -> str:
    """Every complaint of a validation, one indented line each, with what came.

    Args:
        problems: as `ValidationError.errors` gives them. tables: the keys of each table by its name, "" being the top.
    """
    places = [tuple(problem["loc"]) for problem in problems]
    return "\n".join(
        _sentence(problem, tables)
        for problem in problems
        if not _follows(tuple(problem["loc"]), problem, places)
    )


def _follows(place: tuple[Any, ...], problem: Problem, places: Sequence[tuple[Any, ...]]) -> bool:
    """Whether a list is called too short only because something in it is wrong, which is told besides."""
    inside = any(len(other) > len(place) and other[: len(place)] == place for other in places)
    return problem["type"] == "too_short" and inside


def _sentence(problem: Problem, tables: Mapping[str, Sequence[str]]) -> str:
    kind, place = problem["type"], problem["loc"]
    told = problem["msg"]
    if kind == "value_error":
        told = str(problem["ctx"]["error"])
    elif kind == "extra_forbidden":
        told = _unknown(place, tables)
    elif kind in WORDS:
        told = WORDS[kind].format(**problem.get("ctx", {}))
    where = ".".join(map(str, place))
    got = f" (got {str(problem['input'])[:60]!r})" if place and kind != "missing" else ""
    return f"  {where}: {told}{got}" if place else f"  {told}"


def _unknown(place: Sequence[Any], tables: Mapping[str, Sequence[str]]) -> str:
    """That a key is none, with the one that was meant, or the table that it belongs to."""
    *above, key = (str(part) for part in place if not isinstance(part, int))
    table = above[-1] if above else ""
    near = get_close_matches(key.lower(), tables.get(table, ()), 1, 0.6)
    homes = list(_homes(key, table, tables))
    if near:
        return f"is no key; did you mean {near[0]}?"
    if homes:
        return f"is no key of {_shown(table)}; it belongs {' or '.join(homes)}"
    return f"is no key; {_shown(table)} has {', '.join(tables.get(table, ()))}"


def _homes(key: str, here: str, tables: Mapping[str, Sequence[str]]) -> Iterator[str]:
    for name, keys in tables.items():
        if key in keys and name != here:
            yield f"into {_shown(name)}" if name else "above the first [table]"


def _shown(table: str) -> str:
    """A table as one finds it in the file."""
    return {"": "the top of the file", "weights": "[[weights]]"}.get(table, f"[{table}]")
