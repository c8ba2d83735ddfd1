"""
Certificates of our own making, good and bad, for servers on this machine.

``authority.pem`` is to be trusted (``SSL_CERT_FILE``); the others are shown by servers.
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Certificates:
    """The folder that they lie in; :meth:`write` makes them."""

    folder: Path

    def write(self):
        """Make the authority and one certificate of each kind."""
        self.folder.mkdir(parents=True)
        now = datetime.now(UTC)
        authority_key = ec.generate_private_key(ec.SECP256R1())
        authority = _certificate(
            "authority", authority_key, "authority", authority_key, now + DAY, is_authority=True
        )
        (self.folder / "authority.pem").write_bytes(authority.public_bytes(serialization.Encoding.PEM))
        for name, host, until, issuer in (
            ("trusted", "127.0.0.1", now + DAY, authority_key),
            ("another host", "192.0.2.1", now + DAY, authority_key),
            ("expired", "127.0.0.1", now - DAY, authority_key),
            ("self-signed", "127.0.0.1", now + DAY, None),
        ):
            key = ec.generate_private_key(ec.SECP256R1())
            issued_by = "authority" if issuer else name
            certificate = _certificate(name, key, issued_by, issuer or key, until, host=host)
            pem = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            path = self.folder / f"{name}.pem"
            path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name):
        """Give the context of a server that shows this certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / f"{name}.pem")
        return context


def _certificate(name, key, issuer, issuer_key, until, *, host=None, is_authority=False):
    builder = (
        x509
        .CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(until - 9 * DAY)
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if host:
        names = [x509.IPAddress(ipaddress.ip_address(host))]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())
