"""A folder for a new entry that keeps the contract from its first minute; the submitter changes it from there."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmark.contract import LARGEST_FILE, SIZE, check_submission
from benchmark.contract.behaviour import SIDES, answers
from benchmark.entering import example_model
from benchmark.errors import SubmissionError
from benchmark.files import replace_file
from benchmark.folders import submissions_folder
from benchmark.modality import MODALITIES
from benchmark.models import build
from benchmark.models.wrapper import Wrapped
from benchmark.remote import NOWHERE, kept
from benchmark.submission_file import json_schema
from benchmark.submission_folder import checked_name

SCHEMA = "submission.schema.json"
TEMPLATES = Path(__file__).parent
UNTRAINED = "untrained.safetensors"


@dataclass(frozen=True)
class Draft:
    """What a new entry shall be.

    architecture: its name; empty: code of its own. weights: modality → safetensors file; fresh ones where there is none.
    """

    name: str
    architecture: str = "vgg16-slim"
    options: Mapping[str, Any] = field(default_factory=dict)
    modalities: Sequence[str] = tuple(MODALITIES)
    weights: Mapping[str, Path] = field(default_factory=dict)
    title: str = ""
    authors: Sequence[str] = ()
    licence: str = "Apache-2.0"
    isolation: str = "auto"


def new_submission(draft: Draft) -> Iterator[str]:
    """Write the folder, after it has passed `check`.

    Yields:
        Lines for the user: what was checked, what is untrained, what comes next.

    Raises:
        SubmissionError: the name is taken or none, or what was asked for does not keep the contract; nothing was written.
    """
    checked_name(draft.name)
    folder = submissions_folder() / draft.name
    if folder.exists():
        raise SubmissionError(f"{folder} is there already; choose another name, or change what is there")
    _require_parent(folder.parent)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as work:
        place = Path(work) / draft.name
        large, shape = _write(draft, place)
        try:
            lines = list(check_submission(place, isolation=draft.isolation))
        except SubmissionError as error:
            raise SubmissionError(
                f"{error}\nnothing was written; 'architecture_options' are given by --option KEY=VALUE"
            ) from None
        shutil.move(place, folder)
    if not (schema := folder.parent / SCHEMA).exists():
        replace_file(schema, schema_text().encode())
    yield from lines
    yield f"wrote {folder}"
    yield _question(shape)
    yield from _what_next(draft, folder, large)


def schema_text() -> str:
    """The JSON schema of `submission.toml`, as it is published."""
    return json.dumps(json_schema(), indent=1, ensure_ascii=False) + "\n"


def rendered(draft: Draft, found: Mapping[str, Any], weights: Sequence[Mapping[str, str]]) -> str:
    """`submission.toml` in full.

    Args:
        found: channels, resize, mean, deviation, logits. weights: modality, file, sha256, url of each.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["toml"] = as_toml
    return environment.get_template("submission.toml.j2").render(
        name=draft.name,
        title=draft.title or draft.name,
        authors=list(draft.authors) or ["Your Name"],
        licence=draft.licence,
        architecture=draft.architecture,
        options=dict(draft.options),
        weights=weights,
        **found,
    )


def as_toml(value: Any) -> str:
    """A value as TOML on one line."""
    if isinstance(value, Mapping):
        inner = ", ".join(
            f"{key if key.isidentifier() else json.dumps(key)} = {as_toml(v)}" for key, v in value.items()
        )
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(as_toml, value))}]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers, booleans: the same in TOML


def _require_parent(parent: Path) -> None:
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SubmissionError(
            f"cannot make {parent}: {error.strerror or error}; name another place by ONCOROBUST_SUBMISSIONS"
        ) from None


def _write(draft: Draft, place: Path) -> tuple[list[str], dict[str, Any]]:
    """Write the folder; the weights that are too large for it and were put into the cache, and what the network wants."""
    from safetensors.torch import save

    place.mkdir()
    if not draft.architecture:
        shutil.copyfile(str(example_model.__file__), place / "model.py")
    model = _model(draft)
    fresh = save({name: tensor.contiguous() for name, tensor in model.state_dict().items()})
    weights, large = [], []
    for modality in draft.modalities:
        given = draft.weights.get(modality)
        name, content = (f"{modality}.safetensors", _bytes(given)) if given else (UNTRAINED, fresh)
        sha256 = hashlib.sha256(content).hexdigest()
        url = ""
        if len(content) > LARGEST_FILE:
            url = f"https://huggingface.co/OWNER/{draft.name}/resolve/{NOWHERE}/{name}"
            replace_file(kept(sha256), content)
            large.append(f"{name} ({len(content) / 1e6:.1f} MB) → {kept(sha256)}")
        else:
            replace_file(place / name, content)
        weights.append({"modality": modality, "file": name, "sha256": sha256, "url": url})
    shape = _shape(model)
    (place / "submission.toml").write_text(rendered(draft, shape, weights), encoding="utf-8")
    return list(dict.fromkeys(large)), shape


def _model(draft: Draft) -> nn.Module:
    """The network with fresh weights, the same every time."""
    torch.manual_seed(0)
    if draft.architecture:
        return build(draft.architecture, dict(draft.options)).eval()
    return example_model.build("ct").eval()


def _shape(model: nn.Module) -> dict[str, Any]:
    """What the network wants and gives, found by trying."""
    for channels in (1, 3):
        for side in (None, *SIDES):
            wrapped = Wrapped([model], side, channels=channels)
            if answers(wrapped, SIZE):
                with torch.no_grad():
                    logits = wrapped(torch.zeros(2, 1, SIZE, SIZE)).shape[1]
                mean, deviation = _standard(model, channels)
                return {
                    "channels": channels,
                    "resize": side,
                    "logits": logits,
                    "mean": mean,
                    "deviation": deviation,
                }
    raise SubmissionError(
        f"the network takes no images of {SIZE} × {SIZE} pixels, one channel or three, resized or not; enter it with code "
        "of its own (--code), which does what it wants"
    )


def _standard(model: nn.Module, channels: int) -> tuple[list[float], list[float]]:
    """Mean and deviation that timm's pretrained weights of a network want; of any other, pixels as they come."""
    known = getattr(model, "pretrained_cfg", None) or {}
    mean, deviation = (list(known.get(name) or ()) for name in ("mean", "std"))
    if channels == len(mean) == len(deviation):
        return mean, deviation
    return [0.0], [1.0]


def _question(shape: Mapping[str, Any]) -> str:
    resize = f", resize {shape['resize']}" if shape["resize"] else ""
    mean, deviation = as_toml(shape["mean"]), as_toml(shape["deviation"])
    found = f"channels {shape['channels']}{resize}, mean {mean}, deviation {deviation}"
    return f"input: {found}: are these those you trained with?"


def _bytes(path: Path) -> bytes:
    if path.suffix != ".safetensors":
        raise SubmissionError(
            f"weights {path} are no safetensors file; make one: oncorobust convert {path} --out weights.safetensors"
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise SubmissionError(f"weights {path} cannot be read: {error.strerror or error}") from None


def _what_next(draft: Draft, folder: Path, large: Sequence[str]) -> Iterator[str]:
    untrained = [modality for modality in draft.modalities if modality not in draft.weights]
    if untrained:
        yield (
            f"the weights of {', '.join(untrained)} are untrained; put yours in their place, state their sha256, and take "
            "out the modalities that you have none for"
        )
    if large:
        yield f"larger than {LARGEST_FILE / 1e6:.0f} MB and not in the folder; upload before you open a pull request:"
        yield from (f"  {each}" for each in large)
    yield f"fill in {folder / 'submission.toml'}, then:"
    for command in ("check", "evaluate", "package"):
        yield f"  oncorobust {command} {draft.name}"
