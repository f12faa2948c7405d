#!/usr/bin/env bash
# Builds the image of the Dockerfile without a Docker engine, and tries it: with a read-only root, as the user that it
# names, it becomes healthy and issues a certificate. Needs root, buildah and mmdebstrap (Debian), and some minutes.
#
#     scripts/image.sh            build and try
#     scripts/image.sh try        only try the image that was built last
#
# The base is Debian with its Python, in the place of python:3.11-slim-bookworm, which is a registry's.
set -euo pipefail
cd "$(dirname "$0")/.."
export BUILDAH_ISOLATION=chroot
BASE=localhost/python:3.11-slim-bookworm
IMAGE=localhost/pki-portal
PORT=${PORT:-8000}

build() {
    local folder certificates
    if ! buildah inspect --type image "$BASE" >/dev/null 2>&1; then
        folder=$(mktemp --directory)
        mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,python3-pip,ca-certificates bookworm "$folder/root.tar"
        printf 'FROM scratch\nADD root.tar /\n' > "$folder/Dockerfile"
        buildah bud --quiet --tag "$BASE" "$folder"
        rm -r "$folder"
    fi
    # Those that this machine trusts, for pip behind a proxy that looks into TLS.
    certificates=/etc/ssl/certs/ca-certificates.crt
    buildah bud --format docker --network host --volume "$certificates:$certificates:ro" \
        --build-arg "BASE=$BASE" --tag "$IMAGE" .
}

told() {
    buildah inspect --type image --format "$1" "$IMAGE"
}

# In a mount namespace of its own, which takes the mounts away at its end.
try() {
    local container status=0
    # What the image says of itself.
    VARIABLES=$(told '{{range .Docker.Config.Env}}{{.}} {{end}}')
    HEALTH_CHECK=$(told '{{index .Docker.Config.Healthcheck.Test 3}}')
    export VARIABLES HEALTH_CHECK
    container=$(buildah from "$IMAGE")
    unshare --mount "$0" inside "$(buildah mount "$container")" || status=$?
    buildah rm "$container" >/dev/null
    return "$status"
}

inside() {
    local root=$1 made issued
    mount --bind "$root" "$root"
    mount -o remount,bind,ro "$root"
    mount --rbind /dev "$root/dev"
    mount -t proc proc "$root/proc"
    mount -t tmpfs tmpfs "$root/tmp"
    for folder in pki-portal pki-portal-journal; do
        mount -t tmpfs -o uid=10001,gid=10001,mode=0700 tmpfs "$root/var/lib/$folder"
    done
    local in_image=(chroot --userspec=10001:10001 "$root" /usr/bin/env --ignore-environment --chdir=/opt/pki-portal
        $VARIABLES HOST=127.0.0.1 "PORT=$PORT")
    if "${in_image[@]}" touch /opt/pki-portal/written 2>/dev/null; then echo "the root can be written"; exit 1; fi
    made=$("${in_image[@]}" python manage.py quickstart --json)
    "${in_image[@]}" gunicorn --config gunicorn.conf.py pki_portal.wsgi:application &
    trap "kill $! && wait $!" EXIT
    for _ in $(seq 60); do
        if "${in_image[@]}" python -c "$HEALTH_CHECK" 2>/dev/null; then break; fi
        sleep 1
    done
    issued=$(MADE=$made URL=http://127.0.0.1:$PORT python3 - <<'PYTHON'
import json
import os
from urllib.request import Request, urlopen


def post(path, body, **headers):
    url = os.environ["URL"] + path
    with urlopen(Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"} | headers)) as answer:
        return json.load(answer)


made = json.loads(os.environ["MADE"])
login = {"clientId": made["clientId"], "clientSecret": made["clientSecret"]}
token = post("/api/v1/auth/universal-auth/login", login)["accessToken"]
name = "service.acme.com"
asked = {"commonName": name, "ttl": "90d", "altNames": [{"type": "DNS", "value": name}]}
body = {"profileId": made["profileIds"]["tls-server"], "attributes": asked}
print(post("/api/v1/cert-manager/certificates", body, Authorization=f"Bearer {token}")["certificate"]["certificate"])
PYTHON
    )
    openssl x509 -noout -subject -serial <<<"$issued"
    echo "the image is healthy and issues, as user $("${in_image[@]}" id --user) and with a read-only root"
}

case "${1:-all}" in
    all) build && try ;;
    try) try ;;
    inside) inside "$2" ;;
esac
