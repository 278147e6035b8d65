"""Every attack of torchattacks, by its name: on two classes and one channel it runs, or is refused with the reason."""

import pytest
import torchattacks
from click.testing import CliRunner
from models import Linear, oracle_split, small_protocol

from benchmark import evaluate
from benchmark.attacks.battery import named
from benchmark.attacks.by_name import REFUSED, SEES
from benchmark.cli import main
from benchmark.errors import ProtocolError

# Steps enough for a linear model; the strength that each must then have there, as a share of what is possible.
FEW = {"SPSA": {"nb_iter": 10, "lr": 0.01}, "Square": {"n_queries": 200}, "FFGSM": {"alpha": 1.25}}
WEAK = {"SPSA", "FFGSM", "Jitter", "TPGD", "Square", "DIFGSM", "FAB", "sign_noise"}
OURS = {"sign_noise"}


def test_every_attack_of_torchattacks_is_known_or_refused():
    theirs = {
        name
        for name, value in vars(torchattacks).items()
        if isinstance(value, type) and name not in ("Attack",)
    }

    assert theirs == (SEES.keys() - OURS) | REFUSED.keys()
    assert not SEES.keys() & REFUSED.keys()


@pytest.mark.parametrize("name", sorted(SEES.keys() - OURS))
def test_each_runs_on_two_classes_and_one_channel_and_finds_what_a_linear_model_gives(name):
    model = Linear()
    split = oracle_split(model)
    truth = model.smallest_epsilon(split)
    protocol = small_protocol(named(name, **FEW.get(name, {})), epsilons=("0.004", "0.008"))

    record = evaluate(model, split, protocol)

    for epsilon in record.epsilons:
        possible, found = (
            (truth > 0) & (truth <= float(epsilon)),
            record.clean_correct & ~record.robust(epsilon),
        )
        assert not (found & ~possible).any(), "broke what cannot be broken"
        if name not in WEAK:
            assert found.tolist() == possible.tolist()
    assert record.robust_accuracy("0.008") < record.clean_accuracy, "did nothing at all"


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_each_refusal_has_a_reason(name):
    with pytest.raises(ProtocolError, match=f"attack '{name}' is refused: .{{20,}}"):
        named(name)


def test_an_unknown_attack_or_parameter_is_refused_with_what_there_is():
    with pytest.raises(ProtocolError, match="unknown attack 'pgd'; expected one of APGD, BIM"):
        named("pgd")
    with pytest.raises(
        ProtocolError, match=r"attack 'PGD' takes no eps, stepz here; expected alpha, random_start, steps"
    ):
        named("PGD", stepz=3, eps=0.1)


def test_every_parameter_is_written_out():
    assert dict(named("VMIFGSM", N=3).parameters) == {"steps": 10, "decay": 1.0, "N": 3, "beta": 1.5}
    assert named("VMIFGSM").step == 0.25
    assert dict(named("EOTPGD", eot_iter=5).parameters) == {"steps": 10, "eot_iter": 5, "random_start": True}


def test_the_command_tries_one_attack_and_keeps_nothing(constant, tmp_path, cache):
    split = oracle_split(Linear())
    (tmp_path / "scans").mkdir()
    split.save(tmp_path / "scans" / "ct-test.safetensors")

    result = CliRunner().invoke(
        main,
        (
            f"attack constantlike MIFGSM --modality ct --track {tmp_path / 'scans'} "
            "--epsilon 0.004 --epsilon 0.002 --set steps=3"
        ).split(),
    )

    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.output.splitlines()] == [
        "constantlike · ct", "  MIFGSM ε = 0.002", "  MIFGSM ε = 0.004",
    ]  # fmt: skip
    assert not list(cache.glob("blocks/*/block*"))
