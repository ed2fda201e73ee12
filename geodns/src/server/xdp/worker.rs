//! One queue's thread: take a batch, answer it, send it.
//!
//! A worker sleeps in poll(2) while nothing comes. With busy polling it first asks the kernel
//! [`EMPTY_LOOKS_MAX`] times, because each system call does receive work itself and the next packets
//! are usually on their way; only then it sleeps, so an idle server costs nothing.
//!
//! A batch costs one system call, which sends; with busy polling it also receives the next batch.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use meridian_xdp::{Interface, KernelDrops, Redirect, XdpSocket};

use super::SlowReplies;
use super::frame::Query;
use super::metrics::XdpMetrics;
use crate::responder::{Outcome, Responder, Transport};

/// How soon an idle worker sees that it should stop.
const STOP_POLL: Duration = Duration::from_millis(100);
/// Fruitless looks of a busy-polling worker before it sleeps.
const EMPTY_LOOKS_MAX: u32 = 64;
/// Batches answered before the clock is looked at.
const BATCHES_MAX: u32 = 64;
/// How often the kernel's own counters and the MTU are looked at.
const LOOK_AROUND_EVERY: Duration = Duration::from_secs(1);
/// Batches still answered after the stop.
const LAST_BATCHES_MAX: u32 = 64;
/// Failures in a row after which the queue is left to the sockets: a minute of an interface that is
/// down is no reason yet.
const FAILURES_MAX: u32 = 600;

/// A queue's socket and what it answers with.
#[derive(Debug)]
pub(super) struct Worker {
    socket: XdpSocket,
    interface: Arc<Interface>,
    /// Detached with its last worker.
    redirect: Arc<Redirect>,
    responder: Arc<Responder>,
    metrics: XdpMetrics,
    mtu: usize,
    drops: KernelDrops,
    fragments: u64,
}

impl Worker {
    pub(super) fn new(
        socket: XdpSocket,
        interface: Arc<Interface>,
        redirect: Arc<Redirect>,
        responder: Arc<Responder>,
        metrics: XdpMetrics,
    ) -> Self {
        metrics.queues.inc();
        Self {
            // Taken for the smallest IPv6 allows until it is known.
            mtu: interface.mtu().unwrap_or(1280),
            socket,
            interface,
            redirect,
            responder,
            metrics,
            drops: KernelDrops::default(),
            fragments: 0,
        }
    }

    /// The thread's name, of at most 15 bytes that matter.
    pub(super) fn name(&self) -> String {
        format!("xdp-{}-{}", self.socket.queue(), self.interface.name())
    }

    /// Serves until told to stop, then answers what the queue already holds.
    pub(super) fn run(mut self, stop: &AtomicBool, slow: &SlowReplies) {
        let mut failures = 0;
        let mut looked_around = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            let served = self.serve(stop, slow);
            match served {
                Ok(()) => failures = 0,
                Err(error) => {
                    failures += 1;
                    if !self.goes_on(&error, failures) {
                        return;
                    }
                }
            }
            if looked_around.elapsed() >= LOOK_AROUND_EVERY {
                looked_around = Instant::now();
                self.look_around();
            }
        }
        for _ in 0..LAST_BATCHES_MAX {
            if self.socket.waiting() == 0 {
                break;
            }
            self.answer(slow);
            if self.socket.send().is_err() {
                break;
            }
        }
        self.look_around();
    }

    /// Answers batches until nothing comes for a while, or it is time to look around.
    fn serve(&mut self, stop: &AtomicBool, slow: &SlowReplies) -> io::Result<()> {
        let (mut batches, mut empty_looks) = (0, 0);
        while batches < BATCHES_MAX {
            if self.socket.waiting() > 0 {
                batches += 1;
                empty_looks = 0;
                self.answer(slow);
                self.socket.send()?;
            } else if self.socket.polls_busily() && empty_looks < EMPTY_LOOKS_MAX {
                empty_looks += 1;
                self.socket.receive()?;
            } else {
                self.socket.wait(STOP_POLL)?;
                break;
            }
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    }

    /// Answers one batch.
    fn answer(&mut self, slow: &SlowReplies) {
        let Self {
            socket,
            responder,
            metrics,
            mtu,
            ..
        } = self;
        let mut batch = responder.batch();
        let turn = socket.turn(|frame, out| {
            let query = match Query::read(frame) {
                Ok(query) => query,
                Err(unfit) => {
                    metrics.count_unfit(unfit);
                    return None;
                }
            };
            let room = out.get_mut(query.headers_bytes()..)?;
            let most = query.message_bytes_max(*mtu).min(room.len());
            let room = &mut room[..most];
            match batch.answer(query.message, &query.source, Transport::Udp, room) {
                Outcome::Reply(reply) => query.seal(frame, out, reply.bytes),
                Outcome::Slow => {
                    slow.take(&query);
                    None
                }
                Outcome::Drop => None,
            }
        });
        // Counted before the answers are on their way, as by the sockets.
        drop(batch);
        metrics.count_turn(turn);
    }

    /// Whether to go on after a failure; waits a moment if so.
    fn goes_on(&self, error: &io::Error, failures: u32) -> bool {
        let name = self.interface.name();
        self.responder.metrics().send_errors.inc();
        if failures == 1 {
            tracing::warn!("dns: AF_XDP on {name}: {error}");
        }
        let is_gone = self.interface.mtu().is_err();
        if is_gone || failures == FAILURES_MAX {
            let queue = self.socket.queue();
            tracing::error!("dns: AF_XDP on {name} gives up queue {queue}: {error}");
            return false;
        }
        // Nobody unparks it: this sleeps.
        std::thread::park_timeout(STOP_POLL);
        true
    }

    /// Notes what only the kernel knows.
    fn look_around(&mut self) {
        if let Ok(drops) = self.socket.drops() {
            self.metrics.count_kernel(self.drops, drops);
            self.drops = drops;
        }
        if let Ok(mtu) = self.interface.mtu() {
            self.mtu = mtu;
        }
        // One program, many queues: one of them counts.
        if self.socket.queue() == 0
            && let Ok(fragments) = self.redirect.fragments()
        {
            self.metrics.count_passed(self.fragments, fragments);
            self.fragments = fragments;
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.metrics.queues.dec();
    }
}
