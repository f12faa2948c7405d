"""Our verdict on constrained names is that of the programs that will judge the certificates."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from certificates.x509.inspect import facts_of
from certificates.x509.issuer import DistributionUrls, Issuer
from certificates.x509.lint import lint
from certificates.x509.name_constraints import path_constraints, read_name_constraints
from certificates.x509.path import PathError, verify_path
from certificates.x509.tbs import build_authority, new_serial_number, sign
from certificates.x509.verify import VerificationFailed, verify_authority
from profiles.policy.authority import decide_authority
from profiles.policy.judges.lifetime import Validity
from profiles.policy.name_constraints import breaches, constraints_of, normalised
from profiles.policy.plan import AuthorityPlan
from profiles.policy.request import GeneralName, NameConstraints
from profiles.policy.vocabulary import ExtendedKeyUsage, KeyAlgorithm, NameType
from tests.certificates.x509.material import NOW, der, end_entity, issuance_plan, key, root, signer, subject
from tests.relying_parties import certvalidator_objection, openssl_objection

P256 = KeyAlgorithm.EC_PRIME256V1
DNS, IP, EMAIL, URI = NameType.DNS_NAME, NameType.IP_ADDRESS, NameType.EMAIL, NameType.URI


def plan_of(constraints: NameConstraints, common_name: str = "Root") -> AuthorityPlan:
    return decide_authority(
        subject=subject(country="US", organization="Acme", common_name=common_name),
        validity=Validity(NOW, NOW + timedelta(days=3650)),
        path_length=None,
        issuer=None,
        key_name=P256,
        now=NOW,
        name_constraints=normalised(constraints),
    )


def constrained_root(constraints: NameConstraints) -> x509.Certificate:
    tbs = build_authority(
        plan=plan_of(constraints),
        issuer=None,
        serial_number=new_serial_number(),
        public_key=key(P256).public_key(),
        urls=DistributionUrls(),
    )
    return sign(tbs, signer(P256))


def leaf_of(
    issuer: x509.Certificate,
    *names: tuple[NameType, str],
    common_name: str = "Somebody",
    purposes: tuple[ExtendedKeyUsage, ...] = (ExtendedKeyUsage.CLIENT_AUTH, ExtendedKeyUsage.SERVER_AUTH),
) -> x509.Certificate:
    plan = issuance_plan(
        subject=subject(common_name=common_name),
        subject_alternative_names=tuple(GeneralName(kind, value) for kind, value in names),
        extended_key_usages=purposes,
    )
    return end_entity(plan, issuer, P256)


def is_refused(issuer: x509.Certificate, leaf: x509.Certificate) -> bool:
    facts = facts_of(leaf)
    found = breaches(
        path_constraints([issuer]),
        subject=facts.subject,
        alternative_names=facts.subject_alternative_names,
        is_end_entity=True,
    )
    return bool(list(found))


def library_refuses(issuer: x509.Certificate, leaf: x509.Certificate) -> bool:
    verifier = PolicyBuilder().store(Store([issuer])).time(NOW + timedelta(minutes=1)).build_client_verifier()
    try:
        verifier.verify(leaf, [])
    except VerificationError:
        return True
    return False


PERMITTED = {
    "dns": ["example.com", "svc.example.net"],
    "ip": ["10.0.0.0/8", "2001:db8::/32"],
    "email": ["example.com", ".example.net", "ca@example.org"],
    "uri": ["example.com", ".example.net"],
}
EXCLUDED = {
    "dns": ["secret.example.com"],
    "ip": ["10.6.0.0/16"],
    "email": ["root@example.com"],
    "uri": ["x.example.net"],
}
CASES = [
    ((DNS, "example.com"), True),
    ((DNS, "www.example.com"), True),
    ((DNS, "a.b.example.com"), True),
    ((DNS, "*.www.example.com"), True),
    ((DNS, "badexample.com"), False),
    ((DNS, "example.net"), False),
    ((DNS, "svc.example.net"), True),
    ((DNS, "secret.example.com"), False),
    ((DNS, "a.secret.example.com"), False),
    ((DNS, "notsecret.example.com"), True),
    ((IP, "10.1.2.3"), True),
    ((IP, "10.6.2.3"), False),
    ((IP, "11.1.2.3"), False),
    ((IP, "2001:db8::1"), True),
    ((IP, "2001:db9::1"), False),
    ((EMAIL, "alice@example.com"), True),
    ((EMAIL, "alice@mail.example.com"), False),
    ((EMAIL, "alice@mail.example.net"), True),
    ((EMAIL, "alice@example.net"), False),
    ((EMAIL, "ca@example.org"), True),
    ((EMAIL, "alice@example.org"), False),
    ((EMAIL, "root@example.com"), False),
    ((URI, "https://example.com/a"), True),
    ((URI, "https://www.example.com/a"), False),
    ((URI, "https://www.example.net:8443/a"), True),
    ((URI, "https://example.net/a"), False),
    ((URI, "https://x.example.net/a"), False),
    ((URI, "https://10.1.2.3/a"), False),
    ((URI, "urn:example:a"), False),
]


@pytest.mark.parametrize(("name", "is_allowed"), CASES, ids=lambda case: case[1] if isinstance(case, tuple) else None)
def test_our_verdict_is_that_of_openssl_and_of_the_library(name: tuple[NameType, str], is_allowed: bool) -> None:
    issuer = constrained_root(constraints_of({"permitted": PERMITTED, "excluded": EXCLUDED}))
    leaf = leaf_of(issuer, name)

    assert is_refused(issuer, leaf) is not is_allowed
    assert (openssl_objection(leaf, trusted=[issuer], at=NOW + timedelta(minutes=1)) == "") is is_allowed
    if name[0] is not URI:  # the library knows no constraints on URIs and refuses them all
        narrow = {"permitted": {k: v for k, v in PERMITTED.items() if k != "uri"}}
        narrow["excluded"] = {k: v for k, v in EXCLUDED.items() if k != "uri"}
        known = constrained_root(constraints_of(narrow))
        assert library_refuses(known, leaf_of(known, name)) is not is_allowed


@pytest.mark.parametrize(
    ("common_name", "names", "is_allowed"),
    [
        ("www.example.com", [], True),
        ("www.evil.test", [], False),
        ("10.9.9.9", [], False),
        ("Alice Example", [], True),
        ("evil", [], True),
        ("www.evil.test", [(DNS, "www.example.com")], True),
        ("www.evil.test", [(IP, "192.0.2.1")], False),
    ],
)
def test_a_host_in_the_common_name_counts_where_no_dns_name_stands(
    common_name: str, names: list[tuple[NameType, str]], is_allowed: bool
) -> None:
    issuer = constrained_root(constraints_of({"permitted": {"dns": ["example.com"]}}))
    # Of a server's certificate the policy would make the common name a DNS name.
    leaf = leaf_of(issuer, *names, common_name=common_name, purposes=(ExtendedKeyUsage.CLIENT_AUTH,))

    assert is_refused(issuer, leaf) is not is_allowed
    assert (openssl_objection(leaf, trusted=[issuer], at=NOW + timedelta(minutes=1)) == "") is is_allowed


def test_a_wildcard_that_covers_an_excluded_name_is_refused() -> None:
    issuer = constrained_root(constraints_of({"excluded": {"dns": ["secret.example.com"]}}))
    assert is_refused(issuer, leaf_of(issuer, (DNS, "*.example.com")))
    assert not is_refused(issuer, leaf_of(issuer, (DNS, "*.www.example.com")))


def test_the_extension_is_critical_reads_back_and_is_clean() -> None:
    constraints = normalised(constraints_of({"permitted": PERMITTED, "excluded": EXCLUDED}))
    issuer = constrained_root(constraints)
    extension = issuer.extensions.get_extension_for_class(x509.NameConstraints)
    assert extension.critical
    assert read_name_constraints(extension.value) == facts_of(issuer).name_constraints == constraints
    assert [finding.code for finding in lint(der(issuer))] == []


def test_a_certificate_with_other_constraints_than_decided_does_not_leave() -> None:
    decided = constraints_of({"permitted": {"dns": ["example.com"]}})
    signed = constrained_root(constraints_of({"permitted": {"dns": ["example.net"]}}))
    with pytest.raises(VerificationFailed) as refusal:
        verify_authority(
            signed,
            plan=plan_of(decided),
            issuer=None,
            serial_number=signed.serial_number,
            public_key=key(P256).public_key(),
            urls=DistributionUrls(),
        )
    assert refusal.value.differences == ("nameConstraints",)


def test_a_path_with_a_name_outside_is_refused_and_self_issued_cas_are_not_asked() -> None:
    issuer = constrained_root(constraints_of({"permitted": {"dns": ["example.com"]}}))
    inside, outside = leaf_of(issuer, (DNS, "www.example.com")), leaf_of(issuer, (DNS, "www.evil.test"))
    at = NOW + timedelta(minutes=1)

    verify_path([inside, issuer], at=at)
    with pytest.raises(PathError, match=r"www\.evil\.test.*is outside the name constraints of C=US, O=Acme, CN=Root"):
        verify_path([outside, issuer], at=at)
    assert certvalidator_objection(inside, trusted=[issuer], at=at) == ""


def test_constraints_made_elsewhere_are_read_whatever_they_hold() -> None:
    name = x509.Name(
        [x509.NameAttribute(NameOID.COUNTRY_NAME, "US"), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ACME")]
    )
    value = x509.NameConstraints(
        permitted_subtrees=[x509.DirectoryName(name), x509.DNSName(".Example.COM"), x509.DNSName("Example.Net")],
        excluded_subtrees=[x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), x509.RFC822Name("Bob@Example.COM")],
    )
    builder = (
        x509.CertificateBuilder(name, name, key(P256).public_key(), 7, NOW, NOW + timedelta(days=9))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(value, critical=True)
    )
    issuer = builder.sign(key(P256), root(P256).signature_hash_algorithm)  # type: ignore[arg-type]
    told = {
        "inside": ((DNS, "a.example.com"), (DNS, "example.net"), (EMAIL, "Bob@example.net")),
        "outside": ((DNS, "example.com"), (EMAIL, "bob@example.com")),
    }

    def refused(names: tuple[tuple[NameType, str], ...], **attributes: str) -> set[str]:
        found = breaches(
            path_constraints([issuer]),
            subject=subject(**attributes),
            alternative_names=[GeneralName(kind, value) for kind, value in names],
            is_end_entity=True,
        )
        return {breach.name.value for breach in found}

    assert refused(told["inside"], country="US", organization="acme", common_name="x") == set()
    assert refused(told["outside"], country="US", organization="Acme") == {"example.com", "bob@example.com"}
    assert refused((), country="DE", organization="Acme") == {"country=DE, organization=Acme"}
    assert refused((), country="US") == {"country=US"}
    assert Issuer(issuer).certificate is issuer
