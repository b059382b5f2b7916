"""The gateway's own API, for what no contract names: alarms, and the heartbeat of a supervisor."""
