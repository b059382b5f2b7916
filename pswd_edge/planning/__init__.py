"""Numbers without I/O: scores, optima, traces, the look-ahead plan."""
