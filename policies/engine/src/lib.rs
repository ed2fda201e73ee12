//! meridian-engine.
