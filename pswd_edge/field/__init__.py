"""The field: drivers, one poller a connection, the table of values, the actuator."""
