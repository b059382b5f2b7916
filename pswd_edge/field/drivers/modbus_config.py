"""The keys of a Modbus connection: which transport, and what that transport needs."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from pswd_edge.config.secrets import is_reference

RESOLVED = {"resolved": True}
"""Validation context of the driver, whose secrets are values; without it they must be references."""
_PORTS = {"tcp": 502, "tls": 802}       # Modbus/TCP Security V21, 6.2; RTU over TCP has no port of its own
_NETWORK = ("tcp", "rtu_over_tcp", "tls")
_OWNERS = {
    "host": _NETWORK, "port": _NETWORK, "echoes_transaction": ("tcp", "tls"),
    "late_max_ms": ("rtu_over_tcp", "serial"),
    "device": ("serial",), "baud": ("serial",), "parity": ("serial",), "stop_bits": ("serial",),
    "ca": ("tls",), "certificate": ("tls",), "private_key": ("tls",), "server_name": ("tls",),
}  # fmt: skip
_NEEDED = {"host": _NETWORK, "port": ("rtu_over_tcp",), "device": ("serial",), "ca": ("tls",)}


class ModbusConfig(BaseModel):
    """Where the connection goes, and how.

    `device` is the serial port, best by `/dev/serial/by-id/`, as numbers change when an adapter is plugged in anew.
    `ca` and `certificate` are files in PEM; `private_key` is a reference to one, and the PEM text itself by the time
    the driver gets it. `server_name` is the name in the device's certificate where it is another one than `host`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    transport: Literal["tcp", "rtu_over_tcp", "serial", "tls"] = "tcp"
    host: str | None = Field(default=None, min_length=1, validate_default=True)
    port: int | None = Field(default=None, ge=1, le=65535, validate_default=True)
    echoes_transaction: bool = True
    late_max_ms: int = Field(default=300, ge=10, le=10_000)
    device: str | None = Field(default=None, min_length=1, validate_default=True)
    baud: int = Field(default=19_200, ge=300, le=4_000_000)
    parity: Literal["even", "odd", "none"] = "even"
    stop_bits: Literal[1, 2] = 1
    ca: str | None = Field(default=None, min_length=1, validate_default=True)
    certificate: str | None = Field(default=None, min_length=1)
    private_key: str | None = Field(default=None, min_length=1, validate_default=True, repr=False)
    server_name: str | None = Field(default=None, min_length=1)

    @field_validator(*_OWNERS)
    @classmethod
    def _belongs_to_the_transport(cls, value: Any, info: ValidationInfo) -> Any:
        """Each mistake at its own key, so that `check` can name the line."""
        transport, key = info.data.get("transport"), str(info.field_name)
        if transport is None:           # that one is wrong already
            return value
        if value is None and transport in _NEEDED.get(key, ()):
            raise PydanticCustomError("needed", f"a value, as transport is {transport}")
        if value is not None and transport not in _OWNERS[key]:
            owners = " or ".join(_OWNERS[key])
            raise PydanticCustomError(
                "foreign", f"no {key}, as transport is {transport}: it is for {owners}"
            )
        return value

    @field_validator("private_key")
    @classmethod
    def _comes_with_its_certificate(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None and info.data.get("certificate") is not None:
            raise PydanticCustomError("needed", "the key of the certificate: file:<path> or credential:<name>")
        if value is not None and info.data.get("certificate", "") is None:
            raise PydanticCustomError("alone", "certificate beside it")
        if value is not None and info.context is not RESOLVED and not is_reference(value):
            raise PydanticCustomError("literal", "a reference: file:<path> or credential:<name>")
        return value

    @property
    def where(self) -> str:
        """The place, as messages name it."""
        return str(self.device) if self.transport == "serial" else f"{self.host}:{self.port_number}"

    @property
    def port_number(self) -> int:
        """The port, or the transport's usual one."""
        return self.port if self.port is not None else _PORTS.get(self.transport, 0)

    @property
    def rtu(self) -> bool:
        """Whether frames are RTU, without transaction ids."""
        return self.transport in ("serial", "rtu_over_tcp")

    @property
    def character_s(self) -> float:
        """The time of one character on a serial line: start, eight bits, parity, stop."""
        return (9 + (self.parity != "none") + self.stop_bits) / self.baud
