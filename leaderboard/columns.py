"""The columns of a board: what each is called and means, what stands in its cells, and what it is sorted by."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from markupsafe import Markup

from benchmark.measures import SURVIVORS, positive_words
from benchmark.statistics import Estimate
from leaderboard import figures
from leaderboard.evidence import best_known_view
from leaderboard.runs import runs_words
from leaderboard.tables import Row, Table
from leaderboard.trainings import trainings_view
from leaderboard.words import interval, number, plain_text, short, signed, unbroken


@dataclass(frozen=True)
class Cell:
    """What stands in a cell: a value, small print below it, a mark; and the number or text that it is sorted by."""

    value: str
    small: tuple[str, ...] = ()
    mark: Markup = field(default_factory=Markup)
    sort: float | str | None = None


@dataclass(frozen=True)
class Column:
    """A column of a board.

    key: also its name in the address of the page. note: its definition. shown: whether it is there before anybody
    chooses. look: its class in the stylesheet. unit: small print of the header.
    """

    key: str
    label: str
    note: str
    cell: Callable[[Row], Cell]
    unit: str = ""
    look: str = "number"
    shown: bool = True

    @property
    def held(self) -> bool:
        """Whether its figures stay those of the headline ε while a reader moves along ε."""
        return self.key in HELD or self.key.startswith("under-")


HELD = ("best", "all", "sensitivity", "specificity", "leader", "twin")


def columns(table: Table) -> tuple[Column, ...]:
    """All columns but rank and entry, in their order."""
    return tuple(_columns(table))


def _columns(table: Table) -> Iterator[Column]:
    headline = table.protocol["headline"]
    yield Column(
        "robust",
        "Robust, at most",
        ROBUST,
        lambda row: _robust(row, headline),
        f"%, ε = {headline}",
        "number ranks",
    )
    yield Column("forest", "Clean and robust", FOREST, lambda row: _forest(row, headline), look="forest")
    yield Column("clean", "Clean", CLEAN, lambda row: _share(row.balanced_clean), "%")
    missed = f"{MISSED} Diseased means {positive_words(table.modality.name, table.track)}."
    yield Column("missed", "Missed disease, at least", missed, _missed, "%")
    yield Column("median", "Median minimal ε", MEDIAN, lambda row: _median(table, row))
    yield Column("area", "Area over ε", AREA, lambda row: _percent(row.area), "%", look="number slim")
    yield Column("best", "Best known", BEST, _best, "%")
    yield Column("training", "Training", TRAINING, _training, look="text")
    yield Column("architecture", "Architecture", ARCHITECTURE, _architecture, look="text name")
    yield Column("verified", "Claimed, verified", VERIFIED, lambda row: _verified(table, row), look="text")
    yield Column("cost", "Cost", COST, _cost, shown=False)
    yield Column("clean-all", "Clean, all images", CLEAN_ALL, lambda row: _share(row.clean), "%", shown=False)
    yield Column("all", "Robust, all images", ALL, lambda row: _all(row, headline), "%", shown=False)
    yield Column("sensitivity", "Sensitivity", SENSITIVITY, lambda r: _share(r.sensitivity), "%", shown=False)
    yield Column("specificity", "Specificity", SPECIFICITY, lambda r: _share(r.specificity), "%", shown=False)
    yield Column("leader", "To the leader", LEADER, _leader, "points", shown=False)
    yield Column("twin", "To the naive twin", TWIN, _twin, "points", shown=False)
    for spec in table.protocol["attacks"]:
        name, title = str(spec["name"]), str(spec["title"])
        if spec["search"] == SURVIVORS:
            yield Column(
                f"met-{name}", unbroken(title), MET.format(title), _met(name), "broken of asked", shown=False
            )
        else:
            yield Column(
                f"under-{name}", unbroken(title), ATTACK.format(title), _under(name), "alone, %", shown=False
            )


TRAINING = (
    "How the weights came about, as the entry says: kind, attack and ε of the training, data from elsewhere."
)
ARCHITECTURE = "The network, by the name under which it is built."
CLEAN = (
    "Balanced accuracy with nothing done to the images: the mean of both classes, as in the robust column. Small: 95 % "
    "interval from resampled patients."
)
CLEAN_ALL = "Accuracy over all images alike with nothing done to them."
ROBUST = (
    "Balanced accuracy in the worst case over all attacks at the headline ε: the mean of both classes, so that the more "
    "frequent answer earns nothing. It ranks. An attack can only show that a model is weaker: hence at most."
)
FOREST = (
    "Balanced accuracy from 0 to 100 %. Above and hollow: clean. Below and full: robust, each with its 95 % interval. "
    "The tick is 50 %, a constant answer."
)
MISSED = (
    "Share of diseased images that the attacked model calls healthy: 1 − robust sensitivity. Small: clean."
)
MEDIAN = (
    "The smallest change found that turns an answer, of the middle image; 0 for an image that was wrong already. "
    "Small: in the unit of these images."
)
AREA = "Area under balanced accuracy from no attack to the last ε of the grid; a model that never errs has 100 %."
BEST = (
    "The lowest balanced robust accuracy that anybody has shown: a second attack code, or images that others sent. It never "
    "moves a rank. A dash: nobody but the battery was asked."
)
VERIFIED = (
    "What the entry claims of its clean accuracy on the validation part and of its accuracies on the test part, and what "
    "was measured there; whether its weights are the ones it states; who ran it, and whether a maintainer came to the same "
    "verdicts."
)
COST = "Forward and backward passes of an image that the evaluation took, and its time."
ALL = "Accuracy over all images alike in the worst case at the headline ε."
SENSITIVITY = "Share of diseased images still called diseased in the worst case at the headline ε."
SPECIFICITY = "Share of the other images still called healthy in the worst case at the headline ε."
LEADER = "Balanced robust accuracy minus the leader's, same images; the intervals of the whole board hold together."
TWIN = (
    "Balanced robust accuracy minus that of the same architecture trained without attacks, on the same images; the interval "
    "holds together with all others of the board."
)
ATTACK = "Share of all images still answered rightly under {} alone, at the headline ε."
MET = (
    "{} is asked only about images that no other attack broke at this ε: of how many it broke how many. It has no accuracy "
    "of its own."
)


def _training(row: Row) -> Cell:
    told = row.description.get("training")
    if not isinstance(told, Mapping):
        return Cell(plain_text(told) or "not told", sort=plain_text(told))
    kind = {"none": "not trained"}.get(str(told.get("kind")), plain_text(told.get("kind")))
    attack, epsilon = plain_text(told.get("attack")), plain_text(told.get("epsilon"))
    external = ", ".join(map(plain_text, told.get("external_data") or ()))
    small = (attack, f"ε = {epsilon}" if epsilon else "", f"external data: {external}" if external else "")
    return Cell(kind or "not told", tuple(filter(None, small)), sort=f"{kind} {attack}")


def _architecture(row: Row) -> Cell:
    name = plain_text(row.description.get("architecture"))
    return Cell(name or "not told", sort=name)


def _share(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell("–", ("no such image",))
    return Cell(number(estimate.value), (interval(estimate) or "no interval",), sort=estimate.value)


def _percent(share: float | None) -> Cell:
    return Cell(number(share), sort=share)


def _robust(row: Row, headline: str) -> Cell:
    cell, view = _share(row.balanced), trainings_view(row.trainings, headline)
    return replace(cell, small=(*cell.small, view.balanced)) if view and view.balanced else cell


def _forest(row: Row, headline: str) -> Cell:
    return Cell("", mark=figures.forest(row.balanced_clean, row.balanced), sort=row.balanced.value)


def _missed(row: Row) -> Cell:
    return Cell(number(row.missed), (f"clean {number(row.missed_clean)}",), sort=row.missed)


def _median(table: Table, row: Row) -> Cell:
    end = table.protocol["epsilons"][-1]
    beyond = not row.median_epsilon <= float(end)
    told, sign = (end, "> ") if beyond else (f"{row.median_epsilon:.4f}", "")
    return Cell(f"{sign}{told}", (f"{sign}{table.told(told)}",), sort=1.0 if beyond else row.median_epsilon)


def _best(row: Row) -> Cell:
    view = best_known_view(row.best_known)
    if view is None or row.best_known is None or not view.balanced:
        return Cell("–", ("not asked",) if view is None else ("outdated",))
    broken = sum(credit.images for credit in row.best_known.credits)
    return Cell(
        view.balanced,
        (f"{broken} more broken" if broken else "nothing more broken",),
        sort=row.best_known.accuracy(balanced=True),
    )


def _verified(table: Table, row: Row) -> Cell:
    held = "verified" if row.provenance.get("verified") else "unverified"
    claimed = row.provenance.get("claimed_accuracy")
    told = []
    if claimed is not None:
        told.append(f"claimed {number(float(claimed))} clean, measured {number(row.validation)}")
    told += [claim.sentence for claim in row.claims]
    if said := runs_words(row.runs, table.track):
        told.append(said)
    return Cell(held, tuple(told), sort=held)


def _cost(row: Row) -> Cell:
    took = () if row.seconds is None else (f"{row.seconds:,.0f} s",)
    passes = f"{short(row.forward)} fwd", f"{short(row.backward)} bwd"
    return Cell(passes[0], (passes[1], *took), sort=row.forward + row.backward)


def _all(row: Row, headline: str) -> Cell:
    cell = _share(row.worst)
    best, view = best_known_view(row.best_known), trainings_view(row.trainings, headline)
    more: tuple[str, ...] = (f"best known {best.worst}",) if best and best.worst else ()
    more += (view.worst,) if view and view.worst else ()
    return Cell(cell.value, cell.small + more, sort=cell.sort)


def _leader(row: Row) -> Cell:
    versus = row.standing.against_leader
    return _points(versus.difference if versus else None)


def _twin(row: Row) -> Cell:
    versus = row.standing.against_twin
    return _points(versus.difference if versus else None)


def _points(gap: Estimate | None) -> Cell:
    if gap is None:
        return Cell("–")
    bounds = () if gap.low is None or gap.high is None else (f"{signed(gap.low)} to {signed(gap.high)}",)
    return Cell(signed(gap.value), bounds, sort=gap.value)


def _under(name: str) -> Callable[[Row], Cell]:
    return lambda row: _percent(row.by_attack[name])


def _met(name: str) -> Callable[[Row], Cell]:
    """The last ε first: it is the headline, where every image that still stands is asked."""

    def cell(row: Row) -> Cell:
        *smaller, last = [met for met in row.survivors if met.attack == name]
        small = (f"at ε = {last.epsilon}", *(f"{met.words} at {met.epsilon}" for met in reversed(smaller)))
        return Cell(last.words, small, sort=float(last.broken))

    return cell


def finite(value: float | str | None) -> float | str | None:
    """What a cell is sorted by, as JSON can say it: rounded, and nothing where there is nothing."""
    if not isinstance(value, float):
        return value
    return round(value, 6) if np.isfinite(value) else None
