//! What the plan wants opened.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meridian_live::Published;
use meridian_topology::{
    DnsName, HostPattern, ProxyProtocolIn, ProxyProtocolOut, ServiceId, TcpListener as TcpPort,
    UdpListener as UdpPort,
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

/// How connections of a TCP port are handled: by the name that their TLS handshake asks for, where the
/// port tells names apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TcpSpec {
    pub header_in: ProxyProtocolIn,
    /// By exact name.
    exact: BTreeMap<DnsName, Arc<TcpRoute>>,
    /// By the name that is above the one asked for.
    below: BTreeMap<DnsName, Arc<TcpRoute>>,
    /// Everybody else.
    rest: Option<Arc<TcpRoute>>,
}

/// Where connections go, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TcpRoute {
    pub service: ServiceId,
    pub header_out: ProxyProtocolOut,
    pub idle: Duration,
    pub connect: Duration,
}

impl TcpSpec {
    fn new(header_in: ProxyProtocolIn) -> Self {
        Self {
            header_in,
            exact: BTreeMap::new(),
            below: BTreeMap::new(),
            rest: None,
        }
    }

    fn add(&mut self, service: &ServiceId, port: &TcpPort) {
        let route = Arc::new(TcpRoute {
            service: service.clone(),
            header_out: port.proxy_protocol_out,
            idle: port.idle_timeout.as_duration(),
            connect: port.connect_timeout.as_duration(),
        });
        if port.server_names.is_empty() {
            self.rest = Some(Arc::clone(&route));
        }
        for name in &port.server_names {
            let route = Arc::clone(&route);
            match name {
                HostPattern::Exact(name) => self.exact.insert(name.clone(), route),
                HostPattern::Suffix(name) => self.below.insert(name.clone(), route),
                HostPattern::Any => self.rest.replace(route),
            };
        }
    }

    /// Whether a connection's name must be known.
    pub(crate) fn tells_names_apart(&self) -> bool {
        !self.exact.is_empty() || !self.below.is_empty()
    }

    /// Where a client goes that asks for a name, in lower case: the exact one, then the longest above it.
    pub(crate) fn route(&self, name: Option<&str>) -> Option<Arc<TcpRoute>> {
        let named = name.and_then(|name| {
            let exact = self.exact.iter().find(|(known, _)| known.as_str() == name);
            let above = name.match_indices('.').find_map(|(dot, _)| {
                let above = &name[dot + 1..];
                self.below.iter().find(|(known, _)| known.as_str() == above)
            });
            exact.or(above).map(|(_, route)| route)
        });
        named.or(self.rest.as_ref()).cloned()
    }

    /// The service that the port is called after.
    fn service(&self) -> Option<&ServiceId> {
        let mut routes = self
            .rest
            .iter()
            .chain(self.exact.values())
            .chain(self.below.values());
        routes.next().map(|route| &route.service)
    }
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
    Tcp(Arc<TcpSpec>),
    Udp(UdpSpec),
}

impl Spec {
    /// The service that the port is called after.
    pub(crate) fn service(&self) -> Option<&ServiceId> {
        match self {
            Self::Tcp(spec) => spec.service(),
            Self::Udp(spec) => Some(&spec.service),
        }
    }
}

/// Every port of every service, in a fixed order.
pub(crate) fn wanted(published: &Published) -> BTreeMap<Key, Spec> {
    let services = &published.world.topology.services;
    let mut tcp: BTreeMap<Key, TcpSpec> = BTreeMap::new();
    for (service, port) in services
        .iter()
        .flat_map(|service| service.tcp.iter().map(|port| (&service.id, port)))
    {
        tcp.entry(key(Transport::Tcp, port.listen, service))
            .or_insert_with(|| TcpSpec::new(port.proxy_protocol_in))
            .add(service, port);
    }
    let tcp = tcp
        .into_iter()
        .map(|(key, spec)| (key, Spec::Tcp(Arc::new(spec))));
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
