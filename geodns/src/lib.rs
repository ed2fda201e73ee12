//! meridian-geodns.
