"""Getting the files, and telling that everything fits: the key, the path, what the server sends."""

import shlex
from uuid import UUID

from django.conf import settings

from certificates.services.deployment.recipe import Block, Group, Names, Recipe, in_url, is_address, text_of


def fetching(names: Names, *, certificate_id: UUID, is_root_known: bool, is_key_kept: bool) -> Recipe:
    """The files by the API."""
    address = f"{settings.SITE_URL}/api/v1/cert-manager/certificates/{certificate_id}"
    wanted = {"pem": names.file, "fullchain": names.fullchain}
    if is_root_known:
        wanted |= {"chain": names.chain, "root": names.root}
    get = 'curl -fsS -H "Authorization: Bearer $TOKEN"'
    lines = [
        "umask 077",
        f"API={shlex.quote(address)}",
        *(f'{get} "$API/download?format={part}" -o {file}' for part, file in wanted.items()),
    ]
    notes = ["TOKEN is an access token of a machine identity, or save the files from the certificate's page."]
    if is_key_kept:
        decode = "python3 -c 'import json, sys; print(json.load(sys.stdin))'"
        lines.append(f'{get} "$API/private-key" | {decode} > {names.key}')
        notes.append("A key that waits for its one claim is given out once: the last line claims it.")
    else:
        notes.append(f"The private key is not kept here: have it as {names.key} beside the others.")
    return Recipe("files", Group.CHECK, "The files", (Block("Get them", "shell", text_of(lines)),), tuple(notes))


def verifying(names: Names, *, is_root_known: bool, is_own_root: bool, fingerprint: str) -> Recipe:
    """Before and after the server uses it."""
    digits = fingerprint.upper()
    pairs = ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
    key = f'test "$(openssl x509 -in {names.file} -noout -pubkey)" = "$(openssl pkey -in {names.key} -pubout)"'
    blocks = [
        Block("The key fits the certificate", "shell", f"{key} && echo fits"),
        Block(
            "It is this very certificate",
            "shell",
            f"openssl x509 -in {names.file} -noout -fingerprint -sha256\n# sha256 Fingerprint={pairs}",
        ),
    ]
    if is_root_known:
        untrusted = "" if is_own_root else f" -untrusted {names.chain}"
        blocks.insert(
            0,
            Block("The path verifies", "shell", f"openssl verify -CAfile {names.root}{untrusted} {names.file}"),
        )
        blocks.append(Block("The server sends it", "shell", _server_check(names)))
    return Recipe("verify", Group.CHECK, "Verify", tuple(blocks))


def _server_check(names: Names) -> str:
    target = f"{in_url(names.probe)}:443"
    who = (
        f"-verify_ip {names.probe}"
        if is_address(names.probe)
        else f"-servername {names.probe} -verify_hostname {names.probe}"
    )
    return f"openssl s_client -connect {target} {who} \\\n  -CAfile {names.root} -verify_return_error -brief </dev/null"
