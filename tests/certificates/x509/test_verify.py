from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509

from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.keys import generate, public_key_info
from certificates.x509.tbs import build, build_authority, sign
from certificates.x509.verify import VerificationFailed, verify_authority, verify_issued
from pki_portal.errors import Unavailable
from profiles.policy.request import BasicConstraints
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, KeyUsage, SignatureAlgorithm
from tests.certificates.x509.material import (
    NOW,
    URLS,
    authority_plan,
    dns,
    end_entity,
    issuance_plan,
    key,
    root,
    signer,
    subject,
)

P256 = KeyAlgorithm.EC_PRIME256V1
SERIAL = 2**158 + 7
PLAN = issuance_plan()


def check(certificate: x509.Certificate, **changes: Any) -> tuple[str, ...]:
    """Fields that differ from what was expected; none for what is as decided."""
    expected: dict[str, Any] = {
        "plan": PLAN,
        "issuer": Issuer(root(P256)),
        "serial_number": SERIAL,
        "public_key": key(P256).public_key(),
        "urls": URLS,
    }
    try:
        verify_issued(certificate, **(expected | changes))
    except VerificationFailed as error:
        return error.differences
    return ()


def issued() -> x509.Certificate:
    return end_entity(PLAN, root(P256), P256, serial_number=SERIAL)


def test_a_failure_is_a_fault_of_the_installation_and_says_where() -> None:
    error = VerificationFailed(["subject", "signature"])
    assert isinstance(error, Unavailable)
    assert error.message.endswith("thrown away: subject, signature")


def test_what_was_decided_passes() -> None:
    assert check(issued()) == ()


@pytest.mark.parametrize(
    ("changes", "differences"),
    [
        ({"subject": subject(common_name="other.acme.com")}, {"subject"}),
        ({"subject": ()}, {"subject", "extensions"}),
        ({"subject_alternative_names": dns("other.acme.com")}, {"subjectAltName"}),
        ({"subject_alternative_names": ()}, {"subjectAltName", "extensions"}),
        ({"key_usages": (KeyUsage.KEY_AGREEMENT,)}, {"keyUsage"}),
        ({"key_usages": ()}, {"keyUsage", "extensions"}),
        ({"extended_key_usages": (ExtendedKeyUsage.CLIENT_AUTH,)}, {"extKeyUsage"}),
        ({"basic_constraints": BasicConstraints(is_ca=True)}, {"basicConstraints", "extensions"}),
        ({"not_before": NOW - timedelta(seconds=1)}, {"notBefore"}),
        ({"not_after": NOW}, {"notAfter"}),
        ({"signature_algorithm": SignatureAlgorithm.ECDSA_SHA384}, {"signature algorithm"}),
        ({"subject_public_key_info": b"another key"}, {"applicant's key"}),
    ],
)
def test_a_difference_from_the_plan_is_named(changes: dict[str, Any], differences: set[str]) -> None:
    assert set(check(issued(), plan=replace(PLAN, **changes))) == differences


def test_the_applicants_key_is_compared() -> None:
    plan = replace(PLAN, subject_public_key_info=public_key_info(key(P256).public_key()))
    assert check(issued(), plan=plan) == ()


def test_a_difference_from_serial_number_key_and_addresses_is_named() -> None:
    other_key = generate(P256).public_key()
    assert check(issued(), serial_number=5) == ("serial number",)
    assert check(issued(), public_key=other_key) == ("public key", "subjectKeyIdentifier")
    assert check(issued(), urls=DistributionUrls(URLS.crl, ("http://elsewhere.example.com/ca",))) == (
        "authorityInfoAccess",
    )
    assert check(issued(), urls=DistributionUrls()) == ("extensions", "cRLDistributionPoints", "authorityInfoAccess")


def test_another_issuer_is_named() -> None:
    other = root(KeyAlgorithm.EC_SECP384R1)
    assert check(issued(), issuer=Issuer(other)) == ("authorityKeyIdentifier", "signature")
    assert set(check(issued(), issuer=None)) >= {"issuer", "extensions", "signature"}


def test_a_signature_by_a_key_that_is_not_the_issuers_is_named() -> None:
    tbs = build(
        plan=PLAN,
        issuer=Issuer(root(P256)),
        serial_number=SERIAL,
        public_key=key(P256).public_key(),
        urls=URLS,
    )
    forged = sign(tbs, signer(KeyAlgorithm.EC_SECP384R1))
    assert check(forged) == ("signature",)


def test_a_self_signed_certificate_is_checked_with_its_own_key() -> None:
    plan = issuance_plan(signed_by=None)
    tbs = build(plan=plan, issuer=None, serial_number=SERIAL, public_key=key(P256).public_key(), urls=URLS)
    certificate = sign(tbs, signer(P256))
    assert check(certificate, plan=plan, issuer=None) == ()
    forged = sign(tbs, signer(KeyAlgorithm.EC_SECP384R1))
    assert check(forged, plan=plan, issuer=None) == ("signature",)


def test_a_ca_certificate_is_checked_likewise() -> None:
    plan = authority_plan("Issuing", P256, path_length=0)
    expected: dict[str, Any] = {
        "issuer": Issuer(root(P256)),
        "serial_number": SERIAL,
        "public_key": key(KeyAlgorithm.ED25519).public_key(),
        "urls": URLS,
    }
    certificate = sign(build_authority(plan=plan, **expected), signer(P256))
    verify_authority(certificate, plan=plan, **expected)
    with pytest.raises(VerificationFailed, match="basicConstraints"):
        verify_authority(certificate, plan=replace(plan, path_length=1), **expected)
    root_plan = authority_plan("Root", P256)
    as_root: dict[str, Any] = expected | {"issuer": None, "public_key": key(P256).public_key()}
    certificate = sign(build_authority(plan=root_plan, **as_root), signer(P256))
    verify_authority(certificate, plan=root_plan, **as_root)
