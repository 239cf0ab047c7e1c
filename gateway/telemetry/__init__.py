"""What a gateway tells of itself beyond its own page: request ends for the log, spans and metrics over OpenTelemetry.

Only `export`, `metrics` and `spans` import OpenTelemetry's SDK, and only a policy with `telemetry` imports those."""
