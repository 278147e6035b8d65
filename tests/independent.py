"""Do other people's attack codes break what our battery left standing? Minutes to hours; run by hand, never by pytest.

    python tests/independent.py WORK [--codes apgd,fab] [--minutes 60] [--processes 2] [--validation ENTRY:MODALITY]

For every entry that is no baseline, the images of the committed records that the battery of `standard` did not
break at the headline ε are given to foolbox, ART and pyautoattack with strong settings. What they propose is
projected into the ball and judged by the harness. WORK keeps every finished batch, so a run goes on where it
stopped; the table at the end counts what is there. `--validation` evaluates an entry on the first 100 images of
its validation part first, for more survivors. Needs `pip install foolbox adversarial-robustness-toolbox pyautoattack`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, wait
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.attacks.guard import guarded
from benchmark.attacks.two_class import ScaledGap, TwoClass, margins
from benchmark.attacks.watch import Counted, EveryImageBroken, Watched
from benchmark.data.tracks import load_split
from benchmark.evaluation import evaluate
from benchmark.evaluation.judge import judged_gaps, one_thread
from benchmark.evaluation.verify import is_current
from benchmark.files import replace_file
from benchmark.folders import results_folder
from benchmark.record import Record
from benchmark.submission import load_submission
from benchmark.threat_model import ThreatModel, achieved

BATCH = 50
VALIDATION = 100
SEED = 51966

# (view of the model, images, labels, ε) → proposals. The view is the one the code's loss needs:
# cross-entropy on TwoClass, distances and margins on ScaledGap.
Attack = Callable[[nn.Module, Tensor, Tensor, float], Tensor]


def apgd(view: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    attack = _autoattack(view, "apgd-ce", epsilon).apgd
    attack.loss, attack.n_iter, attack.n_restarts = "ce", 200, 5
    return attack.perturb(images, labels)


def fab(view: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    attack = _autoattack(view, "fab-t", epsilon).fab
    attack.targeted, attack.n_target_classes, attack.n_iter, attack.n_restarts = True, 1, 100, 5
    return attack.perturb(images, labels)


def square(view: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    attack = _autoattack(view, "square", epsilon).square
    attack.n_queries = 5000
    with torch.no_grad():
        return attack.perturb(images, labels)


def _autoattack(view: nn.Module, name: str, epsilon: float):
    from pyautoattack import AutoAttack

    return AutoAttack(view, attacks=[name], version="custom", norm="Linf", eps=epsilon, seed=SEED)


def foolbox_pgd(view: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    import foolbox

    attack = foolbox.attacks.LinfPGD(rel_stepsize=2.5 / 100, steps=100).repeat(5)
    model = foolbox.PyTorchModel(view, bounds=(0, 1), device=images.device)
    return attack(model, images, labels, epsilons=epsilon)[1]


def foolbox_fmn(view: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    import foolbox

    attack = foolbox.attacks.LInfFMNAttack(steps=500)
    model = foolbox.PyTorchModel(view, bounds=(0, 1), device=images.device)
    return attack(model, images, labels, epsilons=None)[0]


def art_autopgd(view: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    from art.attacks.evasion import AutoProjectedGradientDescent

    attack = AutoProjectedGradientDescent(
        _art(view, images),
        norm=np.inf,
        eps=epsilon,
        eps_step=2 * epsilon,
        max_iter=100,
        nb_random_init=5,
        batch_size=len(images),
        loss_type="cross_entropy",
        verbose=False,
    )
    return torch.from_numpy(attack.generate(images.numpy(), labels.numpy()))


def art_pgd(view: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    from art.attacks.evasion import ProjectedGradientDescent

    attack = ProjectedGradientDescent(
        _art(view, images),
        norm=np.inf,
        eps=epsilon,
        eps_step=epsilon / 10,
        max_iter=50,
        num_random_init=5,
        batch_size=len(images),
        verbose=False,
    )
    return torch.from_numpy(attack.generate(images.numpy(), labels.numpy()))


def art_square(view: nn.Module, images: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    from art.attacks.evasion import SquareAttack

    attack = SquareAttack(
        _art(view, images),
        norm=np.inf,
        max_iter=1000,
        eps=epsilon,
        p_init=0.8,
        nb_restarts=1,
        batch_size=len(images),
        verbose=False,
    )
    return torch.from_numpy(attack.generate(images.numpy(), labels.numpy()))


def _art(view: nn.Module, images: Tensor):
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(
        view,
        loss=nn.CrossEntropyLoss(),
        input_shape=tuple(images.shape[1:]),
        nb_classes=2,
        clip_values=(0.0, 1.0),
        device_type="cpu",
    )


@dataclass(frozen=True)
class Code:
    title: str
    attack: Attack
    view: type[nn.Module]
    fixed_batch: bool = False  # its rows keep their names, so that every iterate can be looked at


CODES = {
    "apgd": Code("pyautoattack APGD-CE, 200 steps × 5", apgd, TwoClass),
    "foolbox-pgd": Code("foolbox PGD, 100 steps × 5", foolbox_pgd, TwoClass, fixed_batch=True),
    "foolbox-fmn": Code("foolbox FMN, 500 steps", foolbox_fmn, ScaledGap),
    "fab": Code("pyautoattack FAB-T, 100 steps × 5", fab, ScaledGap),
    "art-autopgd": Code("ART AutoPGD-CE, 100 steps × 5", art_autopgd, TwoClass),
    "square": Code("pyautoattack Square, 5000 queries", square, ScaledGap),
    "art-pgd": Code("ART PGD, 50 steps × 5", art_pgd, TwoClass),
    "art-square": Code("ART Square, 1000 queries", art_square, ScaledGap),
}


@dataclass(frozen=True)
class Task:
    """Some survivors of one entry, for one code."""

    code: str
    submission: str
    modality: str
    part: str
    rows: tuple[int, ...]  # in the split
    temperature: float
    headline: str
    subject: str  # weights, images and ε: what a verdict on an image depends on, beside the code

    def path(self, work: Path) -> Path:
        name = hashlib.sha256(json.dumps([self.subject, self.rows]).encode()).hexdigest()[:16]
        return work / "batches" / f"{self.code}-{name}.json"


def attack_batch(task: Task, work: Path) -> Path:
    """Let a code try, judge what it proposes, write margins and distances."""
    split = load_split(task.modality, part=task.part)
    attacked, judge = (
        load_submission(task.submission, task.modality).to(memory_format=torch.channels_last) for _ in "ab"
    )
    code, epsilon = CODES[task.code], float(task.headline)
    whole, labels = split.batch()
    images, labels = whole[list(task.rows)], labels[list(task.rows)]
    started = time.process_time()
    watched = Watched(attacked, labels) if code.fixed_batch else Counted(attacked)
    with one_thread(), guarded(attacked, SEED):
        np.random.seed(SEED)  # foolbox and ART draw from numpy's global stream
        try:
            proposed = code.attack(code.view(watched, task.temperature).eval(), images, labels, epsilon)
        except EveryImageBroken:
            proposed = images
        if isinstance(watched, Watched) and watched.first is not None:
            proposed = torch.where(watched.broken.view(-1, 1, 1, 1), watched.first, proposed)
        allowed = ThreatModel(Decimal(task.headline)).project(images, proposed.detach().float())
        margin = margins(judged_gaps(judge, allowed, BATCH), labels)
    body = {
        "code": task.code,
        "subject": task.subject,
        "margins": {split.image_ids[row]: float(m) for row, m in zip(task.rows, margin, strict=True)},
        "linf": achieved(images, allowed).tolist(),
        "temperature": task.temperature,
        "forward": watched.forward_passes,
        "backward": watched.backward_passes,
        "seconds": round(time.process_time() - started, 1),
    }
    replace_file(task.path(work), json.dumps(body).encode())
    return task.path(work)


def records(validation: list[str], work: Path) -> Iterator[tuple[Record, str]]:
    """The committed records of entries, and those of a validation part made here, each with the part's name."""
    for path in sorted(results_folder("phantom").glob("*/*.json")):
        if "." not in path.stem:
            record = Record.load(path)
            if record.description["kind"] != "baseline":
                yield record, "test"
    for name in validation:
        submission, modality = name.split(":")
        path = work / "validation" / modality / f"{submission}.json"
        model = load_submission(submission, modality)
        split = load_split(modality, part="validation").first_patients(VALIDATION)
        if not path.exists() or not is_current(Record.load(path), model, split, "standard"):
            evaluate(model, split).save(path.parent)
        yield Record.load(path), "validation"


@dataclass(frozen=True)
class Subject:
    """The survivors of one record, the nearest to being broken first."""

    name: str
    key: str
    record: Record
    part: str

    @property
    def images(self) -> dict[str, int]:
        """Their ids and rows."""
        standing = np.flatnonzero(self.record.robust(self.record.headline))
        standing = standing[np.argsort(self.record.minimal_epsilon[standing], kind="stable")]
        return {self.record.image_ids[row]: int(row) for row in standing}


def subjects(found: list[tuple[Record, str]]) -> list[Subject]:
    made = []
    for record, part in found:
        identity = [record.provenance["identity"], record.split["sha256"], record.headline]
        key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
        made.append(Subject(f"{record.submission} · {record.modality} · {part}", key, record, part))
    return made


def verdicts(work: Path) -> dict[tuple[str, str], dict]:
    """(code, subject) → image → (margin / T); and under None, what it cost: whatever batch and record it came from."""
    found: dict[tuple[str, str], dict] = {}
    for path in sorted((work / "batches").glob("*.json")):
        body = json.loads(path.read_text())
        own = found.setdefault((body["code"], body["subject"]), {None: (0, 0)})
        own |= {image: margin / body["temperature"] for image, margin in body["margins"].items()}
        own[None] = (own[None][0] + body["forward"], own[None][1] + body["backward"])
    return found


def tasks(asked: list[Subject], codes: list[str], work: Path) -> list[Task]:
    """What no batch has tried yet, the codes in the order asked."""
    made, known = [], verdicts(work)
    for code in codes:
        for subject in asked:
            record, tried = subject.record, known.get((code, subject.key), {})
            rows = [row for image, row in subject.images.items() if image not in tried]
            for start in range(0, len(rows), BATCH):
                made.append(
                    Task(
                        code,
                        record.submission,
                        record.modality,
                        subject.part,
                        tuple(rows[start : start + BATCH]),
                        record.provenance["temperature"],
                        record.headline,
                        subject.key,
                    )
                )
    return made


def table(asked: list[Subject], codes: list[str], work: Path) -> Iterator[str]:
    """For each code: survivors tried, how many it broke, the share, passes, the nearest miss."""
    yield f"{'code':38} {'images':>6} {'broken':>6} {'share':>7} {'forward':>11} {'backward':>11} {'lowest margin / T':>18}"
    union: dict[tuple[str, str], bool] = {}
    known = verdicts(work)
    for code in codes:
        found, passes = {}, [0, 0]
        for subject in asked:
            tried = known.get((code, subject.key), {None: (0, 0)})
            passes = [a + b for a, b in zip(passes, tried[None], strict=True)]
            found |= {(subject.name, image): tried[image] for image in subject.images if image in tried}
        for key, margin in found.items():
            union[key] = union.get(key, False) or margin <= 0
        broken = sum(margin <= 0 for margin in found.values())
        share, lowest = (broken / len(found), min(found.values())) if found else (np.nan, np.nan)
        yield (
            f"{CODES[code].title:38} {len(found):6} {broken:6} {share:7.2%} {passes[0]:11,} {passes[1]:11,} {lowest:18.4f}"
        )
    yield f"{'any of them':38} {len(union):6} {sum(union.values()):6} {sum(union.values()) / max(len(union), 1):7.2%}"
    for key in sorted(key for key, fell in union.items() if fell):
        yield "  broken: " + " · ".join(key)


def run(waiting: list[Task], work: Path, minutes: float, processes: int) -> None:
    """Work through batches until they or the minutes are up; what has begun is finished."""
    from loky import get_reusable_executor

    until, left = time.monotonic() + 60 * minutes, list(waiting)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    executor = get_reusable_executor(processes, timeout=600, env=threads)
    busy: set = set()
    while busy or (left and time.monotonic() < until):
        while left and len(busy) < processes and time.monotonic() < until:
            busy.add(executor.submit(attack_batch, left.pop(0), work))
        done, busy = wait(busy, return_when=FIRST_COMPLETED)
        for future in done:
            path = future.result()
            body = json.loads(path.read_text())
            fell = sum(margin <= 0 for margin in body["margins"].values())
            print(
                time.strftime("%H:%M:%S"),
                path.name,
                f"{fell} of {len(body['margins'])} in {body['seconds']} s",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="where finished batches are kept")
    parser.add_argument("--codes", default=",".join(CODES), help="which, in this order")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--validation", action="append", default=[], metavar="ENTRY:MODALITY")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    codes, chosen = asked.codes.split(","), subjects(list(records(asked.validation, asked.work)))
    waiting = tasks(chosen, codes, asked.work)
    print(f"{len(waiting)} batches wait", flush=True)
    run(waiting, asked.work, asked.minutes, asked.processes)
    print("\n".join(table(chosen, codes, asked.work)))


if __name__ == "__main__":
    main()
