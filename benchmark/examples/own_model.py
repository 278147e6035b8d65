"""A timm model of one's own on a folder of one's own images: how much is left of its accuracy?

python own_model.py IMAGES TABLE.csv [WEIGHTS.safetensors], the table with the columns file, label, patient_id
"""

import sys
from pathlib import Path

import timm
from safetensors.torch import load_file

from benchmark import evaluate
from benchmark.data.folder import Window, prepare_folder

images, table, *weights = map(Path, sys.argv[1:])
model = timm.create_model("resnet18", num_classes=2, in_chans=1)  # (N, 1, H, W) in [0, 1] -> (N, 2)
if weights:
    model.load_state_dict(load_file(weights[0]))

own = prepare_folder(images, table, "ct", Window.parse("-1000,400"), size=64)  # stays on this machine
record = evaluate(model.eval(), own.splits["test"], protocol="quick")

print(f"clean {record.clean_accuracy:.3f} on {len(record.labels)} images")
for epsilon in record.epsilons:
    print(f"at most {record.robust_accuracy(epsilon):.3f} when every pixel may move by {epsilon}")
for flag in record.flags:
    print(f"{flag.severity}: {flag.sentence}")
