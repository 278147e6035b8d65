"""Every attack that has a name in torchattacks: what it shows of itself, or why it is refused.

Checked on two classes and one channel; `tests/test_attacks.py` runs each.
"""

from __future__ import annotations

from typing import Literal

# What an attack lets the harness see:
#   every iterate   it asks about all its images at every step, and each iterate is a candidate
#   output          only what it returns: it asks about neighbours outside the ball, or about some images
#   distances       as "output", and it measures distances or margins, so it sees g / T instead of asinh
Sight = Literal["every iterate", "output", "distances"]

SEES: dict[str, Sight] = {
    "sign_noise": "output",
    "FGSM": "every iterate",
    "BIM": "every iterate",
    "PGD": "every iterate",
    "RFGSM": "every iterate",
    "MIFGSM": "every iterate",
    "EOTPGD": "every iterate",
    "APGD": "every iterate",
    "UPGD": "every iterate",
    "NIFGSM": "output",
    "VMIFGSM": "output",
    "VNIFGSM": "output",
    "SINIFGSM": "output",
    "DIFGSM": "output",
    "FFGSM": "output",
    "TPGD": "output",
    "Jitter": "output",
    "SPSA": "output",
    "FAB": "distances",
    "Square": "distances",
}
OWN_SEED = {"APGD", "FAB", "Square"}
EACH_ITS_OWN = {"APGD"}  # takes an ε for each image, so images go together whatever ε they are asked about

_THREE = "its smoothing kernels are made for three colour channels, the images have one"
_OTHER_NORM = "it bounds another norm than L∞"
REFUSED: dict[str, str] = {
    "TIFGSM": _THREE,
    "PIFGSM": _THREE,
    "PIFGSMPP": _THREE,
    "APGDT": "its targeted loss needs at least four classes, there are two; APGD is the same attack here",
    "AutoAttack": "its targeted attacks need more than two classes and it runs 10 steps; ask for a second opinion instead",
    "PGDRS": "its smoothing noise saturates the softmax and it perturbs nothing",
    "PGDRSL2": _OTHER_NORM,
    "CW": _OTHER_NORM,
    "DeepFool": _OTHER_NORM,
    "PGDL2": _OTHER_NORM,
    "EADEN": _OTHER_NORM,
    "EADL1": _OTHER_NORM,
    "SparseFool": _OTHER_NORM,
    "OnePixel": _OTHER_NORM,
    "Pixle": _OTHER_NORM,
    "JSMA": _OTHER_NORM,
    "GN": "it is Gaussian noise without a bound; the noise control is sign_noise",
    "VANILA": "it returns the images as they are",
    "LGV": "it trains the model further, and a submission is frozen",
    "MultiAttack": "it combines attacks; the worst case over the battery does that here",
}
