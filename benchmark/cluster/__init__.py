"""The same blocks of work on many machines, by an existing engine: Dask's distributed scheduler (an extra: cluster).

address        where the cluster is, and whether it may be spoken to without encryption
certificates   what TLS needs: made, read, and refused when they have expired
store          data and weights by checksum: each reaches a machine once
sealed         a submission's folder as one file, the same bytes every time
order          a plan as plain data, and back: no pickled object of a submission crosses the wire
child          the process that computes; a worker may end it
task           what a Dask worker is asked to do
greeting       do both sides run the same code?
serve          the scheduler and the workers
crew           a plan's blocks onto a cluster, and their files back: retries, late workers, a lost scheduler
slurm          the same under SLURM, as scripts
farm           every entry, small ones first
forecast       what an evaluation will take, from one measured block
simulate       what a larger one would take, and what would break first
"""
