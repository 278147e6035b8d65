"""The harness trusts no attack, changes nothing of the caller's, and gives the same record however it is run."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from models import (
    APGD,
    BIM,
    EPSILONS,
    FGSM,
    NOISE,
    PGD,
    SQUARE,
    Failing,
    FarApart,
    Linear,
    NotANumber,
    ThreeColumns,
    oracle_split,
    random_split,
    small_protocol,
    vgg_weights,
)

from benchmark.attacks import battery
from benchmark.attacks.battery import propose
from benchmark.attacks.two_class import gap, margins
from benchmark.attacks.watch import EveryImageBroken, Watched
from benchmark.errors import BenchmarkError, DataError, ProtocolError, SubmissionError
from benchmark.evaluation import arena, blocks, engine, evaluate
from benchmark.processes import worker_count
from benchmark.protocol import AttackSpec
from benchmark.record import Record
from benchmark.submission import load_submission
from benchmark.threat_model import achieved

CHEAP = small_protocol(
    NOISE,
    FGSM,
    BIM,
    replace(PGD, starts=2),
    replace(SQUARE, parameters={**SQUARE.parameters, "n_queries": 5}),
)


def with_attack(monkeypatch, attack):
    """Let every attack of torchattacks' family be `attack(images, labels, model, epsilon)`."""

    def stub(spec, view, epsilon, seed):
        return lambda images, labels: attack(images, labels, view, epsilon)

    monkeypatch.setattr(battery, "stock_attack", stub)


# -- attacks are not trusted -----------------------------------------------------------------


def test_an_attack_that_leaves_the_ball_is_judged_inside_it(monkeypatch):
    split = oracle_split(Linear())
    truth = Linear().smallest_epsilon(split)
    weight = Linear().weight.detach().view(1, 1, 16, 16)

    def leave(images, labels, view, epsilon):
        return images - torch.where(labels == 1, 1.0, -1.0).view(-1, 1, 1, 1) * weight.sign() * 10 * epsilon

    with_attack(monkeypatch, leave)
    record = evaluate(Linear(), split, small_protocol(FGSM))

    assert [record.robust(e).tolist() for e in EPSILONS] == [(truth > float(e)).tolist() for e in EPSILONS]


def test_an_attack_that_leaves_the_image_range_gains_nothing(monkeypatch):
    split = oracle_split(Linear())
    with_attack(monkeypatch, lambda images, labels, view, epsilon: torch.full_like(images, -7.0))
    protocol = small_protocol(replace(FGSM, search="minimum"), epsilons=("0.004", "1"))

    record = evaluate(Linear(), split, protocol)

    assert (
        record.attacks["fgsm"].linf[np.isfinite(record.attacks["fgsm"].linf)].max()
        <= split.images.max() / 65535
    )


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_an_attack_that_returns_no_numbers_gains_nothing(monkeypatch, value):
    with_attack(monkeypatch, lambda images, labels, view, epsilon: torch.full_like(images, value))

    record = evaluate(Linear(), oracle_split(Linear()), small_protocol(FGSM))

    assert record.robust_accuracy("0.008") == record.clean_accuracy
    assert np.isfinite(record.attacks["fgsm"].margins["0.008"][record.clean_correct]).all()


@pytest.mark.parametrize(
    "shape", [lambda x: x[:, :, :8], lambda x: x[:-1], lambda x: x[:1], lambda x: x[:, 0]]
)
def test_an_attack_that_returns_another_shape_ends_in_a_sentence(monkeypatch, shape):
    with_attack(monkeypatch, lambda images, labels, view, epsilon: shape(images))

    with pytest.raises(
        SubmissionError, match=r"attack 'fgsm' returned shape \(.*\), expected \(8, 1, 16, 16\)"
    ):
        evaluate(Linear(), oracle_split(Linear()), small_protocol(FGSM))


def test_an_attack_that_raises_ends_in_a_sentence(monkeypatch):
    def fail(images, labels, view, epsilon):
        raise IndexError("index -3 is out of bounds")

    with_attack(monkeypatch, fail)

    with pytest.raises(SubmissionError, match=r"attack 'fgsm', ε = 0.001, block 0: IndexError: index -3"):
        evaluate(Linear(), oracle_split(Linear()), small_protocol(FGSM))


def test_the_first_adversarial_iterate_is_kept_though_the_last_is_clean(monkeypatch):
    split = oracle_split(Linear())
    truth = Linear().smallest_epsilon(split)
    weight = Linear().weight.detach().view(1, 1, 16, 16)

    def pass_by(images, labels, view, epsilon):
        view(images - torch.where(labels == 1, 1.0, -1.0).view(-1, 1, 1, 1) * weight.sign() * epsilon)
        view(images)
        return images

    with_attack(monkeypatch, pass_by)
    record = evaluate(Linear(), split, small_protocol(BIM))

    assert [record.robust(e).tolist() for e in EPSILONS] == [(truth > float(e)).tolist() for e in EPSILONS]


def test_the_watch_keeps_the_first_of_several_iterates_and_stops_when_all_are_broken():
    watched = Watched(lambda images: images.flatten(1)[:, :1], torch.tensor([1, 1]))
    iterates = [torch.tensor(values).view(2, 1, 1, 1) for values in ([1.0, 1.0], [-1.0, 1.0], [-2.0, 1.0])]

    for images in iterates:
        watched(images)
    with pytest.raises(EveryImageBroken):
        watched(torch.tensor([3.0, 0.0]).view(2, 1, 1, 1))

    assert watched.first.flatten().tolist() == [-1.0, 0.0]
    assert watched.forward_passes == 6  # two, two, and from then on only the one that still stood


def test_several_starts_on_one_image_are_over_with_the_first_that_breaks_it():
    watched = Watched(
        lambda images: images.flatten(1)[:, :1], torch.tensor([1, 1, 1]), numbers=torch.tensor([7, 7, 8])
    )

    watched(torch.tensor([1.0, 1.0, 1.0]).view(3, 1, 1, 1))
    watched(torch.tensor([-1.0, 1.0, 1.0]).view(3, 1, 1, 1))
    watched(torch.tensor([-1.0, -1.0, 1.0]).view(3, 1, 1, 1))

    assert watched.broken.tolist() == [True, False, False]
    assert watched.over.tolist() == [True, True, False]
    assert watched.forward_passes == 3 + 3 + 1


@pytest.mark.parametrize("columns", [1, 2])
def test_what_is_wrong_from_the_start_looks_right_to_an_attack_that_would_drop_it(columns):
    def model(images):
        z = images.flatten(1)[:, :1]
        return z if columns == 1 else torch.cat((torch.zeros_like(z), z), 1)

    watched = Watched(model, torch.tensor([1, 0, 1]))
    logits = watched(torch.tensor([-1.0, 2.0, 3.0]).view(3, 1, 1, 1))

    assert (margins(gap(logits), watched.labels) > 0).all()
    assert watched.broken.tolist() == [True, True, False]
    assert gap(logits)[2] == 3


def test_apgd_keeps_each_image_in_its_own_ball_also_when_one_is_wrong_from_the_start():
    model = Linear()
    split = oracle_split(model)
    images, labels = (each[:6] for each in split.batch())
    labels = torch.cat((1 - labels[:1], labels[1:]))
    epsilons = torch.tensor([0.001, 0.001, 0.002, 0.004, 0.008, 0.02]).view(-1, 1, 1, 1)

    reached = torch.zeros(6, dtype=torch.float64)

    class Firm(Linear):
        def forward(self, seen):
            reached[:] = torch.maximum(reached, achieved(images, seen.detach()))
            return super().forward(seen) + torch.tensor([0.0, 100.0])

    battery.propose(APGD, Firm(), 1.0, images, labels * 0 + 1, epsilons, 3)
    assert reached.numpy() == pytest.approx(epsilons.flatten().numpy(), rel=1e-3)

    wrong = battery.propose(APGD, model, 1.0, images, labels, epsilons, 3)
    assert wrong.broken[0]
    assert torch.equal(wrong.images[0], images[0])
    assert (achieved(images, wrong.images) <= epsilons.flatten() * 1.001).all()


def test_an_unknown_method_is_refused():
    spec = AttackSpec("deepfool", "DeepFool", "DeepFool", "grid", {})

    with pytest.raises(ProtocolError, match="names method 'DeepFool'; adapted are APGD"):
        evaluate(Linear(), oracle_split(Linear()), small_protocol(spec))


def test_every_attack_is_asked_with_the_true_labels_of_images_that_were_right(monkeypatch, wobbly):
    model, split = wobbly
    known = {image.numpy().tobytes(): int(label) for image, label in zip(*split.batch(), strict=True)}
    asked = []

    def spy(spec, model, temperature, images, labels, epsilon, seed, numbers):
        asked.extend(zip([image.numpy().tobytes() for image in images], labels.tolist(), strict=True))
        return battery.Proposal(images, 0, 0)

    monkeypatch.setattr(arena, "propose", spy)
    record = evaluate(model, split, CHEAP)

    assert {known[image] == label for image, label in asked} == {True}
    assert len({image for image, _ in asked}) == record.clean_correct.sum() == 18


# -- nothing of the caller's is changed ------------------------------------------------------


@pytest.mark.parametrize("raises", [False, True])
def test_random_state_flags_and_gradients_are_left_alone(monkeypatch, wobbly, raises):
    model, split = wobbly
    frozen = torch.nn.BatchNorm2d(1).eval()
    model.extra = frozen
    model.train()
    frozen.eval()
    model.weights.grad = torch.ones_like(model.weights)
    weights = model.weights.detach().clone()
    if raises:
        monkeypatch.setattr(torch.Tensor, "sign", lambda self: 1 / 0)
    torch.manual_seed(1)
    before = (
        torch.random.get_rng_state(),
        np.random.get_state()[1].copy(),
        random.getstate(),
        torch.get_num_threads(),
    )

    if raises:
        with pytest.raises(SubmissionError, match="ZeroDivisionError"):
            evaluate(model, split, small_protocol())
    else:
        evaluate(model, split, small_protocol())

    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert random.getstate() == before[2]
    assert torch.get_num_threads() == before[3]
    assert torch.is_grad_enabled()
    assert model.training
    assert not frozen.training
    assert model.weights.requires_grad
    assert torch.equal(model.weights.grad, torch.ones_like(weights))
    assert torch.equal(model.weights, weights)


@pytest.mark.parametrize("spec", [APGD, SQUARE, PGD], ids=lambda spec: spec.name)
def test_an_attack_leaves_flags_and_random_state_also_when_it_raises(spec):
    class Broken(Linear):
        def forward(self, images):
            if torch.is_grad_enabled() or len(images) > 3:
                raise RuntimeError("out of memory")
            return super().forward(images)

    model = Broken().train()
    model.extra = torch.nn.Dropout().eval()
    images = torch.full((5, 1, 16, 16), 0.5)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()

    with pytest.raises(RuntimeError):
        propose(spec, model, 1.0, images, torch.ones(5, dtype=torch.int64), 0.01, 3)

    assert torch.equal(torch.random.get_rng_state(), before)
    assert model.training
    assert not model.extra.training


def test_tf32_is_off_while_judging_and_as_before_afterwards(wobbly):
    model, split = wobbly
    seen = []
    model.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    try:
        from benchmark.evaluation.judge import judged_gaps

        judged_gaps(model, split.batch()[0], 8)
        assert torch.backends.cudnn.allow_tf32
        assert torch.backends.cuda.matmul.allow_tf32
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before

    assert set(seen) == {False}


def test_evaluation_runs_inside_no_grad(wobbly):
    model, split = wobbly

    with torch.no_grad():
        inside = evaluate(model, split, small_protocol(FGSM, BIM))

    outside = evaluate(model, split, small_protocol(FGSM, BIM))
    assert inside.minimal_epsilon.tolist() == outside.minimal_epsilon.tolist()


# -- models that break the contract ----------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (ThreeColumns(), r"returned shape \(20, 3\) for 20 images, expected \(20, 2\)"),
        (NotANumber(), "NaN or infinite logits for 20 of 20 images"),
        (FarApart(), "two logits lie further apart than float32 can hold"),
        (FarApart(only_attacked=True), "two logits lie further apart than float32 can hold"),
        (Failing(), "RuntimeError.*expected input"),
    ],
    ids=["three columns", "NaN", "far apart", "far apart under attack", "raises"],
)
def test_a_model_that_breaks_the_contract_ends_in_a_sentence(model, sentence):
    with pytest.raises(SubmissionError, match=sentence):
        evaluate(model, oracle_split(Linear()), small_protocol(FGSM))


def test_a_model_that_hides_behind_nan_under_attack_is_refused():
    with pytest.raises(SubmissionError, match="NaN or infinite logits for"):
        evaluate(NotANumber(only_attacked=True), oracle_split(Linear()), small_protocol(FGSM))


@pytest.mark.parametrize("device", ["cuda:99", "abacus"])
def test_an_unknown_device_is_refused(device):
    with pytest.raises(ProtocolError, match=f"device '{device}' cannot be used here"):
        evaluate(Linear(), oracle_split(Linear()), small_protocol(FGSM), device)


def test_a_worker_count_that_is_no_number_is_refused(monkeypatch):
    monkeypatch.setenv("ONCOROBUST_WORKERS", "two")

    with pytest.raises(BenchmarkError, match="ONCOROBUST_WORKERS"):
        worker_count(3)


# -- search ----------------------------------------------------------------------------------


def test_bisection_gives_the_verdicts_of_asking_every_epsilon(wobbly):
    model, split = wobbly
    bisected = small_protocol(replace(PGD, starts=3))
    asked = small_protocol(replace(PGD, starts=3, search="grid"))

    fast, full = evaluate(model, split, bisected), evaluate(model, split, asked)

    curves = [[record.robust(epsilon).tolist() for epsilon in EPSILONS] for record in (fast, full)]
    assert curves[0] == curves[1]
    assert 0 < fast.robust_accuracy("0.008") < fast.robust_accuracy("0.001") < 1
    assert fast.attacks["pgd"].forward < full.attacks["pgd"].forward


def test_every_start_is_tried_at_the_headline_on_every_image_that_holds(monkeypatch, wobbly):
    model, split = wobbly
    asked = []

    def spy(spec, model, temperature, images, labels, epsilon, seed, numbers):
        asked.extend((epsilon, image.numpy().tobytes()) for image in images)
        return battery.Proposal(images, 0, 0)

    monkeypatch.setattr(arena, "propose", spy)
    record = evaluate(model, split, small_protocol(replace(PGD, starts=3), block=20))

    at_headline = Counter(image for epsilon, image in asked if epsilon == 0.004)
    assert list(at_headline.values()) == [3] * record.clean_correct.sum()


def test_few_images_are_asked_with_several_starts_at_once(monkeypatch, wobbly):
    model, split = wobbly
    batches = []

    def spy(spec, model, temperature, images, labels, epsilon, seed, numbers):
        batches.append((epsilon, seed, numbers.tolist()))
        return battery.Proposal(images, 0, 0)

    monkeypatch.setattr(arena, "propose", spy)
    evaluate(model, split, small_protocol(replace(PGD, starts=20), block=20, proof=None))

    headline = [numbers for epsilon, _, numbers in batches if epsilon == 0.004]
    # a micro-batch has 320 such images: starts 0 to 16 of 18 images, of which the first was asked before, and the rest
    assert [len(numbers) for numbers in headline] == [18, 16 * 18, 3 * 18]
    assert set(Counter(headline[1]).values()) == {16}
    assert len({(epsilon, seed) for epsilon, seed, _ in batches}) == len(batches)


def test_apgd_is_asked_about_images_at_several_epsilons_at_once(monkeypatch, wobbly):
    model, split = wobbly
    asked = []
    original = arena.propose

    def spy(spec, model, temperature, images, labels, epsilon, seed, numbers):
        asked.append((epsilon, len(images)))
        return original(spec, model, temperature, images, labels, epsilon, seed, numbers)

    monkeypatch.setattr(arena, "propose", spy)
    bisected = evaluate(model, split, small_protocol(APGD, block=20))

    mixed = [epsilon for epsilon, images in asked if not isinstance(epsilon, float)]
    assert mixed
    assert all(len(epsilon.unique()) > 1 for epsilon in mixed)
    monkeypatch.undo()
    everywhere = evaluate(model, split, small_protocol(replace(APGD, search="grid"), block=20))
    curves = [[run.robust(e).tolist() for e in EPSILONS] for run in (bisected, everywhere)]
    assert curves[0] == curves[1]


def test_starts_are_over_together_on_one_image_at_one_epsilon_alone(monkeypatch):
    model, split = Linear(), oracle_split(Linear())
    images, labels = split.batch()
    asked = arena.Arena(model, model, images, labels, np.ones(len(split)), 1.0, small_protocol(APGD), 0)
    told = []

    def spy(spec, model, temperature, images, labels, epsilon, seed, numbers):
        told.extend(numbers.tolist())
        return battery.Proposal(images, 0, 0)

    monkeypatch.setattr(arena, "propose", spy)
    # Image, place on the ε grid: two starts are the same question, all others are not.
    questions = [(0, 0), (0, 0), (0, 3), (1, 0), (1, 3), (0, 1), (3, 0), (4, 0)]
    rows, places = np.array(questions).T
    asked.attempt(APGD, rows, places)

    assert [told.index(number) for number in told] == [questions.index(each) for each in questions]


def test_every_attempt_has_a_seed_of_its_own(monkeypatch, wobbly):
    model, split = wobbly
    seeds = []

    def spy(spec, model, temperature, images, labels, epsilon, seed, numbers):
        seeds.append(seed)
        return battery.Proposal(images, 0, 0)

    monkeypatch.setattr(arena, "propose", spy)
    evaluate(model, split, small_protocol(NOISE, FGSM, replace(PGD, search="grid", starts=3)))

    assert len(seeds) == len(set(seeds)) == 3 * (4 + 4 + 4 * 3)


def test_survivors_are_only_what_nothing_else_broke(wobbly):
    model, split = wobbly

    record = evaluate(model, split, small_protocol(FGSM, BIM, SQUARE))

    broken = (
        (record.attacks["fgsm"].linf <= 0.004) | (record.attacks["bim"].linf <= 0.004) | ~record.clean_correct
    )
    asked = np.isfinite(record.attacks["square"].margins["0.004"])
    assert asked.tolist() == (~broken).tolist()
    assert 0 < asked.sum() < len(split)


def test_what_holds_at_a_larger_epsilon_is_asked_about_again_at_the_headline_alone(monkeypatch, wobbly):
    model, split = wobbly
    asked = Counter()

    def nothing(spec, model, temperature, images, labels, epsilon, seed, numbers):
        asked[epsilon] += len(images)
        return battery.Proposal(images, 0, 0)

    monkeypatch.setattr(arena, "propose", nothing)
    record = evaluate(model, split, small_protocol(replace(SQUARE, epsilons=("0.002", "0.004", "0.008"))))

    right = int(record.clean_correct.sum())
    assert asked == {0.008: right, 0.004: right}


# -- one record, however it is run -----------------------------------------------------------


FOUR_BLOCKS = small_protocol(FGSM, PGD, block=3, epsilons=("0.05", "0.3"), headline="0.05")


def evaluated(folder, split, where):
    """The bytes of the record's files."""
    path = evaluate(load_submission(folder, "ct"), split, FOUR_BLOCKS).save(where)
    return path.read_bytes(), path.with_suffix(".csv").read_bytes()


@pytest.fixture
def tiny(make_submission):
    """A submission, and a split of 12 images, which four blocks share."""
    return make_submission(weights=[vgg_weights(0)]), random_split(12)


@pytest.fixture
def computed(monkeypatch):
    """The numbers of the blocks that were computed."""
    numbers = []

    def run_job(job):
        numbers.append(job.block)
        return blocks.run_job(job)

    monkeypatch.setattr(engine, "run_job", run_job)
    return numbers


def test_one_and_two_workers_give_the_same_bytes(tiny, tmp_path, monkeypatch):
    alone = evaluated(*tiny, tmp_path / "alone")
    monkeypatch.setenv("ONCOROBUST_WORKERS", "2")
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "second cache"))

    together = evaluated(*tiny, tmp_path / "together")

    assert alone == together
    record = Record.load(tmp_path / "alone" / "tiny.json")
    assert record.robust_accuracy("0.3") < record.clean_accuracy
    assert len(list((tmp_path / "second cache" / "blocks").glob("*/*.safetensors"))) == 4


def test_finished_blocks_are_not_computed_again(tiny, tmp_path, computed):
    first = evaluated(*tiny, tmp_path / "first")

    second = evaluated(*tiny, tmp_path / "second")

    assert computed == [0, 1, 2, 3]
    assert first == second


@pytest.mark.parametrize(
    "hurt",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-100]),
        lambda path: path.write_bytes(path.read_bytes()[:4]),
        lambda path: path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1])),
    ],
    ids=["deleted", "cut short", "cut to nothing", "bit flipped"],
)
def test_only_a_lost_block_is_computed_again_and_the_record_is_the_same(
    tiny, tmp_path, cache, computed, hurt
):
    first = evaluated(*tiny, tmp_path / "first")
    hurt(next(cache.glob("blocks/*/block-00002.safetensors")))

    second = evaluated(*tiny, tmp_path / "second")

    assert computed == [0, 1, 2, 3, 2]
    assert first == second


def test_an_interrupted_evaluation_goes_on_where_it_stopped(tiny, tmp_path, computed, monkeypatch):
    whole = evaluated(*tiny, tmp_path / "whole")
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "second cache"))
    counted = engine.run_job

    def interrupted(job):
        if job.block == 2:
            raise KeyboardInterrupt
        return counted(job)

    monkeypatch.setattr(engine, "run_job", interrupted)
    with pytest.raises(KeyboardInterrupt):
        evaluated(*tiny, tmp_path / "none")
    monkeypatch.setattr(engine, "run_job", counted)
    resumed = evaluated(*tiny, tmp_path / "resumed")

    assert computed == [0, 1, 2, 3, 0, 1, 2, 3]
    assert resumed == whole
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("change", ["weights", "split", "protocol"])
def test_blocks_are_not_shared_with_what_they_do_not_depend_on(
    tiny, make_submission, tmp_path, computed, change
):
    folder, split = tiny
    evaluated(folder, split, tmp_path / "first")
    if change == "weights":
        folder = make_submission("other", weights=[vgg_weights(1)])
    if change == "split":
        split = random_split(12, seed=8)
    protocol = replace(FOUR_BLOCKS, seed=9) if change == "protocol" else FOUR_BLOCKS

    evaluate(load_submission(folder, "ct"), split, protocol)

    assert computed == [0, 1, 2, 3] * 2


def test_a_block_of_two_models_that_differ_only_in_code_is_not_shared(wobbly):
    model, split = wobbly

    class Wobbly(type(model)):
        def forward(self, images):
            return -super().forward(images)

    first, second = (evaluate(m, split, small_protocol(FGSM)) for m in (model, Wobbly()))

    assert first.clean_accuracy == pytest.approx(1 - second.clean_accuracy)
    assert (second.minimal_epsilon[second.clean_correct] > 0).all()


def test_a_damaged_block_that_appears_late_ends_in_a_sentence(tmp_path):
    path = tmp_path / "block-00000.safetensors"
    path.write_bytes(b"cut")

    with pytest.raises(DataError, match=r"1 of 1 blocks are missing or damaged \(block-00000.safetensors"):
        blocks.merge([path])


def test_the_micro_batch_is_of_the_protocol_and_not_of_the_machine(monkeypatch):
    sizes = []

    class Watching(Linear):
        def forward(self, images):
            sizes.append(len(images))
            return super().forward(images)

    monkeypatch.setattr("benchmark.protocol.Protocol.micro_batch", lambda self, height, width: 3)
    evaluate(Watching(), oracle_split(Linear()), small_protocol(FGSM))

    assert max(size for size in sizes if size != 20) == 3


# -- what the record says --------------------------------------------------------------------


def test_the_record_of_a_submission_is_verified_and_says_what_it_is(tiny):
    folder, split = tiny
    model = load_submission(folder, "ct")

    record = evaluate(model, split, small_protocol(FGSM))

    assert (record.submission, record.modality, record.track) == ("tiny", "ct", "toy")
    assert record.provenance["verified"]
    assert record.provenance["identity"] == model.identity
    assert record.split["sha256"] == split.sha256
    assert record.protocol["sha256"] == small_protocol(FGSM).sha256
    assert not record.ranked  # 6 patients


def test_a_bare_module_is_marked_unverified_and_takes_no_rank(wobbly):
    model, split = wobbly

    record = evaluate(model, split, small_protocol(FGSM))

    assert record.provenance["verified"] is False
    assert not record.ranked


def test_a_protocol_may_take_the_first_whole_patients_only(wobbly):
    model, split = wobbly

    record = evaluate(model, split, small_protocol(FGSM, images=7))

    assert record.image_ids == split.image_ids[:6]
    assert record.split["images"] == 6


def test_the_worst_images_that_are_kept_lie_in_the_ball_and_break_what_was_broken(wobbly, cache):
    from safetensors.torch import load_file

    model, split = wobbly
    record = evaluate(model, split, small_protocol(FGSM, BIM, PGD, replace(PGD, name="big", search="grid")))
    (file,) = (cache / "adversarial").iterdir()
    images, labels = split.batch()

    worst = load_file(file)["images"]
    with torch.no_grad():
        logits = model.eval()(worst)

    assert file.stem == record.provenance["adversarial_sha256"]
    assert float((worst.double() - images.double()).abs().max()) <= 0.004
    right = torch.where(labels == 1, logits[:, 1] - logits[:, 0], logits[:, 0] - logits[:, 1]) > 0
    assert right.tolist() == record.robust("0.004").tolist()


def test_a_record_from_an_evaluation_survives_its_files(tiny, tmp_path):
    record = evaluate(load_submission(tiny[0], "ct"), tiny[1], small_protocol(NOISE, FGSM, PGD))

    again = Record.load(record.save(tmp_path))

    assert again.minimal_epsilon.tolist() == record.minimal_epsilon.tolist()
    assert again.summary() == record.summary()
