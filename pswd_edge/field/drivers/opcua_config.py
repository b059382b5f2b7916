"""Settings of an OPC UA connection: what they are, and which of them protect nothing."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class OpcUaConfig(BaseModel):
    """Keys of an OPC UA connection. `password` is the secret itself by the time the driver gets it.

    `timeout_s` bounds the opening of a session as a whole, and any one answer. The server forgets the session
    `session_timeout_s` after the last request, so that our crashes do not use up its sessions. With a security
    policy, `certificate` and `private_key` are our files (PEM or DER) and `server_certificate` is the only one
    that we accept; `application_uri` must stand in our certificate. Without one, `server_certificate` is what the
    password is encrypted for. `user_certificate` and `user_private_key` say who we are instead of a password.
    `subscribe` names the classes of which the server reports changes by itself: those of 1 s and slower, none, or all.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(pattern=r"^opc\.tcp://[^/@\s]+(/\S*)?$")
    username: str | None = None
    password: str | None = Field(default=None, repr=False)
    allow_plain_password: bool = False
    user_certificate: str | None = None
    user_private_key: str | None = None
    security_policy: Literal["none", "basic256sha256", "aes128sha256rsaoaep", "aes256sha256rsapss"] = "none"
    security_mode: Literal["sign", "sign_and_encrypt"] = "sign_and_encrypt"
    certificate: str | None = None
    private_key: str | None = None
    server_certificate: str | None = None
    application_uri: str = "urn:pswd-edge:client"
    timeout_s: float = Field(default=4.0, gt=0, le=60)
    session_timeout_s: float = Field(default=60.0, ge=30, le=3600)  # over the slowest class, 10 s
    max_nodes: int = Field(default=500, ge=1, le=10_000)
    subscribe: Literal["slow", "none", "all"] = "slow"

    @model_validator(mode="after")
    def _channel_is_whole(self) -> Self:
        if self.security_policy != "none":
            if None in (self.certificate, self.private_key, self.server_certificate):
                raise ValueError(f"security_policy {self.security_policy}: "
                                 "expected certificate, private_key and server_certificate")
        elif self.certificate or self.private_key:
            raise ValueError("certificate files without a security_policy protect nothing: expected a policy")
        elif self.server_certificate and self.username is None and self.user_certificate is None:
            raise ValueError("server_certificate without a security_policy or a user protects nothing: expected either")
        return self

    @model_validator(mode="after")
    def _user_is_whole(self) -> Self:
        if self.password is not None and self.username is None:
            raise ValueError("password without username")
        if (self.user_certificate is None) != (self.user_private_key is None):
            raise ValueError("user_certificate and user_private_key: got one, expected both or neither")
        if self.user_certificate is not None and self.username is not None:
            raise ValueError("username and user_certificate: expected one of them, a session has one user")
        return self

    @model_validator(mode="after")
    def _password_is_protected(self) -> Self:
        plain = self.security_policy == "none" and self.server_certificate is None
        if self.password is not None and plain and not self.allow_plain_password:
            raise ValueError("password with security_policy none can be read on the wire: expected a policy, "
                             "or server_certificate to encrypt it for, or allow_plain_password: true")
        return self

    @property
    def has_files(self) -> bool:
        """Whether there are certificates or keys to be read."""
        return any((self.certificate, self.private_key, self.server_certificate, self.user_certificate))
