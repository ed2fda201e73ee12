//! meridian-accept.
