"""How long an attack may take: one that asks the model nothing for minutes, or asks for ever, is ended with a sentence."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from benchmark.errors import SubmissionError

SILENCE = 300.0  # seconds without asking the model anything; a forward pass itself counts as silence
PASSES = 100_000  # calls of the model in one attempt; Square-5000 needs 5,002


class Patience:
    """Ends an attack that hangs. `still()` is called before every forward pass.

    The alarm is POSIX's and rings in the main thread only, which is where worker processes compute;
    elsewhere calls are counted but silence is not timed.
    """

    def __init__(self, attack: str) -> None:
        self.attack, self.calls = attack, 0
        self.timed = hasattr(signal, "SIGALRM") and threading.current_thread() is threading.main_thread()

    def still(self) -> None:
        """Note a sign of life.

        Raises:
            SubmissionError: there have been more than an attack can need.
        """
        self.calls += 1
        if self.calls > PASSES:
            raise SubmissionError(f"attack {self.attack!r} asked the model {PASSES:,} times and did not end")
        if self.timed:
            signal.setitimer(signal.ITIMER_REAL, SILENCE)

    def __enter__(self) -> Patience:
        if self.timed:
            self.before = signal.signal(signal.SIGALRM, self._ring)
            signal.setitimer(signal.ITIMER_REAL, SILENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.timed:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self.before)

    def _ring(self, number: int, frame: FrameType | None) -> None:
        raise SubmissionError(
            f"attack {self.attack!r} hangs: nothing happened for {SILENCE:g} s, in the attack or in the model's forward pass"
        )
