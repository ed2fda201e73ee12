//! kxdpgun, Knot's load generator.

use std::time::Duration;

use super::wire::{CLIENT_DEVICE, CLIENTS, SERVER, Wire};
use crate::{
    GenError,
    dns::query::NAME,
    process::{self, LOAD_CORE},
};

/// How often it is started while its queue is not free.
const TRIES_MAX: u32 = 20;
/// How long is waited before each.
const BUSY_WAIT: Duration = Duration::from_millis(200);

/// What a load achieved.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Rate {
    /// Questions sent.
    pub questions: u64,
    /// Answers received.
    pub answers: u64,
    /// How long it took.
    pub seconds: f64,
}

impl Rate {
    /// The part of the questions that was answered, 0 to 1.
    #[must_use]
    pub fn answered_share(&self) -> f64 {
        self.answers as f64 / self.questions.max(1) as f64
    }

    /// Answers in each second.
    #[must_use]
    pub fn answers_per_second(&self) -> f64 {
        self.answers as f64 / self.seconds
    }
}

/// Offers `qps` questions a second from the other core, from all clients' addresses.
pub(super) fn fire(wire: &Wire, qps: u32, time: Duration) -> Result<Rate, GenError> {
    let gun = process::find("kxdpgun", "knot-dnsutils")?;
    let folder = tempfile::tempdir()?;
    let questions = folder.path().join("questions");
    process::write(&questions, &format!("{NAME} A\n"))?;
    let [first, second] = CLIENTS;
    let args = [
        "-t".to_owned(),
        time.as_secs_f64().to_string(),
        "-Q".to_owned(),
        qps.to_string(),
        "-b".to_owned(),
        "32".to_owned(),
        "-F".to_owned(),
        LOAD_CORE.to_string(),
        "-i".to_owned(),
        questions.display().to_string(),
        "-I".to_owned(),
        CLIENT_DEVICE.to_owned(),
        "-l".to_owned(),
        format!("{first}.{second}.0.0/16"),
        SERVER.ip().to_string(),
    ];
    let words = Wire::inside(&wire.client, &gun, &args);
    let ip = process::find("ip", "iproute2")?;
    let mut tries = 1;
    loop {
        let [report, errors] = process::outputs(LOAD_CORE, &ip, &words)?;
        // It ends well without a report when it could not begin.
        if let Some(rate) = read(&report, time) {
            return Ok(rate);
        }
        // The kernel takes the queue back from the one before a while after that has ended.
        if tries == TRIES_MAX || !errors.contains("resource is busy") {
            return Err(GenError::Failed {
                program: format!("kxdpgun {}", args.join(" ")),
                detail: report + &errors,
            });
        }
        tries += 1;
        process::pause(BUSY_WAIT);
    }
}

/// Reads its report. Answers that are no success are not counted.
pub(super) fn read(text: &str, time: Duration) -> Option<Rate> {
    let number = |label: &str| {
        let line = text.lines().find(|line| line.starts_with(label))?;
        line[label.len()..].split_whitespace().next()?.parse().ok()
    };
    Some(Rate {
        questions: number("total queries:")?,
        answers: number("responded NOERROR:").unwrap_or(0),
        seconds: time.as_secs_f64(),
    })
}
