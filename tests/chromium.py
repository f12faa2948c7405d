"""How Chromium is started: for the tests of the pages, and for pictures of them."""

import os
import shutil
from typing import Any


def launch_options() -> dict[str, Any]:
    """The system's Chromium where there is one, else the one that Playwright brought; silent on the network."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    switches = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
    switches += ["--disable-component-update", "--disable-sync"]
    if os.geteuid() == 0:
        switches.append("--no-sandbox")  # Chromium refuses to start as root otherwise
    found = {"executable_path": chromium} if chromium else {}
    return found | {"args": switches}
