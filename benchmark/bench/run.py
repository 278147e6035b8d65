"""What `oncorobust bench` runs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.bench.compare import Comparison, ask_for, compare
from benchmark.bench.growth import Size, grow
from benchmark.bench.overhead import Overhead, measure_overhead
from benchmark.bench.report import Report
from benchmark.bench.task import Task, make_task
from benchmark.bench.task import small as made_small
from benchmark.data.tracks import load_split
from benchmark.errors import SubmissionError
from benchmark.evaluation.entry import entries
from benchmark.progress import progress_bar
from benchmark.protocol import get_protocol
from benchmark.submission import load_submission, read_submission


def run_bench(
    submissions: Sequence[str],
    modality: str,
    track: str = "phantom",
    images: int = 50,
    small: bool = False,
    what: Sequence[str] = ("compare", "overhead"),
    questions: Sequence[str] = (),
    sides: Sequence[int] = (),
    progress: bool = True,
) -> Report:
    """Measure every submission (none named: every entry that is no baseline) on the first `images` of a test part.

    Args:
        what: "compare", "overhead", "growth". questions: names of QUESTIONS; all where none is named.
        sides: image sizes for growth, in pixels.

    Raises:
        SubmissionError: no such entry, or it brings no weights for the modality.
        ProtocolError: no such question.
    """
    asked = ask_for(tuple(questions)) if "compare" in what else []
    standard = get_protocol("standard")
    chosen = made_small(standard) if small else standard
    names = list(submissions) or _every_entry(modality, track)
    split = load_split(modality, track)
    comparisons: list[Comparison] = []
    overheads: list[Overhead] = []
    sizes: list[Size] = []
    for name in names:
        model = load_submission(name, modality, track)
        task: Task = make_task(model, split, chosen, images)
        blocks = -(-len(task.images) // chosen.block)
        for question in asked:
            steps = blocks + (len(chosen.epsilons) if question.rival.version else 0)
            with progress_bar(f"{name} · {question.name}", steps, progress) as advance:
                comparisons.append(compare(task, question, advance))
        if "overhead" in what:
            with progress_bar(f"{name} · overhead", blocks, progress) as advance:
                overheads.append(measure_overhead(task, advance))
        if "growth" in what and name == names[-1]:
            numbers = [count for count in (images, 2 * images, 4 * images) if count <= len(split)]
            with progress_bar(f"{name} · growth", len(numbers) + 1 + len(sides), progress) as advance:
                sizes += grow(model, split, chosen, numbers or [images], sides, advance)
    return Report(chosen, comparisons, overheads, sizes, f"{names[-1]} on {split.name}")


def _every_entry(modality: str, track: str) -> list[str]:
    names = [
        name
        for name, _ in entries(modality, track)
        if read_submission(name).described()["kind"] != "baseline"
    ]
    if not names:
        raise SubmissionError(
            f"no entry but baselines has weights for modality {modality!r}; name a submission"
        )
    return names


def small_task(name: str, modality: str = "ct", images: int = 8) -> Task:
    """An entry on a few test images of the phantom track, with the small form of `standard`."""
    model, split = load_submission(name, modality), load_split(modality)
    return make_task(model, split, made_small(get_protocol("standard")), images)
