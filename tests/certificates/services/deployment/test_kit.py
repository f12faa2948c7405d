"""The deploy kit: what it says works, as others judge it, and nothing that a certificate says gets out of its place."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from certificates.models import Certificate
from certificates.services.deployment import DeployKit, deploy_kit
from certificates.services.deployment.recipe import is_address, is_host
from certificates.services.export import public_file
from certificates.services.importing import Upload, import_certificates
from certificates.services.issuance import IssuedCertificate, issue_certificate
from profiles.policy.request import AttributeValue, GeneralName, IssuanceRequest
from profiles.policy.vocabulary import NameType, SubjectAttribute
from tests.elsewhere import foreign, pem_of
from tests.factories import SYSTEM, make_project
from tests.scenery import make_issuing_profile
from tests.wire import Pki, make_pki

pytestmark = pytest.mark.django_db

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin")  # this and the others: make test installs them
NAMES = (
    GeneralName(NameType.DNS_NAME, "*.acme.com"),
    GeneralName(NameType.DNS_NAME, "acme.com"),
    GeneralName(NameType.IP_ADDRESS, "192.0.2.7"),
    GeneralName(NameType.IP_ADDRESS, "2001:db8::7"),
)


@pytest.fixture
def pki() -> Pki:
    return make_pki()


def issued(pki: Pki, *names: GeneralName) -> IssuedCertificate:
    request = IssuanceRequest(
        subject=(AttributeValue(SubjectAttribute.COMMON_NAME, "*.acme.com"),), subject_alternative_names=names
    )
    return issue_certificate(profile=pki.profile, requester=SYSTEM, request=request)


def texts(kit: DeployKit) -> dict[str, str]:
    return {recipe.id: "\n".join(block.text for block in recipe.blocks) for recipe in kit.recipes}


def configuration(kit: DeployKit, recipe: str) -> str:
    (found,) = [block for each in kit.recipes if each.id == recipe for block in each.blocks if block.path]
    return found.text


def save(folder: Path, made: IssuedCertificate, kit: DeployKit) -> None:
    for file in kit.files:
        if file.format is not None:
            (folder / file.name).write_bytes(public_file(made.certificate, file.format).content)
        else:
            (folder / file.name).write_text(f"{made.private_key}\n")


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_kit_speaks_of_all_servers_and_systems_with_the_names_of_the_certificate(pki: Pki) -> None:
    kit = deploy_kit(issued(pki, *NAMES).certificate)
    assert [recipe.id for recipe in kit.recipes] == [
        *("nginx", "apache", "haproxy", "caddy", "postgresql", "kubernetes"),
        *("files", "verify"),
        *("debian", "rhel", "macos", "windows", "java", "nss"),
    ]
    assert [file.name for file in kit.files] == [
        f"wildcard.acme.com{ending}" for ending in (".pem", ".fullchain.pem", ".chain.pem", ".root.pem", ".key")
    ]
    told = texts(kit)
    assert "server_name *.acme.com acme.com 192.0.2.7 [2001:db8::7];" in told["nginx"]
    assert "ServerName acme.com" in told["apache"]
    assert "https://*.acme.com, https://acme.com, https://192.0.2.7, https://[2001:db8::7] {" in told["caddy"]
    assert 'hosts: ["*.acme.com", "acme.com"]' in told["kubernetes"]
    assert "cat wildcard.acme.com.fullchain.pem wildcard.acme.com.key >" in told["haproxy"]
    assert kit.warnings == ()


def test_nginx_accepts_its_configuration(pki: Pki, tmp_path: Path) -> None:
    made = issued(pki, *NAMES)
    kit = deploy_kit(made.certificate)
    save(tmp_path, made, kit)
    text = configuration(kit, "nginx").replace("/etc/nginx/tls", str(tmp_path))
    text = text.replace("listen 443 ssl", "listen unix:nginx.sock ssl").replace("    listen [::]:443 ssl;\n", "")
    frame = f"error_log stderr; pid {tmp_path}/pid; events {{}} http {{ access_log off; %s }}"
    temporary = "".join(
        f"{kind}_temp_path {tmp_path}/{kind}; " for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (tmp_path / "nginx.conf").write_text(frame % (temporary + text))
    done = run(f"{NGINX} -t -p {tmp_path} -c nginx.conf", tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "wildcard.acme.com.key").write_text(f"{issued(pki, *NAMES).private_key}\n")
    assert "key values mismatch" in run(f"{NGINX} -t -p {tmp_path} -c nginx.conf", tmp_path).stderr


@pytest.mark.parametrize(
    ("recipe", "command"),
    [
        ("haproxy", "haproxy -c -f configuration"),
        ("caddy", "caddy validate --adapter caddyfile --config configuration"),
    ],
)
def test_other_servers_accept_theirs(pki: Pki, tmp_path: Path, recipe: str, command: str) -> None:
    made = issued(pki, *NAMES)
    kit = deploy_kit(made.certificate)
    save(tmp_path, made, kit)
    names = "wildcard.acme.com"
    (tmp_path / "combined.pem").write_bytes(
        (tmp_path / f"{names}.fullchain.pem").read_bytes() + (tmp_path / f"{names}.key").read_bytes()
    )
    text = configuration(kit, recipe).replace(f"/etc/haproxy/certs/{names}.pem", str(tmp_path / "combined.pem"))
    (tmp_path / "configuration").write_text(text.replace(f"/etc/{recipe}/tls", str(tmp_path)) + "\n")
    done = run(f"PATH=$PATH:/usr/sbin {command}", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_kubectl_makes_the_secret_and_reads_the_ingress(pki: Pki, tmp_path: Path) -> None:
    made = issued(pki, *NAMES)
    kit = deploy_kit(made.certificate)
    save(tmp_path, made, kit)
    (secret,) = [block.text for each in kit.recipes if each.id == "kubernetes" for block in each.blocks[:1]]
    done = run(secret.partition(" | ")[0], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "type: kubernetes.io/tls" in done.stdout


def test_the_checks_pass_for_these_files_and_fail_for_others(pki: Pki, tmp_path: Path) -> None:
    made = issued(pki, *NAMES)
    kit = deploy_kit(made.certificate)
    save(tmp_path, made, kit)
    (verify,) = [recipe for recipe in kit.recipes if recipe.id == "verify"]
    path, key, fingerprint, server = [block.text for block in verify.blocks]
    assert run(path, tmp_path).stdout == "wildcard.acme.com.pem: OK\n"
    assert run(key, tmp_path).stdout == "fits\n"
    assert fingerprint.splitlines()[1].removeprefix("# ") + "\n" == run(fingerprint, tmp_path).stdout
    assert "-connect acme.com:443 -servername acme.com -verify_hostname acme.com" in server
    (tmp_path / "wildcard.acme.com.key").write_text(f"{issued(pki, *NAMES).private_key}\n")
    assert run(key, tmp_path).returncode == 1
    (tmp_path / "wildcard.acme.com.root.pem").write_bytes(pem_of(foreign().chain[-1]))
    assert run(path, tmp_path).returncode != 0


def test_one_that_signs_itself_verifies_by_itself(tmp_path: Path) -> None:
    profile = make_issuing_profile(make_project(), is_self_signed=True)
    request = IssuanceRequest(subject=(AttributeValue(SubjectAttribute.COMMON_NAME, "self.acme.com"),))
    made = issue_certificate(profile=profile, requester=SYSTEM, request=request)
    kit = deploy_kit(made.certificate)
    save(tmp_path, made, kit)
    (verify,) = [recipe for recipe in kit.recipes if recipe.id == "verify"]
    assert run(verify.blocks[0].text, tmp_path).stdout == "self.acme.com.pem: OK\n"


def imported(pki: Pki, *names: str, common_name: str = "www.other.test") -> Certificate:
    one = foreign(common_name, dns_names=names)
    upload = Upload(content=one.pem)
    return import_certificates(requester=SYSTEM, project=pki.project, upload=upload).certificates[0].certificate


HOSTILE = (
    "a.test; return 200 pwned",
    "a.test$(touch pwned)",
    "a.test`touch pwned`",
    "a.test' -- '",
    'a.test" onload="x',
    "a.test\n    ServerAlias *",
    "a.test }",
    "{$HOME}",
    "~^(.*)$",
    "-oProxyCommand=x",
    "../../etc/passwd",
    "a..test",
    "*.*.test",
    "a.*",
    "a test",
)


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_gets_out_of_its_place(pki: Pki, tmp_path: Path, name: str) -> None:
    kit = deploy_kit(imported(pki, name, "good.other.test", common_name=name))
    for block in (block for recipe in kit.recipes for block in recipe.blocks):
        assert name not in block.text, block.text
        assert "pwned" not in block.text.replace("_", "") or "touch pwned" not in block.text
        if block.language == "shell":
            done = subprocess.run(["bash", "-n"], input=block.text, text=True, capture_output=True, check=False)
            assert done.returncode == 0, block.text
    assert "server_name good.other.test;" in texts(kit)["nginx"]
    assert "1 of its names are no plain host names and are left out of the texts." in kit.warnings
    for file in kit.files:
        assert set(file.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
        assert file.name[0].isalnum()


@pytest.mark.parametrize("name", HOSTILE)
def test_no_such_name_is_a_host_or_an_address(name: str) -> None:
    assert not is_host(name)
    assert not is_address(name)


@pytest.mark.parametrize("value", ["fe80::1%eth0", "fe80::1%$(x)", "1.2.3", "", "1.2.3.4/8"])
def test_what_is_no_plain_address_is_none(value: str) -> None:
    assert not is_address(value)


def test_what_will_not_work_is_told(pki: Pki) -> None:
    kit = deploy_kit(imported(pki))
    assert [warning.partition(":")[0] for warning in kit.warnings] == [
        "This certificate has its name in the subject alone",
        "Who issued this certificate is not known here, so how to trust it is left out",
    ]
    assert {recipe.group for recipe in kit.recipes} == {"server", "check"}
    assert "openssl verify" not in texts(kit)["verify"]
    assert isinstance(foreign().key, ec.EllipticCurvePrivateKey)
    assert "The private key is not kept here" in str(kit.recipes)
