//! meridian-geo.
