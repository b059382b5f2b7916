"""The live table of the demo."""

from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

from pswd_edge.commands.campus import Rig
from pswd_edge.image import ImageReader
from pswd_edge.model.report import FieldReport, Report
from pswd_edge.model.site import Site

_BAR = 40


class Screen:
    """A table that renews itself on a terminal, a line every ten seconds elsewhere, nothing when `quiet`."""

    def __init__(self, rig: Rig, http_port: int, *, quiet: bool) -> None:
        self._site, self._quiet = rig.site, quiet
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False)
        self._said_s = -10.0
        if not quiet:
            self._console.print(f"[bold]{rig.site.name}[/bold]: PSWD at http://127.0.0.1:{http_port}/v1\n"
                                f"MQTT ({rig.broker.kind}) at 127.0.0.1:{rig.broker.port}\n"
                                f"users and passwords in {rig.folder / 'access.json'}; Ctrl-C ends it", soft_wrap=True)

    def __enter__(self) -> Self:
        if not self._quiet and self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, image: ImageReader, elapsed_s: float) -> None:
        """Renew the table from the image."""
        report, field = image.report(), image.field_report()
        if self._quiet or report is None:
            return
        if self._live.is_started:
            self._live.update(table_of(self._site, report, field, elapsed_s), refresh=True)
        elif elapsed_s - self._said_s >= 10.0:
            self._said_s = elapsed_s
            tiers = [t.id for t in report.tiers if t.engaged]
            self._console.print(f"{elapsed_s:5.0f} s  {report.mode.value}  load {_mw(report.load_w)}  "
                                f"grid {_mw(report.grid_w)}  battery {_mw(report.battery_w)} MW  "
                                f"shed {', '.join(tiers) or 'nothing'}  "
                                f"late p99 {report.late_p99_ms:.2f} ms", soft_wrap=True)


def _mw(value: float | None) -> str:
    return "   ?  " if value is None else f"{value / 1e6:6.2f}"


def _bar(value: float | None, full: float, colour: str) -> str:
    if value is None or full <= 0:
        return ""
    return f"[{colour}]" + "█" * max(0, min(_BAR, round(abs(value) / full * _BAR))) + "[/]"


def table_of(site: Site, report: Report, field: FieldReport | None, elapsed_s: float) -> Table:
    """One screen: powers with bars, batteries, tiers, devices, timing."""
    title = f"{site.name}  {elapsed_s:6.1f} s  {report.mode.value}  ({report.mode_reason})"
    table = Table(title=title, show_header=False)
    full = site.control.load_maximum_w
    for name, value, colour in (("load", report.load_w, "cyan"), ("grid", report.grid_w, "green"),
                                ("reference", report.reference_w, "white"), ("battery", report.battery_w, "yellow")):
        table.add_row(name, f"{_mw(value)} MW", _bar(value, full, colour))
    for battery, soc in zip(report.batteries, _soc(site, report), strict=True):
        state = "" if battery.usable else "[red]LOST[/]"
        table.add_row(battery.id, f"{_mw(battery.setpoint_w)} MW", f"SoC {soc} {state}")
    tiers = ", ".join(f"[red]{t.id} {t.shed_w / 1e6:.1f} MW off[/]" for t in report.tiers if t.engaged)
    table.add_row("shed tiers", tiers or "none", f"bound by {report.binding}")
    if field is not None:
        table.add_row("devices good", f"{field.devices_good} of {len(site.devices)}",
                      f"{field.points_good} points good, {field.points_bad} bad")
    table.add_row("cycle", f"late p99 {report.late_p99_ms:.2f} ms",
                  f"{report.cycles} done, {report.cycles_missed} missed, rules p99 {report.rules_p99_ms:.2f} ms")
    for alarm in report.alarms:
        table.add_row("[red]alarm[/]", "", alarm.message)
    return table


def _soc(site: Site, report: Report) -> list[str]:
    capacity = {b.id: b.capacity_wh for b in site.control.batteries}
    return [f"{100 * b.energy_wh / capacity[b.id]:.1f} %" if b.usable else "not known" for b in report.batteries]
