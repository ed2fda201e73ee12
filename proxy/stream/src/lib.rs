//! meridian-stream.
