"""The programs that a newcomer begins with."""

import csv
import os
import re
import subprocess
import sys

import numpy as np
import timm
from safetensors.torch import save_file

from benchmark.folders import ROOT

EXAMPLE = ROOT / "benchmark" / "examples" / "own_model.py"


def test_a_timm_model_of_ones_own_is_evaluated_on_images_of_ones_own(tmp_path):
    rows = []
    for number in range(4):
        values = np.random.default_rng(number).integers(-1000, 400, (80, 72)).astype(np.int16)
        np.save(tmp_path / f"{number}.npy", values)
        rows.append((f"{number}.npy", number % 2, f"patient {number}", "test"))
    with open(tmp_path / "own.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("file", "label", "patient_id", "part"), *rows])
    model = timm.create_model("resnet18", num_classes=2, in_chans=1)
    save_file(model.state_dict(), tmp_path / "mine.safetensors")

    done = subprocess.run(
        [sys.executable, EXAMPLE, tmp_path, tmp_path / "own.csv", tmp_path / "mine.safetensors"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

    assert done.returncode == 0, done.stderr[-3000:]
    assert re.search(r"^clean \d\.\d{3} on 4 images$", done.stdout, re.M)
    assert len(re.findall(r"^at most \d\.\d{3} when every pixel", done.stdout, re.M)) == 3


def test_it_is_short():
    assert len(EXAMPLE.read_text("utf-8").splitlines()) < 30


def test_a_place_that_cannot_be_written_is_told_before_the_training(tmp_path):
    program = ROOT / "benchmark" / "examples" / "train_timm.py"

    done = subprocess.run(
        [sys.executable, program, tmp_path / "none" / "x.pt"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )

    assert done.returncode == 1
    assert "none/x.pt cannot be written: make its folder first" in done.stderr
    assert done.stdout == ""
