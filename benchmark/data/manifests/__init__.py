"""Frozen manifests, and the code that made them from public metadata: `python -m benchmark.data.manifests --help`."""
