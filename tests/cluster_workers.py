"""Workers that come and go, and a small evaluation for them."""

import sys
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from models import BIM, FGSM, PGD, small_protocol

from benchmark import evaluate, load_submission
from benchmark.cluster.crew import Cluster
from benchmark.cluster.line import Line
from benchmark.cluster.serve import start_worker

TWELVE_BLOCKS = small_protocol(FGSM, BIM, PGD, block=1, epsilons=("0.05", "0.1", "0.3"), headline="0.1")
PATIENCE = 30.0


def evaluated(tiny, where, **options):
    """The bytes of the record's files."""
    folder, split = tiny
    path = evaluate(load_submission(folder, "ct"), split, TWELVE_BLOCKS, progress=False, **options).save(
        where
    )
    return path.read_bytes(), path.with_suffix(".csv").read_bytes()


class Workers:
    """Processes that join a cluster and leave it."""

    def __init__(self, url, certificates, cache):
        self.url, self.certificates, self.cache, self.processes = url, certificates, cache, []

    def start(self, cache=None, before=None, **environment):
        told = {"ONCOROBUST_CACHE": str(cache or self.cache), **environment}
        self.processes.append(start_worker(self.url, self.certificates, told, before))
        return self.processes[-1]

    @contextmanager
    def asked(self, workers=1, limit=600.0, patience=PATIENCE):
        """A cluster of those who are there, and what it says."""
        line, told = Line(self.url, self.certificates, limit, patience), []
        line.dial(PATIENCE)
        try:
            line.wait_for_workers(workers)
            yield Cluster(line, told.append), told
        finally:
            line.hang_up()

    def computing(self, process):
        """The process that computes for a worker, once there is one."""
        return eventually(lambda: psutil.Process(process.pid).children())[0]


def eventually(found, seconds=60):
    end = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)
    return result


ASK = """
import sys; sys.path[:0] = [{tests!r}]
from pathlib import Path
from cluster_workers import Workers, evaluated
from models import random_split
workers = Workers({url!r}, Path({certificates!r}), None)
with workers.asked({count}, limit=120.0, patience=60.0) as (cluster, _):
    evaluated((Path({folder!r}), random_split(12)), Path({out!r}), crew=cluster.run)
"""


def asking(url, certificates, folder, out, count=1):
    """The command of a process that evaluates on a cluster of so many workers."""
    here = str(Path(__file__).parent)
    text = ASK.format(
        tests=here, url=url, certificates=str(certificates), folder=str(folder), out=str(out), count=count
    )
    return [sys.executable, "-c", text]
