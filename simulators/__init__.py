"""The simulated campus: physics, devices on real sockets, faults, broker. For the demo and the tests."""
