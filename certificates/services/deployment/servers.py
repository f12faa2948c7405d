"""Servers: each with its files in the order that it wants them, and a configuration that is complete."""

import json
import re

from certificates.services.deployment.recipe import Block, Group, Names, Recipe, in_url, installed, text_of

# Where the application listens that the server stands before: for whoever pastes to change.
_APPLICATION = "127.0.0.1:8080"


def server_recipes(names: Names) -> tuple[Recipe, ...]:
    """All servers, for these names."""
    return (
        nginx(names),
        apache(names),
        haproxy(names),
        caddy(names),
        postgresql(names),
        kubernetes(names),
    )


def nginx(names: Names) -> Recipe:
    """ssl_certificate holds the certificate first, then its intermediates."""
    folder = "/etc/nginx/tls"
    served = [*names.hosts, *map(in_url, names.addresses)] or ["_"]
    configuration = [
        "server {",
        "    listen 443 ssl;",
        "    listen [::]:443 ssl;",
        f"    server_name {' '.join(served)};",
        f"    ssl_certificate {folder}/{names.fullchain};",
        f"    ssl_certificate_key {folder}/{names.key};",
        "    ssl_protocols TLSv1.2 TLSv1.3;",
        "    location / {",
        f"        proxy_pass http://{_APPLICATION};",
        "        proxy_set_header Host $host;",
        "    }",
        "}",
    ]
    return _server(
        "nginx",
        "nginx",
        Block("Put the files in place", "shell", text_of(installed(names, folder))),
        Block("Configuration", "nginx", text_of(configuration), path=f"/etc/nginx/conf.d/{names.stem}.conf"),
        Block("Check and reload", "shell", "sudo nginx -t && sudo systemctl reload nginx"),
    )


def apache(names: Names) -> Recipe:
    """From 2.4.8 on SSLCertificateFile takes the intermediates, too."""
    folder = "/etc/apache2/tls"
    aliases = [name for name in (*names.hosts, *map(in_url, names.addresses)) if name != in_url(names.probe)]
    configuration = [
        "<VirtualHost *:443>",
        f"    ServerName {in_url(names.probe)}",
        *(f"    ServerAlias {alias}" for alias in aliases),
        "    SSLEngine on",
        f"    SSLCertificateFile {folder}/{names.fullchain}",
        f"    SSLCertificateKeyFile {folder}/{names.key}",
        "    SSLProtocol -all +TLSv1.2 +TLSv1.3",
        f"    ProxyPass / http://{_APPLICATION}/",
        "    ProxyPreserveHost On",
        "</VirtualHost>",
    ]
    return _server(
        "apache",
        "Apache",
        Block("Put the files in place", "shell", text_of(installed(names, folder))),
        Block(
            "Configuration", "apache", text_of(configuration), path=f"/etc/apache2/sites-available/{names.stem}.conf"
        ),
        Block(
            "Check and reload",
            "shell",
            text_of(
                [
                    "sudo a2enmod ssl proxy proxy_http",
                    f"sudo a2ensite {names.stem}",
                    "sudo apachectl configtest && sudo systemctl reload apache2",
                ]
            ),
        ),
        notes=("Paths are Debian's. On RHEL the configuration is in /etc/httpd/conf.d and the service is httpd.",),
    )


def haproxy(names: Names) -> Recipe:
    """One file: the certificate, its intermediates, the key."""
    folder = "/etc/haproxy/certs"
    configuration = [
        "frontend https",
        "    mode http",
        f"    bind :443 ssl crt {folder}/{names.file} ssl-min-ver TLSv1.2",
        "    timeout client 30s",
        "    default_backend application",
        "",
        "backend application",
        "    mode http",
        "    timeout connect 5s",
        "    timeout server 30s",
        f"    server application1 {_APPLICATION}",
    ]
    return _server(
        "haproxy",
        "HAProxy",
        Block(
            "Put the files into one",
            "shell",
            text_of(
                [
                    f"(umask 077; cat {names.fullchain} {names.key} > {names.stem}.haproxy.pem)",
                    f"sudo install -D -m 0600 {names.stem}.haproxy.pem {folder}/{names.file}",
                    f"rm {names.stem}.haproxy.pem",
                ]
            ),
        ),
        Block("Configuration", "haproxy", text_of(configuration), path="/etc/haproxy/haproxy.cfg"),
        Block(
            "Check and reload", "shell", "sudo haproxy -c -f /etc/haproxy/haproxy.cfg && sudo systemctl reload haproxy"
        ),
        notes=("The sections go below those that are there.",),
    )


def caddy(names: Names) -> Recipe:
    """With a tls directive that names files Caddy gets no certificate of its own."""
    folder = "/etc/caddy/tls"
    sites = [f"https://{in_url(name)}" for name in (*names.hosts, *names.addresses)] or ["https://"]
    configuration = [
        f"{', '.join(sites)} {{",
        f"    tls {folder}/{names.fullchain} {folder}/{names.key}",
        f"    reverse_proxy {_APPLICATION}",
        "}",
    ]
    return _server(
        "caddy",
        "Caddy",
        Block("Put the files in place", "shell", text_of(installed(names, folder, owner="caddy"))),
        Block("Configuration", "caddyfile", text_of(configuration), path="/etc/caddy/Caddyfile"),
        Block(
            "Check and reload",
            "shell",
            "sudo caddy validate --config /etc/caddy/Caddyfile && sudo systemctl reload caddy",
        ),
    )


def postgresql(names: Names) -> Recipe:
    """The server reads its key only where nobody else can."""
    folder = "/etc/postgresql/tls"
    configuration = [
        "ssl = on",
        f"ssl_cert_file = '{folder}/{names.fullchain}'",
        f"ssl_key_file = '{folder}/{names.key}'",
        "ssl_min_protocol_version = 'TLSv1.2'",
    ]
    client = f'psql "host={names.probe} dbname=postgres sslmode=verify-full sslrootcert={names.root}"'
    return _server(
        "postgresql",
        "PostgreSQL",
        Block("Put the files in place", "shell", text_of(installed(names, folder, owner="postgres"))),
        Block("Configuration", "postgresql", text_of(configuration), path="postgresql.conf"),
        Block("Reload", "shell", "sudo systemctl reload postgresql"),
        Block("Connect", "shell", client),
    )


def kubernetes(names: Names) -> Recipe:
    """A Secret of the type kubernetes.io/tls, made or changed, and an Ingress that uses it."""
    name = _object_name(names.stem)
    hosts = [host.lower() for host in names.hosts if "_" not in host]
    secret = [
        f"kubectl create secret tls {name} --cert={names.fullchain} --key={names.key} \\",
        "  --dry-run=client -o yaml | kubectl apply -f -",
    ]
    ingress = [
        "apiVersion: networking.k8s.io/v1",
        "kind: Ingress",
        "metadata:",
        f"  name: {json.dumps(name)}",
        "spec:",
        "  tls:",
        f"    - secretName: {json.dumps(name)}",
        f"      hosts: {json.dumps(hosts)}",
        "  rules:",
    ]
    for host in hosts:
        ingress += [
            f"    - host: {json.dumps(host)}",
            "      http:",
            "        paths:",
            "          - path: /",
            "            pathType: Prefix",
            "            backend:",
            "              service:",
            "                name: application",
            "                port:",
            "                  number: 8080",
        ]
    blocks = [Block("Make the Secret, or change it", "shell", text_of(secret))]
    if hosts:
        blocks.append(Block("Ingress", "yaml", text_of(ingress), path=f"{name}.ingress.yaml"))
        blocks.append(Block("Apply", "shell", f"kubectl apply -f {name}.ingress.yaml"))
    return _server("kubernetes", "Kubernetes", *blocks, notes=("In the namespace of the current context.",))


def _server(identifier: str, title: str, *blocks: Block, notes: tuple[str, ...] = ()) -> Recipe:
    return Recipe(identifier, Group.SERVER, title, blocks, notes)


def _object_name(stem: str) -> str:
    """A DNS subdomain name (RFC 1123), as Kubernetes wants for its objects."""
    labels = [re.sub(r"[^a-z0-9-]+", "-", label).strip("-") for label in stem.lower().split(".")]
    return ".".join(filter(None, labels)) or "certificate"
