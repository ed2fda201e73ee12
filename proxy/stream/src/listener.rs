//! What the plan wants opened.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use meridian_live::Published;
use meridian_topology::{
    ProxyProtocolIn, ProxyProtocolOut, ServiceId, TcpListener as TcpPort, UdpListener as UdpPort,
};

/// Most ports opened for streams; more are not opened and logged.
pub const LISTENERS_MAX: usize = 1024;

/// What a port carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// TCP connections.
    Tcp,
    /// UDP sessions.
    Udp,
}

impl Transport {
    /// The word in labels and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Tells ports apart. A port that goes from one service to another stays open;
/// port 0 ("any free one") is a port of its own for each service.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub transport: Transport,
    pub listen: SocketAddr,
    any_port_of: Option<ServiceId>,
}

/// How connections of a TCP port are handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TcpSpec {
    pub service: ServiceId,
    pub header_in: ProxyProtocolIn,
    pub header_out: ProxyProtocolOut,
    pub idle: Duration,
    pub connect: Duration,
}

/// How sessions of a UDP port are handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UdpSpec {
    pub service: ServiceId,
    pub idle: Duration,
    pub sessions_max: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Spec {
    Tcp(TcpSpec),
    Udp(UdpSpec),
}

impl Spec {
    pub(crate) fn service(&self) -> &ServiceId {
        match self {
            Self::Tcp(spec) => &spec.service,
            Self::Udp(spec) => &spec.service,
        }
    }
}

/// Every port of every service, in a fixed order.
pub(crate) fn wanted(published: &Published) -> BTreeMap<Key, Spec> {
    let services = &published.world.topology.services;
    let tcp = services
        .iter()
        .flat_map(|service| service.tcp.iter().map(|port| tcp(&service.id, port)));
    let udp = services
        .iter()
        .flat_map(|service| service.udp.iter().map(|port| udp(&service.id, port)));
    let all: BTreeMap<Key, Spec> = tcp.chain(udp).collect();
    if all.len() <= LISTENERS_MAX {
        return all;
    }
    tracing::error!(
        wanted = all.len(),
        max = LISTENERS_MAX,
        "the topology names more stream listeners than are opened"
    );
    all.into_iter().take(LISTENERS_MAX).collect()
}

fn tcp(service: &ServiceId, port: &TcpPort) -> (Key, Spec) {
    let spec = TcpSpec {
        service: service.clone(),
        header_in: port.proxy_protocol_in,
        header_out: port.proxy_protocol_out,
        idle: port.idle_timeout.as_duration(),
        connect: port.connect_timeout.as_duration(),
    };
    (key(Transport::Tcp, port.listen, service), Spec::Tcp(spec))
}

fn udp(service: &ServiceId, port: &UdpPort) -> (Key, Spec) {
    let spec = UdpSpec {
        service: service.clone(),
        idle: port.idle_timeout.as_duration(),
        sessions_max: port.max_sessions as usize,
    };
    (key(Transport::Udp, port.listen, service), Spec::Udp(spec))
}

fn key(transport: Transport, listen: SocketAddr, service: &ServiceId) -> Key {
    Key {
        transport,
        listen,
        any_port_of: (listen.port() == 0).then(|| service.clone()),
    }
}
