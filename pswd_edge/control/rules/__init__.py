"""The control rules: pure functions with declared inputs. No I/O, no clock, no randomness: replayable bit for bit.

    measured.py    what of a reading a rule may use
    estimate.py    what the load, the grid and the batteries do, from what is measured, and how far to believe it
    reserve.py     energy and power that must stay free so that any load in the range can be carried
    reference.py   the grid reference: ramp window, viable interval, target (control law, steps 1 to 5 and 7)
    allocate.py    what the batteries can give now, and who gives how much (step 6)
    shed.py        when loads must go, and when they may come back
    placement.py   what an announced workload may draw, and where it runs
    law.py         one cycle: all of the above in order

Units are W, Wh and s; battery power is positive when it discharges; grid = load - battery.
"""
