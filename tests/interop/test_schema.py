"""The API does what its description says, whatever a fuzzer that has read the description sends."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.portal import Portal


@pytest.mark.timeout(900)
def test_no_fault_no_undocumented_status_no_schema_violation(portal: Portal, tmp_path: Path) -> None:
    token = portal.token()
    portal.call(
        "POST",
        "/api/v1/cert-manager/certificates",
        {"profileId": portal.made["profileIds"]["tls-server"], "attributes": {"commonName": "seed.example.com"}},
        token=token,
    )
    run = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{portal.base_url}/api/schema/?format=json",
            "--header",
            f"Authorization: Bearer {token}",
            "--workers",
            "2",
            "--max-examples",
            "12",
            "--phases",
            "examples,coverage,fuzzing",
            "--seed",
            "1",
            "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert run.returncode == 0, run.stdout[-20000:]
