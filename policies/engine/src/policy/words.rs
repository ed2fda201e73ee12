//! The closed lists of words that policies use.

use meridian_topology::words;

words! {
    /// What keeps a client at its endpoint.
    Sticky, "kind of stickiness" {
        /// All clients of one /24 (IPv4) or /48 (IPv6) stay together.
        ClientPrefix = "client_prefix",
        /// Each client address stays.
        ClientAddress = "client_address",
        /// Every request or flow is on its own.
        None = "none",
    }, default ClientPrefix
}

words! {
    /// In which proportion regions share the clients of a class.
    Split, "split" {
        /// The same for each.
        Equal = "equal",
        /// By the regions' capacities.
        Capacity = "capacity",
        /// By what is left of the regions' capacities.
        Headroom = "headroom",
        /// By how close the scores are to the best: better regions get more.
        Score = "score",
    }, default Equal
}

words! {
    /// Where a performance selector's expectations come from.
    Model, "model" {
        /// The promoted latency model, within its bound; distance where it knows nothing.
        Latency = "latency",
        /// Distance alone.
        Distance = "distance",
    }, default Latency
}

words! {
    /// Whether a condition on places holds for a client whose country is unknown.
    UnknownClient, "rule for unknown clients" {
        /// The selector applies to it.
        Apply = "apply",
        /// The selector does not apply to it.
        Skip = "skip",
    }, default Skip
}

words! {
    /// What to do when no region is left.
    FailMode, "way to fail" {
        /// Refuse: no answer, no upstream.
        Closed = "closed",
        /// Use regions beyond their capacity, as long as an endpoint lives.
        LastResort = "last_resort",
        /// Choose as if everything in service were healthy.
        IgnoreHealth = "ignore_health",
    }, default LastResort
}
