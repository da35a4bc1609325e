"""Candidates that take turns in one process."""
import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple

CASES = [(100, 8, 256), (100, 1, 96), (100, 32, 128), (1, 1, 64)]    # T, N, H = I
Call = Callable[[], Any]


class Case(NamedTuple):
    """calls: by name, the incumbent first."""
    what: str
    T: int
    N: int
    H: int
    calls: dict[str, Call]


class Time(NamedTuple):
    """Seconds of a call, of all rounds."""
    median: float
    least: float


def measure(calls: dict[str, Call], rounds: int, clock: Callable[[], float]) -> dict[str, Time]:
    counts = {}
    for name, call in calls.items():
        call()
        start, count = clock(), 0
        while clock() - start < 0.02:
            call()
            count += 1
        counts[name] = max(1, count // 2)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = clock()
            for _ in range(counts[name]):
                call()
            times[name].append((clock() - start) / counts[name])
    return {name: Time(statistics.median(values), min(values)) for name, values in times.items()}


def clock_of(threads: int) -> Callable[[], float]:
    """Processor time, so that other programs disturb less; with more threads than one the clock's."""
    return time.process_time if threads == 1 else time.perf_counter
