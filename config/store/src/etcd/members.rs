//! The cluster's members: one client each, and calls that move on from a dead one.
//!
//! A call starts at the member that answered last. Every attempt has a time limit; after a failure
//! that may be repeated the next member is asked, and after a whole round in vain a growing pause
//! follows, until the call's deadline.

use std::{
    fmt,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use etcd_client::{Client, ConnectOptions, Error};
use tokio::{sync::Mutex, time::Instant};
use tracing::{debug, warn};

use super::{
    backoff::Backoff,
    fault::{Effect, Fault},
    header_revision,
};
use crate::{MemberStatus, Revision};

/// Longest wait for one member's answer. Above [`super::options::CONNECT_TIMEOUT`], so that a
/// member that cannot be connected to is told from one that does not answer.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest time a call keeps trying members. Covers an election over a WAN (1.8 to 3.1 s).
const CALL_DEADLINE: Duration = Duration::from_secs(10);

/// The members and which of them answered last.
pub(super) struct Members {
    members: Vec<Member>,
    preferred: AtomicUsize,
}

/// One member. Its client is made on first use, because with a password that needs the member.
struct Member {
    endpoint: String,
    options: ConnectOptions,
    client: Mutex<Option<Client>>,
}

impl fmt::Debug for Members {
    /// Without the options: they hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.members.iter().map(|member| &member.endpoint))
            .finish()
    }
}

impl Members {
    pub(super) fn new(endpoints: &[String], options: &ConnectOptions) -> Self {
        let member = |endpoint: &String| Member {
            endpoint: endpoint.clone(),
            options: options.clone(),
            client: Mutex::new(None),
        };
        Self {
            members: endpoints.iter().map(member).collect(),
            preferred: AtomicUsize::new(0),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.members.len()
    }

    /// The member to start with.
    pub(super) fn preferred(&self) -> usize {
        self.preferred.load(Ordering::Relaxed)
    }

    /// The member to try after `at`.
    pub(super) fn after(&self, at: usize) -> usize {
        (at + 1) % self.members.len()
    }

    /// The address of a member, for messages.
    pub(super) fn endpoint(&self, at: usize) -> &str {
        &self.members[at].endpoint
    }

    /// A client of the member `at`.
    pub(super) async fn client(&self, at: usize) -> Result<Client, Fault> {
        let member = &self.members[at];
        let mut slot = member.client.lock().await;
        if let Some(client) = &*slot {
            return Ok(client.clone());
        }
        let connecting = Client::connect([&member.endpoint], Some(member.options.clone()));
        let client = in_time(connecting).await.map_err(|fault| match fault {
            // Whatever was lost here, the call itself has not been sent.
            Fault::Lost(detail) => Fault::Unreached(detail),
            fault => fault,
        })?;
        Ok(slot.insert(client).clone())
    }

    /// Carries out one call on the first member that can. The fault is final, or the last one seen
    /// when the deadline passed.
    pub(super) async fn call<T, F>(
        &self,
        effect: Effect,
        attempt: impl Fn(Client) -> F + Send,
    ) -> Result<T, Fault>
    where
        T: Send,
        F: Future<Output = Result<T, Error>> + Send,
    {
        let deadline = Instant::now() + CALL_DEADLINE;
        let mut backoff = Backoff::default();
        let mut at = self.preferred();
        let mut failures_in_round = 0;
        loop {
            let fault = match self.client(at).await {
                Err(fault) => fault,
                Ok(client) => match in_time(attempt(client)).await {
                    Ok(answer) => {
                        self.preferred.store(at, Ordering::Relaxed);
                        return Ok(answer);
                    }
                    Err(fault) => fault,
                },
            };
            if !fault.try_elsewhere(effect) || Instant::now() >= deadline {
                // Later calls start elsewhere even if this one must not.
                if matches!(fault, Fault::Lost(_) | Fault::Unreached(_)) {
                    self.preferred.store(self.after(at), Ordering::Relaxed);
                }
                return Err(fault);
            }
            debug!(endpoint = self.endpoint(at), ?fault, "next etcd member");
            at = self.after(at);
            failures_in_round += 1;
            if failures_in_round == self.members.len() {
                warn!(?fault, "no etcd member answers; waiting");
                failures_in_round = 0;
                backoff.wait().await;
            }
        }
    }

    /// How the member `at` fares, and its revision when it answers.
    pub(super) async fn status(&self, at: usize) -> (MemberStatus, Option<Revision>) {
        let asked = match self.client(at).await {
            Ok(mut client) => in_time(client.status()).await,
            Err(fault) => Err(fault),
        };
        let mut status = MemberStatus {
            endpoint: self.endpoint(at).to_owned(),
            state: Err(String::new()),
            size_bytes: 0,
        };
        match asked {
            Ok(answer) => {
                status.state = Ok(answer.version().to_owned());
                status.size_bytes = u64::try_from(answer.db_size()).unwrap_or(0);
                (status, Some(header_revision(answer.header())))
            }
            Err(fault) => {
                status.state = Err(fault.into_error(Effect::Read).to_string());
                (status, None)
            }
        }
    }
}

/// Waits for an answer, but not longer than [`ATTEMPT_TIMEOUT`].
pub(super) async fn in_time<T>(answer: impl Future<Output = Result<T, Error>>) -> Result<T, Fault> {
    match tokio::time::timeout(ATTEMPT_TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(Fault::from),
        Err(_) => Err(Fault::Lost(format!("no answer in {ATTEMPT_TIMEOUT:?}"))),
    }
}
