"""The LIDC-IDRI phantom tree with the readers' marks as DICOM segmentations and reports, as DICOM-LIDC-IDRI-Nodules.

highdicom writes the objects, and our reader, which does without it, is tested against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmark.data.dicom import SliceFile
from benchmark.data.dicom.series import find_series, order_slices
from benchmark.data.lidc.annotations import Marking, find_annotation_files, read_annotations
from benchmark.data.phantom import as_lidc, draw_split
from benchmark.data.phantom.lidc_files import write_dataset
from benchmark.data.phantom.scans import NOTICE, PhantomScan
from benchmark.data.split import Split
from benchmark.errors import DataError

if TYPE_CHECKING:
    from pydicom import Dataset

IMAGES, SEED = as_lidc.IMAGES, as_lidc.SEED
SUSPICION = (
    "Highly Unlikely",
    "Moderately Unlikely",
    "Indeterminate",
    "Moderately Suspicious",
    "Highly Suspicious",
)


def write_tree(
    folder: Path, images: int = IMAGES, seed: int = SEED, progress: bool = False
) -> list[PhantomScan]:
    """The tree of `as_lidc`, its XML replaced.

    Raises:
        DataError: nothing can be written there, or highdicom is not installed.
    """
    return write_split(folder, draw_split("ct", "train", seed, images, progress), progress)


def write_split(folder: Path, split: Split, progress: bool = False) -> list[PhantomScan]:
    """The tree of `as_lidc.write_split`, its XML replaced.

    Labels and patients read from it are the split's, and every image is, moved by less than a pixel: a mask is no exact
    outline (its converter counts a pixel under the line in or out by the side that it is on), so its middle is not the
    outline's.

    Raises:
        DataError: as `write_tree`.
    """
    _require_highdicom()
    scans = as_lidc.write_split(folder, split, progress)
    replace_annotations(folder)
    return scans


def replace_annotations(folder: Path) -> None:
    """Write what the XML files below `folder` say of the series there as segmentations and reports; remove the XML."""
    series, _ = find_series(folder)
    annotated, _ = find_annotation_files(folder)
    for uid, path in annotated.items():
        read = read_annotations(path)
        if read and uid in series:
            slices = order_slices(series[uid])
            write_segmentations(folder / "lidc_idri" / slices[0].patient_id, slices, read[1])
        path.unlink()


def write_segmentations(folder: Path, slices: Sequence[SliceFile], markings: Sequence[Marking]) -> None:
    """For each marking a segmentation and a report, in folders of their own as idc-index lays them out.

    Raises:
        DataError: nothing can be written there, or highdicom is not installed.
    """
    _require_highdicom()
    from pydicom import dcmread

    by_z = {item.z: item for item in slices}
    positions = np.array(sorted(by_z))
    for number, marking in enumerate(markings):
        drawn = sorted({positions[int(np.abs(positions - z).argmin())] for z, _ in marking.contours})
        masks = np.stack([_mask(marking, z, slices[0].shape) for z in drawn])
        # A line that encloses no pixel leaves an empty mask, which the collection leaves out.
        kept = [k for k in range(len(drawn)) if masks[k].any()]
        if not kept:
            continue
        images = [dcmread(by_z[drawn[k]].path) for k in kept]
        name = f"Nodule {number + 1} - Annotation {number}"
        segmentation = _segmentation(images, masks[kept], name, number)
        report = _report(images, segmentation, marking.malignancy, name, number)
        for kind, dataset in (("SEG", segmentation), ("SR", report)):
            series, sop = dataset.SeriesInstanceUID, dataset.SOPInstanceUID
            write_dataset(
                folder / str(dataset.StudyInstanceUID) / f"{kind}_{series}" / f"{sop[-12:]}.dcm", dataset
            )


def _mask(marking: Marking, z: float, shape: tuple[int, int]) -> np.ndarray:
    """What lies inside of the outlines of one slice, as the publication's converter decided it (pylidc's masks)."""
    from matplotlib.path import Path as Polygon

    mask = np.zeros(shape, bool)
    for at, points in marking.contours:
        if abs(at - z) < 0.01:
            (top, left), (bottom, right) = points.min(0).astype(int), points.max(0).astype(int) + 1
            pixels = np.mgrid[top:bottom, left:right].reshape(2, -1).T
            inside = Polygon(np.concatenate([points, points[:1]]), closed=True).contains_points(pixels)
            mask[top:bottom, left:right] |= inside.reshape(bottom - top, right - left)
    return mask


def _segmentation(images: Sequence[Dataset], masks: np.ndarray, name: str, number: int) -> Any:
    from highdicom.seg import (
        SegmentAlgorithmTypeValues,
        Segmentation,
        SegmentationTypeValues,
        SegmentDescription,
    )
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    series = images[0].SeriesInstanceUID
    description = SegmentDescription(
        segment_number=1,
        segment_label=name,
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Nodule,
        algorithm_type=SegmentAlgorithmTypeValues.MANUAL,
        tracking_uid=generate_uid(entropy_srcs=[NOTICE, series, name, "tracking"]),
        tracking_id=name,
    )
    return Segmentation(
        source_images=images,
        pixel_array=masks,
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=[description],
        series_instance_uid=generate_uid(entropy_srcs=[NOTICE, series, name, "SEG"]),
        series_number=1000 + number,
        sop_instance_uid=generate_uid(entropy_srcs=[NOTICE, series, name, "SEG image"]),
        instance_number=1,
        manufacturer="OncoRobust",
        manufacturer_model_name=NOTICE,
        software_versions="1",
        device_serial_number="1",
        series_description=f"Segmentation of {name}",
    )


def _report(images: Sequence[Dataset], segmentation: Any, malignancy: int, name: str, number: int) -> Any:
    from highdicom import sr
    from pydicom.sr.codedict import codes
    from pydicom.uid import generate_uid

    series = images[0].SeriesInstanceUID
    rating = sr.QualitativeEvaluation(
        name=sr.CodedConcept("RID36042", "RadLex", "Malignancy"),
        value=sr.CodedConcept(
            str(900 + malignancy), "99LIDCQIICR", f"{malignancy} out of 5 ({SUSPICION[malignancy - 1]})"
        ),
    )
    group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=generate_uid(entropy_srcs=[NOTICE, series, name, "tracking"]), identifier=name
        ),
        referenced_segment=sr.ReferencedSegment(
            sop_class_uid=segmentation.SOPClassUID,
            sop_instance_uid=segmentation.SOPInstanceUID,
            segment_number=1,
            source_series=sr.SourceSeriesForSegmentation.from_source_image(images[0]),
        ),
        finding_type=codes.SCT.Nodule,
        qualitative_evaluations=[rating],
    )
    observer = sr.ObserverContext(
        observer_type=codes.DCM.Person,
        observer_identifying_attributes=sr.PersonObserverIdentifyingAttributes(name="anonymous^observer"),
    )
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_person_context=observer),
        procedure_reported=codes.LN.CTUnspecifiedBodyRegion,
        imaging_measurements=[group],
    )
    return sr.EnhancedSR(
        evidence=[*images, segmentation],
        content=content[0],
        series_number=2000 + number,
        series_instance_uid=generate_uid(entropy_srcs=[NOTICE, series, name, "SR"]),
        sop_instance_uid=generate_uid(entropy_srcs=[NOTICE, series, name, "SR document"]),
        instance_number=1,
        manufacturer="OncoRobust",
        is_complete=True,
        is_verified=False,
        series_description=f"{name} evaluations",
    )


def _require_highdicom() -> None:
    from importlib.util import find_spec

    if find_spec("highdicom") is None:
        raise DataError("writing segmentations needs highdicom: pip install 'oncorobust[segmentations]'")
