"""What is known of a split's images, by the names that its makers gave it → words with a unit, as pages print groups."""

from __future__ import annotations

import re

from benchmark.measures import Subgroup

# Fact → what it is, and the unit of its numbers.
WORDS = {
    "diameter_mm": ("diameter", "mm"),
    "distance_from_middle": ("distance from the middle", "px"),
    "noise_hu": ("noise, SD", "HU"),
    "point_spread": ("blur of the scanner, SD", "px"),
    "wall": ("chest wall in the image", ""),
    "offset_mm": ("distance from the middle", "mm"),
    "contrast": ("contrast of the mass", ""),
    "calcifications": ("calcifications", ""),
    "breast_density": ("breast density, BI-RADS", ""),
    "subtlety": ("subtlety, 1 to 5", ""),
    "mask_area_px": ("area of the mask", "px"),
    "mask_height_px": ("height of the mask", "px"),
    "mask_width_px": ("width of the mask", "px"),
    "centre_row": ("row of the mass, share of the film", ""),
    "centre_column": ("column of the mass, share of the film", ""),
    "film_rows": ("height of the film", "px"),
    "film_columns": ("width of the film", "px"),
    "slice_thickness_mm": ("slice thickness", "mm"),
    "pixel_spacing_mm": ("pixel spacing", "mm"),
    "brain_mm2": ("area of the brain", "mm²"),
    "width_px": ("width", "px"),
    "height_px": ("height", "px"),
}
YES_OR_NO = {"wall": {"0": "no", "1": "yes"}}
IN_BRACKETS = re.compile(r"(.+) \((.+)\)")  # "brain area (px)"


def group_words(group: Subgroup) -> str:
    """A group by name: "diameter ≤ 10.7 mm", "chest wall in the image: yes"."""
    name, unit = _fact(group.fact)
    value = YES_OR_NO.get(group.fact, {}).get(group.group, group.group)
    sign = " " if value[0] in "≤>" else ": "
    return f"{name}{sign}{value}" + (f" {unit}" if unit else "")


def _fact(fact: str) -> tuple[str, str]:
    if fact in WORDS:
        return WORDS[fact]
    told = IN_BRACKETS.fullmatch(fact)
    return (told[1], told[2]) if told else (fact.replace("_", " "), "")
