"""A small timm ResNet, trained on the phantom track's train part by plain PyTorch: put your own training in its place.

python train_timm.py CHECKPOINT.pt [EPOCHS]
"""

import sys
from pathlib import Path

import timm
import torch
from torch.nn.functional import cross_entropy

from benchmark import load_split

if not Path(sys.argv[1]).absolute().parent.is_dir():
    sys.exit(f"{sys.argv[1]} cannot be written: make its folder first")

torch.manual_seed(0)
train, validation = load_split("ct", part="train"), load_split("ct", part="validation")
model = timm.create_model("resnet18", num_classes=2, in_chans=1, channels=[16, 32, 64, 128])
optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-4)

for epoch in range(int(sys.argv[2]) if len(sys.argv) > 2 else 8):
    model.train()
    for rows in torch.randperm(len(train)).split(50):
        images, labels = train.chosen(rows.tolist()).batch()  # (50, 1, 64, 64) in [0, 1], (50,)
        loss = cross_entropy(model(images), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    images, labels = validation.batch()
    with torch.no_grad():
        accuracy = (model.eval()(images).argmax(1) == labels).float().mean()
    print(f"epoch {epoch}: {accuracy:.3f} on {validation.name}", flush=True)

torch.save(model.state_dict(), sys.argv[1])
