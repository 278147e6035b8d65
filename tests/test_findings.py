"""What the README says was found: sentences of the records, and of nothing else."""

from __future__ import annotations

import re

import numpy as np
import pytest
from test_leaderboard import make, naive_and_trained

from benchmark.errors import DataError
from benchmark.record import Flag
from leaderboard.findings import findings
from leaderboard.readme import update_readme

DOUBT = Flag("zero-gradient", "doubt", 1.0, 0.05, "No gradient at all.")


def test_a_line_says_what_falls_and_what_training_gives_back():
    naive, trained = naive_and_trained()

    (line,) = findings([naive, trained], {}).splitlines()

    numbers = [float(found) for found in re.findall(r"(?<![\d.–(])\d+\.\d(?!\d)", line)]
    right = np.sort(naive.minimal_epsilon[naive.clean_correct])
    gain = trained.robust_accuracy("0.004") - naive.robust_accuracy("0.004")
    for expected in (
        naive.clean_accuracy,
        naive.robust_accuracy("0.004"),
        trained.robust_accuracy("0.004"),
        gain,
        abs(trained.clean_accuracy - naive.clean_accuracy),
    ):
        assert pytest.approx(100 * expected, abs=0.051) in numbers
    assert "which is 5.6 HU" in line
    assert f"fall within {right[len(right) // 2]:.4f}, " in line
    assert (
        f"{100 * trained.robust_accuracy('0.004') / trained.clean_accuracy:.0f} % of its clean accuracy"
        in line
    )


def test_the_best_that_is_believed_is_named_and_the_doubted_is_told_apart():
    naive, trained = naive_and_trained()
    better = make("too-good", strength=0.019, seed=3, naive_twin=naive.submission, flags=(DOUBT,))
    worse = make("weaker", strength=0.002, seed=4, naive_twin=naive.submission)

    lines = findings([naive, trained, better, worse], {}).splitlines()

    assert "The best of 3 trained entries, `vgg16-slim-pgd-at`, keeps" in lines[0]
    assert lines[1:] == ["- **In doubt, and so not ranked:** `too-good` (CT): No gradient at all."]


def test_an_entry_in_doubt_on_several_modalities_is_told_once():
    doubted = [
        make("too-good", modality, strength=0.019, seed=3, flags=(DOUBT,)) for modality in ("ct", "mri")
    ]

    (line,) = findings(doubted, {}).splitlines()

    assert (
        line == "- **In doubt, and so not ranked:** `too-good` (CT, MRI), on CT because: No gradient at all."
    )


def test_modalities_stay_apart_and_an_entry_alone_says_nothing():
    records = [*naive_and_trained("ct"), *naive_and_trained("mri"), make("alone", "mammogram")]

    assert [line[:8] for line in findings(records, {}).splitlines()] == ["- **CT.*", "- **MRI."]


def test_readme_without_a_place_for_it_is_named(tmp_path):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- results -->\n<!-- /results -->\n")

    with pytest.raises(DataError, match=r"has no lines <!-- findings --> and <!-- /findings -->"):
        update_readme(readme, naive_and_trained(), {})

    readme.write_text(
        "a\n<!-- results -->\nold\n<!-- /results -->\nb\n<!-- findings -->\n<!-- /findings -->\nc\n"
    )
    assert update_readme(readme, naive_and_trained(), {})
    assert not update_readme(readme, naive_and_trained(), {})
    text = readme.read_text()
    assert "old" not in text
    assert findings(naive_and_trained(), {}) in text
    assert text.startswith("a\n")
    assert text.endswith("c\n")
