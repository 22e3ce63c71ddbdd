"""Run a server for as long as another process lives, whatever ends that one: a script of its own.

Standard input is a pipe whose other end that process holds, and nobody else. It reads as ended when the
process is gone, also after kill -9, and then the whole process group of this script ends.
"""

import os
import signal
import subprocess
import sys
import threading
import time

GRACE = 5.0  # s that the server has to end by itself


def main() -> None:
    """Start the command of the arguments; leave with its exit code."""
    signal.signal(
        signal.SIGTERM, lambda *_: None
    )  # sent to the group below; ignored, it would be by the server
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_watch, daemon=True).start()
    code = server.wait()
    os.killpg(0, signal.SIGTERM)  # what it has started
    sys.exit(code)


def _watch() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGTERM)
    time.sleep(GRACE)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
