"""Recipes: each of ours is what its sources say, and each thing wrong in one of one's own is named."""

import tomllib

import pytest
from training_models import TOML, adversarial, naive

from benchmark.errors import ProtocolError
from benchmark.folders import ROOT
from benchmark.modality import MODALITIES
from benchmark.submission import read_submission
from benchmark.training import RECIPES, read_recipe
from benchmark.training.recipe import FOLDER

SUBMISSIONS = ROOT / "submissions"

# sha256 of everything in them that shapes weights; a change here is a new recipe with a new name, for committed
# weights name the recipe that made them.
FROZEN = {
    ("naive", "ct"): "fc387429",
    ("pgd-at", "ct"): "b0087ab3",
    ("pgd-at-long", "ct"): "5cc0f00b",
    ("n-fgsm", "ct"): "ae9e4a38",
    ("trades", "ct"): "3a6c6d90",
    ("trades-awp", "ct"): "f5db3b94",
    ("paper-two-stage", "ct"): "018b9431",
    ("paper-two-stage", "mammogram"): "ead48641",
    ("paper-two-stage", "mri"): "09e50e34",
}


@pytest.mark.parametrize("modality", MODALITIES)
@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_reads_for_every_modality(name, modality):
    recipe = read_recipe(name, modality)

    assert recipe.name == name
    assert recipe.sources
    assert (recipe.epsilon > 0) == (name != "naive") == (recipe.validation.epsilon is not None)
    assert recipe.epsilon_at(recipe.epochs) == recipe.epsilon


@pytest.mark.parametrize(("name", "modality"), FROZEN)
def test_recipes_that_made_committed_weights_stay_as_they_are(name, modality):
    assert read_recipe(name, modality).digest.startswith(FROZEN[name, modality])


def test_no_recipe_that_made_committed_weights_is_left_out():
    entries = [read_submission(path.parent).file for path in SUBMISSIONS.glob("*/submission.toml")]
    made = {entry.training.recipe for entry in entries if entry.kind != "entry"}  # others' recipes are theirs

    assert made - {""} <= {name for name, _ in FROZEN}


def stages(name, modality):
    return [(stage.epsilon, stage.epochs) for stage in read_recipe(name, modality).attack.stages]


def test_the_paper_has_its_own_two_epsilons_for_each_modality():
    assert stages("paper-two-stage", "ct") == [(0.001, 15), (0.002, 5)]  # 150 : 50
    assert stages("paper-two-stage", "mammogram") == [(0.0007, 10), (0.002, 10)]  # 50 : 50
    assert stages("paper-two-stage", "mri") == [(0.004, 20)]
    attack = read_recipe("paper-two-stage", "ct").attack
    assert (attack.steps, attack.step) == (7, 0.25)


def test_the_stages_follow_each_other():
    recipe = read_recipe("paper-two-stage", "ct")

    sizes = [recipe.epsilon_at(epoch) for epoch in range(1, recipe.epochs + 1)]

    assert sizes == [0.0] * 8 + [0.001] * 15 + [0.002] * 5


def test_the_attack_begins_after_the_naive_epochs_and_rises_to_its_full_size():
    recipe = adversarial(stages=({"epsilon": 0.015, "epochs": 4, "ramp_epochs": 2},))

    sizes = [recipe.epsilon_at(epoch) for epoch in range(1, 7)]

    assert sizes == pytest.approx([0, 0, 0.005, 0.01, 0.015, 0.015])
    assert sizes[-1] == 0.015


def test_a_second_stage_rises_from_the_first():
    two = ({"epsilon": 0.004, "epochs": 1}, {"epsilon": 0.01, "epochs": 3, "ramp_epochs": 2})

    assert [adversarial(stages=two).epsilon_at(n) for n in (3, 4, 5, 6)] == pytest.approx(
        [0.004, 0.006, 0.008, 0.01]
    )


def test_the_digest_is_of_what_shapes_the_weights():
    first = naive()

    assert first.digest == naive(name="other", title="Other", sources=["elsewhere"]).digest
    assert first.digest != naive(batch=9).digest


# -- bad input -------------------------------------------------------------------------------


@pytest.fixture
def refused(tmp_path):
    """What is said of the tiny recipe when its text is changed."""

    def read(*changes, modality="ct"):
        text = TOML
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "own.toml").write_text(text, "utf-8")
        with pytest.raises(ProtocolError) as raised:
            read_recipe(str(tmp_path / "own.toml"), modality)
        return str(raised.value).splitlines()

    return read


def test_a_recipe_of_ones_own_is_read_from_its_path(tmp_path):
    (tmp_path / "own.toml").write_text(TOML, "utf-8")

    assert read_recipe(str(tmp_path / "own.toml"), "mri").name == "own"


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("batch = 8", "batch = 8\nbacth = 9", "  bacth: unknown key; correct or remove it"),
        (
            "epsilon = 0.02, epochs",
            "epsilon = 0.5, epochs",
            "  attack.stages.0.epsilon: ε must lie in the range of the protocol's grid, 0.0005 to 0.02 (got 0.5)",
        ),
        (
            "epsilon = 0.02, epochs",
            "epsilon = 0.0001, epochs",
            "  attack.stages.0.epsilon: ε must lie in the range of the protocol's grid, 0.0005 to 0.02 (got 0.0001)",
        ),
        ("batch = 8\n", "", "  batch: is missing; nothing is assumed"),
        ("batch = 8", 'batch = "8"', "  batch: it should be a valid integer (got 8)"),
        (
            "learning_rate = 1e-3",
            "learning_rate = nan",
            "  learning_rate: it should be a finite number (got nan)",
        ),
        ("decay = 0.9\n", "decay = 1.5\n", "  averaging.decay: it should be less than 1 (got 1.5)"),
        (
            "steps = 1\nstep = 0.5\nstart",
            "steps = 0\nstep = 0.5\nstart",
            "  attack.steps: it should be greater than or equal to 1 (got 0)",
        ),
        (
            "epochs = 4 }",
            "epochs = 4, ramp_epochs = 4 }",
            "  attack.stages.0: ramp_epochs 4 leaves none of the 4 epochs at ε",
        ),
        (
            "[validation]\nevery = 1\nepsilon = 0.02",
            "[validation]\nevery = 1",
            "  recipe: an adversarial recipe is chosen under attack: give [validation] epsilon, steps and step",
        ),
        (
            "[guard]",
            "[awp]\ngamma = 0.01\nwarm_up_epochs = 5\n[guard]",
            "  recipe: [awp] warm_up_epochs 5 leaves none of the 5 epochs",
        ),
    ],
)
def test_what_is_wrong_is_named(refused, old, new, sentence):
    first, *found = refused((old, new))

    assert first == "recipe own.toml cannot be used:"
    assert [line.partition(" (got {")[0] for line in found] == [sentence]


def test_an_attack_of_another_name_is_refused(refused):
    (_, line) = refused(('method = "trades"', 'method = "magic"'))

    assert "magic" in line
    assert "'n-fgsm'" in line


def test_all_complaints_come_at_once(refused):
    found = refused(
        ("batch = 8", "bacth = 8"), ("decay = 0.9\n", "decay = 2.0\n"), ("epochs = 4", "epochs = 0")
    )

    assert {line.partition(":")[0].strip() for line in found[1:]} == {
        "bacth",
        "batch",
        "averaging.decay",
        "attack.stages.0.epochs",
    }


def test_a_complaint_about_one_modality_names_it_whichever_is_trained(refused):
    found = refused(("[guard]", "[mri.attack]\nsteps = 0\n[guard]"), modality="ct")

    assert found[1:] == ["  attack.steps: it should be greater than or equal to 1 (got 0) [mri]"]


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("magic", r"unknown recipe 'magic'; expected one of .*naive.*or the path of a \.toml file"),
        ("/no/such.toml", "recipe /no/such.toml cannot be read: No such file"),
    ],
)
def test_a_recipe_that_is_not_there_is_refused(name, sentence):
    with pytest.raises(ProtocolError, match=sentence):
        read_recipe(name, "ct")


@pytest.mark.parametrize("content", [b"batch = = 3", b"\xff\xfe"])
def test_what_is_no_toml_is_refused(tmp_path, content):
    (tmp_path / "own.toml").write_bytes(content)

    with pytest.raises(ProtocolError, match=r"own\.toml is no TOML file"):
        read_recipe(str(tmp_path / "own.toml"), "ct")


def test_nothing_is_hidden_a_recipe_says_every_number_itself():
    """What a file leaves out is off; no default of the code shapes the weights."""
    for name in RECIPES:
        table = tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8"))
        said = {key for key in table if key not in {*MODALITIES, "attack", "awp", "averaging", "guard"}}
        assert said == {
            "title", "sources", "naive_epochs", "batch", "learning_rate", "weight_decay", "warm_up",
            "clip_gradient", "batch_norm", "validation",
        }  # fmt: skip
