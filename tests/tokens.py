"""A PKCS#11 token for tests: SoftHSM from Debian, in a folder of its own."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

LABEL = "pki-tests"
PIN = "8472-6291"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
)


@dataclass(frozen=True)
class SoftToken:
    """One installation of SoftHSM with one token, whose files can be taken away and brought back."""

    module: str
    folder: Path

    @property
    def configuration(self) -> Path:
        return self.folder / "softhsm2.conf"

    @property
    def environment(self) -> dict[str, str]:
        """For a portal in a process of its own."""
        return {
            "SOFTHSM2_CONF": str(self.configuration),
            "PKCS11_MODULE": self.module,
            "PKCS11_TOKEN_LABEL": LABEL,
            "PKCS11_PIN": PIN,
        }

    def take_away(self) -> None:
        """No file of the token is left where SoftHSM looks."""
        (self.folder / "tokens").rename(self.folder / "away")
        (self.folder / "tokens").mkdir()

    def bring_back(self) -> None:
        (self.folder / "tokens").rmdir()
        (self.folder / "away").rename(self.folder / "tokens")


def make_token(folder: Path) -> SoftToken:
    """A new token. Fails where SoftHSM is not installed, for what is not tested is not known to work."""
    module = next((each for each in MODULES if Path(each).is_file()), None)
    tool = shutil.which("softhsm2-util")
    if module is None or tool is None:
        raise AssertionError("SoftHSM is missing: apt-get install softhsm2 (make test does that for root).")
    token = SoftToken(module=module, folder=folder)
    (folder / "tokens").mkdir(parents=True)
    token.configuration.write_text(
        f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
    )
    subprocess.run(
        [tool, "--init-token", "--free", "--label", LABEL, "--pin", PIN, "--so-pin", "so-pin-of-tests"],
        env=os.environ | {"SOFTHSM2_CONF": str(token.configuration)},
        check=True,
        capture_output=True,
    )
    return token
