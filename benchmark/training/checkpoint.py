"""A training that was killed goes on after its last epoch, and ends in the same weights."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmark.errors import DataError
from benchmark.files import replacing
from benchmark.folders import cache_folder

FORMAT = 1


@dataclass(frozen=True)
class Keeper:
    """Where the state of one training is kept after each epoch.

    Args:
        identity: everything that the weights depend on; plain data. A kept state of another identity is not used.
        say: told in a sentence why a kept state is not used.
    """

    path: Path
    identity: Mapping[str, Any]
    say: Callable[[str], None]

    def load(self) -> dict[str, Any] | None:
        """What was kept of this very training; None where there is nothing to go on from."""
        if not self.path.exists():
            for other in self._others():
                self.say(
                    f"{other.name} is of {self._difference(other)}: it is left alone, training begins anew"
                )
            return None
        found = _read(self.path)
        if found is None:
            self.say(f"checkpoint {self.path} is damaged or of another version: training begins anew")
            return None
        if found["identity"] != dict(self.identity):
            self.say(f"checkpoint {self.path} is of {self._difference(self.path)}: training begins anew")
            return None
        return found["state"]

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep a state in place of the one before; a crash leaves one of the two.

        Raises:
            DataError: it cannot be written.
        """
        with replacing(self.path) as file:
            torch.save({"format": FORMAT, "identity": dict(self.identity), "state": dict(state)}, file)

    def remove(self) -> None:
        """Forget it, once the weights are written.

        Raises:
            DataError: it cannot be removed.
        """
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            raise DataError(
                f"checkpoint {self.path} cannot be removed: {error.strerror}; remove it"
            ) from None

    def _others(self) -> list[Path]:
        stem = self.path.name.rsplit("-", 1)[0]
        return sorted(
            path for path in self.path.parent.glob(f"{stem}-*.pt") if len(path.name) == len(self.path.name)
        )

    def _difference(self, other: Path) -> str:
        found = _read(other)
        if found is None:
            return "another version of this program"
        theirs = found["identity"]
        return "another " + ", ".join(k for k in self.identity if theirs.get(k) != self.identity[k])


def keeper_for(name: str, identity: Mapping[str, Any], say: Callable[[str], None]) -> Keeper:
    """The keeper of a training.

    Args:
        name: for people, such as "ct-pgd-at-vgg16-slim-seed0".
        identity: as in `Keeper`; its digest ends the file's name, so that trainings do not overwrite each other's.
    """
    digest = hashlib.sha256(json.dumps(dict(identity), sort_keys=True).encode()).hexdigest()[:12]
    safe = "".join(letter if letter.isalnum() or letter in "-._" else "_" for letter in name)
    return Keeper(cache_folder() / "training" / f"{safe}-{digest}.pt", identity, say)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        # Tensors and plain containers alone: a checkpoint runs no code.
        found = torch.load(path, map_location="cpu", weights_only=True)
        return found if found["format"] == FORMAT and {"identity", "state"} <= set(found) else None
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError, TypeError, ValueError):
        return None
