//! meridian-live.
