//! Listeners and virtual addresses, and what may not be claimed twice across services: sockets,
//! virtual addresses, DNS names, and pairs of host and path.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use ipnet::IpNet;

use super::Checker;
use super::dns::{A, AAAA, CNAME};
use crate::door::{Code, Mistake, Source, Span};
use crate::model::{
    HostPattern, PathMatch, ProxyProtocolIn, ProxyProtocolOut, TcpListener, UdpListener, Vip,
    VipProtocol,
};
use crate::raw::{
    RawClientGroup, RawService, RawServiceDns, RawTcpListener, RawTopology, RawUdpListener, RawVip,
};
use crate::rdata::ALIAS;

/// The most sessions of one UDP listener: about a gigabyte of them.
const MAX_SESSIONS: u32 = 4_194_304;

impl Checker {
    pub(super) fn tcp_listener(
        &mut self,
        source: &Source,
        raw: &RawTcpListener,
    ) -> Option<TcpListener> {
        let listen = self.listen(source, &raw.listen);
        let inward = self.or(source, raw.proxy_protocol_in.as_ref(), ProxyProtocolIn::Off);
        let outward = self.or(
            source,
            raw.proxy_protocol_out.as_ref(),
            ProxyProtocolOut::Off,
        );
        let idle = self.patience(
            source,
            raw.idle_timeout.as_ref(),
            TcpListener::DEFAULT_IDLE_TIMEOUT,
        );
        let connect = self.patience(
            source,
            raw.connect_timeout.as_ref(),
            TcpListener::DEFAULT_CONNECT_TIMEOUT,
        );
        let server_names = self.set(source, &raw.server_names);
        Some(TcpListener {
            listen: listen?,
            server_names,
            proxy_protocol_in: inward?,
            proxy_protocol_out: outward?,
            idle_timeout: idle?,
            connect_timeout: connect?,
        })
    }

    pub(super) fn udp_listener(
        &mut self,
        source: &Source,
        raw: &RawUdpListener,
    ) -> Option<UdpListener> {
        let listen = self.listen(source, &raw.listen);
        let idle = self.patience(
            source,
            raw.idle_timeout.as_ref(),
            UdpListener::DEFAULT_IDLE_TIMEOUT,
        );
        let max_sessions = self.bounded(
            source,
            raw.max_sessions.as_ref(),
            UdpListener::DEFAULT_MAX_SESSIONS,
            (1, MAX_SESSIONS),
        );
        Some(UdpListener {
            listen: listen?,
            idle_timeout: idle?,
            max_sessions: max_sessions?,
        })
    }

    fn listen(
        &mut self,
        source: &Source,
        field: &crate::door::Field<SocketAddr>,
    ) -> Option<SocketAddr> {
        let listen = *self.field(source, field)?;
        if listen.port() == 0 {
            let mistake = Mistake::new("port 0 is no port that clients could find")
                .help("choose a port from 1 to 65535");
            self.wrong(source, field.span, Code::OUT_OF_RANGE, mistake);
            return None;
        }
        Some(listen)
    }

    pub(super) fn vip(&mut self, source: &Source, raw: &RawVip) -> Option<Vip> {
        let address = self.field(source, &raw.address).copied();
        let port = self.port(source, &raw.port);
        let protocol = self.or(source, raw.protocol.as_ref(), VipProtocol::Tcp);
        Some(Vip {
            address: address?,
            port: port?,
            protocol: protocol?,
        })
    }

    /// What only shows when all services and zones are looked at together.
    pub(super) fn across(&mut self, documents: &[(Source, RawTopology)]) {
        let mut claims = Claims::default();
        for (source, raw) in documents {
            for service in &raw.services {
                self.claim_listeners(&mut claims, source, service);
                self.claim_names(&mut claims, source, service);
                self.claim_routes(&mut claims, source, service);
            }
        }
        for (source, raw) in documents {
            for zone in &raw.dns_zones {
                self.records_against_services(&claims, source, zone);
            }
            for group in &raw.client_groups {
                self.claim_networks(&mut claims, source, group);
            }
        }
    }

    /// Networks may nest, the most specific wins; the same one twice has no winner.
    fn claim_networks(&mut self, claims: &mut Claims, source: &Source, group: &RawClientGroup) {
        for field in &group.cidrs {
            let Some(net) = field.get() else { continue };
            let owner = group.id.span.offset;
            match claims.networks.get(net).cloned() {
                // A repetition inside of one group is reported where its list is read.
                Some((first, of)) if of != owner || first.0 != *source => {
                    let mistake = Mistake::new(format!("two client groups claim {net}"))
                        .help("a network belongs to one group");
                    self.taken((source, field.span), mistake, &first, "first claimed");
                }
                Some(_) => {}
                None => {
                    let place = ((source.clone(), field.span), owner);
                    claims.networks.insert(*net, place);
                }
            }
        }
    }

    fn claim_listeners(&mut self, claims: &mut Claims, source: &Source, raw: &RawService) {
        let tcp = raw
            .tcp
            .iter()
            .map(|raw| (&raw.listen, Some(Sharing::of(raw))));
        let udp = raw.udp.iter().map(|raw| (&raw.listen, None));
        for (field, sharing) in tcp.chain(udp) {
            let Some(listen) = field.get() else { continue };
            let claim = Claim {
                listen: *listen,
                sharing,
                place: (source.clone(), field.span),
            };
            if let Some((mistake, first)) = claims.collision(&claim) {
                self.taken((source, field.span), mistake, &first, "first used");
            } else {
                claims.listeners.push(claim);
            }
        }
        for vip in &raw.vips {
            let (Some(address), Some(port)) = (vip.address.get(), vip.port.get()) else {
                continue;
            };
            let protocol = vip.protocol.as_ref().and_then(|field| field.get().copied());
            let key = (
                protocol.unwrap_or(VipProtocol::Tcp),
                SocketAddr::new(*address, *port),
            );
            let place = (source.clone(), vip.address.span);
            if let Some(first) = claims.vips.get(&key).cloned() {
                let mistake = Mistake::new(format!(
                    "two services share the virtual address {} {}",
                    key.0, key.1
                ))
                .help("a virtual address and port stand for one service");
                self.taken((source, vip.address.span), mistake, &first, "first used");
            } else {
                claims.vips.insert(key, place);
            }
        }
    }

    fn claim_names(&mut self, claims: &mut Claims, source: &Source, raw: &RawService) {
        for field in raw.dns.iter().flat_map(RawServiceDns::all_names) {
            let Some(name) = field.get() else { continue };
            if let Some(first) = claims.names.get(name.as_str()).cloned() {
                let mistake = Mistake::new(format!("the name `{name}` is claimed twice"))
                    .help("a DNS name belongs to one service");
                self.taken((source, field.span), mistake, &first, "first claimed");
            } else {
                let place = (source.clone(), field.span);
                claims.names.insert(name.as_str().to_owned(), place);
            }
        }
    }

    fn claim_routes(&mut self, claims: &mut Claims, source: &Source, raw: &RawService) {
        for route in &raw.http {
            let path = match &route.value.path_prefix {
                Some(field) => match field.get() {
                    Some(path) => path.clone(),
                    None => continue,
                },
                None => "/".to_owned(),
            };
            let mut methods: Vec<_> = route
                .value
                .methods
                .iter()
                .filter_map(|field| field.get().copied())
                .collect();
            methods.sort();
            let others = others(&route.value);
            for field in &route.value.hosts {
                let Some(host) = field.get() else { continue };
                let key = format!("{host}{path} {methods:?} {others}");
                if let Some(first) = claims.routes.get(&key).cloned() {
                    let mistake = Mistake::new(format!("the route {host}{path} is given twice"))
                        .help("a host, a path, its methods and `match` lead to one service");
                    self.taken((source, field.span), mistake, &first, "first given");
                } else {
                    claims.routes.insert(key, (source.clone(), field.span));
                }
            }
        }
    }

    /// A static record may not say what a service's name answers.
    fn records_against_services(
        &mut self,
        claims: &Claims,
        source: &Source,
        zone: &crate::raw::RawZone,
    ) {
        let Some(origin) = zone.origin.get() else {
            return;
        };
        for record in &zone.records {
            let (Some(name), Some(rtype)) = (record.name.get(), record.rtype.get()) else {
                continue;
            };
            let Ok(owner) = super::dns::owner(name, origin) else {
                continue;
            };
            let answered = matches!(rtype.0, A | AAAA | CNAME | ALIAS);
            if let (true, Some(first)) = (answered, claims.names.get(owner.as_str())) {
                let mistake = Mistake::new(format!(
                    "`{owner}` is the name of a service, which answers {rtype} itself"
                ))
                .help("remove the record or the service's name");
                self.taken((source, record.name.span), mistake, first, "claimed");
            }
        }
    }

    fn taken(&mut self, at: (&Source, Span), mistake: Mistake, first: &(Source, Span), word: &str) {
        self.problems
            .report_related(at, Code::CONFLICT, mistake, (&first.0, first.1, word));
    }
}

type Place = (Source, Span);

/// What is taken so far.
#[derive(Default)]
struct Claims {
    listeners: Vec<Claim>,
    vips: BTreeMap<(VipProtocol, SocketAddr), Place>,
    names: BTreeMap<String, Place>,
    routes: BTreeMap<String, Place>,
    /// With the place of the group that claims it.
    networks: BTreeMap<IpNet, (Place, usize)>,
}

/// What else tells routes apart.
fn others(route: &crate::raw::RawRoute) -> String {
    let is_exact = route
        .path_match
        .as_ref()
        .is_some_and(|field| field.get() == Some(&PathMatch::Exact));
    let Some(conditions) = &route.conditions else {
        return format!("{is_exact}");
    };
    let value = |value: &Option<crate::door::Field<String>>| {
        let value = value.as_ref().and_then(|field| field.get().cloned());
        value.map_or_else(|| "*".to_owned(), |value| format!("={value}"))
    };
    let fields = conditions.headers.iter().map(|named| ("header", named));
    let cookies = conditions.cookies.iter().map(|named| ("cookie", named));
    let mut all: Vec<String> = fields
        .chain(cookies)
        .map(|(kind, named)| format!("{kind} {:?}{}", named.name.get(), value(&named.value)))
        .collect();
    let query = conditions.query.iter();
    all.extend(query.map(|named| format!("query {:?}{}", named.name.get(), value(&named.value))));
    all.sort();
    format!("{is_exact} {}", all.join(" "))
}

/// A listener.
struct Claim {
    listen: SocketAddr,
    /// How a TCP port is shared; `None` is UDP.
    sharing: Option<Sharing>,
    place: Place,
}

/// What a TCP listener says of others on its address.
struct Sharing {
    /// Whom it takes; empty is the rest.
    names: Vec<HostPattern>,
    proxy_protocol: ProxyProtocolIn,
}

impl Sharing {
    fn of(raw: &RawTcpListener) -> Self {
        let names = raw.server_names.iter().filter_map(|name| name.get());
        let inward = raw.proxy_protocol_in.as_ref();
        Self {
            names: names.cloned().collect(),
            proxy_protocol: inward
                .and_then(|field| field.get().copied())
                .unwrap_or_default(),
        }
    }

    /// Whether both can stand on one address: who takes a client must be certain.
    fn goes_with(&self, other: &Self) -> Result<(), String> {
        if self.names.is_empty() && other.names.is_empty() {
            return Err("neither names whom it takes".to_owned());
        }
        if let Some(name) = self.names.iter().find(|name| other.names.contains(name)) {
            return Err(format!("both take `{name}`"));
        }
        if self.proxy_protocol != other.proxy_protocol {
            return Err("the PROXY header comes first, and only one of them expects it".to_owned());
        }
        Ok(())
    }
}

impl Claim {
    fn protocol(&self) -> VipProtocol {
        match self.sharing {
            Some(_) => VipProtocol::Tcp,
            None => VipProtocol::Udp,
        }
    }

    /// The same port on the same address, or on every address of a family. `[::]` takes IPv4 too on a
    /// host with Linux' default settings.
    fn overlaps(&self, other: &Self) -> bool {
        let (a, b) = (self.listen, other.listen);
        let every = |a: SocketAddr, b: SocketAddr| {
            a.ip().is_unspecified() && (a.is_ipv6() || a.is_ipv4() == b.is_ipv4())
        };
        self.protocol() == other.protocol()
            && a.port() == b.port()
            && (a.ip() == b.ip() || every(a, b) || every(b, a))
    }
}

impl Claims {
    /// What is wrong with a listener beside the others, and the one it collides with.
    fn collision(&self, claim: &Claim) -> Option<(Mistake, Place)> {
        let others = self.listeners.iter().filter(|other| other.overlaps(claim));
        let (protocol, listen) = (claim.protocol(), claim.listen);
        let mistake = |other: &Claim| {
            if other.listen != listen {
                let other = other.listen;
                let message =
                    format!("{protocol} {listen} and {other} overlap: one is every address");
                return Some(Mistake::new(message).help("give one of them another port"));
            }
            let (Some(own), Some(others)) = (&claim.sharing, &other.sharing) else {
                let message = format!("two listeners share {protocol} {listen}");
                return Some(Mistake::new(message).help("give one of them another port"));
            };
            let why = own.goes_with(others).err()?;
            let message = format!("two listeners share {protocol} {listen}: {why}");
            let help = "give one of them another port, or each its own `server_names`";
            Some(Mistake::new(message).help(help))
        };
        others
            .filter_map(|other| Some((mistake(other)?, other.place.clone())))
            .next()
    }
}
