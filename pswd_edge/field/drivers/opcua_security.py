"""Who we are to an OPC UA server and how that is proven: certificates, keys, and what may go over the wire."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from asyncua import ua
from asyncua.client.client import Client
from asyncua.crypto import security_policies
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from pswd_edge.errors import RefusedError
from pswd_edge.field.drivers.opcua_config import OpcUaConfig

POLICIES: dict[str, type[Any]] = {
    "basic256sha256": security_policies.SecurityPolicyBasic256Sha256,
    "aes128sha256rsaoaep": security_policies.SecurityPolicyAes128Sha256RsaOaep,
    "aes256sha256rsapss": security_policies.SecurityPolicyAes256Sha256RsaPss,
}
_ENCRYPTING = frozenset(p.URI for p in POLICIES.values())


class Credentials(NamedTuple):
    """The files of a connection, loaded; `expired` tells of those that are not valid now."""

    own: x509.Certificate | None
    key: RSAPrivateKey | None
    server: x509.Certificate | None
    user: x509.Certificate | None
    user_key: RSAPrivateKey | None
    expired: str


NO_CREDENTIALS = Credentials(None, None, None, None, None, "")


def load_credentials(config: OpcUaConfig) -> Credentials:
    """Read the files: call it in a thread, since a key takes tens of milliseconds to check.

    Raises RefusedError that names the file: an operator must look at it.
    """
    own, server, user = (_certificate(p) for p in (config.certificate, config.server_certificate,
                                                   config.user_certificate))
    now = datetime.now(UTC)
    named = ((config.certificate, own), (config.server_certificate, server), (config.user_certificate, user))
    notes = [note for path, found in named if found is not None and (note := _expiry(str(path), found, now))]
    return Credentials(own, _key(config.private_key), server, user, _key(config.user_private_key), "; ".join(notes))


def _certificate(path: str | None) -> x509.Certificate | None:
    if path is None:
        return None
    content = _content(path)
    try:
        pem = content.lstrip().startswith(b"-----")
        return x509.load_pem_x509_certificate(content) if pem else x509.load_der_x509_certificate(content)
    except ValueError as exc:
        raise RefusedError(f"{path}: got no certificate ({exc}): expected PEM or DER", "certificate") from exc


def _key(path: str | None) -> RSAPrivateKey | None:
    if path is None:
        return None
    content = _content(path)
    try:
        pem = content.lstrip().startswith(b"-----")
        load = serialization.load_pem_private_key if pem else serialization.load_der_private_key
        key = load(content, password=None)
    except (ValueError, TypeError) as exc:
        raise RefusedError(f"{path}: got no private key ({exc}): expected PEM or DER, not encrypted", "key") from exc
    if not isinstance(key, RSAPrivateKey):
        raise RefusedError(f"{path}: got a {type(key).__name__}: expected an RSA key", "key")
    return key


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise RefusedError(f"{path}: {exc.strerror or exc}: expected a certificate or key file", "file") from exc


def _expiry(path: str, found: x509.Certificate, now: datetime) -> str:
    if now > found.not_valid_after_utc:
        return f"{path} expired on {found.not_valid_after_utc:%Y-%m-%d %H:%M} UTC"
    if now < found.not_valid_before_utc:
        return f"{path} is valid only from {found.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
    return ""


def secure(client: Client, config: OpcUaConfig, found: Credentials) -> None:
    """Set the channel's policy and the user's certificate, before connecting."""
    if config.security_policy != "none":
        mode = "Sign" if config.security_mode == "sign" else "SignAndEncrypt"
        policy = POLICIES[config.security_policy](found.server, found.own, found.key, ua.MessageSecurityMode[mode])
        client.security_policy = policy
        client.uaclient.set_security(policy)
    client.user_certificate, client.user_private_key = found.user, found.user_key


async def activate(client: Client, config: OpcUaConfig, found: Credentials) -> None:
    """Say who we are. Raises RefusedError instead of showing a password to the wire or to an impostor."""
    if config.username is None and found.user is None:
        await client.activate_session()
        return
    pinned = None if found.server is None else found.server.public_bytes(serialization.Encoding.DER)
    if pinned is not None and client.security_policy.peer_certificate != pinned:
        raise RefusedError(f"{config.url}: the server showed another certificate than {config.server_certificate}; "
                           "no user was sent", "BadCertificateInvalid")
    wanted = ua.UserTokenType.Certificate if found.user is not None else ua.UserTokenType.UserName
    protected = [p for p in client._policy_ids if p.TokenType == wanted and _protects(client, p)]  # noqa: SLF001
    if protected:
        client._policy_ids = protected  # noqa: SLF001  # asyncua takes the first of the type
    elif found.user is not None or (config.password and not _may_be_plain(client, config)):
        what = "a signature" if found.user is not None else "the password"
        raise RefusedError(f"{config.url}: the server has no policy that protects {what}: expected one with "
                           "a security policy; no user was sent", "BadIdentityTokenRejected")
    if found.user is not None:
        await client.activate_session(certificate=found.user)
    else:
        await client.activate_session(username=config.username, password=config.password)


def _protects(client: Client, policy: ua.UserTokenPolicy) -> bool:
    """An empty URI stands for the channel's own policy."""
    return (policy.SecurityPolicyUri or client.security_policy.URI) in _ENCRYPTING


def _may_be_plain(client: Client, config: OpcUaConfig) -> bool:
    encrypted = client.security_policy.Mode == ua.MessageSecurityMode.SignAndEncrypt
    return encrypted or config.allow_plain_password
