"""What tests say again and again."""

from typing import Any, Protocol


class JsonResponse(Protocol):
    """An answer of Django's or the REST framework's test client."""

    status_code: int

    def json(self) -> Any:
        """Parse the body."""


def assert_error(response: JsonResponse, *, status: int, error: str, field: str | None = None) -> dict[str, Any]:
    """The answer is the one error body, of this status and name; ``field`` is the JSON pointer of one of its
    violations.
    """
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error"]) == (status, error), body
    assert body["statusCode"] == status
    assert body["reqId"].startswith("req-")
    assert body["message"], "an error without a message"
    assert set(body) == {"reqId", "statusCode", "message", "error", "details"}
    for detail in body["details"]:
        assert set(detail) == {"pointer", "code", "rule", "asked", "allowed", "fix", "patch"}
    if field is not None:
        assert field in [detail["pointer"] for detail in body["details"]], body["details"]
    return body
