"""Faults: a sweep of four jobs stopped at each of its points in turn, and what came of it.

    python benchmarks/faults.py [--what kill,...] [--kinds replace,link,remote,...] [--every K]

Every sweep is resumed, the resume is stopped as well, at one of its own points, and resumed again; then it
is compared with one that was never stopped. Prints what was not whole, and a table of points by kind, which
SIGINT or SIGTERM brings at once, without the sweeps that were under way.
"""

import argparse
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from queue import Empty, Queue

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from helpers import faults
from helpers.fault_points import Fault

STOPS = signal.SIGINT, signal.SIGTERM
EITHER = ("remote", "replace")  # kinds where it makes a difference that the call was done


def cases(points, what: str, kinds: list[str]) -> list[tuple[Fault, int]]:
    """A fault at each point, and the number of the point at which the resume is stopped."""
    found = []
    for number, (kind, target, nth) in enumerate(points):
        if not any(kind.startswith(each) for each in kinds):
            continue
        if what in ("server error", "error after", "locked") and not kind.startswith("remote"):
            continue
        for when in (
            ("before", "after")
            if kind.startswith(EITHER) and what in ("kill", "server error")
            else ("before",)
        ):
            left = max(4, len(points) - number)
            found.append((Fault(what, when, kind, target, nth), len(found) * 7 % left))
    return found


def stop(*_: object) -> None:
    """Stop once: `timeout` sends its signal twice."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--what", default="kill")
    parser.add_argument("--kinds", default="replace,rename,link,remote")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the number of the first case to try")
    parser.add_argument("--times", type=int, default=1, help="calls from the point on that fail")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--work", type=Path, default=None)
    given = parser.parse_args()
    place = given.work or Path(tempfile.mkdtemp(prefix="faults"))
    bench = faults.bench(place / "0")
    expected, points = bench.prepare()
    benches = [bench] + [faults.bench(place / str(k)) for k in range(1, given.workers)]
    if "disk full" in given.what:  # a disk of its own, which root alone can have
        for each in benches:
            (each.place / "disk").mkdir(exist_ok=True)
            mount = ["mount", "-t", "tmpfs", "-o", "size=40M", "none", str(each.place / "disk")]
            subprocess.run(mount, check=True)
    todo: Queue = Queue()
    in_all, tried, whole, twice, missed = Counter(), Counter(), Counter(), Counter(), Counter()
    for what in given.what.split(","):
        found = cases(points, what, given.kinds.split(","))
        in_all.update((what, fault.kind, fault.when) for fault, _ in found)
        for fault, number in found[given.first :: given.every]:
            todo.put((what, fault, number))
    print(f"{len(points)} points, {todo.qsize()} of {in_all.total()} cases", flush=True)
    began = time.time()

    def work(bench: faults.Bench) -> None:
        while True:
            try:
                what, fault, number = todo.get_nowait()
            except Empty:
                return
            fault = Fault(fault.what, fault.when, fault.kind, fault.target, fault.nth, times=given.times)
            second = Fault("kill", number=number) if what == "kill" else None
            name = f"disk/case{todo.qsize()}" if what == "disk full" else f"case{todo.qsize()}"
            try:
                outcome = bench.case(name, fault, expected, second)
            except Exception:
                if not stopped.is_set():
                    raise
            if stopped.is_set():  # Control-C reaches the sweeps, too
                return
            key = what, fault.kind, fault.when
            tried[key] += 1
            twice[key] += outcome.twice
            missed[key] += not outcome.hit
            whole[key] += not outcome.wrong
            if outcome.wrong:
                point = (
                    f"{fault.what} {fault.when} {fault.kind} [{fault.target}] {fault.nth}, then at {number}"
                )
                print(f"{bench.place / name}: {point}\n  " + "\n  ".join(outcome.wrong[:8]), flush=True)

    stopped = threading.Event()
    for number in STOPS:  # what runs in the background has SIGINT ignored
        signal.signal(number, stop)
    threads = [threading.Thread(target=work, args=(each,), daemon=True) for each in benches]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        stopped.set()
        print("stopped early", flush=True)
    print(
        f"{'fault':<14}{'call':<28}{'when':<8}{'points':>7}{'tried':>7}{'whole':>7}"
        f"{'resume stopped':>16}{'not reached':>13}"
    )
    for key in sorted(in_all):
        what, kind, when = key
        print(
            f"{what:<14}{kind:<28}{when:<8}{in_all[key]:>7}{tried[key]:>7}{whole[key]:>7}"
            f"{twice[key]:>16}{missed[key]:>13}"
        )
    total = tried.total()
    print(f"{in_all.total()} points, {total} stops, {whole.total()} whole; {time.time() - began:.0f} s")
    for each in benches:
        each.forker.close()
        if "disk full" in given.what:
            subprocess.run(["umount", str(each.place / "disk")], check=True)
    return whole.total() != total


if __name__ == "__main__":
    sys.exit(main())
