"""What a paper has to say of an evaluation, as paragraphs made from its record: nothing in them is typed by hand."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill
from typing import Any

from benchmark import __version__
from benchmark.measures import BINS, SPECIFICITY, Measures, measure
from benchmark.modality import get_modality
from benchmark.record import Record
from benchmark.statistics import MINIMUM_PATIENTS, RESAMPLES, Estimate
from leaderboard.parts import three
from leaderboard.words import number, percent, plain_text, training_words

REFERENCES = (
    f"OncoRobust: The OncoRobust developers. OncoRobust {__version__}: a benchmark of the adversarial robustness of deep "
    "models of oncologic images.",
    "The study it continues: Joel et al., JCO Clin Cancer Inform 2022;6:e2100170, doi 10.1200/CCI.21.00170.",
    "CLAIM 2024: Tejani et al., Radiol Artif Intell 2024;6:e240300.",
    "TRIPOD+AI: Collins et al., BMJ 2024;385:e078378.",
    "torchattacks: Kim, arXiv 2010.01950.",
    "Wilson 1927, J Am Stat Assoc 22:209; Rao & Scott 1992, Biometrics 48:577 (effective number of images).",
    "Field & Welsh 2007, J R Stat Soc B 69:369; Hesterberg 2015, Am Stat 69:371 (resampled patients).",
    "Zou & Donner 2008, Stat Med 27:1693 (interval of a mean of two shares).",
    "Obuchowski 1998, Stat Med 17:1495; Westfall & Young 1993, Resampling-Based Multiple Testing (comparisons).",
    "Obuchowski 1997, Biometrics 53:567; DeLong et al. 1988, Biometrics 44:837 (AUROC).",
)


def methods_text(record: Record, width: int = 100) -> str:
    """Paragraphs on data, model, threat model, attacks, figures and statistics, each with the items it answers.

    Items are those of CLAIM 2024 and TRIPOD+AI. The text says what was done and found, and what cannot be concluded.
    """
    found = measure(record)
    parts = [_filled(text, width) for text in _paragraphs(record, found)]
    parts.append(
        "\n".join(["References", *(f"  {line}" for line in (*_attack_sources(record), *REFERENCES))])
    )
    return "\n\n".join(parts) + "\n"


def _filled(text: str, width: int) -> str:
    """In lines of this width, no word parted; what stands in a line of its own is a command, and is left whole."""
    words, line, command = text.partition("\n")
    return fill(words, width, break_on_hyphens=False, break_long_words=False) + line + command


def _paragraphs(record: Record, found: Measures) -> Iterator[str]:
    modality, protocol, split = get_modality(record.modality), record.protocol, record.split
    told, notes = record.description, record.split.get("notes", {})
    source = f" Source: {plain_text(notes['source'])}." if notes.get("source") else ""
    yield (
        f"Data (CLAIM 9, 19–21; TRIPOD+AI: data, outcome). {modality.title}, track {record.track}, part "
        f"{split.get('part', 'test')} of {split.get('name', 'the split')} (sha256 {str(split.get('sha256'))[:12]}…): "
        f"{found.images:,} images of {found.patients:,} patients, {found.positives:,} of them positive. A positive is "
        f"{found.positive}.{source} Parts are disjoint by patient. Images have {split.get('height', '?')} × "
        f"{split.get('width', '?')} pixels scaled to [0, 1] by a fixed window; attacks act on these pixels."
    )
    trained = training_words(told.get("training")) or "not told"
    yield (
        f"Model (TRIPOD+AI: model). “{plain_text(told.get('title')) or record.submission}” "
        f"({record.submission}), {plain_text(told.get('architecture')) or 'architecture not told'}, training: {trained}. "
        f"{plain_text(told.get('description'))} Identity of weights and architecture: sha256 "
        f"{str(record.provenance.get('identity', 'not told'))[:12]}…."
    )
    yield (
        f"Threat model (CLAIM 30). White-box evasion in the sense of NIST AI 100-2 E2025, MITRE ATLAS AML.T0043.000: an "
        f"adversary who knows the model and the true label may change every pixel by at most ε (L∞). ε = {record.headline}, "
        f"that is {modality.told(record.headline, notes)}, is the headline; the grid is {', '.join(record.epsilons)}."
    )
    attacks = "; ".join(_attack(spec) for spec in protocol["attacks"])
    yield (
        f"Attacks. Protocol {protocol['name']}, version {protocol['version']}, engine "
        f"{record.provenance.get('engine', 'not told')}, seed {protocol['seed']}: {attacks}. An image counts as robust at ε "
        "if it is right when clean and no attack finds a change within ε that makes it wrong; a tie is wrong, and an image "
        "that is wrong when clean is wrong at every ε. Attacks propose, another instance of the model judges in float32. "
        "Robust accuracy is an upper bound. " + _asked(record, found) + _doubts(record)
    )
    threshold = found.threshold
    chosen = (
        f"Thresholds other than 0 were set on the clean validation part ({100 * SPECIFICITY:.0f} % specificity, achieved "
        f"{number(threshold.specificity)} %). "
        if threshold
        else "There is no validation part, so no other threshold than 0. "
    )
    yield (
        "Figures and statistics (CLAIM 28, 29; TRIPOD+AI: performance). Balanced accuracy, mean of sensitivity and "
        f"specificity, ranks. {chosen}AUROC, Brier score and expected calibration error ({BINS} bins of equal width) under "
        "attack come from one attack that is never stopped. Intervals are 95 % and take the patient as the unit: "
        f"{RESAMPLES:,} resamples of patients, expanded percentiles; below 30 effective images of the rarer answer, "
        "Wilson's interval with the effective number of images and Student's t. Entries are compared on the same images by "
        "the clustered test for paired shares, over all pairs of a board at once (max-T over randomly turned signs of "
        f"patients); below {MINIMUM_PATIENTS} patients there is neither interval nor rank. "
        f"The design effect of clustering was {_plain(found.design_effect)}."
    )
    clean, headline = found.at("0"), found.at(found.headline)
    attacked = found.attacked_confidence
    confident = (
        f" AUROC was {_three(found.clean_confidence.auroc)} clean and {_three(attacked.auroc)} under attack, and "
        f"{_words(attacked.sure_errors)} of all images were answered wrongly at a confidence above 0.9."
        if attacked
        else ""
    )
    yield (
        f"Result. Balanced accuracy {_words(clean.balanced)} clean and at most {_words(headline.balanced)} at ε = "
        f"{found.headline}; sensitivity {_words(clean.sensitivity)} and at most {_words(headline.sensitivity)}, specificity "
        f"{_words(clean.specificity)} and at most {_words(headline.specificity)}. Attacks succeeded on at least "
        f"{_words(headline.attack_success)} of the images that were right when clean.{confident}"
    )
    versions = plain_text(record.provenance.get("versions")) or "not told"
    yield (
        f"Software (TRIPOD+AI: code and data sharing). OncoRobust {__version__}; of the evaluation: {versions}; device "
        f"{record.provenance.get('device', 'not told')}. Run again with:\n{_command(record)}"
    )
    warning = (
        " The images are synthetic: nothing here says anything of patients."
        if record.track == "phantom"
        else ""
    )
    yield (
        "Limits. Research use only; not for clinical decisions. A stronger attack can only lower these figures; shifts of "
        f"scanner, protocol or population are not measured.{warning}"
    )


def _attack(spec: Any) -> str:
    settings = [f"{key} {plain_text(value)}" for key, value in spec["parameters"].items()]
    settings += [f"step {spec['step']:g} ε"] if spec["step"] is not None else []
    settings += [f"{spec['starts']} starts"] if spec["starts"] > 1 else []
    return f"{spec['title']} ({', '.join(settings)})" if settings else str(spec["title"])


def _asked(record: Record, found: Measures) -> str:
    """Which attacks were not asked about every image at every ε."""
    titles = {spec["name"]: str(spec["title"]) for spec in record.protocol["attacks"]}
    bisecting = [spec["title"] for spec in record.protocol["attacks"] if spec["search"] == "bisection"]
    told = ""
    if bisecting:
        told += (
            f"Away from the headline ε {' and '.join(bisecting)} found where each image falls by bisection over the grid, "
            "with fewer starts where the first came near no success. "
        )
    for met in found.survivors:
        told += (
            f"{titles[met.attack]} at ε = {met.epsilon} met only images that no attack before it had broken there: it broke "
            f"{met.broken:,} of {met.asked:,}. "
        )
    return told


def _attack_sources(record: Record) -> list[str]:
    return [
        f"{spec['title']}: {spec['source']}." for spec in record.protocol["attacks"] if spec.get("source")
    ]


def _doubts(record: Record) -> str:
    if not record.flags:
        return "No health check had anything to say against the numbers."
    return "Health checks: " + "; ".join(f"{flag.severity}, {flag.sentence}" for flag in record.flags) + "."


def _command(record: Record) -> str:
    return (
        f"oncorobust evaluate {record.submission} --modality {record.modality} --track {record.track} "
        f"--protocol {record.protocol['name']} --fresh"
    )


def _words(estimate: Estimate | None) -> str:
    if estimate is None:
        return "– (no such image)"
    if estimate.low is None or estimate.high is None:
        return f"{percent(estimate.value)} (no interval)"
    return f"{percent(estimate.value)} ({number(estimate.low)}–{number(estimate.high)})"


def _three(estimate: Estimate | None) -> str:
    """What is no percentage, as the entry's page has it."""
    if estimate is None:
        return "– (no such image)"
    cell = three(estimate)
    return f"{cell.text} ({cell.small or 'no interval'})"


def _plain(value: float | None) -> str:
    return "not computed" if value is None else f"{value:.2f}"
