"""From readers' outlines to nodules: which markings are of one nodule, and what its readers say of it together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from benchmark.data.dicom import SliceFile
from benchmark.data.lidc.annotations import Marking
from benchmark.errors import DataError

READERS = 3  # outlines that a nodule must have


@dataclass(frozen=True)
class Nodule:
    """The markings of one nodule, as a rule by different readers."""

    markings: tuple[Marking, ...]

    @property
    def readers(self) -> int:
        """How many outlines it has, one for each reader.

        A reader who outlined it in two pieces counts twice, as in the literature: of the collection's public
        forms only the XML tells readers apart.
        """
        return len(self.markings)

    @property
    def malignancy(self) -> float:
        """Mean rating, 1 to 5."""
        return sum(marking.malignancy for marking in self.markings) / len(self.markings)

    @property
    def label(self) -> int | None:
        """1 malignant, 0 benign, None where the readers' mean is exactly 3."""
        total, middle = sum(marking.malignancy for marking in self.markings), 3 * len(self.markings)
        return None if total == middle else int(total > middle)

    @property
    def centre(self) -> tuple[float, float]:
        """Row and column in pixels: the mean over markings of the mean of their points."""
        means = [
            np.concatenate([points for _, points in marking.contours]).mean(0) for marking in self.markings
        ]
        row, column = np.mean(means, axis=0)
        return float(row), float(column)

    @property
    def z(self) -> tuple[float, ...]:
        """Positions in mm on which at least half of its markings lie, ascending.

        On the outer slices, which only a minority sees, there may be nothing to see: partial volume.
        """
        seen = Counter(z for m in self.markings for z in {round(z, 2) for z, _ in m.contours})
        return tuple(sorted(z for z, readers in seen.items() if 2 * readers >= self.readers))

    def diameter(self, spacing: tuple[float, float]) -> float:
        """Longest distance in mm within one outline, mean over markings; `spacing` as (row, column) in mm."""
        longest = [max(pdist(points * spacing).max() for _, points in m.contours) for m in self.markings]
        return float(np.mean(longest))


def find_nodules(markings: Sequence[Marking], slices: Sequence[SliceFile]) -> list[Nodule]:
    """Nodules with at least three outlines, from feet to head.

    Raises:
        DataError: an outline lies outside the image: the markings are of other images.
    """
    rows, columns = slices[0].shape
    for marking in markings:
        for z, points in marking.contours:
            if points.min() < 0 or (points > (rows - 1, columns - 1)).any():
                raise DataError(
                    f"an outline at z {z:g} mm leaves the image of {rows} x {columns} pixels; "
                    "the annotation XML is of other images: replace it"
                )
    positions = np.array([item.z for item in slices])
    slice_distance = (
        float(np.median(np.diff(positions))) if len(positions) > 1 else slices[0].thickness or 1.0
    )
    groups = cluster(markings, slice_distance, slices[0].thickness or slice_distance)
    nodules = [nodule for nodule in map(Nodule, groups) if nodule.readers >= READERS and nodule.z]
    return sorted(nodules, key=lambda nodule: (nodule.z, nodule.centre))


def cluster(
    markings: Sequence[Marking], slice_distance: float, tolerance: float
) -> list[tuple[Marking, ...]]:
    """Markings grouped into physical nodules, as pylidc's `cluster_annotations` does.

    Two markings are neighbours where their nearest points lie within `tolerance`; a nodule is a connected
    component. While one has more than four markings, the tolerance shrinks by a tenth, down to 0.1.

    Distances are in pixels and slices while the tolerance is the slice thickness in mm. The mix is pylidc's,
    kept because the labels of the literature come from it.

    Args:
        slice_distance: mm from slice to slice.
        tolerance: SliceThickness.
    """
    clouds = [
        np.concatenate(
            [np.column_stack([points, np.full(len(points), z / slice_distance)]) for z, points in m.contours]
        )
        for m in markings
    ]
    trees = [cKDTree(cloud) for cloud in clouds]
    distance = np.zeros((len(markings), len(markings)))
    for i, tree in enumerate(trees):
        for j in range(i):
            nearest = tree.query(clouds[j], distance_upper_bound=tolerance + 1)[0].min()
            distance[i, j] = distance[j, i] = nearest
    while len(markings):
        # The slack keeps "as far apart as the tolerance" on one side whatever the rounding of z.
        count, group = connected_components(distance <= tolerance + 1e-6, directed=False)
        if np.bincount(group).max() <= 4 or 0.9 * tolerance < 0.1:
            return [tuple(m for m, g in zip(markings, group, strict=True) if g == k) for k in range(count)]
        tolerance *= 0.9
    return []
