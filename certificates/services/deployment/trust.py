"""Making a root trusted, system by system."""

from certificates.services.deployment.recipe import Block, Group, Names, Recipe, text_of


def trust_recipes(names: Names) -> tuple[Recipe, ...]:
    """All systems, for the root of these names."""
    root, name = names.root, f"{names.stem}.root"
    return (
        _trust(
            "debian",
            "Debian, Ubuntu",
            "shell",
            f"sudo install -m 0644 {root} /usr/local/share/ca-certificates/{name}.crt",
            "sudo update-ca-certificates",
        ),
        _trust(
            "rhel",
            "RHEL, Fedora",
            "shell",
            f"sudo install -m 0644 {root} /etc/pki/ca-trust/source/anchors/{root}",
            "sudo update-ca-trust",
        ),
        _trust(
            "macos",
            "macOS",
            "shell",
            f"sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain {root}",
        ),
        _trust(
            "windows",
            "Windows",
            "powershell",
            f"certutil -addstore -f Root {root}",
            note="In a shell of an administrator; for a whole domain, by its group policy.",
        ),
        _trust(
            "java",
            "Java",
            "shell",
            f"sudo keytool -importcert -noprompt -cacerts -storepass changeit -alias {name} -file {root}",
            note="For one program alone: its truststore is among the downloads of the certificate.",
        ),
        _trust(
            "nss",
            "Firefox, Chromium on Linux (NSS)",
            "shell",
            f'certutil -A -d "sql:$HOME/.pki/nssdb" -t C,, -n {name} -i {root}',
            "for profile in ~/.mozilla/firefox/*.default*; do",
            f'  certutil -A -d "sql:$profile" -t C,, -n {name} -i {root}',
            "done",
            note="certutil is in libnss3-tools (Debian) or nss-tools (RHEL). On Windows and macOS Firefox takes what "
            "the system trusts.",
        ),
    )


def _trust(identifier: str, title: str, language: str, *lines: str, note: str = "") -> Recipe:
    block = Block("Trust the root", language, text_of(lines))
    return Recipe(identifier, Group.TRUST, title, (block,), (note,) if note else ())
