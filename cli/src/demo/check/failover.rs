//! Claim: a killed region costs no idempotent request; DNS and proxy lead around it within the
//! goal; and it comes back gracefully.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{Verdicts, all_serve, wait_until};
use crate::demo::clients::{CLIENTS, Client, get, resolve};
use crate::demo::world::DemoWorld;
use crate::failure::Failure;
use crate::output;

const HOST: &str = "shop.demo.test";
/// Concurrent clients that keep asking while the region dies.
const CLIENTS_ASKING: usize = 8;
/// Pause of each client between two requests.
const PAUSE: Duration = Duration::from_millis(5);
/// Requests, rerouting and DNS must be right again within this time.
const GOAL: Duration = Duration::from_secs(2);

/// Kills the home region of a client under load and brings it back.
pub async fn check(world: &mut DemoWorld, verdicts: &mut Verdicts) -> Result<(), Failure> {
    output::line("A region is killed under load and brought back");
    let (dns, http) = (world.address("dns")?, world.address("http")?);
    let client = CLIENTS[4];
    let home = get(http, HOST, client)
        .await?
        .region
        .ok_or_else(|| Failure::other("no home region"))?;
    let before = resolve(dns, HOST, client).await?;
    let load = Load::start(http, client, &home);
    load.wait_for(50).await?;

    let killed = Instant::now();
    world.origins.kill(&home).await;
    let asked_before = load.total();
    let rerouted = load.rerouted_after(killed).await?;
    let detected = wait_until("the region is seen dead", || serving(world, &home) == 0);
    detected.await?;
    let detected = killed.elapsed();
    let dns_changed = loop {
        let answer = resolve(dns, HOST, client).await?;
        if !answer.addresses.is_empty()
            && answer
                .addresses
                .iter()
                .all(|address| !before.addresses.contains(address))
        {
            break killed.elapsed();
        }
        if killed.elapsed() > super::PATIENCE {
            return Err(Failure::other("DNS still answers with the dead region"));
        }
        tokio::time::sleep(super::POLL).await;
    };
    load.wait_for(asked_before + 200).await?;

    world.origins.restore(&home).await.map_err(Failure::other)?;
    let restored = Instant::now();
    wait_until("the region is back whole", || all_serve(world)).await?;
    let back = restored.elapsed();
    let returned = get(http, HOST, client).await?;
    let (total, lost) = load.stop().await;

    verdicts.claim(
        (detected <= GOAL).into(),
        format!("detected after {detected:.0?}"),
    );
    verdicts.claim(
        (rerouted <= GOAL).into(),
        format!("first request served elsewhere after {rerouted:.0?}"),
    );
    verdicts.claim(
        (dns_changed <= GOAL).into(),
        format!("DNS answers changed after {dns_changed:.0?}"),
    );
    verdicts.claim(
        (lost == 0).into(),
        format!("{lost} of {total} requests lost"),
    );
    verdicts.claim(
        (returned.region.as_ref() == Some(&home)).into(),
        format!("{home} serves its clients again after {back:.1?}, its hold and ramp included"),
    );
    Ok(())
}

fn serving(world: &DemoWorld, region: &str) -> usize {
    let status = world.node.live.status();
    status
        .regions
        .iter()
        .find(|known| known.id == region)
        .map_or(0, |region| region.serving)
}

/// Clients that keep asking in the background.
struct Load {
    counts: Arc<Counts>,
    stop: CancellationToken,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    total: AtomicUsize,
    lost: AtomicUsize,
    elsewhere: AtomicUsize,
}

impl Load {
    fn start(http: SocketAddr, client: Client, home: &str) -> Self {
        let (counts, stop) = (Arc::new(Counts::default()), CancellationToken::new());
        let tasks = (0..CLIENTS_ASKING)
            .map(|_| {
                let (counts, stop, home) = (Arc::clone(&counts), stop.clone(), home.to_owned());
                tokio::spawn(async move {
                    while !stop.is_cancelled() {
                        let answer = get(http, HOST, client).await;
                        counts.total.fetch_add(1, Ordering::Relaxed);
                        match answer {
                            Ok(answer) if answer.status == 200 => {
                                let elsewhere = answer.region.is_some_and(|region| region != home);
                                counts
                                    .elsewhere
                                    .fetch_add(usize::from(elsewhere), Ordering::Relaxed);
                            }
                            _ => {
                                counts.lost.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                })
            })
            .collect();
        Self {
            counts,
            stop,
            tasks,
        }
    }

    fn total(&self) -> usize {
        self.counts.total.load(Ordering::Relaxed)
    }

    async fn wait_for(&self, total: usize) -> Result<(), Failure> {
        wait_until("clients keep asking", || self.total() >= total)
            .await
            .map(drop)
    }

    /// How long after `killed` the first request was served by another region.
    async fn rerouted_after(&self, killed: Instant) -> Result<Duration, Failure> {
        let seen = self.counts.elsewhere.load(Ordering::Relaxed);
        wait_until("a request is served elsewhere", || {
            self.counts.elsewhere.load(Ordering::Relaxed) > seen
        })
        .await?;
        Ok(killed.elapsed())
    }

    /// Requests asked and lost.
    async fn stop(self) -> (usize, usize) {
        self.stop.cancel();
        for task in self.tasks {
            // A client that panicked shows up as requests that are missing, not here.
            let _ended = task.await;
        }
        (
            self.counts.total.load(Ordering::Relaxed),
            self.counts.lost.load(Ordering::Relaxed),
        )
    }
}
