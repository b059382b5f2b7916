"""Modbus TCP: which units answer behind a port, who they are, and whether they speak SunSpec."""

from collections.abc import Callable, Sequence

from pswd_edge.commands.pace import Pace
from pswd_edge.commands.scan_found import Find
from pswd_edge.commands.scan_match import fitting_maps
from pswd_edge.errors import DecodeError, DeviceError, RefusedError, SilentError, UnreachableError
from pswd_edge.field.drivers.modbus_explore import Wire
from pswd_edge.field.drivers.said import printable

_NO_TARGET = (10, 11)         # the gateway answers for a unit that is not there
_BASES = (40000, 50000, 0)    # SunSpec Device Information Model Specification V1.1, 6.2
_MARKER = [0x5375, 0x6E53]
_MODELS_MAX = 64
_SAME_MIN = 4                 # units that answer alike, the first ones asked: then the device may ignore the unit id
_UNLIKELY = (233, 239)


class Port:
    """One Modbus TCP port, asked in turn with everything else that is scanned."""

    def __init__(self, host: str, port: int, pace: Pace, timeout_s: float, *, match: bool = False) -> None:
        """`match`: try the known maps on units that do not say who they are."""
        self._wire, self._match = Wire(host, port), match
        self._host, self._port, self._pace, self._timeout_s = host, port, pace, timeout_s

    async def open(self) -> bool:
        """Whether somebody listens."""
        await self._pace.turn()
        try:
            await self._wire.open(self._timeout_s)
        except UnreachableError:
            return False
        return True

    async def close(self) -> None:
        """Hang up."""
        await self._wire.close()

    async def units(self, wanted: Sequence[int], finds: list[Find], asked: Callable[[], None]) -> None:
        """Add those that answer to `finds` as they are found; `asked` hears of each unit that was asked.

        A device that ignores unit ids answers at all of them: it is found once, and the rest is not asked.
        """
        first = len(finds)
        for n, unit in enumerate(wanted, start=1):
            if await self._answers(unit):
                finds.append(await self._who(unit))
            asked()
            if n == len(finds) - first == _SAME_MIN and _alike(finds[first:]) and await self._ignores_units():
                finds[first].notes.append("answers at every unit id: taken for one device; give --units where it is a "
                                          "gateway after all")
                del finds[first + 1 :]
                return

    async def _ignores_units(self) -> bool:
        """Nobody numbers a unit like these."""
        return all([await self._answers(unit) for unit in _UNLIKELY])

    async def _answers(self, unit: int) -> bool:
        """An exception is an answer too, unless a gateway gives it for a unit that is not there."""
        try:
            await self._registers(unit, 0, 1)
        except RefusedError as error:
            return error.code not in _NO_TARGET
        except DecodeError:
            return True
        except SilentError:
            return False
        except UnreachableError:
            await self._again()
            return False
        return True

    async def _again(self) -> None:
        """Some devices hang up at what they do not know."""
        await self._wire.close()
        await self.open()

    async def _registers(self, unit: int, register: int, count: int) -> list[int]:
        await self._pace.turn()
        return await self._wire.registers(unit, register, count, self._timeout_s)

    async def _who(self, unit: int) -> Find:
        found = Find("modbus", self._host, self._port, unit)
        try:
            await self._pace.turn()
            found.identity |= await self._wire.identity(unit, self._timeout_s)
        except UnreachableError:
            await self._again()
        except DeviceError:
            pass  # most devices do not know function 43
        try:
            await self._sunspec(found)
        except UnreachableError:
            await self._again()
        except DeviceError as error:
            found.notes.append(f"SunSpec chain cut short: {error}")
        if self._match and not found.models:
            try:
                found.maps += await fitting_maps(self._wire, unit, self._pace, self._timeout_s)
            except UnreachableError:
                await self._again()
        return found

    async def _sunspec(self, found: Find) -> None:
        assert found.unit is not None  # a Modbus find has one
        for base in _BASES:
            try:
                if await self._registers(found.unit, base, 2) == _MARKER:
                    found.sunspec_base = base
                    break
            except (RefusedError, DecodeError):
                continue
            except SilentError:
                return
        if found.sunspec_base is None:
            return
        at = found.sunspec_base + 2
        for _ in range(_MODELS_MAX):
            model, length = await self._registers(found.unit, at, 2)
            if model == 0xFFFF or at + 2 + length > 65535:
                return
            found.models.append(model)
            if model == 1:
                await self._common(found, at)
            at += 2 + length

    async def _common(self, found: Find, at: int) -> None:
        """Model 1: manufacturer 16 registers, model 16, options 8, version 8, serial number 16."""
        assert found.unit is not None  # as above
        words = await self._registers(found.unit, at + 2, 64)
        text = b"".join(w.to_bytes(2, "big") for w in words)
        names = {"vendor": (0, 32), "model_name": (32, 64), "revision": (80, 96), "serial": (96, 128)}
        found.identity |= {name: printable(text[a:b]) for name, (a, b) in names.items() if printable(text[a:b])}


def _alike(found: Sequence[Find]) -> bool:
    """Whether several answers can be one device's."""
    return all(f.identity == found[0].identity and f.models == found[0].models for f in found[1:])
