"""Three hosts, made of network namespaces: one is cut off while it computes, given up, and comes back."""

import os
import shutil
import subprocess

import pytest
from models import random_split, vgg_weights

pytest.importorskip("distributed", reason="needs oncorobust[cluster]")

from cluster_workers import asking, evaluated, eventually

from benchmark.cluster.certificates import make_certificates
from benchmark.processes import OWN_COMMAND

SHORT = {
    "DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL": "10s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP": "20s",
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "10s",
}


def ip(*words):
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)


@pytest.fixture
def hosts():
    """Names of three namespaces; the first, 10.77.0.1, holds the switch that the others are plugged into."""
    if shutil.which("ip") is None:
        pytest.skip("there is no command ip (iproute2) here")
    names = [f"oncorobust-{os.getpid()}-{number}" for number in range(3)]
    tried = ip("netns", "add", names[0])
    if tried.returncode:
        pytest.skip(f"no network namespace can be made here: {tried.stderr.strip()}")
    try:
        switch = names[0]
        ip("-n", switch, "link", "set", "lo", "up")
        ip("-n", switch, "link", "add", "switch", "type", "bridge")
        ip("-n", switch, "addr", "add", "10.77.0.1/24", "dev", "switch")
        ip("-n", switch, "link", "set", "switch", "up")
        for number, name in enumerate(names[1:], 1):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
            ip(
                "-n",
                switch,
                "link",
                "add",
                f"port{number}",
                "type",
                "veth",
                "peer",
                "name",
                "eth0",
                "netns",
                name,
            )
            ip("-n", switch, "link", "set", f"port{number}", "master", "switch", "up")
            ip("-n", name, "addr", "add", f"10.77.0.{number + 1}/24", "dev", "eth0")
            made = ip("-n", name, "link", "set", "eth0", "up")
            if made.returncode:
                pytest.skip(f"no network can be laid here: {made.stderr.strip()}")
        yield names
    finally:
        for name in names:
            ip("netns", "del", name)


def test_a_host_that_is_cut_off_and_comes_back_costs_no_block_and_counts_none_twice(
    hosts, make_submission, tmp_path, monkeypatch
):
    folder = make_submission(weights=[vgg_weights(0)])
    whole = evaluated((folder, random_split(12)), tmp_path / "whole")
    monkeypatch.setenv("ONCOROBUST_CACHE", str(tmp_path / "second"))
    certificates, file = make_certificates(tmp_path / "certificates"), tmp_path / "address"
    trusted = ["--certificates", str(certificates)]
    processes, log = [], tmp_path / "worker.log"

    def start(host, words, **options):
        told = os.environ | SHORT | {"ONCOROBUST_CACHE": str(tmp_path / options.pop("cache", "second"))}
        processes.append(subprocess.Popen(["ip", "netns", "exec", host, *words], env=told, **options))
        return processes[-1]

    try:
        start(
            hosts[0],
            [
                *OWN_COMMAND,
                "cluster",
                "scheduler",
                "--host",
                "10.77.0.1",
                "--port",
                "0",
                "--file",
                str(file),
                *trusted,
            ],
        )
        url = eventually(lambda: file.exists() and file.read_text().strip())
        with open(log, "w") as written:
            for number, host in enumerate(hosts[1:]):
                words = [*OWN_COMMAND, "cluster", "worker", url, *trusted]
                start(host, words, cache=f"host {number}", stdout=written if number == 0 else None)
        client = start(hosts[0], asking(url, certificates, folder, tmp_path / "found", count=2))
        blocks = tmp_path / "second" / "blocks"
        eventually(lambda: len(list(blocks.glob("*/block-*.safetensors"))) >= 2, 120)
        assert ip("-n", hosts[0], "link", "set", "port1", "down").returncode == 0
        client.wait(180)
        assert log.read_text().count("worker tls://10.77.0.2") == 1
        ip("-n", hosts[0], "link", "set", "port1", "up")
        eventually(lambda: log.read_text().count("worker tls://10.77.0.2") == 2, 120)
    finally:
        for process in processes:
            process.kill()
            process.wait()

    assert url.startswith("tls://10.77.0.1:")
    assert client.returncode == 0
    (path,) = (tmp_path / "found").rglob("*.json")
    assert (path.read_bytes(), path.with_suffix(".csv").read_bytes()) == whole
