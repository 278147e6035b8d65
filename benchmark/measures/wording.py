"""What a positive image is, in words that stand wherever a sensitivity stands."""

from __future__ import annotations

from benchmark.modality import get_modality

CLINICAL = {
    "ct": "a nodule whose malignancy its readers suspect, not pathology",
    "mammogram": "a mass that pathology found malignant",
    "mri": "a slice that shows a metastasis",
}
PHANTOM = {
    "ct": "a nodule drawn as malignant (synthetic)",
    "mammogram": "a mass drawn as malignant (synthetic)",
    "mri": "a slice with a metastasis drawn in (synthetic)",
}


def positive_words(modality: str, track: str) -> str:
    """What label 1 means on a track: the finding, and who says so.

    >>> positive_words("ct", "clinical")
    'a nodule whose malignancy its readers suspect, not pathology'
    """
    known = {"clinical": CLINICAL, "phantom": PHANTOM}.get(track, {})
    return known.get(modality) or f"an image labelled {get_modality(modality).positive} by who made the split"
