//! meridian-telemetry.
