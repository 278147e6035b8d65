"""Every flag that a number can carry: what it asks, from which value on it is raised, and whose idea it is.

The checks themselves compute in `benchmark.evaluation` and bring a sentence about the case; what they mean stands here,
so that a page can tell it without a model at hand. `tests/test_checks.py` holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass

CARLINI = "Carlini et al. 2019, arXiv 1902.06705"
ATHALYE = "Athalye et al. 2018, ICML"
PINTOR = "Pintor et al. 2022, NeurIPS (indicators of attack failure)"
CROCE = "Croce & Hein 2020, ICML (AutoAttack)"


@dataclass(frozen=True)
class Check:
    """One kind of flag.

    severities: "notice" informs, "doubt" takes the rank away. threshold: from beyond which value on it is raised, in the
    check's own measure; None where it hangs on the images at hand. measure: what is measured. source: empty: ours.
    """

    id: str
    severities: tuple[str, ...]
    asks: str
    measure: str
    threshold: float | None
    source: str = ""


_DOUBT, _NOTICE = ("doubt",), ("notice",)

CHECKS = {
    check.id: check
    for check in (
        Check(
            "saturated-cross-entropy",
            _NOTICE,
            "Would plain cross-entropy have lost its gradient in float32? The attacks here run on a rescaled gap.",
            "share of images with a logit gap above 16",
            0.0,
            PINTOR,
        ),
        Check(
            "constant",
            _NOTICE,
            "Does every image get the same answer? Then nothing can change it, and robust accuracy is clean accuracy.",
            "spread of the logit gaps over their size",
            1e-6,
        ),
        Check(
            "random",
            _DOUBT,
            "Do the same images get other logits when asked again?",
            "largest change of the logit gap, in T",
            1e-3,
            CROCE,
        ),
        Check(
            "batch-dependent",
            _DOUBT,
            "Do an image's logits depend on the other images of its batch?",
            "largest change of the logit gap, in T",
            1e-3,
        ),
        Check(
            "attack-aware",
            _DOUBT,
            "Does the model answer otherwise when its gradient is asked for?",
            "largest change of the logit gap, in T",
            1e-3,
        ),
        Check(
            "training-mode",
            _DOUBT,
            "Do layers of dropout or batch normalisation stay in training mode?",
            "number of such layers",
            0.0,
        ),
        Check(
            "probabilities",
            ("doubt", "notice"),
            "Does the model return probabilities in place of logits? Their gradient can vanish.",
            "how far rows are from summing to 1; of one output, whether all lie between 0 and 1",
            1e-5,
            CROCE,
        ),
        Check(
            "discontinuous",
            _DOUBT,
            "Does a change below half a 16-bit grey level move the logits? Then images are known, not looked at.",
            "largest change of the logit gap, in T",
            0.1,
        ),
        Check(
            "known-images",
            _DOUBT,
            "Does accuracy fall when images are moved by one pixel? Asked of entries that bring code.",
            "loss of clean accuracy; the limit is 0.1 or three standard errors, whichever is larger",
            None,
        ),
        Check(
            "zero-gradient",
            _DOUBT,
            "Is the gradient of the logit gap exactly zero where attacks start, may start, or ended?",
            "share of the images looked at",
            0.01,
            PINTOR,
        ),
        Check(
            "misleading-gradient",
            _DOUBT,
            "Does a small step along the gradient do what the gradient says?",
            "share of the images looked at where it does not",
            0.1,
            ATHALYE,
        ),
        Check(
            "noise-beats-attack",
            _DOUBT,
            "Does random noise break images that no white-box attack broke?",
            "share of the images, three at least",
            0.01,
            ATHALYE,
        ),
        Check(
            "black-box-beats-white-box",
            _DOUBT,
            "Does a black-box attack break images that no white-box attack broke? Then gradients are masked.",
            "share of the images, three at least",
            0.01,
            CARLINI,
        ),
        Check(
            "one-step-beats-iterative",
            _DOUBT,
            "Does one step break images that many steps do not?",
            "share of the images, three at least",
            0.01,
            ATHALYE,
        ),
        Check(
            "non-monotone",
            _DOUBT,
            "Does an iterative attack break images at one ε and fail on them at a larger one?",
            "share of the images right when clean, three at least",
            0.01,
            CARLINI,
        ),
        Check(
            "unfinished",
            _DOUBT,
            "Were margins still falling when the longest attack ended?",
            "share of the way made in the last tenth of the steps",
            0.05,
            PINTOR,
        ),
        Check(
            "silent-success",
            _DOUBT,
            "Did images break the attacked model and not the one that judges, with the same weights?",
            "number of images",
            0.0,
            PINTOR,
        ),
        Check(
            "full-grid",
            _NOTICE,
            "Does asking every ε give other verdicts than the search between them? The headline ε is not searched.",
            "share of the verdicts",
            0.01,
        ),
        Check(
            "large-epsilon",
            _DOUBT,
            "Do gradient attacks leave images right at ε = 0.5 and 1, where nothing need be left to see?",
            "share of the images looked at, at ε = 0.5",
            0.0,
            ATHALYE,
        ),
        Check(
            "unsteady",
            _DOUBT,
            "Do random directions in the ball move the margin of images that no attack turned?",
            "mean relative change",
            0.1,
            PINTOR,
        ),
        Check(
            "stateful",
            _DOUBT,
            "After all attacks, do the clean images still get their first answers?",
            "largest change of the logit gap, in T",
            1e-3,
        ),
        Check(
            "changing-buffers",
            _DOUBT,
            "Does answering change the model's own buffers, as batch normalisation does in training?",
            "number of buffers",
            0.0,
        ),
        Check(
            "memorised",
            _DOUBT,
            "Is clean accuracy higher on the public test part than on images drawn afresh?",
            "difference, in standard errors",
            3.0,
        ),
        Check(
            "remembers",
            _DOUBT,
            "Under attack, does code give other logits than a new worker that saw no attack?",
            "largest change of the logit gap, in T",
            1e-3,
        ),
        Check(
            "other-verdicts",
            _DOUBT,
            "Are verdicts others in a new worker? Those of the new worker count.",
            "largest share of a block's verdicts",
            0.0,
        ),
        Check(
            "wrong-gradient",
            _DOUBT,
            "On the way of the attacks, do gradients say what the logits of a new worker do near by?",
            "share of those looked at",
            0.25,
            ATHALYE,
        ),
        Check(
            "robust-on-known-images",
            _DOUBT,
            "Is code less robust on images nobody has seen, and on those of the test part moved by one pixel?",
            "accuracy lost against BIM at the headline ε",
            None,
        ),
        Check(
            "nearest-image",
            _DOUBT,
            "Between two images of the test part, does code change its mind at once, half-way?",
            "share of the way between their answers, in a tenth of their distance",
            0.8,
        ),
        Check(
            "incomplete",
            _DOUBT,
            "Are images missing because their block could not be computed?",
            "number of images",
            0.0,
        ),
        Check(
            "battery-missed",
            _NOTICE,
            "Did AutoAttack by its authors, as a second opinion, break images that the battery left standing?",
            "share of the images it was given",
            0.0,
            CROCE,
        ),
    )
}
