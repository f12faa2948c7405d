#!/bin/sh
# Fetches the renewed certificate of one server and puts it to use. Needs a POSIX shell, curl and openssl, nothing else.
#
#   PKI_URL=https://pki.example.com PKI_LOGIN=/etc/pki/login.json PKI_CA=/etc/pki/root.pem \
#   PKI_PEM=/etc/nginx/server.pem RELOAD='nginx -t -q && nginx -s reload' renew-with-curl.sh
#
# PKI_PEM    certificate, chain and private key in one file: what the server uses, and all that this script remembers.
#            One file, so that key and certificate change together; only its owner can read it.
# PKI_LOGIN  {"clientId": "...", "clientSecret": "..."} of a machine identity that may read private keys; mode 600.
# PKI_CA     the root certificate that the new one must lead to.
# RELOAD     makes the server read PKI_PEM again; fails, without having ended the server, where that is no good.
#
# To be run every hour or so, one at a time. It ends with 0 where all is well: nothing was to be done, or it is done.
# Whatever fails, the file in use stays as it is, and the next run tries again.
set -eu
umask 077

: "${PKI_URL:?}" "${PKI_LOGIN:?}" "${PKI_CA:?}" "${PKI_PEM:?}"
RELOAD=${RELOAD:-nginx -t -q && nginx -s reload}
certificates=$PKI_URL/api/v1/cert-manager/certificates
answer=$PKI_PEM.answer
new=$PKI_PEM.new # what was fetched, and is not in use yet

fail() {
    echo "renew-with-curl: $*; $PKI_PEM stays as it is" >&2
    exit 1
}

# curl METHOD URL [more]. The answer goes to a file at once, and neither token nor secret is an argument, which every
# user of the machine could see.
ask() {
    method=$1 url=$2
    shift 2
    rm -f "$answer"
    printf 'header = "Authorization: Bearer %s"\n' "$token" |
        curl --config - --silent --show-error --fail --max-time 60 --request "$method" "$@" --output "$answer" "$url"
}

# A text in the JSON of the answer, with its line feeds; empty where it is null. Only for texts without quotation marks
# and commas: ids, tokens, PEM.
field() {
    printf '%b' "$(tr '{,' '\n\n' <"$answer" | sed -n "s/^ *\"$1\" *: *\"\([^\"]*\)\".*/\1/p" | sed 1q)"
}

fingerprint() {
    openssl x509 -in "$1" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g' | tr 'A-F' 'a-f'
}

# The key belongs to the certificate, which leads to our root and is in force.
is_sound() {
    of_key=$(openssl pkey -in "$1" -pubout) && of_certificate=$(openssl x509 -in "$1" -noout -pubkey) &&
        [ "$of_key" = "$of_certificate" ] && openssl verify -CAfile "$PKI_CA" -untrusted "$1" "$1" >/dev/null
}

# Fetches certificate, chain and key. The key of a renewal is given once: this is its claim.
claim() {
    ask GET "$certificates/$1/bundle" && [ -n "$(field privateKey)" ] &&
        { field certificate && echo && field certificateChain && echo && field privateKey && echo; } >"$new.part" &&
        mv -f "$new.part" "$new"
}

token=none
ask POST "$PKI_URL/api/v1/auth/universal-auth/login" --header 'Content-Type: application/json' --data "@$PKI_LOGIN" ||
    fail "no login at $PKI_URL"
token=$(field accessToken)

# From the certificate in use to the last of its successors.
current=$(fingerprint "$PKI_PEM")
ask GET "$certificates/$current" || fail "the certificate in use cannot be found at $PKI_URL"
while successor=$(field renewedByCertificateId) && [ -n "$successor" ]; do
    ask GET "$certificates/$successor" || fail "certificate $successor cannot be read"
done
id=$(field id) last=$(field fingerprintSha256)
if [ "$last" = "$current" ]; then
    grep -q '"renewalError" *: *null' "$answer" || echo "renew-with-curl: the renewal is refused, $PKI_URL says why" >&2
    rm -f "$answer"
    openssl x509 -in "$PKI_PEM" -noout -checkend 0 >/dev/null || fail "the certificate has ended"
    exit 0
fi

# What an earlier run fetched, and could not use, is there still.
if ! { [ -s "$new" ] && [ "$(fingerprint "$new")" = "$last" ]; } && ! claim "$id"; then
    # Its key was given away and the answer was lost: only a new key helps.
    ask POST "$certificates/$id/renew" || fail "the key of certificate $id is lost, and it cannot be renewed"
    id=$(field certificateId)
    claim "$id" || fail "the key of certificate $id cannot be had"
fi
rm -f "$answer"
is_sound "$new" || fail "$new is no good"

cp -p "$PKI_PEM" "$PKI_PEM.previous"
cp -p "$new" "$PKI_PEM.part"
mv -f "$PKI_PEM.part" "$PKI_PEM"
if ! sh -c "$RELOAD"; then
    mv -f "$PKI_PEM.previous" "$PKI_PEM"
    fail "the server does not take $new"
fi
rm -f "$new"
echo "renew-with-curl: $PKI_PEM was renewed, $(openssl x509 -in "$PKI_PEM" -noout -enddate)"
