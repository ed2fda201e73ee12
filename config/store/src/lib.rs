//! meridian-store.
