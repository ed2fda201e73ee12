//! Attempts at endpoints until one answers, whatever protocol the client and the endpoint speak.

use std::future::Future;
use std::time::{Duration, Instant};

use super::upstream::Target;
use super::wire::{Patience, Trouble};
use crate::attempt::{Failure, Sent, Stage};
use crate::exchange::{Exchange, Origin, note};
use crate::record::Fault;
use crate::worker::Shared;

/// How long a connection may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    /// When the request began: near enough to now for looking into a pool.
    pub(super) now: Instant,
    connect: Duration,
    deadline: Instant,
}

impl Until {
    /// What is left for a new connection. Reads the clock.
    pub(super) fn patience(&self) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        self.connect.min(left)
    }
}

/// One request of one client, as far as attempts need to know it.
pub(super) trait Leg {
    /// A connection to an endpoint.
    type Connection: Send;

    /// Whether the request may be sent again although an endpoint may have seen it.
    fn is_repeatable(&self) -> bool;

    /// Whether the client owes nothing of its request any more.
    fn is_read(&self) -> bool;

    /// Begins the request again.
    fn rewind(&mut self);

    /// A connection to the endpoint, from a pool or new.
    fn connect(
        &mut self,
        target: &Target,
        until: Until,
    ) -> impl Future<Output = Result<(Self::Connection, Origin), Failure>> + Send;

    /// Sends the request and passes the answer on; keeps the connection where it can carry another request.
    fn pass(
        &mut self,
        connection: Self::Connection,
        target: &Target,
        exchange: &mut Exchange,
    ) -> impl Future<Output = Result<(), Trouble>> + Send;
}

/// Tries endpoints until one answers.
///
/// # Errors
/// Why there is no further attempt, or why the answer was cut.
pub(super) async fn run<L: Leg + Send>(
    leg: &mut L,
    exchange: &mut Exchange,
) -> Result<(), Trouble> {
    if let Some(routed) = exchange.routed.as_mut()
        && routed.delay.is_some()
    {
        Box::pin(routed.wait()).await;
    }
    loop {
        let (origin, outcome) = attempt(leg, exchange).await;
        let Err(Trouble::Upstream(failure)) = outcome else {
            return outcome;
        };
        if !again(leg, exchange, failure, origin) {
            return outcome;
        }
        leg.rewind();
        // An answer may have begun and been thrown away.
        exchange.first_byte = None;
    }
}

/// One attempt at the endpoint that was picked, and where its connection came from.
async fn attempt<L: Leg + Send>(
    leg: &mut L,
    exchange: &mut Exchange,
) -> (Option<Origin>, Result<(), Trouble>) {
    let local = || (None, Err(Trouble::Upstream(Failure::Local)));
    let Some(routed) = exchange.routed.as_mut() else {
        return local();
    };
    let Ok(tls) = routed.tls() else {
        return local();
    };
    let Some(endpoint) = routed.begin_attempt() else {
        return local();
    };
    let target = Target::new(endpoint.socket_addr(), tls);
    let until = Until {
        now: exchange.started,
        connect: routed.route().connect_timeout,
        deadline: routed.deadline(),
    };
    match leg.connect(&target, until).await {
        Ok((connection, origin)) => {
            let outcome = leg.pass(connection, &target, exchange).await;
            (Some(origin), outcome)
        }
        Err(failure) => (None, Err(Trouble::Upstream(failure))),
    }
}

/// Whether there is another attempt after a failed one.
fn again<L: Leg>(
    leg: &L,
    exchange: &mut Exchange,
    failure: Failure,
    origin: Option<Origin>,
) -> bool {
    let (sent, stage) = match origin {
        None => (Sent::Nothing, Stage::Connecting),
        Some(_) => (sent(leg), stage(leg, exchange)),
    };
    let routed = exchange.routed.as_mut();
    let origin = origin.unwrap_or(Origin::Fresh);
    routed.is_some_and(|routed| note(routed, failure, sent, origin, stage))
}

fn sent<L: Leg>(leg: &L) -> Sent {
    Sent::Perhaps {
        repeatable: leg.is_repeatable(),
    }
}

fn stage<L: Leg>(leg: &L, exchange: &Exchange) -> Stage {
    if exchange.first_byte.is_some() {
        Stage::Answering
    } else if leg.is_read() {
        Stage::Waiting
    } else {
        Stage::Uploading
    }
}

/// Notes that an answer has begun.
///
/// # Errors
/// It is to be thrown away for another attempt.
pub(super) fn answered(
    exchange: &mut Exchange,
    status: u16,
    repeatable: bool,
) -> Result<(), Trouble> {
    let now = Instant::now();
    exchange.first_byte = Some(now);
    let Some(routed) = exchange.routed.as_ref() else {
        return Ok(());
    };
    if status < 500 {
        routed.succeeded(now);
        return Ok(());
    }
    let failure = Failure::Status(status);
    if routed.wants_another(failure, Sent::Perhaps { repeatable }, now) {
        return Err(Trouble::Upstream(failure));
    }
    routed.answered_badly(failure, now);
    Ok(())
}

/// How long who may be silent in an exchange.
pub(super) fn patience(shared: &Shared, exchange: &Exchange) -> Result<Patience, Trouble> {
    let routed = exchange.routed.as_ref();
    let routed = routed.ok_or(Trouble::Upstream(Failure::Local))?;
    Ok(Patience {
        body: shared.common.body_timeout,
        first_byte: routed.route().first_byte_timeout,
        deadline: routed.deadline(),
    })
}

/// What became of a request whose attempts are over: the status for its client, 0 where it is gone, and
/// whose fault it was.
pub(super) fn verdict(trouble: Trouble) -> (u16, Fault) {
    match trouble {
        Trouble::Client => (0, Fault::Client),
        Trouble::ClientSlow => (408, Fault::Client),
        Trouble::ClientMalformed => (400, Fault::Client),
        Trouble::ClientTooLarge => (413, Fault::Client),
        Trouble::Upstream(failure) => (failure.status(), Fault::Upstream),
    }
}
