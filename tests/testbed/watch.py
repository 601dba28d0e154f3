"""python -m testbed.watch PID FOLDER: takes the testbed in FOLDER down when process PID has ended."""

import os
import pathlib
import select
import sys

from .bed import Testbed


def main():
    pid, run = int(sys.argv[1]), pathlib.Path(sys.argv[2])
    try:
        owner = os.pidfd_open(pid)
    except ProcessLookupError:
        pass  # it was faster
    else:
        poll = select.poll()
        poll.register(owner, select.POLLIN)
        poll.poll()
    try:
        Testbed.at(run).down()
    except LookupError:
        pass  # nothing was made yet; the next one who wants these ports removes the folder


if __name__ == "__main__":
    main()
