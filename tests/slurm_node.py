"""A real SLURM of one node: munge, the controller and the node's daemon, in a folder of this test's own."""

import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager

NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "srun")
CONFIGURATION = """
ClusterName=one
SlurmctldHost={host}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge
StateSaveLocation={folder}/kept
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/node.pid
SlurmctldLogFile={folder}/controller.log
SlurmdLogFile={folder}/node.log
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=5
KillWait=5
NodeName={host} CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def complaint():
    """Why there can be no SLURM here; nothing if there can."""
    lacking = [name for name in NEEDED if shutil.which(name, path=path()) is None]
    if lacking:
        return f"no {', '.join(lacking)} here: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "SLURM's daemons need root here"


def path():
    """Where programs are looked for; a plain user's path lacks the daemons'."""
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


@contextmanager
def slurm(folder):
    """The environment of a client of it."""
    folder.chmod(0o755)
    for part in ("kept", "spool"):
        (folder / part).mkdir()
    key = folder / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    told = {"host": socket.gethostname().partition(".")[0], "folder": folder, "ports": _free_ports(2)}
    (folder / "slurm.conf").write_text(CONFIGURATION.format(cpus=os.cpu_count(), **told))
    environment = os.environ | {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": path()}
    munge = ["munged", "-F", "--force", f"--socket={folder}/munge", f"--key-file={key}"]
    munge += [f"--{each}-file={folder}/munge.{each}" for each in ("log", "pid", "seed")]
    commands = [munge, ["slurmctld", "-D"], ["slurmd", "-D"]]
    daemons = []
    try:
        for words in commands:
            daemons.append(subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL))
            time.sleep(1)
        yield environment
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            daemon.wait()


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
