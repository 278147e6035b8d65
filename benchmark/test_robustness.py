"""What `pytest benchmark/` runs: every entry on every modality it brings. It holds no logic."""


def test_robustness(entry, run, benchmark):
    """The entry is evaluated, or its record still holds; pytest-benchmark keeps the time."""
    outcome = benchmark.pedantic(run, args=(entry,), rounds=1, iterations=1)

    benchmark.extra_info.update(forward=outcome.forward, backward=outcome.backward, record=str(outcome.path))
    assert outcome.record.robust_accuracy(outcome.record.headline) <= outcome.record.clean_accuracy
