"""What a pull request that enters something may change: one new entry, or adversarial images, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from benchmark.contract.files import LARGEST_FILE, too_large
from benchmark.errors import SubmissionError
from benchmark.forge.change import LINK, MODULE, PLAIN_FILE, Changed
from benchmark.modality import MODALITIES
from benchmark.submission_file import NAME
from benchmark.submission_folder import RESERVED

LARGEST_ENTRY = 24_000_000  # bytes of all files of an entry
LARGEST_ATTACK = 40_000_000  # bytes of a file of adversarial images: 2,000 of 64 × 64 pixels in float32
MOST_FILES = 60
MOST_ATTACKS = 20  # files of adversarial images in one pull request
SHOWN = 5
PART = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,80}"
INSIDE = re.compile(rf"({PART}/){{0,2}}{PART}")
ENDINGS = (".safetensors", ".py", ".md", ".log.csv", ".log.svg", ".txt")
ATTACK = re.compile(
    rf"submissions/attacks/(?P<name>[^/]+)/(?P<modality>{'|'.join(MODALITIES)})/(?P<file>{PART}\.safetensors)"
)


@dataclass(frozen=True)
class Proposal:
    """What a pull request that may be evaluated proposes.

    entry: the name of its new entry, or empty. attacks: (entry, modality, path) of each new file of adversarial images.
    """

    entry: str = ""
    attacks: tuple[tuple[str, str, str], ...] = ()


def examine(changed: Sequence[Changed], known: Collection[str]) -> Proposal:
    """Decide by paths, kinds and sizes alone; no content has been looked at.

    Args:
        known: the entries that are there already.

    Raises:
        SubmissionError: with every complaint at once; nothing of it may be evaluated.
    """
    entries = sorted({each.path.split("/")[1] for each in changed if _in_entry(each.path)})
    attacks = [each for each in changed if each.path.startswith("submissions/attacks/")]
    others = [each.path for each in changed if not _in_entry(each.path) and each not in attacks]
    complaints = list(_of_the_whole(entries, attacks, others, known))
    complaints += [told for each in changed for told in _of_one(each)]
    complaints += [told for each in attacks for told in _of_attack(each, known)]
    if len(attacks) > MOST_ATTACKS:
        complaints.append(
            f"it brings {len(attacks)} files of adversarial images, allowed are {MOST_ATTACKS}; put several into one"
        )
    if len(entries) == 1 and not any(
        each.path == f"submissions/{entries[0]}/submission.toml" for each in changed
    ):
        complaints.append(f"submissions/{shown(entries[0])} has no submission.toml; add it")
    total = sum(each.size for each in changed if _in_entry(each.path))
    if total > LARGEST_ENTRY:
        complaints.append(
            f"the entry has {total / 1e6:.1f} MB, allowed are {LARGEST_ENTRY / 1e6:.0f}; upload weights, give their 'urls'"
        )
    if complaints:
        raise SubmissionError("\n".join(complaints))
    matches = [match for each in attacks if (match := ATTACK.fullmatch(each.path))]
    return Proposal(
        entries[0] if entries else "", tuple((m["name"], m["modality"], m.string) for m in matches)
    )


def path_complaint(inside: str) -> str:
    """What is wrong with a file's path inside of its entry's folder; empty if nothing is."""
    if inside == "submission.toml" or inside == "LICENSE":
        return ""
    if not INSIDE.fullmatch(inside):
        return f"{shown(inside)} is no path that an entry may have; use letters, digits, dots and dashes, two folders deep"
    if not inside.endswith(ENDINGS):
        return f"{shown(inside)} is no file of an entry (submission.toml, LICENSE, *{', *'.join(ENDINGS)}); remove it"
    return ""


def shown(text: str) -> str:
    """Somebody's words as plain ASCII of a bounded length, for sentences, logs and pages."""
    return ascii(text[:80])[1:-1].replace("`", "'")


def _in_entry(path: str) -> bool:
    parts = path.split("/")
    return parts[0] == "submissions" and len(parts) > 2 and parts[1] != "attacks"


def _of_the_whole(
    entries: Sequence[str], attacks: Sequence[Changed], others: Sequence[str], known: Collection[str]
) -> Iterator[str]:
    if not entries and not attacks:
        yield "it enters nothing: no file of submissions/<name>/ or submissions/attacks/<entry>/<modality>/ is new"
    if others:
        more = f" and {len(others) - SHOWN} more" if len(others) > SHOWN else ""
        told = ", ".join(map(shown, others[:SHOWN])) + more
        forged = any(path.startswith("leaderboard/") for path in others)
        yield (
            f"it changes {told}; one that enters something changes nothing but its own folder"
            + ("; records are written by the project alone, when it is merged" if forged else "")
            + "; take that out, or propose it in a pull request of its own"
        )
    if len(entries) > 1:
        yield f"it touches {len(entries)} entries ({', '.join(map(shown, entries[:SHOWN]))}); send one for each"
    if entries and attacks:
        yield "it brings an entry and adversarial images; send one pull request for each"
    taken = {name.replace("-", ""): name for name in known}
    for entry in entries:
        if entry in known:
            yield (
                f"it changes {shown(entry)}, which is there already and stays as it was evaluated; enter a new one under a "
                f"name of its own, with supersedes = {entry!r} if it is yours"
            )
        elif entry.replace("-", "") in taken:
            yield f"{shown(entry)} reads like {taken[entry.replace('-', '')]}, which is there; choose another name"
        if not re.fullmatch(NAME, entry) or entry in RESERVED:
            yield f"{shown(entry)} cannot be the name of an entry; it must be 2 to 41 lower-case letters, digits and dashes"


def _of_one(each: Changed) -> Iterator[str]:
    """What is wrong with a file whatever it holds."""
    path = shown(each.path)
    if each.status == "D":
        yield f"it removes {path}; what is entered stays"
        return
    if each.mode == LINK:
        yield f"{path} is a link, which could lead out of the folder; put the file itself there"
    elif each.mode == MODULE:
        yield f"{path} is a submodule; put the files themselves there"
    elif each.mode != PLAIN_FILE:
        yield f"{path} may be executed (mode {each.mode}); git update-index --chmod=-x takes that away"
    if not _in_entry(each.path):
        return
    if each.size > LARGEST_FILE:
        yield too_large(path, each.size)
    inside = each.path.split("/", 2)[2]
    if told := path_complaint(inside):
        yield f"submissions/{shown(each.path.split('/')[1])}: {told}"


def _of_attack(each: Changed, known: Collection[str]) -> Iterator[str]:
    match = ATTACK.fullmatch(each.path)
    if not match:
        yield (
            f"{shown(each.path)} is no place for sent images; expected "
            "submissions/attacks/<entry>/<modality>/<yours>.safetensors, "
            f"modality being one of {', '.join(MODALITIES)}"
        )
    elif match["name"] not in known:
        yield f"{shown(each.path)} attacks {shown(match['name'])}, and no such entry is there"
    if each.status not in "AD":
        yield f"it changes {shown(each.path)}, which was judged as it was; add a file of another name"
    if each.size > LARGEST_ATTACK:
        yield f"{shown(each.path)} has {each.size / 1e6:.0f} MB, allowed are {LARGEST_ATTACK / 1e6:.0f}; send several files"
