"""Preparing is bound by reading files, and its memory by one unit, however large the collection is."""

import os
import subprocess
import sys

import pytest

from benchmark.data.speed import Speed, measure
from benchmark.folders import ROOT

REAL = ROOT.parent / "shared" / "data" / "lidc" / "LIDC-IDRI"

LARGE = """
import resource, sys
from pathlib import Path
import numpy as np
from benchmark.data.collection import Index, Reading, Sample, Unit
from benchmark.data.manifest import Item, write_manifest
from benchmark.data.prepared.prepare import prepare

UNITS, IMAGES, SIDE = 40, 8, 512  # 40 x 4 MB

class Large:
    NAME, MODALITY, SOURCE = "lidc-idri", "ct", {}
    def index(self, source):
        return Index([Unit(f"1.{n}", f"P{n}", None) for n in range(UNITS)])
    def read(self, unit):
        pixels = np.random.default_rng(1).integers(0, 65536, (IMAGES, SIDE, SIDE)).astype(np.uint16)
        return Reading([Sample(pixels[i], i % 2, unit.patient_id, f"{unit.patient_id}/{i}") for i in range(IMAGES)])

items = [Item("train", f"P{n}", f"1.{n}", f"P{n}") for n in range(UNITS)]
manifest = write_manifest(Path(sys.argv[1]), items, {"collection": "lidc-idri", "version": "large", "modality": "ct"})
Large().read(Unit("1.0", "P0", None))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
done = prepare(Large(), Path(), manifest, progress=False)
assert done.lock.parts["train"].images == UNITS * IMAGES
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_memory_does_not_grow_with_the_collection(tmp_path):
    """160 MB of images, which the audit maps and reads: those pages count, though they can be taken back. Holding the
    images besides would double them."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "ONCOROBUST_WORKERS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", LARGE, str(tmp_path / "a.csv")],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert int(done.stdout) < 280, "megabytes"


@pytest.mark.skipif(not REAL.is_dir(), reason="no sample of LIDC-IDRI beside the repository")
def test_a_real_series_is_prepared_fast_and_in_little_memory():
    """The aim is 100 slices a second and core; half of it here, for a machine that others use too."""
    speed = measure("lidc-idri", REAL, repeats=2)

    assert speed.files == 53
    assert speed.per_second > 50
    assert speed.megabytes < 1000 or "torch" in sys.modules


def test_the_estimate_counts_files_that_are_only_looked_through():
    speed = Speed(files=100, look=1.0, read=2.0, megabytes=1)

    assert speed.per_second == pytest.approx(100 / 3)
    assert speed.seconds_for(1000, 100) == pytest.approx(12)
