//! Two loads for a DNS server, each a single thread that owns its core.
//!
//! *Flood* keeps up to [`OUTSTANDING`] questions under way on each of a few sockets and sends each
//! refill as one segmented datagram (UDP GSO), which costs the sender a fraction of a system call a
//! question: it saturates servers that one-by-one senders on one core do not. The number under way
//! stays below what a default socket buffer holds, so the server is busy and nothing is dropped.
//!
//! *Pace* sends at fixed times whether or not answers come, and measures from the time a question
//! was due, so that a stalled server is charged for the wait (no coordinated omission).

use std::{
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use nix::sys::socket::{setsockopt, sockopt};
use serde::{Deserialize, Serialize};

use super::{
    geography::{Geography, Random},
    query::{Ask, Question, answered},
};
use crate::GenError;

/// Sockets, each with its own source port.
const SOCKETS: usize = 8;
/// Questions under way on one socket. A default receive buffer (208 KiB) holds some 270 small
/// datagrams, and all sockets' questions may wait in one.
const OUTSTANDING: usize = 32;
/// A socket without answers for this long has lost its questions.
const LOST_AFTER: Duration = Duration::from_millis(50);
/// Answers awaited after the last question of a pace.
const LINGER: Duration = Duration::from_millis(200);
/// Highest latency that is told apart.
const LATENCY_MAX_NS: u64 = 10_000_000_000;

/// What a flood achieved.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flood {
    /// Successful answers.
    pub answers: u64,
    /// Questions given up.
    pub lost: u64,
    /// How long it took.
    pub seconds: f64,
}

/// What a pace found.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Paced {
    /// Questions sent.
    pub questions: u64,
    /// Successful answers.
    pub answers: u64,
    /// Half of the answers came within this time.
    pub p50_us: f64,
    /// 99 of 100 answers came within this time.
    pub p99_us: f64,
    /// All answers came within this time.
    pub max_us: f64,
}

/// One socket of a flood.
struct Lane {
    socket: UdpSocket,
    under_way: usize,
    last_answer: Instant,
}

/// Asks as fast as answers come.
///
/// # Errors
/// When sockets fail or the kernel cannot segment UDP (before Linux 4.18).
pub fn flood(target: SocketAddr, ask: Ask, time: Duration, seed: u64) -> Result<Flood, GenError> {
    let geography = Geography::new(seed);
    let mut random = Random::new(seed ^ 1);
    let mut question = Question::new(ask);
    let began = Instant::now();
    let mut lanes = (0..SOCKETS)
        .map(|_| lane(target, &question, began))
        .collect::<Result<Vec<_>, _>>()?;
    let mut batch = Vec::with_capacity(OUTSTANDING * question.len());
    let (mut answers, mut lost) = (0, 0);
    while began.elapsed() < time {
        for lane in &mut lanes {
            let came = drain(&lane.socket, |reply| u64::from(answered(reply).is_some()))?;
            answers += came.counted;
            lane.under_way = lane.under_way.saturating_sub(came.datagrams);
            if came.datagrams > 0 {
                lane.last_answer = Instant::now();
            } else if lane.under_way > 0 && lane.last_answer.elapsed() > LOST_AFTER {
                lost += lane.under_way as u64;
                lane.under_way = 0;
            }
            // Refills of half a window keep segments large without letting the server run dry.
            if lane.under_way <= OUTSTANDING / 2 {
                batch.clear();
                for _ in lane.under_way..OUTSTANDING {
                    let network = geography.network(random.below(geography.len()));
                    let id = (random.next() >> 48) as u16;
                    batch.extend_from_slice(question.patched(id, network));
                }
                if sent(lane.socket.send(&batch))? {
                    lane.under_way = OUTSTANDING;
                    lane.last_answer = Instant::now();
                }
            }
        }
    }
    Ok(Flood {
        answers,
        lost,
        seconds: began.elapsed().as_secs_f64(),
    })
}

fn lane(target: SocketAddr, question: &Question, now: Instant) -> Result<Lane, GenError> {
    let socket = socket(target)?;
    let segment = i32::try_from(question.len()).unwrap_or(i32::MAX);
    setsockopt(&socket, sockopt::UdpGsoSegment, &segment).map_err(std::io::Error::from)?;
    Ok(Lane {
        socket,
        under_way: 0,
        last_answer: now,
    })
}

/// Asks `qps` questions a second.
///
/// # Errors
/// When sockets fail.
pub fn pace(
    target: SocketAddr,
    ask: Ask,
    time: Duration,
    qps: u32,
    seed: u64,
) -> Result<Paced, GenError> {
    let geography = Geography::new(seed);
    let mut random = Random::new(seed ^ 2);
    let mut question = Question::new(ask);
    let sockets = (0..SOCKETS)
        .map(|_| socket(target))
        .collect::<Result<Vec<_>, _>>()?;
    let gap = Duration::from_secs(1) / qps;
    let total = u64::try_from(time.as_nanos() / gap.as_nanos()).unwrap_or(u64::MAX);
    let mut latencies = Histogram::<u64>::new_with_max(LATENCY_MAX_NS, 3)
        .expect("3 digits up to 10 s is a valid histogram");
    // When the question with an id was due; the id is the place. A question older than 65,536
    // others is over a second late and lost.
    let mut due_by_id: Vec<Option<Instant>> = vec![None; usize::from(u16::MAX) + 1];
    let began = Instant::now();
    let (mut questions, mut next_due) = (0, began);
    loop {
        let now = Instant::now();
        while questions < total && next_due <= now {
            let id = (questions % (1 << 16)) as u16;
            let network = geography.network(random.below(geography.len()));
            let socket = &sockets[questions as usize % SOCKETS];
            due_by_id[usize::from(id)] = Some(next_due);
            // A full send buffer is the server's loss as well: the question counts as asked.
            sent(socket.send(question.patched(id, network)))?;
            questions += 1;
            next_due += gap;
        }
        for socket in &sockets {
            drain(socket, |reply| {
                let id = answered(reply);
                let Some(due) = id.and_then(|id| due_by_id[usize::from(id)].take()) else {
                    return 0;
                };
                let waited = u64::try_from(due.elapsed().as_nanos()).unwrap_or(u64::MAX);
                latencies.saturating_record(waited);
                1
            })?;
        }
        if questions == total && now > next_due + LINGER {
            break;
        }
    }
    let us = |ns: u64| ns as f64 / 1e3;
    Ok(Paced {
        questions,
        answers: latencies.len(),
        p50_us: us(latencies.value_at_quantile(0.50)),
        p99_us: us(latencies.value_at_quantile(0.99)),
        max_us: us(latencies.max()),
    })
}

fn socket(target: SocketAddr) -> Result<UdpSocket, GenError> {
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    socket.connect(target)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// What was waiting on a socket.
struct Drained {
    datagrams: usize,
    counted: u64,
}

/// Takes everything that waits on a socket; `count` says what a datagram counts.
fn drain(socket: &UdpSocket, mut count: impl FnMut(&[u8]) -> u64) -> Result<Drained, GenError> {
    let mut reply = [0; 2048];
    let mut drained = Drained {
        datagrams: 0,
        counted: 0,
    };
    loop {
        match socket.recv(&mut reply) {
            Ok(length) => {
                drained.datagrams += 1;
                drained.counted += count(&reply[..length]);
            }
            Err(error) if passing(error.kind()) => return Ok(drained),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether something was sent; a full buffer is not an error.
fn sent(result: std::io::Result<usize>) -> Result<bool, GenError> {
    match result {
        Ok(_) => Ok(true),
        Err(error) if passing(error.kind()) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Nothing to read, no room to write, or a server that is just being restarted.
fn passing(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::WouldBlock | ErrorKind::Interrupted | ErrorKind::ConnectionRefused
    )
}
