"""The line to a scheduler: dialled, dialled again, and who answers at the other end."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmark.cluster import store, task
from benchmark.cluster.certificates import security_of
from benchmark.cluster.greeting import complaints
from benchmark.cluster.order import Written
from benchmark.errors import ClusterError


class Lost(Exception):  # noqa: N818 - not an error: the scheduler is looked for
    """The scheduler does not answer."""

    told = "is lost"


class Forgotten(Lost):
    """The scheduler answers, and no worker is at what it was asked for."""

    told = "has forgotten what it was asked for"


class Line:
    """To one scheduler. `greeted`: the workers that may take part in what is asked now."""

    def __init__(self, url: str, certificates: Path | None, limit: float, patience: float) -> None:
        self.url, self.limit, self.patience = url, limit, patience
        self.certificates = certificates
        self.security = security_of(certificates, False, url)
        self.client: Any = None
        self.greeted: set[str] = set()

    # -- the scheduler ------------------------------------------------------------------------

    def dial(self, patience: float) -> None:
        """Speak to the scheduler.

        Raises:
            ClusterError: nobody answers, or nobody who can be trusted.
        """
        from distributed import Client

        end = time.monotonic() + patience
        while True:
            try:
                options = {"security": self.security} if self.security else {}
                self.client = Client(self.url, timeout=min(patience, 10.0), set_as_default=False, **options)
                return
            except (OSError, TimeoutError, ValueError) as error:
                if time.monotonic() > end:
                    raise ClusterError(
                        f"no cluster answers at {self.url} ({str(error).splitlines()[0][:160]}); is its scheduler running, "
                        "with the certificates of this folder?"
                    ) from None
                time.sleep(0.5)

    def hang_up(self) -> None:
        """Let it go; what was asked for and not begun is forgotten there."""
        with suppress(Exception):
            self.client.close(timeout=5)

    def workers(self) -> dict[str, Any]:
        """Its workers, by address."""
        return self.asked(lambda: self.client.scheduler_info(n_workers=-1))["workers"]

    def wait_for_workers(self, count: int) -> None:
        """Until so many are there.

        Raises:
            ClusterError: they do not come.
        """
        end = time.monotonic() + self.patience
        while (found := len(self.workers())) < count:
            if time.monotonic() > end:
                raise ClusterError(
                    f"{self.url} has {found} of {count} workers after {self.patience:.0f} s; start one by: "
                    f"oncorobust cluster worker {self.url}"
                )
            time.sleep(0.1)

    def asked(self, question: Callable[[], Any]) -> Any:
        """What a question to the scheduler gave; Lost where nobody answers."""
        try:
            answer = question()
        except (OSError, TimeoutError, RuntimeError, AttributeError) as error:
            raise Lost(str(error)) from None
        if self.client.status != "running":  # it answers from memory
            raise Lost(self.client.status)
        return answer

    def idle(self) -> bool:
        """Whether the scheduler has given no worker anything to do."""
        return not any(self.asked(self.client.processing).values())

    # -- workers ------------------------------------------------------------------------------

    def greet(self, asked: Written) -> list[str]:
        """Let new workers take part, and send them what they lack; why some cannot, a sentence each."""
        workers = self.workers()
        new = [address for address in workers if address not in self.greeted]
        if not new:
            return []
        told = self.asked(
            lambda: self.client.run(task.describe, asked.code, asked.device, workers=new, on_error="return")
        )
        wrong = []
        for address in new:
            if address not in told:
                continue  # gone again
            found = list(complaints(address, told[address], workers[address]["nthreads"], asked.device))
            found = found or self._furnish(address, asked.sums)
            wrong += found
            if not found:
                self.greeted.add(address)
        return wrong

    def _furnish(self, address: str, sums: Sequence[str]) -> list[str]:
        def ask(function: Any, *arguments: Any) -> Any:
            told = self.asked(
                lambda: self.client.run(function, *arguments, workers=[address], on_error="return")
            )
            return told.get(address)

        lacking = ask(task.missing, list(sums))
        for sha256 in lacking if isinstance(lacking, list) else ():
            for piece in store.chunks(sha256):
                wrong = ask(task.receive, sha256, *piece)
                if wrong:
                    return [f"worker {address} cannot take the data: {wrong}"]
        return []

    def look(self, asked: Written) -> list[str]:
        """Greet who has come and forget who has gone; why some who came take no part. Those are sent away."""
        self.greeted &= self.workers().keys()
        wrong = self.greet(asked)
        strangers = [address for address in self.workers() if address not in self.greeted] if wrong else []
        if strangers:
            self.asked(lambda: self.client.retire_workers(strangers, close_workers=True))
        return wrong

    def submit(
        self,
        key: tuple[str, int],
        asked: Written,
        order: dict[str, Any],
        priority: float,
        bound: set[str],
        ended: Callable[[Any], None],
    ) -> Any:
        """Ask for a piece of work; `ended` is told its future. bound: to these workers alone, anywhere if empty."""
        # Not a preference (allow_other_workers): whoever has nothing to do steals what is only preferred elsewhere.
        restricted = {"workers": sorted(bound)} if bound else {}
        future = self.asked(
            lambda: self.client.submit(
                task.compute, order, list(asked.sums), self.limit, key=key, priority=priority, **restricted
            )
        )
        future.add_done_callback(ended)
        return future

    def take_back(self, future: Any) -> None:
        """Ask for something no more."""
        self.asked(future.cancel)

    def submit_all(
        self,
        keys: Sequence[tuple[str, int]],
        asked: Written,
        orders: Sequence[dict[str, Any]],
        priority: float,
    ) -> list[Any]:
        """Ask for many pieces at once; their futures."""
        told = {"needs": list(asked.sums), "limit": self.limit, "priority": priority}
        return self.asked(lambda: self.client.map(task.compute, list(orders), key=list(keys), **told))

    def answer(self, future: Any) -> dict[str, Any]:
        """What came of a future that ended.

        Raises:
            Lost: the scheduler did not tell.
        """
        from distributed.scheduler import KilledWorker

        if future.status not in ("finished", "error"):
            raise Lost(future.status)
        try:
            return future.result(timeout=self.patience)
        except KilledWorker as error:
            return {"trouble": f"its worker was lost {error.allowed_failures + 1} times", "final": True}
        except Exception as error:
            # A task that raised would raise again; only what could not be fetched is looked for again.
            if future.status != "error" and isinstance(error, OSError | TimeoutError | RuntimeError):
                raise Lost(str(error)) from None
            return {"trouble": f"{type(error).__name__}: {error}"}
