"""Makes the files of this directory: ``python -m tests.vectors.make_vectors``. Keys and signatures differ each time.

Every CSR carries a valid self-signature, unless that is its defect, so that nothing but the named defect is wrong.
"""

import base64
import hashlib
import math
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, padding, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from cryptography.x509.oid import NameOID

HERE = Path(__file__).parent
EC_KEY = ec.generate_private_key(ec.SECP256R1())

SEQUENCE, SET, INTEGER, BITS, OCTETS, OID, UTF8, BOOLEAN = 0x30, 0x31, 0x02, 0x03, 0x04, 0x06, 0x0C, 0x01
ATTRIBUTES = 0xA0
ECDSA_SHA256 = "1.2.840.10045.4.3.2"
MD5_RSA = "1.2.840.113549.1.1.4"
COMMON_NAME, EXTENSION_REQUEST, CHALLENGE_PASSWORD = "2.5.4.3", "1.2.840.113549.1.9.14", "1.2.840.113549.1.9.7"
ALTERNATIVE_NAME, KEY_USAGE, BASIC_CONSTRAINTS, KEY_IDENTIFIER = "2.5.29.17", "2.5.29.15", "2.5.29.19", "2.5.29.14"


def der(tag: int, *parts: bytes) -> bytes:
    """One DER element."""
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    content = bytearray()
    for arc in (40 * first + second, *rest):
        octets = [arc & 0x7F]
        while arc := arc >> 7:
            octets.append(0x80 | arc & 0x7F)
        content += bytes(reversed(octets))
    return der(OID, bytes(content))


def name(value: bytes = b"service.acme.com", tag: int = UTF8) -> bytes:
    """A Name of one common name."""
    return der(SEQUENCE, der(SET, der(SEQUENCE, oid(COMMON_NAME), der(tag, value))))


def extension(dotted: str, value: bytes, *, critical: bool = False) -> bytes:
    """One Extension."""
    return der(SEQUENCE, oid(dotted), der(BOOLEAN, b"\xff") if critical else b"", der(OCTETS, value))


def attribute(dotted: str, *values: bytes) -> bytes:
    """One Attribute."""
    return der(SEQUENCE, oid(dotted), der(SET, *values))


def requested(*extensions: bytes) -> bytes:
    """The extensionRequest attribute."""
    return attribute(EXTENSION_REQUEST, der(SEQUENCE, *extensions))


def spki(key: ec.EllipticCurvePrivateKey = EC_KEY) -> bytes:
    """SubjectPublicKeyInfo of an EC key."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def csr(
    *attributes: bytes,
    subject: bytes | None = None,
    version: int = 0,
    public_key: bytes | None = None,
    signature_oid: str = ECDSA_SHA256,
) -> bytes:
    """A CertificationRequest of these parts, signed by the P-256 key over SHA-256."""
    info = der(
        SEQUENCE,
        der(INTEGER, bytes([version])),
        name() if subject is None else subject,
        spki() if public_key is None else public_key,
        der(ATTRIBUTES, *sorted(attributes)),  # X.690, 11.6: a SET OF is sorted
    )
    signature = EC_KEY.sign(info, ec.ECDSA(hashes.SHA256()))
    return der(SEQUENCE, info, der(SEQUENCE, oid(signature_oid)), der(BITS, b"\0" + signature))


def pem(content: bytes, label: str = "CERTIFICATE REQUEST") -> str:
    """PEM with a final newline."""
    text = base64.b64encode(content).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""])


def library_csr(
    key: rsa.RSAPrivateKey | dsa.DSAPrivateKey | ec.EllipticCurvePrivateKey | ed448.Ed448PrivateKey,
) -> bytes:
    """A CSR that the library makes."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service.acme.com")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    algorithm = None if isinstance(key, ed448.Ed448PrivateKey) else hashes.SHA256()
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def find_prime(candidates: Callable[[], int]) -> int:
    """The first candidate that passes Fermat's test, which is enough for a broken key."""
    while pow(2, (number := candidates()) - 1, number) != 1:
        continue
    return number


def rsa_csr(p: int, q: int, e: int = 65537) -> bytes:
    """A CSR of an RSA key of these primes, signed by hand, for the library may refuse to."""
    modulus = p * q
    numbers = rsa.RSAPublicNumbers(e, modulus).public_key()
    info = der(
        SEQUENCE,
        der(INTEGER, b"\0"),
        name(),
        numbers.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        der(ATTRIBUTES),
    )
    size = (modulus.bit_length() + 7) // 8
    digest_info = bytes.fromhex("3031300d060960864801650304020105000420") + hashlib.sha256(info).digest()
    encoded = b"\0\1" + b"\xff" * (size - 3 - len(digest_info)) + b"\0" + digest_info
    d = pow(e, -1, math.lcm(p - 1, q - 1))
    signature = pow(int.from_bytes(encoded), d, modulus).to_bytes(size)
    algorithm = der(SEQUENCE, oid("1.2.840.113549.1.1.11"), b"\x05\0")
    return der(SEQUENCE, info, algorithm, der(BITS, b"\0" + signature))


def rsa_primes(bits: int = 2048) -> tuple[int, int]:
    """The primes of a good key."""
    numbers = rsa.generate_private_key(public_exponent=65537, key_size=bits).private_numbers()
    return numbers.p, numbers.q


def roca_prime() -> int:
    """A prime as the broken generator made them: k * M + (65537^a mod M)."""
    primorial = math.prod(n for n in range(2, 168) if all(n % divisor for divisor in range(2, n)))
    least, most = (3 << 1022) // primorial + 1, (1 << 1024) // primorial - 1

    def candidate() -> int:
        return (least + secrets.randbelow(most - least)) * primorial + pow(65537, secrets.randbits(200), primorial)

    return find_prime(candidate)


def weak_rsa() -> dict[str, str]:
    """CSRs of RSA keys that must not be certified."""
    p, q = rsa_primes()
    step = iter(range(p + 2, p + 10**6, 2))
    close = find_prime(lambda: next(step))
    cofactor = find_prime(lambda: secrets.randbits(2040) | 1 << 2039 | 1 << 2038 | 1)
    cube = rsa.generate_private_key(public_exponent=3, key_size=2048)
    huge = next(
        e for e in iter(lambda: secrets.randbits(300) | 1 << 299 | 1, None) if math.gcd(e, (p - 1) * (q - 1)) == 1
    )
    return {
        "rsa-1024.csr.pem": pem(rsa_csr(*rsa_primes(1024))),
        "rsa-close-primes.csr.pem": pem(rsa_csr(p, close)),
        "rsa-small-factor.csr.pem": pem(rsa_csr(251, cofactor)),
        "rsa-roca.csr.pem": pem(rsa_csr(roca_prime(), roca_prime())),
        "rsa-exponent-3.csr.pem": pem(library_csr(cube)),
        "rsa-exponent-huge.csr.pem": pem(rsa_csr(p, q, huge)),
    }


def even_exponent() -> bytes:
    """SubjectPublicKeyInfo of an RSA key with the exponent 65536."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    good = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return good.removesuffix(b"\x01\0\x01") + b"\x01\0\0"


def off_curve() -> bytes:
    """SubjectPublicKeyInfo of P-256 whose point is not on the curve."""
    good = spki()
    return good[:-1] + bytes([good[-1] ^ 1])


def keys() -> dict[str, str]:
    """RSA keys for tests, which would be slow to make each time; and key material sent by mistake."""
    made = {}
    for bits in (2048, 3072, 4096):
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits)
        made[f"rsa-{bits}.key.pem"] = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    made["ec-sec1.key.pem"] = EC_KEY.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()
    ).decode()
    made["encrypted.key.pem"] = EC_KEY.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"test")
    ).decode()
    return made


def texts() -> dict[str, str]:
    """CSRs as text, each with its one defect (or, the first ones, without any)."""
    good = csr(
        requested(
            extension(ALTERNATIVE_NAME, der(SEQUENCE, der(0x82, b"service.acme.com"), der(0x87, bytes([10, 0, 0, 1])))),
            extension(KEY_USAGE, der(BITS, b"\x07\x80"), critical=True),
            extension("2.5.29.37", der(SEQUENCE, oid("1.3.6.1.5.5.7.3.1"), oid("1.3.6.1.4.1.311.20.2.2"))),
            extension(BASIC_CONSTRAINTS, der(SEQUENCE)),
            extension(KEY_IDENTIFIER, der(OCTETS, b"\1" * 20)),
        ),
        attribute(CHALLENGE_PASSWORD, der(UTF8, b"open sesame")),
    )
    plain = csr()
    info, signature = plain[:-8], plain[-8:]
    other_names = der(
        SEQUENCE,
        der(0x81, b"alice@acme.com"),
        der(0x86, b"spiffe://acme.com/web"),
        der(0xA4, name(b"Alice")),
        der(0x88, oid("1.2.3.4")[2:]),
        der(0xA0, oid("1.3.6.1.4.1.311.20.2.3"), der(0xA0, der(UTF8, b"alice"))),
        der(0x87, bytes(16)),
    )
    twice = extension(BASIC_CONSTRAINTS, der(SEQUENCE))
    rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "service.acme.com")])
    pss = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return {
        "good.csr.pem": pem(good),
        "good-no-newline.csr.pem": pem(good).rstrip("\n"),
        "good-crlf.csr.pem": pem(good).replace("\n", "\r\n"),
        "good-new-label.csr.pem": pem(good, "NEW CERTIFICATE REQUEST"),
        "good-text-around.csr.pem": f"Certificate Request:\n    Data:\n{pem(good)}\nsent by ops - thanks\n",
        "good-rsa-pss.csr.pem": pem(
            pss.sign(
                rsa_key,
                hashes.SHA256(),
                rsa_padding=padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH),
            ).public_bytes(Encoding.DER)
        ),
        "all-name-kinds.csr.pem": pem(csr(requested(extension(ALTERNATIVE_NAME, other_names)))),
        "empty-subject.csr.pem": pem(csr(subject=der(SEQUENCE))),
        "usage-without-agreement.csr.pem": pem(csr(requested(extension(KEY_USAGE, der(BITS, b"\x07\x01\x80"))))),
        "long-common-name.csr.pem": pem(csr(subject=name(b"a" * 300))),
        "bad-signature.csr.pem": pem(info + bytes([*signature[:-1], signature[-1] ^ 1])),
        "md5-signature.csr.pem": pem(csr(signature_oid=MD5_RSA)),
        "duplicate-extension.csr.pem": pem(csr(requested(twice, twice))),
        "duplicate-and-bad-signature.csr.pem": pem(csr(requested(twice, twice))[:-1] + b"\0"),
        "x400-name.csr.pem": pem(csr(requested(extension(ALTERNATIVE_NAME, der(SEQUENCE, der(0xA3, der(SEQUENCE))))))),
        "five-byte-address.csr.pem": pem(
            csr(requested(extension(ALTERNATIVE_NAME, der(SEQUENCE, der(0x87, bytes(5))))))
        ),
        "non-ascii-dns.csr.pem": pem(
            csr(requested(extension(ALTERNATIVE_NAME, der(SEQUENCE, der(0x82, "müller.de".encode())))))
        ),
        "broken-extension.csr.pem": pem(csr(requested(extension(KEY_USAGE, b"\x03\x02\x09\x80")))),
        "invalid-utf8-subject.csr.pem": pem(csr(subject=name(b"\xff\xfe"))),
        "two-valued-attribute.csr.pem": pem(csr(attribute(CHALLENGE_PASSWORD, der(UTF8, b"a"), der(UTF8, b"b")))),
        "version-2.csr.pem": pem(csr(version=1)),
        "unknown-key-type.csr.pem": pem(
            csr(public_key=der(SEQUENCE, der(SEQUENCE, oid("1.2.3.4")), der(BITS, b"\0abc")))
        ),
        "x25519-key.csr.pem": pem(
            csr(
                public_key=x25519.X25519PrivateKey.generate()
                .public_key()
                .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            )
        ),
        "point-off-curve.csr.pem": pem(csr(public_key=off_curve())),
        "rsa-exponent-even.csr.pem": pem(csr(public_key=even_exponent())),
        "secp256k1.csr.pem": pem(library_csr(ec.generate_private_key(ec.SECP256K1()))),
        "ed448.csr.pem": pem(library_csr(ed448.Ed448PrivateKey.generate())),
        "dsa.csr.pem": pem(library_csr(dsa.generate_private_key(2048))),
        "truncated.csr.pem": pem(good[:-40]),
        "truncated-text.csr.pem": pem(good)[:300],
        "trailing-data.csr.pem": pem(good + b"\0\0"),
        "two-blocks.csr.pem": pem(good) + pem(plain),
        "not-base64.csr.pem": pem(good).replace("M", "ü", 1),
        "indefinite-length.csr.pem": pem(b"\x30\x80" + good[4:] + b"\0\0"),
        "garbage-asn1.csr.pem": pem(der(SEQUENCE, b"\x02\x01\x00\x13\x05hello")),
        "public-key-labelled-csr.csr.pem": pem(spki()),
        "key-labelled-csr.csr.pem": pem(EC_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())),
        "encrypted-key-labelled-csr.csr.pem": pem(
            EC_KEY.private_bytes(Encoding.DER, PrivateFormat.PKCS8, BestAvailableEncryption(b"test"))
        ),
    }


def main() -> None:
    """Write every file."""
    for file_name, text in {**texts(), **weak_rsa(), **keys()}.items():
        (HERE / file_name).write_text(text, encoding="utf-8", newline="")
    good = (HERE / "good.csr.pem").read_text()
    (HERE / "good.csr.der").write_bytes(x509.load_pem_x509_csr(good.encode()).public_bytes(Encoding.DER))


if __name__ == "__main__":
    main()
