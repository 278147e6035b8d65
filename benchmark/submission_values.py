"""The values of `submission.toml`: each kind with what is refused, in sentences that follow its key."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, Strict

from benchmark.errors import ProtocolError
from benchmark.remote import SHA256, address_complaint
from benchmark.threat_model import parse_epsilon

EPSILON = r"^([0-9]*[.]?[0-9]+(e-?[0-9]+)?(/[0-9]+)?)?$"


def _one_line(text: str) -> str:
    """Refuse what a terminal, a page or a build log would obey, or show in another order than it stands."""
    if text and not text.isprintable():
        raise ValueError(
            "must be one line without characters that do not show, such as control or direction marks; remove them"
        )
    return text


def whole(value: Any) -> Any:
    """Refuse what only equals a whole number."""
    if value is not None and type(value) is not int:
        raise ValueError("must be a whole number, without quotes")
    return value


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be empty; fill it in")
    return text


def _link(text: str) -> str:
    if text and (not text.startswith(("https://", "http://")) or any(map(str.isspace, text))):
        raise ValueError("must be a link that begins with https:// or http://")
    return text


def _address(text: str) -> str:
    if complaint := address_complaint(text):
        raise ValueError(complaint)
    return text


def _checksum(text: str) -> str:
    if not re.fullmatch(SHA256, text):
        raise ValueError("must be 64 digits from 0 to f, as sha256sum prints them")
    return text


def _safetensors(text: str) -> str:
    if not text.endswith(".safetensors"):
        raise ValueError(
            "must be a .safetensors file; make one of a checkpoint: oncorobust convert CHECKPOINT"
        )
    return text


def _epsilon(text: str) -> str:
    upper, slash, lower = text.partition("/")
    try:
        if text and not re.fullmatch(EPSILON, text):
            raise ValueError
        parse_epsilon(str(float(upper) / float(lower)) if slash else text or "0")
    except (ValueError, ZeroDivisionError, ProtocolError):
        raise ValueError(
            'must be one ε from 0 to 1, on pixels in [0, 1], such as "0.004" or "8/255"; say more in \'attack\''
        ) from None
    return text


Line = Annotated[str, Field(max_length=300), AfterValidator(_one_line)]
Text = Annotated[str, Field(max_length=3000), AfterValidator(_one_line)]
Link = Annotated[str, Field(max_length=300), AfterValidator(_one_line), AfterValidator(_link)]
Sha256 = Annotated[
    str, AfterValidator(_checksum), Field(max_length=64, json_schema_extra={"pattern": f"^{SHA256}$"})
]
File = Annotated[
    str,
    Field(max_length=300, json_schema_extra={"pattern": "[.]safetensors$"}),
    AfterValidator(_one_line),
    AfterValidator(_safetensors),
]
Address = Annotated[str, Field(max_length=600), AfterValidator(_one_line), AfterValidator(_address)]


Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Said = Annotated[
    str,
    Field(max_length=300, json_schema_extra={"pattern": r"\S"}),
    AfterValidator(_filled),
    AfterValidator(_one_line),
]
Epsilon = Annotated[
    str,
    Field(max_length=300, json_schema_extra={"pattern": EPSILON}),
    AfterValidator(_one_line),
    AfterValidator(_epsilon),
]
