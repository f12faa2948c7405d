"""The API description: complete, free of warnings, and the committed file says what the code says."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "openapi.json"
AGAIN = "python manage.py spectacular --format openapi-json --validate --fail-on-warn --file docs/openapi.json"


@pytest.fixture(scope="module")
def generated() -> dict[str, Any]:
    out = StringIO()
    call_command("spectacular", "--format", "openapi-json", "--validate", "--fail-on-warn", stdout=out)
    description: dict[str, Any] = json.loads(out.getvalue())
    return description


def test_the_committed_description_is_the_generated_one(generated: dict[str, Any]) -> None:
    assert json.loads(COMMITTED.read_text()) == generated, f"make it again: {AGAIN}"


def test_every_operation_has_a_name_a_tag_and_its_refusals(generated: dict[str, Any]) -> None:
    operations = [operation for path in generated["paths"].values() for operation in path.values()]
    names = [operation["operationId"] for operation in operations]
    assert len(names) == len(set(names))
    for operation in operations:
        assert operation["tags"], operation["operationId"]
        assert any(status >= "400" for status in operation["responses"]), operation["operationId"]


def test_issuing_is_described_with_its_header_and_conflicts(generated: dict[str, Any]) -> None:
    operation = generated["paths"]["/api/v1/cert-manager/certificates"]["post"]
    assert "Idempotency-Key" in [parameter["name"] for parameter in operation["parameters"]]
    assert {"200", "400", "403", "404", "409", "413", "415", "422"} <= operation["responses"].keys()
    answer = generated["components"]["schemas"]["IssuedCertificate"]
    assert "privateKey" not in answer["required"]
    assert "certificateChain" in answer["required"]
