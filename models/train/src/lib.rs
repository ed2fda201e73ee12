//! meridian-train.
