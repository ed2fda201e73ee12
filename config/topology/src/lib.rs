//! meridian-topology.
