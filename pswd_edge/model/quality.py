"""How far a value can be trusted, and why not further."""

from enum import IntEnum


class Quality(IntEnum):
    """As in OPC UA. The worse one wins in arithmetic: `max` of two qualities."""

    GOOD = 0
    UNCERTAIN = 1
    BAD = 2


class Reason(IntEnum):
    """Why a value is not GOOD. `NONE` goes with GOOD only."""

    NONE = 0
    NEVER_READ = 1        # no answer since start
    STALE = 2             # older than three of its periods
    FROZEN = 3            # bit-identical for longer than this point ever is
    NOT_A_NUMBER = 4
    SENTINEL = 5          # the device's own "not available" marker
    OUT_OF_RANGE = 6      # outside what the map says is possible
    UNREACHABLE = 7       # no connection, or no answer in time
    REFUSED = 8           # the device answered with an exception
    UNDECODABLE = 9
    DEVICE = 10           # the device itself says so (OPC UA status, SNMP noSuchObject)
    SUBSTITUTED = 11      # worked out from other measurements
    JUMP = 12             # further from the last value than this point can go, and not confirmed yet
