"""The keeper: what it keeps is started again when it dies, with what it was given, and ends with it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.portal import ROOT

KEEP = """
import json, sys
from pki_portal.background import keeper
keeper.LOOK_SECONDS = keeper.FIRST_DELAY = 0.01
keeper.Keeper([keeper.Kept(**each) for each in json.loads(sys.argv[1])]).run()
"""
# Says who it is, by the descriptor that it was given, and stays.
TELL = """
import os, signal, sys
os.write(int(sys.argv[1]), f"{sys.argv[2]} {os.getpid()} {sys.argv[3]}\\n".encode())
signal.pause()
"""


def test_each_is_started_again_and_all_end_together() -> None:
    read, write = os.pipe()
    kept = [
        {"command": [sys.executable, "-c", TELL, str(write), name], "descriptors": [write]} for name in ("one", "two")
    ]
    keeper = subprocess.Popen(
        [sys.executable, "-c", KEEP, json.dumps(kept)],
        cwd=ROOT,
        pass_fds=[write],
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(write)
    with open(read, encoding="ascii") as told:

        def next_start() -> tuple[str, int]:
            name, pid, parent = told.readline().split()
            assert int(parent) == keeper.pid
            return name, int(pid)

        running = dict(next_start() for _ in kept)
        assert set(running) == {"one", "two"}
        for _ in range(2):
            os.kill(running["two"], signal.SIGKILL)
            name, again = next_start()
            assert name == "two"
            assert again != running["two"]
            running["two"] = again
        assert Path(f"/proc/{running['one']}").exists()

        keeper.terminate()
        _, complaints = keeper.communicate()
        assert keeper.returncode == 0
        assert told.read() == ""  # nobody has the other end any more
    assert complaints.count("ended with status -9; it is started again") == 2
