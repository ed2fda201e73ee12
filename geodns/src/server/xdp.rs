//! Queries taken from a network card's queues before the kernel's stack (AF_XDP, [`meridian_xdp`]).
//!
//! One worker thread per queue: it takes a batch of packets, reads each ([`frame`]), has the same
//! [`crate::Responder`] answer it as the UDP sockets do, writes the answer's headers and sends the
//! batch. An answer goes back the way its query came: addresses, ports and MAC addresses change
//! places, VLAN tags stay. So no neighbour table is kept; ARP and neighbour discovery pass to the
//! kernel, which answers them for our addresses as ever.
//!
//! UDP sockets stay open beside it and get what the XDP program leaves to the kernel: fragments,
//! other interfaces and queues, everything when AF_XDP cannot be had. They also send the answers of
//! the slow path (NOTIFY, updates), which come too late for a packet's frame. Why it cannot is said in one
//! sentence at start; the server then runs on sockets alone.
//!
//! Limits: one worker a queue, [`meridian_xdp::QUEUES_MAX`] queues an interface,
//! [`config::INTERFACES_MAX`] interfaces.

pub(crate) mod config;
mod frame;
pub(crate) mod metrics;
mod worker;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use meridian_xdp::{Interface, Redirect, SocketOptions, XdpError, XdpSocket};
use tokio::sync::oneshot;

use super::{DnsError, Listener};
use crate::responder::Responder;
use crate::transfer::SlowPath;
use config::XdpSettings;
use metrics::XdpMetrics;
use worker::Worker;

/// Workers that are ready, on all interfaces.
#[derive(Debug, Default)]
pub(super) struct Xdp {
    workers: Vec<Worker>,
}

/// The slow path, and the UDP sockets its answers leave by: one of each address listened on.
#[derive(Debug)]
pub(super) struct SlowReplies {
    slow: SlowPath,
    sockets: Vec<(SocketAddr, Arc<UdpSocket>)>,
}

impl SlowReplies {
    pub(super) fn new(slow: &SlowPath, listeners: &[Listener]) -> Result<Self, DnsError> {
        let mut sockets = Vec::new();
        for listener in listeners {
            let address = listener.address;
            if let Some(socket) = listener.udp.first() {
                let socket = socket
                    .socket()
                    .try_clone()
                    .map_err(|source| DnsError::Socket { address, source })?;
                sockets.push((address, Arc::new(socket)));
            }
        }
        let slow = slow.clone();
        Ok(Self { slow, sockets })
    }

    /// Hands a query over.
    fn take(&self, query: &frame::Query<'_>) {
        let to = query.destination;
        let socket = self.sockets.iter().find(|(listening, _)| {
            listening.port() == to.port() && config::covers(listening.ip(), to.ip())
        });
        if let Some((_, socket)) = socket {
            self.slow.datagram(query.message, query.source, socket);
        }
    }
}

/// Threads of workers; each says when it ends.
pub(super) struct Running(Vec<oneshot::Receiver<()>>);

impl Xdp {
    /// Opens what the settings ask for. An interface that cannot be used is named in the log, with
    /// the reason, and left to the sockets.
    pub(super) fn open(
        settings: &XdpSettings,
        listening: &[SocketAddr],
        responder: &Arc<Responder>,
        metrics: &XdpMetrics,
    ) -> Self {
        let targets = settings.targets(listening);
        let mut workers = Vec::new();
        for name in &settings.interfaces {
            match open_interface(name, settings, &targets) {
                Ok(opened) => {
                    tracing::info!("dns: AF_XDP answers on {name}: {}", opened.sentence());
                    workers.extend(opened.sockets.into_iter().map(|socket| {
                        Worker::new(
                            socket,
                            Arc::clone(&opened.interface),
                            Arc::clone(&opened.redirect),
                            Arc::clone(responder),
                            metrics.clone(),
                        )
                    }));
                }
                Err(reason) => {
                    tracing::warn!("dns: no AF_XDP on {name}, UDP sockets answer there: {reason}");
                }
            }
        }
        Self { workers }
    }

    /// Starts one thread a worker. A thread that cannot be started leaves its queue to the sockets.
    pub(super) fn start(self, stop: &Arc<AtomicBool>, slow: SlowReplies) -> Running {
        let slow = Arc::new(slow);
        let mut ends = Vec::new();
        for worker in self.workers {
            let (say, hear) = oneshot::channel();
            let (stop, slow) = (Arc::clone(stop), Arc::clone(&slow));
            let name = worker.name();
            let started = std::thread::Builder::new()
                .name(name.clone())
                .spawn(move || {
                    worker.run(&stop, &slow);
                    // Nobody listening means that the server is gone.
                    let _ = say.send(());
                });
            match started {
                Ok(_) => ends.push(hear),
                Err(error) => {
                    tracing::warn!(%error, "dns: cannot start {name}; UDP sockets answer there");
                }
            }
        }
        Running(ends)
    }
}

impl Running {
    /// Waits until all threads have ended.
    pub(super) async fn ended(self) {
        for end in self.0 {
            // A thread that panicked has ended, too.
            let _ = end.await;
        }
    }
}

/// An interface with its program and sockets.
struct Opened {
    interface: Arc<Interface>,
    redirect: Arc<Redirect>,
    sockets: Vec<XdpSocket>,
    targets: Vec<SocketAddr>,
}

impl Opened {
    fn sentence(&self) -> String {
        let is_zero_copy = self.sockets.iter().all(XdpSocket::is_zero_copy);
        let copying = if is_zero_copy { "zero-copy" } else { "copying" };
        let targets: Vec<_> = self.targets.iter().map(SocketAddr::to_string).collect();
        format!(
            "{} mode, {copying}, {} queue(s), for {}",
            self.redirect.attached(),
            self.sockets.len(),
            targets.join(", ")
        )
    }
}

/// All of an interface or nothing: what was opened before a failure is closed again.
fn open_interface(
    name: &str,
    settings: &XdpSettings,
    targets: &[SocketAddr],
) -> Result<Opened, XdpError> {
    let interface = Interface::named(name)?;
    if interface.strips_vlan_tags() && interface.carries_vlans() {
        return Err(XdpError::StripsVlanTags(name.to_owned()));
    }
    let redirect = Redirect::attach(&interface, targets, settings.mode)?;
    let options = SocketOptions {
        frames: settings.frames,
        zero_copy: settings.zero_copy,
        busy_poll: settings.busy_poll,
    };
    let queues: Vec<u32> = match &settings.queues {
        Some(queues) => queues.clone(),
        None => (0..interface.queues()).collect(),
    };
    let sockets = queues
        .into_iter()
        .map(|queue| {
            let socket = XdpSocket::bind(&interface, queue, &options)?;
            redirect.feed(&socket)?;
            Ok(socket)
        })
        .collect::<Result<Vec<_>, XdpError>>()?;
    Ok(Opened {
        interface: Arc::new(interface),
        redirect: Arc::new(redirect),
        sockets,
        targets: targets.to_vec(),
    })
}
