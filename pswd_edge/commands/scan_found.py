"""What a scan finds."""

from dataclasses import dataclass, field

from pswd_edge.field.drivers.opcua_explore import Offer, Variable


@dataclass(slots=True)
class Find:
    """One device. `unit` is its Modbus unit id; `models` are SunSpec model numbers in the order of their chain.

    `maps` names the device maps that seem to fit, best first. `notes` are sentences for people.
    """

    protocol: str
    host: str
    port: int
    unit: int | None = None
    identity: dict[str, str] = field(default_factory=dict)
    sunspec_base: int | None = None
    models: list[int] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    maps: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def title(self) -> str:
        """Who it says it is."""
        known = self.identity
        return " ".join(filter(None, (known.get("vendor"), known.get("product_name") or known.get("model_name")
                                      or known.get("product_code"), known.get("revision")))) or known.get("text", "")

    @property
    def where(self) -> str:
        """The place, for people."""
        return f"{self.host}:{self.port}" + ("" if self.unit is None else f" unit {self.unit}")
