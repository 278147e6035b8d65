"""What a cluster is made of, piece by piece, without one: addresses, certificates, data by checksum, greetings."""

import hashlib
import io
import stat
import sys
import tarfile
from dataclasses import replace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from models import random_split, small_protocol, vgg_weights

from benchmark import load_submission, remote
from benchmark.cli import main
from benchmark.cluster import child, greeting, store
from benchmark.cluster.address import Local, parse_address
from benchmark.cluster.crew import Cluster, _pieces, connected
from benchmark.cluster.line import Line, Lost
from benchmark.cluster.order import block_order, job_of, protocol_of, written
from benchmark.cluster.sealed import seal, unseal
from benchmark.cluster.serve import gpus
from benchmark.cluster.simulate import Costs, simulate
from benchmark.errors import BenchmarkError, ClusterError, DataError, SubmissionError
from benchmark.evaluation.health import FreshJob, run_fresh_job
from benchmark.evaluation.health.fresh import Draw
from benchmark.evaluation.plan import make_plan
from benchmark.protocol import PROTOCOLS

# -- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10.0.0.5:8786", "tls://10.0.0.5:8786"),
        ("node7:1", "tls://node7:1"),
        ("tls://node7:8786", "tls://node7:8786"),
        ("tcp://127.0.0.1:8786", "tcp://127.0.0.1:8786"),
        ("localhost:8786", "tcp://localhost:8786"),
        ("tcp://[::1]:8786", "tcp://[::1]:8786"),
    ],
)
def test_an_address_is_encrypted_unless_it_stays_on_this_machine(text, meant):
    assert str(parse_address(text)) == meant


@pytest.mark.parametrize("text", ["tcp://10.0.0.5:8786", "tcp://node7:8786", "tcp://[2001:db8::1]:8786"])
def test_another_machine_is_not_spoken_to_unencrypted(text):
    with pytest.raises(ClusterError, match=r"is not encrypted: .*oncorobust cluster certificates FOLDER"):
        parse_address(text)


@pytest.mark.parametrize(
    "text", ["", "node7", "http://a:1", "tls://a:70000", "tls://a:x", "local", "tls://a:1/b", "tls://u@a:1"]
)
def test_what_is_no_address_is_named(text):
    with pytest.raises(ClusterError, match="is no address of a cluster; expected local:4"):
        parse_address(text)


def test_local_workers_are_counted():
    assert parse_address("local:4") == Local(4)
    for text in ("local:0", "local:x", "local:-1", "local:"):
        with pytest.raises(ClusterError, match="needs a number of workers"):
            parse_address(text)


def test_an_address_is_read_from_the_file_that_a_scheduler_writes(tmp_path):
    (tmp_path / "address").write_text("tls://10.0.0.5:1\n")

    assert str(parse_address(f"@{tmp_path / 'address'}")) == "tls://10.0.0.5:1"
    with pytest.raises(ClusterError, match="did not appear within 0 s; does its scheduler run"):
        parse_address(f"@{tmp_path / 'none'}", patience=0.0)


# -- certificates ----------------------------------------------------------------------------


@pytest.fixture
def certificates():
    pytest.importorskip("cryptography", reason="needs oncorobust[cluster]")
    from benchmark.cluster import certificates

    return certificates


def test_certificates_that_were_made_are_good_and_their_key_is_its_owners(certificates, tmp_path):
    folder = certificates.make_certificates(tmp_path / "made", days=10)

    assert certificates.expires(folder).timestamp() == pytest.approx(
        __import__("time").time() + 864_000, abs=60
    )
    assert stat.S_IMODE((folder / certificates.KEY).stat().st_mode) == 0o600
    assert certificates.security_of(folder, True, "tls://a:1").require_encryption
    with pytest.raises(ClusterError, match="holds certificates already"):
        certificates.make_certificates(folder)


def test_an_expired_certificate_is_refused_before_anyone_is_spoken_to(certificates, tmp_path):
    folder = certificates.make_certificates(tmp_path / "made", days=-1)

    with pytest.raises(ClusterError, match=r"expired on 20\d\d-.* UTC; make new ones"):
        certificates.expires(folder)
    with pytest.raises(ClusterError, match="expired on"), connected("tls://192.0.2.1:8786", folder):
        pass


def test_without_certificates_another_machine_is_refused(certificates):
    sentence = "tls://192.0.2.1:8786 needs certificates: name their folder by --certificates"
    with pytest.raises(ClusterError, match=sentence), connected("tls://192.0.2.1:8786"):
        pass


def test_what_is_wrong_with_a_folder_of_certificates_is_named(certificates, tmp_path):
    folder = certificates.make_certificates(tmp_path / "made")

    (folder / certificates.KEY).chmod(0o644)
    with pytest.raises(ClusterError, match="can be read by others; run: chmod 600"):
        certificates.expires(folder)
    (folder / certificates.KEY).chmod(0o600)
    (folder / certificates.CERTIFICATE).write_text("no certificate")
    with pytest.raises(ClusterError, match="cannot be read"):
        certificates.expires(folder)
    (folder / certificates.CERTIFICATE).unlink()
    with pytest.raises(ClusterError, match=r"holds no certificate.pem"):
        certificates.expires(folder)


def test_a_scheduler_that_others_could_reach_needs_certificates(certificates):
    said = CliRunner().invoke(main, ["cluster", "scheduler", "--host", "192.0.2.1"])

    assert said.exit_code == 2
    assert "is not encrypted" in said.output


def test_without_the_extra_it_is_said_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)

    with pytest.raises(ClusterError, match=r"pip install 'oncorobust\[cluster\]'"), connected("local:1"):
        pass


# -- what crosses the wire -------------------------------------------------------------------


@pytest.fixture
def plan(make_submission):
    folder = make_submission(weights=[vgg_weights(0)])
    split = random_split(12)
    return make_plan(load_submission(folder, "ct"), split, small_protocol(block=5), torch.device("cpu"))


def test_an_order_brings_back_the_very_job(plan, tmp_path):
    asked = written(plan)

    for job in plan.jobs:
        found = job_of(block_order(asked, job), job.path)

        assert (found.split.images == job.split.images).all()
        assert (found.split.labels == job.split.labels).all()
        assert found.clean.tobytes() == job.clean.tobytes()
        assert replace(found, split=job.split, clean=job.clean, source=job.source) == job
        assert found.source.layout == job.source.layout
        assert found.source.folder != job.source.folder


def test_no_name_of_a_patient_or_an_image_is_sent(plan):
    asked = written(plan)

    sent = b"".join(store.path_of(sha256).read_bytes() for sha256 in asked.sums)
    assert not any(name.encode() in sent for name in set(plan.split.image_ids) if len(name) > 2)
    assert plan.split.name.encode() not in sent


def test_the_same_evaluation_is_the_same_bytes(plan):
    assert written(plan) == written(plan)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=list(PROTOCOLS))
def test_a_protocol_survives_its_description(protocol):
    assert protocol_of(protocol.described(), protocol.sha256) == protocol
    with pytest.raises(ClusterError, match="is another one here"):
        protocol_of(protocol.described() | {"seed": 1}, protocol.sha256)


def test_data_that_arrive_damaged_are_not_kept(cache):
    sha256 = hashlib.sha256(b"what was meant").hexdigest()

    store.receive(sha256, 0, b"what was ", False)
    assert store.missing([sha256]) == [sha256]
    with pytest.raises(DataError, match="data arrived damaged"):
        store.receive(sha256, 9, b"lost, and longer", True)
    store.receive(sha256, 0, b"what was ", False)
    store.receive(sha256, 9, b"meant", True)

    assert store.missing([sha256]) == []
    with pytest.raises(DataError, match="1 of 1 files of data did not arrive within 0 s"):
        store.wait_for(["0" * 64], 0.0)


def test_pieces_of_a_file_make_the_file(cache, monkeypatch):
    monkeypatch.setattr(store, "CHUNK", 7)
    sha256 = store.keep(b"twenty-one characters")
    pieces = list(store.chunks(sha256))
    store.path_of(sha256).unlink()

    for piece in pieces:
        store.receive(sha256, *piece)

    assert len(pieces) == 3
    assert store.path_of(sha256).read_bytes() == b"twenty-one characters"


def test_two_who_send_the_same_file_at_once_do_not_spoil_it(cache):
    content = bytes(range(256)) * 8
    sha256 = hashlib.sha256(content).hexdigest()

    store.receive(sha256, 0, content[:1000], False)
    store.receive(sha256, 1000, content[1000:1500], False)
    store.receive(sha256, 0, content[:1000], False)  # another begins
    store.receive(sha256, 1500, content[1500:], True)
    store.receive(sha256, 1000, content[1000:1500], False)
    store.receive(sha256, 1500, content[1500:], True)

    assert store.path_of(sha256).read_bytes() == content


def test_a_drawn_part_has_the_same_name_whoever_asks_and_after_however_many_blocks(plan):
    asked = written(plan)
    drawn = [FreshJob(plan.source, Draw("ct", 40 + part, 8, 8), "cpu") for part in range(4)]
    beside = [(run_fresh_job, job) for job in drawn]

    def names(waiting):
        pieces = _pieces(asked, plan.jobs[:waiting], beside)
        return {each.key: each.subject for each in pieces if each.kind == "draw"}

    assert names(0) == names(2)
    assert list(names(0).values()) == drawn


def test_an_order_of_another_version_is_refused(plan, tmp_path, monkeypatch):
    order = block_order(written(plan), plan.jobs[0])
    monkeypatch.setattr("benchmark.cluster.order.ours", lambda: {**greeting.ours(), "torch": "1.0"})

    with pytest.raises(ClusterError, match="this worker has another torch than whoever asks"):
        job_of(order, tmp_path / "block")


def test_weights_that_lie_at_an_address_are_sealed_from_the_cache(make_submission, monkeypatch):
    folder = make_submission()
    whole = seal(load_submission(folder, "ct"))
    toml = (folder / "submission.toml").read_text()
    address = "https://zenodo.org/records/1/files/ct-0.safetensors"
    (folder / "submission.toml").write_text(toml.rstrip() + f'\nurls = ["{address}"]\n')
    kept = remote.kept(hashlib.sha256((folder / "ct-0.safetensors").read_bytes()).hexdigest())
    kept.parent.mkdir(parents=True)
    (folder / "ct-0.safetensors").rename(kept)

    with tarfile.open(fileobj=io.BytesIO(seal(load_submission(folder, "ct")))) as sealed:
        weights = sealed.extractfile("tiny/ct-0.safetensors").read()

    with tarfile.open(fileobj=io.BytesIO(whole)) as before:
        assert weights == before.extractfile("tiny/ct-0.safetensors").read()


@pytest.mark.parametrize("name", ["tiny/../../out", "/etc/out", "other/model.py", "tiny"])
def test_a_sealed_submission_unpacks_nothing_but_its_own_files(cache, name, tmp_path):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        entry = tarfile.TarInfo(name)
        entry.size = 1
        file.addfile(entry, io.BytesIO(b"x"))
    sha256 = store.keep(content.getvalue())

    with pytest.raises(SubmissionError, match="which is no file of it"):
        unseal(sha256, "tiny")

    assert not store.path_of(f"{sha256}-unpacked").exists()


def test_a_link_in_a_sealed_submission_is_refused(cache):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as file:
        entry = tarfile.TarInfo("tiny/model.py")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        file.addfile(entry)

    with pytest.raises(SubmissionError, match="which is no file of it"):
        unseal(store.keep(content.getvalue()), "tiny")


def test_a_submission_is_sealed_with_what_one_modality_needs(make_submission):
    folder = make_submission(weights=[vgg_weights(0)])
    (folder / "notes.txt").write_text("of no concern")
    model = load_submission(folder, "ct")

    sealed = seal(model)

    with tarfile.open(fileobj=io.BytesIO(sealed)) as file:
        assert file.getnames() == ["tiny/ct-0.safetensors", "tiny/submission.toml"]
    (folder / "submission.toml").touch()
    assert seal(model) == sealed


# -- greetings -------------------------------------------------------------------------------

GOOD = {"devices": ["cpu"], "processor": "AVX2", "sandbox": ""}


def told(**changes):
    return greeting.ours() | GOOD | changes


@pytest.mark.parametrize(
    ("said", "threads", "device", "sentence"),
    [
        (
            ModuleNotFoundError("No module named 'benchmark'"),
            1,
            "cpu",
            "has no oncorobust to run (ModuleNotFoundError",
        ),
        (told(engine=99), 1, "cpu", "has engine 99, here"),
        (told(torchattacks="none"), 1, "cpu", "has torchattacks none, here"),
        (told(), 4, "cpu", "would run 4 blocks at once; start it by oncorobust cluster worker"),
        (told(), 1, "cuda", "has no cuda device"),
        (
            told(sandbox="bubblewrap (bwrap) is not installed"),
            1,
            "cpu",
            "has no sandbox for the code of a",
        ),
        ({"trouble": "GPU 7 is another worker's"}, 1, "cuda", "cannot start: GPU 7 is another worker's"),
    ],
)
def test_a_worker_that_cannot_take_part_is_told_why_in_a_sentence(said, threads, device, sentence):
    (found,) = greeting.complaints("tls://a:1", said, threads, device)

    assert f"worker tls://a:1 {sentence}" in found


def test_a_worker_like_us_is_welcome():
    assert list(greeting.complaints("tls://a:1", told(), 1, "cpu")) == []


def test_a_gpu_is_held_by_one_worker_alone(monkeypatch, tmp_path):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(child, "_held", [])
    child.hold_gpu("GPU-1")
    (held,) = child._held
    child.hold_gpu("GPU-1")
    monkeypatch.setattr(child, "_held", [])  # as another process sees it

    with pytest.raises(ClusterError, match="GPU GPU-1 is another worker's; start one worker for each GPU"):
        child.hold_gpu("GPU-1")
    child.hold_gpu("GPU-2")
    held.release()


def test_each_local_worker_has_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5,7")

    assert gpus(2, "cuda") == ["3", "5"]
    assert gpus(9, "cpu") == []
    with pytest.raises(ClusterError, match="one GPU each, and there are 3; ask for local:3"):
        gpus(4, "cuda")


# -- answers ---------------------------------------------------------------------------------


class Ended:
    """A future of the scheduler's that ended so, and raises this when it is asked what came of it."""

    def __init__(self, status, error):
        self.status, self.error = status, error

    def result(self, timeout):
        raise self.error


@pytest.mark.parametrize("error", [OSError("no room"), TimeoutError("too late"), RuntimeError("no CUDA")])
def test_only_an_answer_that_could_not_be_fetched_is_looked_for_again(error):
    pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    line = Line("tcp://127.0.0.1:8786", None, 1.0, 1.0)

    # A task that raised would raise wherever a scheduler is found again, without end.
    assert line.answer(Ended("error", error)) == {"trouble": f"{type(error).__name__}: {error}"}
    for status in ("finished", "lost", "cancelled"):
        with pytest.raises(Lost):
            line.answer(Ended(status, error))


def test_who_loses_its_workers_again_and_again_is_given_up():
    scheduler = pytest.importorskip("distributed.scheduler", reason="the extra `cluster` is not installed")
    error = scheduler.KilledWorker("block", None, 2)

    told = Line("tcp://127.0.0.1:8786", None, 1.0, 1.0).answer(Ended("error", error))

    assert told == {"trouble": "its worker was lost 3 times", "final": True}


class LastFirst:
    """A line whose futures end in the opposite order; it is its own future."""

    def __init__(self):
        self.greeted, self.waiting, self.asked_for = {"somebody"}, [], 0

    def greet(self, asked):
        return []

    def submit_all(self, keys, asked, orders, priority):
        self.asked_for = len(keys)
        return [self] * len(keys)

    def add_done_callback(self, ended):
        self.waiting.append(ended)
        if len(self.waiting) == self.asked_for:
            for each in reversed(self.waiting):
                each(self)

    def answer(self, future):
        return {"failure": "of the model"}


def test_results_stand_in_the_order_of_what_was_asked(plan):
    found = Cluster(LastFirst()).run(plan, plan.jobs, [], lambda number: None)

    assert len(found) > 1
    assert [each.block for each in found] == [job.block for job in plan.jobs]


# -- a simulated farm ------------------------------------------------------------------------


def test_a_farm_of_idle_others_takes_its_blocks_time_over_its_workers():
    course = simulate(Costs((36.0,), 0.0, 0.0, 0.0), evaluations=20, images=500, workers=4)

    assert course.hours == pytest.approx(20 * 10 * 36 / 4 / 3600)
    assert course.workers == pytest.approx(1)


def test_what_is_slowest_bounds_a_farm():
    slow_scheduler = simulate(Costs((1.0,), 0.5, 0.0, 0.0), evaluations=20, images=500, workers=100)
    slow_asking = simulate(Costs((1.0,), 0.0, 0.0, 1.0), evaluations=20, images=500, workers=100)
    shared = simulate(Costs((1.0,), 0.0, 0.0, 1.0), evaluations=20, images=500, workers=100, asking=4)

    assert slow_scheduler.hours * 3600 == pytest.approx(20 * 10 * 0.5, rel=0.05)
    assert slow_scheduler.scheduler > 0.9
    assert slow_asking.hours * 3600 == pytest.approx(20 * 500, rel=0.05)
    assert shared.hours == pytest.approx(slow_asking.hours / 4, rel=0.1)


def test_a_large_farm_is_simulated_by_a_small_one():
    costs = Costs((30.0, 50.0), 0.001, 0.01, 0.003)

    small, large = (simulate(costs, evaluations, 5_000, 100) for evaluations in (1_000, 10_000))

    assert large.hours == pytest.approx(10 * small.hours, rel=0.05)
    assert np.isclose(large.workers, small.workers, atol=0.05)


def test_an_error_of_the_cluster_is_one_of_ours():
    assert issubclass(ClusterError, BenchmarkError)
