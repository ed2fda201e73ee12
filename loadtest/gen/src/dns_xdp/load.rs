//! Our own loader: questions with client subnets, sent and received through AF_XDP.
//!
//! Open loop: questions leave at their time whether or not answers come; what could not be sent in
//! time is not made up for by a burst.

use std::{
    net::{Ipv4Addr, SocketAddrV4},
    time::{Duration, Instant},
};

use meridian_xdp::{AttachMode, Interface, Redirect, SocketOptions, XdpSocket, ZeroCopy};

use super::{
    gun::Rate,
    wire::{CLIENT, CLIENT_DEVICE, SERVER, Wire},
};
use crate::{
    GenError,
    dns::{
        SEED,
        geography::{Geography, Random},
        query::{Ask, Question, answered},
    },
    process::{self, LOAD_CORE},
};

/// Questions leave in batches of this size, as kxdpgun's do.
const BATCH: u32 = 32;
/// The port questions come from: the XDP program takes what is sent to it.
const SOURCE_PORT: u16 = 4053;
/// Answers awaited after the last question.
const LINGER: Duration = Duration::from_millis(100);
/// Ethernet, IPv4, UDP.
const HEADERS_BYTES: usize = 14 + 20 + 8;

/// Who sends to whom, as the command line says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Args)]
pub struct Path {
    /// MAC address of the loader.
    #[arg(value_parser = mac)]
    from_mac: [u8; 6],
    /// MAC address of the server.
    #[arg(value_parser = mac)]
    to_mac: [u8; 6],
}

#[cfg(test)]
impl Path {
    pub(super) fn for_tests() -> Self {
        Self {
            from_mac: [2, 0, 0, 0, 0, 2],
            to_mac: [2, 0, 0, 0, 0, 1],
        }
    }
}

fn mac(text: &str) -> Result<[u8; 6], String> {
    let bytes: Result<Vec<_>, _> = text
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect();
    bytes
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| format!("`{text}` is no MAC address"))
}

/// Runs this very program as a loader on the other core, in the loader's namespace.
pub(super) fn from_other_core(wire: &Wire, qps: u32, time: Duration) -> Result<Rate, GenError> {
    // kxdpgun leaves its own behind.
    wire.detach_from_client()?;
    let [from, to] = wire.macs()?;
    let args = [
        "load-xdp".to_owned(),
        qps.to_string(),
        time.as_millis().to_string(),
        from,
        to,
    ];
    let words = Wire::inside(&wire.client, &std::env::current_exe()?, &args);
    let text = process::output(LOAD_CORE, &process::find("ip", "iproute2")?, &words)?;
    Ok(serde_json::from_str(&text)?)
}

/// Asks `qps` questions a second.
///
/// # Errors
/// When AF_XDP cannot be had.
pub fn run(path: Path, qps: u32, time: Duration) -> Result<Rate, GenError> {
    let failed = |error: meridian_xdp::XdpError| GenError::Failed {
        program: "load-xdp".to_owned(),
        detail: error.to_string(),
    };
    let interface = Interface::named(CLIENT_DEVICE).map_err(failed)?;
    let source = SocketAddrV4::new(CLIENT, SOURCE_PORT);
    let redirect =
        Redirect::attach(&interface, &[source.into()], AttachMode::Auto).map_err(failed)?;
    let options = SocketOptions {
        frames: 4096,
        zero_copy: ZeroCopy::Auto,
        busy_poll: None,
    };
    let mut socket = XdpSocket::bind(&interface, 0, &options).map_err(failed)?;
    redirect.feed(&socket).map_err(failed)?;
    let mut questions = Questions::new(path, source);
    let mut rate = Rate {
        questions: 0,
        answers: 0,
        seconds: time.as_secs_f64(),
    };
    let start = Instant::now();
    // The time the next batch is due; it never lags behind by more than one.
    let mut due = Duration::ZERO;
    let step = Duration::from_secs_f64(f64::from(BATCH) / f64::from(qps.max(1)));
    loop {
        let now = start.elapsed();
        if now >= time {
            break;
        }
        if now >= due {
            due = (due + step).max(now.saturating_sub(step));
            let made = socket.originate(BATCH, |out| questions.write(out));
            rate.questions += u64::from(made);
            socket.send()?;
        }
        rate.answers += take(&mut socket);
    }
    let end = Instant::now() + LINGER;
    while Instant::now() < end {
        socket.wait(Duration::from_millis(1))?;
        rate.answers += take(&mut socket);
    }
    Ok(rate)
}

/// How many answers have come.
fn take(socket: &mut XdpSocket) -> u64 {
    let mut answers = 0;
    if socket.waiting() > 0 {
        socket.turn(|packet, _| {
            let reply = packet.get(HEADERS_BYTES..).unwrap_or_default();
            answers += u64::from(answered(reply).is_some());
            None
        });
    }
    answers
}

/// Frames with questions.
struct Questions {
    question: Question,
    geography: Geography,
    random: Random,
    headers: [u8; HEADERS_BYTES],
}

impl Questions {
    fn new(path: Path, source: SocketAddrV4) -> Self {
        let question = Question::new(Ask::Geo);
        let to = match SERVER.ip() {
            std::net::IpAddr::V4(address) => address,
            std::net::IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        Self {
            headers: headers(
                path,
                source,
                SocketAddrV4::new(to, SERVER.port()),
                question.len(),
            ),
            question,
            geography: Geography::new(SEED),
            random: Random::new(SEED),
        }
    }

    /// Writes one frame.
    fn write(&mut self, out: &mut [u8]) -> Option<usize> {
        let drawn = self.random.next();
        let network = self.geography.network((drawn >> 32) as usize);
        let question = self.question.patched(drawn as u16, network);
        let bytes = HEADERS_BYTES + question.len();
        let (head, body) = out.get_mut(..bytes)?.split_at_mut(HEADERS_BYTES);
        head.copy_from_slice(&self.headers);
        body.copy_from_slice(question);
        Some(bytes)
    }
}

/// The headers of every question: without a UDP checksum, which IPv4 allows (RFC 768).
pub(super) fn headers(
    path: Path,
    from: SocketAddrV4,
    to: SocketAddrV4,
    message_bytes: usize,
) -> [u8; HEADERS_BYTES] {
    let mut out = [0; HEADERS_BYTES];
    let udp_bytes = 8 + message_bytes as u16;
    out[..6].copy_from_slice(&path.to_mac);
    out[6..12].copy_from_slice(&path.from_mac);
    out[12..14].copy_from_slice(&[0x08, 0x00]);
    let [high, low] = (20 + udp_bytes).to_be_bytes();
    out[14..26].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0x40, 0, 64, 17, 0, 0]);
    out[26..30].copy_from_slice(&from.ip().octets());
    out[30..34].copy_from_slice(&to.ip().octets());
    let (words, _) = out[14..34].as_chunks::<2>();
    let sum: u32 = words
        .iter()
        .map(|word| u32::from(u16::from_be_bytes(*word)))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !(folded as u16 + (folded >> 16) as u16);
    out[24..26].copy_from_slice(&checksum.to_be_bytes());
    out[34..36].copy_from_slice(&from.port().to_be_bytes());
    out[36..38].copy_from_slice(&to.port().to_be_bytes());
    out[38..40].copy_from_slice(&udp_bytes.to_be_bytes());
    out
}
