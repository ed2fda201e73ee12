//! The validated types: what exists, after nothing has to be checked again.
//!
//! [`Topology::parse`](crate::Topology::parse) is the only maker that promises what the fields
//! say of each other (indices point to something, vectors are sorted). The fields are public so
//! that tests and simulators can invent worlds; whoever does takes over the promise.

mod dns;
mod edge;
mod health;
mod multi_region;
mod region;
mod service;
mod steered;
mod traffic;

pub use dns::{DnsName, DnsNameError, DnsZone, Record, RecordData, RecordKind, RecordType, Soa};
pub use edge::{Capability, Dpdk, EdgeNode, Interface, NodeKind, SrIov};
pub use health::{CheckKind, HealthCheck, HttpCheck, Scheme, StatusRange};
pub use multi_region::{
    ConsistencyModel, Effect, Failover, FailoverMode, MultiRegion, Network, Replication,
    ReplicationTopology, Switch,
};
pub use region::{ClientGroup, Cost, Drain, Endpoint, Location, Region};
pub use service::{
    DnsAnswer, Forwarded, HostPattern, HttpRoute, Method, ProxyProtocolIn, ProxyProtocolOut,
    Retries, RetryOn, Service, ServiceDns, TcpListener, Timeouts, UdpListener, Vip, VipProtocol,
};
pub use steered::{SrvName, SrvTarget, Svcb, SvcbName};
pub use traffic::{
    Affinity, Balance, ClientRules, Coding, Compression, Condition, Fault, HEADER_LEN_MAX,
    HeaderError, HeaderName, HeaderRules, HeaderValue, PathMatch, Priority, RateKey, RateLimit,
    Redirect, RetryBudget, Rewrite, Traffic, TrafficSplit, UpstreamTls,
};
