"""The live choreography: does the gateway do with real requests what it does in a replay? Box first, a window opened
when it pays, filled while it is paid, and left to close. `python -m benchmarks.choreography` plays ten minutes."""
