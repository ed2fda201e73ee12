//! meridian-gen.
