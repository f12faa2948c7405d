"""Keys that take long to make: a few at once, and who is refused leaves nothing but the audit event."""

from collections.abc import Iterator

import pytest

from certificates.models import Certificate, CertificateRequest
from pki_portal import slow_work
from pki_portal.audit.models import AuditEvent
from tests.wire import CERTIFICATES, Pki, issue_body, issued, make_client, make_pki, post_json

pytestmark = pytest.mark.django_db


@pytest.fixture
def pki() -> Pki:
    return make_pki()


@pytest.fixture
def no_place(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another request makes such a key just now."""
    monkeypatch.setattr(slow_work, "_places", 1)
    with slow_work.in_a_free_place():
        yield


@pytest.mark.usefixtures("no_place")
@pytest.mark.parametrize("algorithm", ["RSA_3072", "RSA_4096"])
def test_a_slow_key_too_many_is_refused_with_what_would_pass(pki: Pki, algorithm: str) -> None:
    answer = post_json(make_client(pki.project), CERTIFICATES, issue_body(pki.profile, keyAlgorithm=algorithm))
    assert answer.status_code == 503, answer.content
    assert int(answer["Retry-After"]) > 0
    (detail,) = answer.json()["details"]
    assert detail["pointer"].endswith("/keyAlgorithm")
    assert (detail["code"], detail["asked"]) == ("slow_keys_under_way", algorithm)
    assert "CSR" in detail["fix"]
    assert not Certificate.objects.exists()
    assert not CertificateRequest.objects.exists()
    assert AuditEvent.objects.filter(outcome="refused", event="issue-certificate-from-profile").count() == 1


@pytest.mark.usefixtures("no_place")
def test_others_pass_meanwhile(pki: Pki) -> None:
    issued(make_client(pki.project), pki.profile)
