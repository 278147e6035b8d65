"""Code that a submission brings runs here and nowhere else: in processes of its own, behind walls.

    sandbox   the command line of bubblewrap; does it work on this machine?
    filter    the system calls that are left
    walls     what a worker puts around itself before it reads the submission's code
    worker    the process inside: a zygote that imports torch once, and what it forks
    zygote    the harness's end of these processes
    frames    what is said between them
    bridge    an nn.Module whose passes are made in a worker, with exact gradients
    entered   a submission with code as a model

`worker`, `walls` and `frames` are read inside of the sandbox too, and import nothing of ours that is not there.
"""
