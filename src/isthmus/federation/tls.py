"""Transport certificates: self-signed ECDSA P-256, pinned by the digest of their public key. No CA.

TLS is hygiene; the Ed25519 signature on every message is the identity. grpcio rejects Ed25519 leaf certificates on
either side, hence P-256; its server also accepts TLS 1.2 and has no option against it, hence `require_tls13`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from isthmus.model.errors import Invalid, Untrusted
from isthmus.model.names import Digest

if TYPE_CHECKING:
    import grpc

SERVER_NAME = "hub.isthmus.invalid"  # RFC 2606: never a real host; the pin, not the name, says who the hub is
LIFETIME = timedelta(days=730)
BACKDATED = timedelta(minutes=5)  # a peer's clock may be behind ours

# Reconnect back-off: with gRPC's own a site was back 2.8 s after a hub that was down 6 s.
CHANNEL_OPTIONS: tuple[tuple[str, int | str], ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
    ("grpc.ssl_target_name_override", SERVER_NAME),
    ("grpc.enable_http_proxy", 0),
)
# gRPC gives a handshake as long as the shortest back-off: a node tries again at once, a person's question fails for good.
PERSON_OPTIONS = tuple(
    (name, 3000 if name == "grpc.min_reconnect_backoff_ms" else value) for name, value in CHANNEL_OPTIONS
)


def make_certificate(name: str, now: datetime, lifetime: timedelta = LIFETIME) -> tuple[bytes, bytes]:
    """A fresh private key and its self-signed certificate, both PEM.

    Args:
        name: shown in the subject; the public key's digest is added so that no two subjects are equal.
        now: start of validity (less five minutes); timezone aware.
        lifetime: how long it is valid.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    label = hashlib.sha256(_spki(key.public_key())).hexdigest()[:16]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{name[:40]} {label}")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(SERVER_NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def load_certificate(pem: bytes) -> x509.Certificate:
    """The one certificate in `pem`.

    Raises:
        Invalid: E-CERTIFICATE, when it cannot be read or its key is not ECDSA P-256.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise Invalid("E-CERTIFICATE", "not a PEM certificate", "take it from the party's card") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise Invalid("E-CERTIFICATE", "the certificate's key is not ECDSA P-256", "make it with `isthmus init`")
    return certificate


def spki_digest(pem: bytes) -> Digest:
    """The pin: SHA-256 of the certificate's public key (SubjectPublicKeyInfo, DER)."""
    return Digest("sha256:" + hashlib.sha256(_spki(load_certificate(pem).public_key())).hexdigest())


def require_valid(pem: bytes, now: datetime) -> None:
    """A certificate's dates hold at `now`; asked at every message, since a stream may outlive them.

    Raises:
        Untrusted: E-CLOCK.
    """
    starts, ends = _dates(pem)
    if not starts <= now <= ends:
        raise Untrusted("E-CLOCK", "a transport certificate is outside its dates", "check the clock; renew the card")


def server_credentials(key: bytes, certificate: bytes, pinned: Iterable[bytes]) -> grpc.ServerCredentials:
    """The hub's credentials: it asks every client for a certificate, and the pinned ones are the only roots."""
    import grpc

    return grpc.ssl_server_credentials([(key, certificate)], b"\n".join(pinned), require_client_auth=True)


def channel_credentials(key: bytes, certificate: bytes, hub: bytes) -> grpc.ChannelCredentials:
    """A site's or researcher's credentials: the hub's pinned certificate is the only root."""
    import grpc

    return grpc.ssl_channel_credentials(root_certificates=hub, private_key=key, certificate_chain=certificate)


def peer_pin(auth: Mapping[str, Iterable[bytes]]) -> Digest:
    """The pin of the other end of a live connection, from gRPC's `auth_context()`.

    Raises:
        Untrusted: E-TLS, unless the connection is TLS 1.3 with a client certificate.
    """
    if list(auth.get("ssl_tls_version", ())) != [b"TLSv1.3"]:
        raise Untrusted("E-TLS", "the connection is not TLS 1.3", "use TLS 1.3 on both sides")
    certificates = list(auth.get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise Untrusted("E-TLS", "the connection has no client certificate", "present the card's certificate")
    return spki_digest(certificates[0])


@lru_cache(maxsize=256)
def _dates(pem: bytes) -> tuple[datetime, datetime]:
    certificate = load_certificate(pem)
    return certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _spki(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise Invalid("E-CERTIFICATE", "the certificate's key is not ECDSA P-256", "make it with `isthmus init`")
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
