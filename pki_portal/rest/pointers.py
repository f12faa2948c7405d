"""Where a field stands in the body of an issue request."""

import re

from pki_portal.rest.serializers import pointer_token

# Where the first part of a violation's field stands in the body of an issue request; anything else is its own camelCase
# path.
_ATTRIBUTES = "/attributes"
_POINTER_OF_FIELD: dict[str, str] = {
    "subject": _ATTRIBUTES,
    "subject_alternative_names": f"{_ATTRIBUTES}/altNames",
    "key_usage": f"{_ATTRIBUTES}/keyUsages",
    "key_usages": f"{_ATTRIBUTES}/keyUsages",
    "extended_key_usage": f"{_ATTRIBUTES}/extendedKeyUsages",
    "extended_key_usages": f"{_ATTRIBUTES}/extendedKeyUsages",
    "key_algorithm": f"{_ATTRIBUTES}/keyAlgorithm",
    "signature_algorithm": f"{_ATTRIBUTES}/signatureAlgorithm",
    "basic_constraints": f"{_ATTRIBUTES}/basicConstraints",
    "ttl": f"{_ATTRIBUTES}/ttl",
    "not_before": f"{_ATTRIBUTES}/notBefore",
    "not_after": f"{_ATTRIBUTES}/notAfter",
    "profile": "/profileId",
    "issuer": "/profileId",
}
_CAMEL = re.compile(r"_([a-z0-9])")


def pointer_of(field: str) -> str:
    """JSON pointer (RFC 6901) into the request body for the inside path of a :class:`Violation`; empty for the whole
    body.

    Of a template rule (``subject/0/type``) the path itself is the pointer.
    """
    if not field:
        return ""
    first, *rest = field.split("/")
    if first == "subject" and rest[:1] == ["domain_component"]:
        rest[0] = "domain_components"
    head = _POINTER_OF_FIELD.get(first)
    if head is None or (first == "subject" and rest and rest[0].isdecimal()):
        return "".join(f"/{_camel(part)}" for part in (first, *rest))
    return head + "".join(f"/{_camel(part)}" for part in rest)


def _camel(part: str) -> str:
    return pointer_token(_CAMEL.sub(lambda found: found[1].upper(), part))
