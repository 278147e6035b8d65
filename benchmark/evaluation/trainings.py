"""The further trainings of an entry, evaluated as the entry is, or verified against what stands beside its record."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from benchmark.attacks.two_class import margins
from benchmark.data.split import Split
from benchmark.errors import DataError, SubmissionError
from benchmark.evaluation.engine import choose_device, evaluate
from benchmark.evaluation.entry import forget_blocks, loaded, naming, records_folder
from benchmark.evaluation.evidence import recorded
from benchmark.evaluation.judge import clean_gaps
from benchmark.evaluation.layout import USUAL
from benchmark.evaluation.source import LAYOUTS, FolderSource
from benchmark.evaluation.verify import CLEAN_TOLERANCE, is_current
from benchmark.evidence.trainings import FurtherTraining, Trainings, again, outdated, spreads
from benchmark.evidence.trainings_files import read_trainings, save_trainings
from benchmark.protocol import get_protocol
from benchmark.record import Record
from benchmark.submission import Submission, SubmittedModel, load_submission, read_submission


def trainings_lines(
    name: str,
    modality: str,
    track: str = "phantom",
    protocol: str = "standard",
    fresh: bool = False,
    device: str = "auto",
) -> Iterator[str]:
    """As `run_trainings`, of every modality that an entry brings several trainings for.

    Args:
        modality: one name, or "all".

    Raises:
        SubmissionError: there is none. And as `run_trainings`.
    """
    submission = read_submission(name)
    wanted = [each for each in submission.modalities if modality in ("all", each)]
    found = [each for each in wanted if submission.further_seeds(each, track)]
    if not found:
        raise _one_training(submission, modality)
    for each in found:
        yield from run_trainings(name, each, track, protocol, fresh, device)


def run_trainings(
    name: str,
    modality: str,
    track: str = "phantom",
    protocol: str = "standard",
    fresh: bool = False,
    device: str = "auto",
    progress: bool = True,
) -> Iterator[str]:
    """Evaluate an entry's further trainings under its record's protocol and write them beside the record.

    What is there and is of the same weights, images, protocol and engine is verified instead. Finished blocks are
    kept, so an interrupted run goes on where it stopped.

    Args:
        name: a submission's name or folder. track: as in `load_split`.
        fresh: evaluate also what is there.

    Yields:
        Lines for the user: each training, the spread, the file.

    Raises:
        DataError: there is no current record to stand beside, a block is missing, or nothing can be written.
        SubmissionError: the entry brings one training alone; weights that cannot be used, all complaints at once.
    """
    record, model, split, folder = recorded(name, modality, track, protocol)
    others = further(model, modality, track)
    if not is_current(record, model, split, protocol):
        raise DataError(
            f"the record of {record.submission} on {modality} is of other weights, images or attacks than are here; make "
            f"a new one first: oncorobust evaluate {name} --modality {modality}"
        )
    old = None if fresh else read_trainings(record, folder)
    known = {each.identity: each for each in old.trained} if old and not old.foreign(record) else {}
    if old and known and _complete(old, others):
        yield f"verified {verified(record, others, split, old, device)}"
    else:
        found = []
        for other in others:
            trained = known.get(other.identity)
            if trained is None:
                trained = _evaluated(other, split, protocol, device, progress)
            found.append(replace(trained, training_seed=other.weights.training_seed))
            yield _line(record, found[-1])
        old = _trainings(record, found)
        path = save_trainings(old, record, folder)
        for other in others:
            forget_blocks(record, other, split, device)
        yield f"wrote {path}"
    yield from _spread_lines(record, old)


def verify_trainings(
    name: str, modality: str, track: str = "phantom", protocol: str = "standard", device: str = "auto"
) -> str:
    """Whether what stands beside a record still holds: the same weights, and their clean margins on all images.

    Returns:
        A line for the user; empty where the entry brings one training and nothing else is there.

    Raises:
        DataError: a file is damaged or outdated, or clean margins differ; every complaint at once.
        SubmissionError: weights that cannot be used.
    """
    submission, asked = read_submission(name), get_protocol(protocol)
    seeds = submission.further_seeds(modality, track)
    folder = records_folder(track, protocol) / modality
    if not seeds and not any(folder.glob(f"{submission.name}.trainings.*")):
        return ""
    record = Record.load(folder / f"{submission.name}.json")
    found = read_trainings(record, folder)
    where = f"{record.submission} on {record.modality}"
    if found is None:
        missing = f"{where}: training seeds {_listed(seeds)} are not evaluated yet: {again(record)}"
        return missing if asked.ranked else ""
    model, split = loaded(name, modality, track, asked)
    models = further(model, modality, track) if seeds else ()
    return f"{where}: {verified(record, models, split, found, device)}"


def further(model: SubmittedModel, modality: str, track: str) -> tuple[SubmittedModel, ...]:
    """The models of an entry's further trainings, checked but without their weights in memory.

    Raises:
        SubmissionError: there are none, or some cannot be used; every complaint at once.
    """
    submission = model.submission
    seeds = submission.further_seeds(modality, track)
    if not seeds:
        raise _one_training(submission, modality)
    models, complaints = [], []
    for seed in seeds:
        try:
            models.append(load_submission(submission.folder, modality, track, seed).to("meta"))
        except SubmissionError as error:
            complaints.append(f"training seed {seed}: {error}")
    if complaints:
        raise SubmissionError("\n".join(complaints))
    return tuple(models)


def _one_training(submission: Submission, modality: str) -> SubmissionError:
    where = "every modality" if modality == "all" else modality
    return SubmissionError(
        f"submission {submission.name!r} brings one training for {where}; add [[weights]] with training_seed = 1, made "
        "by the same command with --seed 1"
    )


def verified(
    record: Record, models: Sequence[SubmittedModel], split: Split, trainings: Trainings, device: str = "auto"
) -> str:
    """Compare each training's weights and clean margins with what was evaluated; returns what was done, in words.

    Args:
        models: of the further trainings that the entry brings.

    Raises:
        DataError: something differs; every complaint at once.
    """
    if other := trainings.foreign(record):
        raise DataError(outdated(record, other))
    brought = {model.weights.training_seed: model for model in models}
    complaints = []
    for trained in trainings.trained:
        model = brought.pop(trained.training_seed, None)
        if model is None:
            complaints.append(f"training seed {trained.training_seed} is no longer brought by the entry")
        elif model.identity != trained.identity:
            complaints.append(f"training seed {trained.training_seed} has other weights now")
        else:
            away = _difference(model, record, split, trained, device)
            if away > CLEAN_TOLERANCE:
                complaints.append(
                    f"clean margins of training seed {trained.training_seed} differ by {away:.2g} T (allowed "
                    f"{CLEAN_TOLERANCE:g})"
                )
    complaints += [f"training seed {seed} was not evaluated" for seed in brought]
    if complaints:
        raise DataError(
            f"the further trainings of {record.submission} on {record.modality} do not hold: {'; '.join(complaints)}; "
            f"evaluate them again: {again(record)} --fresh"
        )
    return f"clean margins of training seeds {_listed(each.training_seed for each in trainings.trained)}"


def _complete(trainings: Trainings, models: Sequence[SubmittedModel]) -> bool:
    """Whether the very weights that an entry brings were evaluated, no fewer and no more."""
    found = {each.training_seed: each.identity for each in trainings.trained}
    return found == {model.weights.training_seed: model.identity for model in models}


def _difference(
    model: SubmittedModel, record: Record, split: Split, trained: FurtherTraining, device: str
) -> float:
    """The largest change of a clean margin, as a multiple of T."""
    protocol, chosen = get_protocol(record.protocol["name"]), choose_device(device)
    split = split.first_patients(protocol.images)
    layout = trained.provenance["layout"]
    _, judge = FolderSource.of(model, split, layout if layout in LAYOUTS else USUAL).models()
    gaps = clean_gaps(judge.to(chosen), split, protocol.micro_batch(*split.image_size), chosen)
    now = margins(gaps, torch.from_numpy(split.labels)).numpy()
    return float(np.abs(now - trained.clean_margins).max() / trained.temperature)


def _evaluated(
    model: SubmittedModel, split: Split, protocol: str, device: str, progress: bool
) -> FurtherTraining:
    seed = model.weights.training_seed
    with naming(model, f"{split.modality}, training seed {seed}"):
        found = evaluate(model, split, protocol, device, progress=progress)
    if found.missing:
        raise DataError(
            f"{found.submission} on {found.modality}, training seed {seed}: {len(found.missing)} blocks could not be "
            f"computed ({found.missing[0]['reason']}); the others are kept, the same command goes on from there"
        )
    return FurtherTraining(
        training_seed=seed,
        identity=model.identity,
        weights_sha256=model.weights.sha256,
        temperature=found.provenance["temperature"],
        provenance={
            **{name: found.provenance[name] for name in ("command", "device", "layout", "versions")},
            "forward": sum(result.forward for result in found.attacks.values()),
            "backward": sum(result.backward for result in found.attacks.values()),
        },
        flags=found.flags,
        clean_margins=found.clean_margins,
        minimal_epsilon=found.minimal_epsilon,
    )


def _trainings(record: Record, trained: Sequence[FurtherTraining]) -> Trainings:
    return Trainings(
        submission=record.submission,
        modality=record.modality,
        track=record.track,
        protocol=record.protocol["name"],
        protocol_sha256=record.protocol["sha256"],
        headline=record.headline,
        engine=record.provenance["engine"],
        split_sha256=record.split["sha256"],
        reference=record.provenance["identity"],
        image_ids=tuple(record.image_ids),
        patient_ids=tuple(record.patient_ids),
        labels=record.labels,
        trained=tuple(trained),
    )


def _line(record: Record, trained: FurtherTraining) -> str:
    doubt = ", ".join(flag.id for flag in trained.flags if flag.severity == "doubt")
    clean, worst = trained.clean_correct.mean(), trained.robust(record.headline).mean()
    return (
        f"{record.submission} · {record.modality} · training seed {trained.training_seed}: clean {100 * clean:.1f} %, "
        f"worst case at most {100 * worst:.1f} % at ε = {record.headline}{f', in doubt: {doubt}' if doubt else ''}"
    )


def _spread_lines(record: Record, trainings: Trainings) -> Iterator[str]:
    found = spreads(record, trainings)
    for what, spread in (("all images", found.robust[record.headline]), ("balanced", found.balanced)):
        values = ", ".join(f"{100 * value:.1f}" for value in spread.values)
        yield (
            f"worst case over {len(found.seeds)} trainings, {what}: {values} % (mean {100 * spread.mean:.1f}, "
            f"SD {100 * spread.deviation:.1f})"
        )


def _listed(seeds: Iterable[int]) -> str:
    return ", ".join(map(str, seeds))
