"""What the simulated campus is made of. The defaults are the campus of `config/demo.yaml`.

How they keep the guaranteed load range of 20..100 MW, in MW:

| part                                   | idle | with the 80 MW job | note                                        |
|----------------------------------------|------|--------------------|---------------------------------------------|
| inference                              | 11.25| 11.25              | wanders by some per cent; 3 MW of it by UPS |
| PDU loads (pdu-1 2.25, pdu-2 0.5)      |  2.75|  2.75              | outlet 1 of pdu-1 carries 2.0               |
| racks, 4 x 25 rated                    | 10.0 | 80.0               | idle is 10 % of the rating                  |
| cooling, 5 % of IT, some minutes late  |  1.2 |  4.7               |                                             |
| total                                  | 25.2 | 98.7               | 23.1 with outlet 1 off                      |

Inference and PDU loads together are the base of 14 MW, seven on each feeder.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class BatterySpec:
    """One battery.

    Efficiency counts once each way. Limits are the rating but for the last `taper_percent` of SoC, where they fall
    to 0 in a line. `reports_throttled`: says so in `state` when a limit binds.
    """

    id: str
    rating_w: float
    capacity_wh: float
    reports_throttled: bool
    start_soc_percent: float = 75.0
    efficiency: float = 0.96
    delay_s: float = 0.1
    lag_s: float = 0.05
    ramp_w_per_s: float = 500e6
    revert_timeout_s: float = 60.0
    taper_percent: float = 5.0
    cells_shown: int = 8


@dataclass(frozen=True)
class RackSpec:
    """A rack group: its rating, what it draws idle, how fast it obeys a cap, and the feeder it hangs on."""

    id: str
    feeder: str
    rating_w: float = 25e6
    idle_share: float = 0.1
    cap_delay_s: float = 0.2
    cap_lag_s: float = 0.3

    @property
    def idle_w(self) -> float:
        """Power of the powered-on rack without a job."""
        return self.rating_w * self.idle_share


@dataclass(frozen=True)
class PduSpec:
    """A switched PDU; `outlets_w` is what hangs on its outlets, outlet 1 first."""

    id: str
    feeder: str
    outlets_w: tuple[float, ...]


@dataclass(frozen=True)
class CduSpec:
    """One CDU; it carries `heat_share` of its feeder's rack heat.

    The hall has twenty like it and one of them has telemetry: two megawatts are what one unit of this kind moves.
    """

    id: str
    feeder: str
    heat_share: float = 0.05
    flow_max_lpm: float = 4000.0
    flow_lpm: float = 2800.0
    supply_c: float = 30.0


@dataclass(frozen=True)
class CoolingSpec:
    """The cooling plant: `power_share` of IT power, `tau_s` late; `chiller_share` of it is the chiller's."""

    power_share: float = 0.05
    tau_s: float = 180.0
    chiller_share: float = 0.8
    chiller_rating_w: float = 5e6
    leaving_c: float = 18.0
    heat_reuse_share: float = 0.3


@dataclass(frozen=True)
class PlantSpec:
    """The whole campus. `noise_scale` multiplies all randomness: 0 gives a flat, noiseless plant."""

    inference_w: tuple[float, float] = (4.75e6, 6.5e6)
    ups_share: float = 0.27
    racks: tuple[RackSpec, ...] = (
        RackSpec("rack-1", "feeder-a"), RackSpec("rack-2", "feeder-a"),
        RackSpec("rack-3", "feeder-b"), RackSpec("rack-4", "feeder-b"),
    )
    pdus: tuple[PduSpec, ...] = (
        PduSpec("pdu-1", "feeder-a", (2.0e6, 0.1e6, 0.1e6, 0.05e6)),
        PduSpec("pdu-2", "feeder-b", (0.2e6, 0.1e6, 0.1e6, 0.1e6)),
    )
    batteries: tuple[BatterySpec, ...] = (
        BatterySpec("bess-1", 60e6, 9e6, reports_throttled=True),
        BatterySpec("bess-2", 40e6, 6e6, reports_throttled=False),
    )
    cdus: tuple[CduSpec, ...] = (CduSpec("cdu-1", "feeder-a"), CduSpec("cdu-2", "feeder-b"))
    cooling: CoolingSpec = CoolingSpec()
    voltage_v: float = 20_000.0
    frequency_hz: float = 50.0
    frequency_deviation_hz: float = 0.012
    noise_scale: float = 1.0
