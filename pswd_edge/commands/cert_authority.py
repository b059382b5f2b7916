"""A small certificate authority for sites that have none: one folder, P-256, server and client certificates."""

import datetime as dt
import ipaddress
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pswd_edge.errors import ConfigError, PswdError, SecretError
from pswd_edge.gateway.private_file import read_private, write_private

CA_FILE, CA_KEY_FILE, ISSUED_FILE = "ca.pem", "ca-key.pem", "issued.json"
DAYS_MAX = 825          # what browsers still take of a private authority
CA_DAYS = 3650
_BACK = dt.timedelta(minutes=5)      # a client whose clock is a little late takes the certificate too
_CURVE = ec.SECP256R1()              # browsers and every TLS library have it; Ed25519 certificates some do not take


class Issued(NamedTuple):
    """A certificate that was signed here. `name` is a server's first name or a client's CN; `serial` hexadecimal."""

    kind: str
    name: str
    serial: str
    ends: str
    file: str


class CertAuthority:
    """The authority in one folder. It is needed to sign, never to run: its key may be kept elsewhere meanwhile."""

    def __init__(self, folder: Path) -> None:
        """Raises PswdError where there is none, SecretError where its key is open to others or damaged."""
        self.folder = folder
        content = read_private(folder / CA_KEY_FILE)
        if content is None or not (folder / CA_FILE).exists():
            raise PswdError(f"{folder}: got no {CA_FILE} and {CA_KEY_FILE}: expected an authority; "
                            f"make one with: pswd-edge cert init")
        try:
            key = load_pem_private_key(content, password=None)
            self._certificate = x509.load_pem_x509_certificate((folder / CA_FILE).read_bytes())
        except (ValueError, TypeError) as error:
            raise SecretError(f"{folder}: {CA_FILE} or {CA_KEY_FILE} is damaged; restore it") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SecretError(f"{folder / CA_KEY_FILE}: got a {type(key).__name__}: expected an EC key")
        self._key = key

    @classmethod
    def make(cls, folder: Path, name: str, permitted: Sequence[str] = ()) -> "CertAuthority":
        """A new authority; `permitted` are the only domains and networks that it can speak for (all without it).

        Raises:
            ConfigError: there is one in the folder already: its certificates would become worthless.
        """
        if (folder / CA_KEY_FILE).exists():
            raise ConfigError([f"{folder / CA_KEY_FILE}: is there already: expected a folder without an authority"])
        key = ec.generate_private_key(_CURVE)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (_builder(subject, subject, key.public_key(), CA_DAYS)
                   .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                   .add_extension(_usage(signs_certificates=True), critical=True))
        if permitted:
            builder = builder.add_extension(x509.NameConstraints([_general_name(p, network=True) for p in permitted],
                                                                 None), critical=True)
        write_private(folder / CA_KEY_FILE, _pem(key))
        _write_public(folder / CA_FILE, builder.sign(key, hashes.SHA256()))
        return cls(folder)

    def server(self, names: Sequence[str], days: float) -> Issued:
        """Key and certificate `server.pem`, `server-key.pem` for these host names and addresses."""
        alternative = x509.SubjectAlternativeName([_general_name(name) for name in names])
        return self._issue("server", names[0], days, "server", ExtendedKeyUsageOID.SERVER_AUTH, alternative)

    def client(self, client_id: str, cn: str, days: float) -> Issued:
        """Key and certificate `clients/ID.pem`, `clients/ID-key.pem` for this CN."""
        return self._issue("client", cn, days, f"clients/{client_id}", ExtendedKeyUsageOID.CLIENT_AUTH, None)

    @staticmethod
    def issued_in(folder: Path) -> list[Issued]:
        """Everything that was signed in this folder, oldest first; nothing where there is no authority."""
        path = folder / ISSUED_FILE
        return [Issued(**row) for row in json.loads(path.read_text())] if path.exists() else []

    def _issue(self, kind: str, name: str, days: float, stem: str, purpose: x509.ObjectIdentifier,
               alternative: x509.SubjectAlternativeName | None) -> Issued:
        if not 0 < days <= DAYS_MAX:
            raise ConfigError([f"days: got {days:g}: expected more than 0, at most {DAYS_MAX}"])
        key = ec.generate_private_key(_CURVE)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = (_builder(subject, self._certificate.subject, key.public_key(), days)
                   .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
                   .add_extension(_usage(signs_certificates=False), critical=True)
                   .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                                  critical=False))
        if alternative is not None:
            builder = builder.add_extension(alternative, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        write_private(self.folder / f"{stem}-key.pem", _pem(key))
        _write_public(self.folder / f"{stem}.pem", certificate)
        entry = Issued(kind, name, f"{certificate.serial_number:x}",
                       certificate.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"), f"{stem}.pem")
        rows = [row._asdict() for row in (*self.issued_in(self.folder), entry)]
        (self.folder / ISSUED_FILE).write_text(json.dumps(rows, indent=1))
        return entry


def _builder(subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey,
             days: float) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(public)
            .serial_number(x509.random_serial_number()).not_valid_before(now - _BACK)
            .not_valid_after(now + dt.timedelta(days=days))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False))


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False)


def _general_name(name: str, *, network: bool = False) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_network(name) if network else ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _write_public(path: Path, certificate: x509.Certificate) -> None:
    """Readable by everybody who may see the folder: it is sent to every client anyway."""
    path.write_bytes(certificate.public_bytes(Encoding.PEM))
    path.chmod(0o644)
