//! ALIAS records: a name that answers with the addresses of another name.
//!
//! An ALIAS may stand where a CNAME may not: at the apex, beside other records. No standard has it and no
//! resolver sees it: A and AAAA are answered as if they stood there. A target in our own zones, static or
//! steered, is looked up for each question (`responder::alias`). Any other is asked of
//! `dns.alias_resolvers`, off the packet path, and kept here: a map that the packet path reads without a
//! lock. Answers are asked for again when their TTL ends, within [`REFRESH_MIN`] and [`REFRESH_MAX`]; while
//! no resolver answers, the last good addresses stay.
//!
//! Limits: [`TARGETS_MAX`] targets, [`ADDRESSES_MAX`] addresses of each family.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder, DecodeError};
use hickory_resolver::config::{
    NameServerConfig, ResolveHosts, ResolverConfig, ServerOrderingStrategy,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::{Resolver, TokioResolver};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::metrics::AliasCounts;
use crate::responder::Responder;
use crate::zone::DisplayName;

/// Most targets asked for; those beyond answer SERVFAIL, and the log says so.
pub const TARGETS_MAX: usize = 10_000;
/// Most addresses of one family kept of a target.
pub const ADDRESSES_MAX: usize = 32;
/// Most resolvers.
pub const RESOLVERS_MAX: usize = 8;
/// An answer is kept at least so long.
pub const REFRESH_MIN: Duration = Duration::from_secs(10);
/// And at most so long.
pub const REFRESH_MAX: Duration = Duration::from_hours(1);
/// After a failure a target is asked for again.
const RETRY: Duration = Duration::from_secs(10);
/// A resolver that is silent for so long is passed over.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often due targets are looked for.
const TICK: Duration = Duration::from_millis(500);
/// Targets asked for at a time.
const AT_ONCE: usize = 16;
/// TTL of "no such name" from a resolver that sends no SOA with it.
const NEGATIVE_SECONDS: u32 = 60;

/// The addresses of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resolved {
    v4: Vec<IpAddr>,
    v6: Vec<IpAddr>,
    pub(crate) ttl_seconds: u32,
}

impl Resolved {
    /// Those of one family.
    pub(crate) fn of(&self, v6: bool) -> &[IpAddr] {
        if v6 { &self.v6 } else { &self.v4 }
    }
}

type Answers = HashMap<Box<[u8]>, Resolved>;
/// A target and what came of asking, or in words why nothing did.
type Outcome = (Box<[u8]>, Result<Resolved, String>);

/// What resolvers said about targets elsewhere. Cheap to clone; every clone is the same book.
#[derive(Clone, Debug, Default)]
pub struct AliasBook {
    answers: Arc<ArcSwap<Answers>>,
}

impl PartialEq for AliasBook {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.answers, &other.answers)
    }
}

impl Eq for AliasBook {}

/// When a target is asked for again, and how it went.
struct Watched {
    due: Instant,
    fails: bool,
}

impl AliasBook {
    /// The answers at this moment, by lowercased wire name.
    pub(crate) fn load(&self) -> Guard<Arc<Answers>> {
        self.answers.load()
    }

    /// Keeps the answers of every target of the responder's zones fresh, until `shutdown`.
    pub(crate) async fn run(
        self,
        responder: Arc<Responder>,
        resolvers: Vec<SocketAddr>,
        shutdown: CancellationToken,
    ) {
        let resolver = match resolver(&resolvers) {
            Ok(resolver) => resolver.map(Arc::new),
            Err(error) => {
                tracing::error!(%error, "dns: `alias_resolvers` cannot be used");
                None
            }
        };
        let mut watched: BTreeMap<Box<[u8]>, Watched> = BTreeMap::new();
        let mut had_too_many = false;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(TICK) => {}
            }
            let (wanted, too_many) = wanted(&responder);
            if too_many && !had_too_many {
                tracing::error!(
                    "dns: more than {TARGETS_MAX} targets of ALIAS records; the rest is not resolved"
                );
            }
            had_too_many = too_many;
            watched.retain(|target, _| wanted.contains(target));
            if self.load().keys().any(|target| !wanted.contains(target)) {
                self.edit(|answers| answers.retain(|target, _| wanted.contains(target)));
            }
            let now = Instant::now();
            let is_due = |target: &[u8]| watched.get(target).is_none_or(|at| at.due <= now);
            let due = wanted.iter().filter(|target| is_due(target));
            let due: Vec<_> = due.cloned().collect();
            for targets in due.chunks(AT_ONCE) {
                let results = tokio::select! {
                    () = shutdown.cancelled() => return,
                    results = resolve_all(resolver.as_ref(), targets) => results,
                };
                self.note(results, &mut watched);
            }
            self.count(&responder, &watched);
        }
    }

    /// Keeps what came, and notes when to ask again.
    fn note(&self, results: Vec<Outcome>, watched: &mut BTreeMap<Box<[u8]>, Watched>) {
        let mut fresh = Vec::new();
        for (target, result) in results {
            let failed_before = watched.get(&target).is_some_and(|watched| watched.fails);
            let name = DisplayName(target.clone());
            let (fails, again) = match result {
                Ok(resolved) => {
                    let ttl = Duration::from_secs(u64::from(resolved.ttl_seconds));
                    fresh.push((target.clone(), resolved));
                    (false, ttl.clamp(REFRESH_MIN, REFRESH_MAX))
                }
                Err(reason) => {
                    if !failed_before {
                        tracing::warn!(target = %name, reason, "dns: the target of an ALIAS cannot be resolved; its last good addresses stay");
                    }
                    (true, RETRY)
                }
            };
            if failed_before && !fails {
                tracing::info!(target = %name, "dns: the target of an ALIAS is resolved again");
            }
            let due = Instant::now() + again;
            watched.insert(target, Watched { due, fails });
        }
        if !fresh.is_empty() {
            self.edit(|answers| answers.extend(fresh));
        }
    }

    fn count(&self, responder: &Responder, watched: &BTreeMap<Box<[u8]>, Watched>) {
        let answers = self.load();
        let mut counts = AliasCounts::default();
        for (target, watched) in watched {
            match (watched.fails, answers.contains_key(target)) {
                (false, _) => counts.fresh += 1,
                (true, true) => counts.stale += 1,
                (true, false) => counts.unresolved += 1,
            }
        }
        responder.metrics().set_aliases(counts);
    }

    /// Only [`AliasBook::run`] writes.
    fn edit(&self, edit: impl FnOnce(&mut Answers)) {
        let mut answers = Answers::clone(&self.load());
        edit(&mut answers);
        self.answers.store(Arc::new(answers));
    }
}

/// The names outside of our zones that ALIAS records lead to, and whether there are more than
/// [`TARGETS_MAX`].
fn wanted(responder: &Responder) -> (BTreeSet<Box<[u8]>>, bool) {
    let zones = responder.zones();
    let all = zones.set().zones().iter();
    let targets = all.flat_map(|zone| zone.data().alias_targets());
    let mut wanted = BTreeSet::new();
    for target in targets {
        zones.ends_elsewhere(target, &mut |name| {
            wanted.insert(name.into());
        });
        if wanted.len() > TARGETS_MAX {
            while wanted.len() > TARGETS_MAX {
                wanted.pop_last();
            }
            return (wanted, true);
        }
    }
    (wanted, false)
}

/// A client of the resolvers, in their order; `None` when there are none. It guards against forged
/// answers by random ports, ids and letter case (RFC 5452, draft-vixie-dnsext-dns0x20).
fn resolver(addresses: &[SocketAddr]) -> Result<Option<TokioResolver>, NetError> {
    if addresses.is_empty() {
        return Ok(None);
    }
    let server = |address: &SocketAddr| {
        let mut server = NameServerConfig::udp_and_tcp(address.ip());
        for connection in &mut server.connections {
            connection.port = address.port();
        }
        server
    };
    let config = ResolverConfig::from_name_servers(addresses.iter().map(server).collect());
    let mut builder = Resolver::builder_with_config(config, TokioRuntimeProvider::default());
    let options = builder.options_mut();
    options.timeout = PATIENCE;
    options.attempts = 1;
    options.num_concurrent_reqs = 1;
    options.server_ordering_strategy = ServerOrderingStrategy::UserProvidedOrder;
    options.use_hosts_file = ResolveHosts::Never;
    options.case_randomization = true;
    // The TTLs of all steps of a chain count, and the book is the cache.
    options.preserve_intermediates = true;
    options.cache_size = 0;
    builder.build().map(Some)
}

async fn resolve_all(resolver: Option<&Arc<TokioResolver>>, targets: &[Box<[u8]>]) -> Vec<Outcome> {
    let Some(resolver) = resolver else {
        let reason = "no `dns.alias_resolvers` are configured";
        let targets = targets.iter();
        return targets
            .map(|target| (target.clone(), Err(reason.to_owned())))
            .collect();
    };
    let mut asked = JoinSet::new();
    for target in targets.iter().cloned() {
        let resolver = Arc::clone(resolver);
        asked.spawn(async move {
            let resolved = resolve(&resolver, &target).await;
            (target, resolved)
        });
    }
    asked.join_all().await
}

/// Asks for both families.
async fn resolve(resolver: &TokioResolver, target: &[u8]) -> Result<Resolved, String> {
    let name = name_of(target).map_err(|error| error.to_string())?;
    let (v4, v6) = tokio::join!(
        addresses(resolver, name.clone(), RecordType::A),
        addresses(resolver, name.clone(), RecordType::AAAA),
    );
    let ((v4, ttl4), (v6, ttl6)) = (v4?, v6?);
    Ok(Resolved {
        v4,
        v6,
        ttl_seconds: ttl4.min(ttl6),
    })
}

fn name_of(target: &[u8]) -> Result<Name, DecodeError> {
    Name::read(&mut BinDecoder::new(target))
}

/// The addresses of one family and the least TTL on the way to them; none when the resolver says so.
async fn addresses(
    resolver: &TokioResolver,
    name: Name,
    rtype: RecordType,
) -> Result<(Vec<IpAddr>, u32), String> {
    let found = match resolver.lookup(name, rtype).await {
        Ok(found) => found,
        Err(NetError::Dns(DnsError::NoRecordsFound(none))) => {
            return Ok((Vec::new(), none.negative_ttl.unwrap_or(NEGATIVE_SECONDS)));
        }
        Err(error) => return Err(error.to_string()),
    };
    let of_family = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) if rtype == RecordType::A => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) if rtype == RecordType::AAAA => Some(IpAddr::V6(address.0)),
            _ => None,
        });
    let ttl_seconds = found.answers().iter().map(|record| record.ttl).min();
    let addresses = of_family.take(ADDRESSES_MAX).collect();
    Ok((addresses, ttl_seconds.unwrap_or(NEGATIVE_SECONDS)))
}
