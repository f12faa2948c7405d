from datetime import datetime, timedelta

import pytest
from cryptography import x509

from certificates.x509.issuer import Issuer
from certificates.x509.path import PathError, verify_path
from certificates.x509.tbs import build_authority, sign
from profiles.policy.vocabulary import KeyAlgorithm
from tests.certificates.x509.material import (
    AUTHORITY_ALGORITHMS,
    NOW,
    URLS,
    authority_plan,
    end_entity,
    intermediate,
    issuance_plan,
    key,
    root,
    self_signed,
    signer,
)

P256, P384, ED25519 = KeyAlgorithm.EC_PRIME256V1, KeyAlgorithm.EC_SECP384R1, KeyAlgorithm.ED25519


def reasons(path: list[x509.Certificate], at: datetime = NOW) -> list[str]:
    with pytest.raises(PathError) as caught:
        verify_path(path, at=at)
    return [violation.asked for violation in caught.value.violations]


def leaf_under(issuer: x509.Certificate, algorithm: KeyAlgorithm) -> x509.Certificate:
    return end_entity(issuance_plan(signed_by=algorithm), issuer, algorithm)


@pytest.mark.parametrize("algorithm", AUTHORITY_ALGORITHMS)
def test_a_good_path_passes(algorithm: KeyAlgorithm) -> None:
    issuing = intermediate(P256, algorithm)
    verify_path([leaf_under(issuing, P256), issuing, root(algorithm)], at=NOW)
    verify_path([root(algorithm)], at=NOW)


def test_an_empty_path_does_not_hold() -> None:
    assert reasons([]) == ["it is empty"]


def test_time_is_checked_for_each_certificate() -> None:
    issuing = intermediate(P256, P256)
    path = [leaf_under(issuing, P256), issuing, root(P256)]
    assert ["service.acme.com" in reason for reason in reasons(path, NOW + timedelta(days=91))] == [True]
    assert len(reasons(path, NOW + timedelta(days=5000))) == 3
    assert len(reasons(path, NOW - timedelta(days=2))) == 3


def test_a_missing_link_is_named() -> None:
    issuing = intermediate(P256, P256)
    found = reasons([leaf_under(issuing, P256), root(P256)])
    assert found == ["CN=service.acme.com,O=Acme,C=US was not issued by CN=Root,O=Acmé,C=US"]


def test_another_key_of_the_same_name_is_no_issuer() -> None:
    found = reasons([leaf_under(root(P256), P256), root(P384)])
    assert len(found) == 1
    assert "was not issued by" in found[0]


def test_a_path_must_end_in_a_trust_anchor() -> None:
    issuing = intermediate(P256, P256)
    assert reasons([leaf_under(issuing, P256), issuing]) == [
        "C=US, O=Acmé, CN=Issuing ends the path and is not self-signed"
    ]


def test_an_end_entity_is_no_issuer() -> None:
    parent = self_signed(issuance_plan(signed_by=None, subject=authority_plan("Root", P256).subject))
    found = reasons([leaf_under(parent, P256), parent])
    assert found[-2:] == ["C=US, O=Acmé, CN=Root is no CA", "C=US, O=Acmé, CN=Root may not sign certificates"]


def test_path_length_is_counted() -> None:
    def under(name: str, parent: x509.Certificate, path_length: int | None) -> x509.Certificate:
        tbs = build_authority(
            plan=authority_plan(name, P256, path_length=path_length),
            issuer=Issuer(parent),
            serial_number=3,
            public_key=key(P256).public_key(),
            urls=URLS,
        )
        return sign(tbs, signer(P256))

    anchor = root(P256, 1)
    first = under("First", anchor, None)
    second = under("Second", first, None)
    verify_path([leaf_under(first, P256), first, anchor], at=NOW)
    found = reasons([leaf_under(second, P256), second, first, anchor])
    assert found == ["C=US, O=Acmé, CN=Root allows 1 CAs below it, there are 2"]
    # RFC 5280, 4.2.1.9: a self-issued CA (a new key under the old name) does not count.
    again = under("First", first, None)
    verify_path([leaf_under(again, P256), again, first, anchor], at=NOW)
