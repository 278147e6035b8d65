"""Work in several processes: its results, the settings that it is done under, and what an error stops."""

import os
import time

import pytest

from benchmark.processes import in_parallel, meanwhile


def setting(name):
    return os.environ.get(name)


def touch(path):
    path.touch()


def fail(_):
    raise ValueError("no")


def wait_for(path):
    until = time.monotonic() + 60
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.05)
    return path.exists()


def test_workers_have_the_settings_of_who_asks_though_they_were_started_under_others(monkeypatch):
    monkeypatch.setenv("ONCOROBUST_WORKERS", "2")
    monkeypatch.setenv("ONCOROBUST_CACHE", "/one")
    assert set(in_parallel(setting, ["ONCOROBUST_CACHE"] * 6, 2)) == {"/one"}
    monkeypatch.setenv("ONCOROBUST_CACHE", "/other")
    assert set(in_parallel(setting, ["ONCOROBUST_CACHE"] * 6, 2)) == {"/other"}
    monkeypatch.delenv("ONCOROBUST_CACHE")
    assert set(in_parallel(setting, ["ONCOROBUST_CACHE"] * 6, 2)) == {None}


def test_work_goes_on_meanwhile_and_what_it_raises_is_dropped(tmp_path):
    with meanwhile(touch, [tmp_path / "a", tmp_path / "b"], 2):
        assert wait_for(tmp_path / "a")
        assert wait_for(tmp_path / "b")
    with meanwhile(fail, [1, 2], 2):
        pass
    assert sorted(in_parallel(abs, [-1, -2, -3], 2)) == [1, 2, 3]
    with pytest.raises(ValueError, match="no"):
        list(in_parallel(fail, [1, 2], 2))


def test_an_error_beside_it_stops_the_workers(tmp_path):
    with pytest.raises(KeyboardInterrupt), meanwhile(time.sleep, [120, 120, 120, 120], 2):
        raise KeyboardInterrupt
    begun = time.monotonic()
    assert list(in_parallel(abs, [-1], 2)) == [1]  # others than those that sleep
    assert time.monotonic() - begun < 100
