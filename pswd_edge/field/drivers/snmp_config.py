"""The keys of an SNMP connection, and what they mean to the two libraries."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

AuthProtocol = Literal["sha", "sha224", "sha256", "sha384", "sha512"]
PrivProtocol = Literal["aes128", "aes192", "aes256"]
Identity = tuple[str | None, ...]


class SnmpConfig(BaseModel):
    """Keys of an SNMP connection. The secrets are the values themselves by the time the driver gets them.

    Version 2c reads only. Version 3 writes with authentication and privacy, unless `read_only` (which also spares the
    engine that writing needs: about 1 MB and one round trip at each opening). MD5 and DES are not offered.
    `engine_id` (hex) spares its discovery. `timeout_s` bounds the opening as a whole, and any one answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    port: int = Field(default=161, ge=1, le=65535)
    version: Literal["2c", "3"] = "3"
    community_secret: str | None = Field(default=None, repr=False)
    username: str | None = None
    auth_protocol: AuthProtocol = "sha256"
    auth_secret: str | None = Field(default=None, repr=False)
    priv_protocol: PrivProtocol = "aes128"
    priv_secret: str | None = Field(default=None, repr=False)
    engine_id: str | None = Field(default=None, pattern=r"^(0x)?([0-9a-fA-F]{2}){5,32}$")
    read_only: bool = False
    timeout_s: float = Field(default=2.0, gt=0, le=60)
    max_oids: int = Field(default=24, ge=1, le=100)

    @model_validator(mode="after")
    def _credentials_fit_the_version(self) -> Self:
        if self.version == "2c" and self.community_secret is None:
            raise ValueError("version 2c: expected community_secret")
        if self.version == "2c" and (self.username or self.auth_secret or self.priv_secret):
            raise ValueError("version 2c has a community only: expected version 3 for username and secrets")
        if self.version == "3" and self.community_secret is not None:
            raise ValueError("version 3 has no community: expected username")
        if self.version == "3" and self.username is None:
            raise ValueError("version 3: expected username")
        if self.priv_secret is not None and self.auth_secret is None:
            raise ValueError("priv_secret without auth_secret: expected both")
        return self

    @property
    def level(self) -> int:
        """The security level of version 3: 1 nothing, 2 authentication, 3 and privacy."""
        return 1 + (self.auth_secret is not None) + (self.priv_secret is not None)

    @property
    def identity(self) -> Identity:
        """What makes two users of version 3 the same."""
        return self.username, self.auth_protocol, self.auth_secret, self.priv_protocol, self.priv_secret

    @property
    def writes(self) -> bool:
        """Whether this connection may write: authentication and privacy, and not told otherwise."""
        return self.version == "3" and self.priv_secret is not None and not self.read_only

    @property
    def why_read_only(self) -> str:
        """Why this connection does not write, for the operator."""
        if self.version == "2c":
            return "SNMP v2c is read-only here: use v3 authPriv"
        if self.priv_secret is None:
            return "SNMP v3 without privacy is read-only here: use v3 authPriv"
        return "this connection is read_only"

    @property
    def engine_bytes(self) -> bytes | None:
        """The agent's engine id, or None to discover it."""
        return None if self.engine_id is None else bytes.fromhex(self.engine_id.removeprefix("0x"))
