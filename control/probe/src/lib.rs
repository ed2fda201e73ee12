//! meridian-probe.
