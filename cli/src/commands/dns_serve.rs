//! `meridian dns serve`: a server for master files alone, without a deployment.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use meridian_engine::{ClassTable, PolicySet, World};
use meridian_geodns::zone::ZoneShelf;
use meridian_geodns::{DnsConfig, DnsServer};
use meridian_live::PlanHandle;
use meridian_telemetry::logging::LogConfig;
use meridian_telemetry::{DecisionLog, Metrics};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;
use crate::output;
use crate::signals::Signals;

#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// The folder of master files (`*.zone`).
    #[arg(long)]
    zones: PathBuf,
    /// Address for UDP and TCP, several times if wanted; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:5353")]
    listen: Vec<SocketAddr>,
    /// A resolver to ask for the targets of ALIAS records elsewhere; may be given several times.
    #[arg(long)]
    alias_resolver: Vec<SocketAddr>,
    /// UDP threads for each address. Default: one per core.
    #[arg(long)]
    workers: Option<NonZeroUsize>,
}

/// Serves until SIGINT or SIGTERM.
pub async fn run(args: &ServeArgs) -> Result<(), Failure> {
    let mut signals = Signals::listen()?;
    meridian_telemetry::logging::init(&LogConfig::default())?;
    let config = DnsConfig {
        listen: args.listen.clone(),
        workers: args.workers,
        zone_files: Some(args.zones.clone()),
        alias_resolvers: args.alias_resolver.clone(),
        ..DnsConfig::default()
    };
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let settings = config.validate(cores)?;
    // Nothing is steered: a world without services.
    let world = World::new(
        Arc::default(),
        Arc::new(PolicySet::new([])),
        Arc::new(ClassTable::unknown()),
    );
    let plan = PlanHandle::fixed(world);
    let metrics = Metrics::new();
    let shelf = ZoneShelf::new();
    let server = DnsServer::bind(&settings, &plan, &shelf, &metrics, DecisionLog::off())?;
    let files = server.zone_files().map(|status| status.files());
    let refused = files
        .iter()
        .flatten()
        .filter(|file| !file.mistakes.is_empty());
    let (zones, refused) = (shelf.snapshot().len(), refused.count());
    for address in server.local_addrs() {
        output::line(format_args!(
            "listening on {address} (UDP, TCP): {zones} zones, {refused} files refused"
        ));
    }
    let shutdown = CancellationToken::new();
    let mut running = tokio::spawn(server.run(shutdown.clone()));
    tokio::select! {
        ended = &mut running => return Ok(ended.map_err(std::io::Error::other)??),
        () = signals.next() => shutdown.cancel(),
    }
    Ok(running.await.map_err(std::io::Error::other)??)
}
