"""Code that a submission brings runs here and nowhere else: in processes of its own, behind walls.

    sandbox   the command line of bubblewrap; does it work on this machine?
    filter    the system calls that are left
    walls     what a worker puts around itself before it reads the submission's code
    worker    the process inside: a zygote that imports torch once, and what it forks
    answer    what a worker does behind its walls, where the submission's code runs
    talk      its end of the conversation
    zygote    the harness's end of that process
    link      the harness's end of one worker
    frames    what is said between them
    bridge    an nn.Module whose passes are made in a worker, with exact gradients
    entered   a submission with code as a model

`worker`, `answer`, `talk`, `walls` and `frames` are read inside of the sandbox too.
"""
