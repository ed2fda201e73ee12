//! Who may keep a connection open: a bound in all, one per client network, and patience that
//! shrinks as the seats fill.
//!
//! TCP, DoT, DoH and DoQ share the seats. A connection that finds none is closed at once. Up to half
//! of the seats taken, a silent client has the configured idle time; from there the time shrinks in
//! proportion to what is left, down to a tenth (RFC 7766 §6.2.3 asks for shorter times under
//! pressure). It shrinks for those who are waiting already, too: see [`Seats::wait_for`].
//!
//! Limits: the count per network is kept in a table of at most as many entries as there are seats;
//! the lock on it is taken when a connection opens and closes, never for a query.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meridian_accept::{ConnectionLimit, ConnectionPermit};
use tokio::time::{Instant, timeout};

/// Addresses that count as one client: a single IPv4 address, or the network an IPv6 site is given,
/// inside which its machines choose addresses as they like.
const IPV4_PREFIX: u8 = 32;
const IPV6_PREFIX: u8 = 56;
/// Under full pressure the idle time is divided by this.
const IDLE_DIVISOR_MAX: u32 = 10;

/// The seats. Clones share them.
#[derive(Clone, Debug)]
pub(crate) struct Seats(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    limit: ConnectionLimit,
    per_client_max: usize,
    idle: Duration,
    clients: Mutex<HashMap<IpAddr, usize>>,
}

/// One taken seat; dropping it makes room.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Seats,
    client: IpAddr,
    _permit: ConnectionPermit,
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoSeat {
    /// All are taken.
    Full,
    /// This client network has its share.
    Client,
}

impl Seats {
    pub(crate) fn new(max: usize, per_client_max: usize, idle: Duration) -> Self {
        Self(Arc::new(Inner {
            limit: ConnectionLimit::new(max),
            per_client_max,
            idle,
            clients: Mutex::default(),
        }))
    }

    pub(super) fn id(&self) -> *const () {
        Arc::as_ptr(&self.0).cast()
    }

    pub(crate) fn take(&self, source: IpAddr) -> Result<Seat, NoSeat> {
        let permit = self.0.limit.try_acquire().ok_or(NoSeat::Full)?;
        let client = network(source);
        let mut clients = self.0.clients();
        let taken = clients.entry(client).or_insert(0);
        if *taken >= self.0.per_client_max {
            return Err(NoSeat::Client);
        }
        *taken += 1;
        drop(clients);
        Ok(Seat {
            seats: self.clone(),
            client,
            _permit: permit,
        })
    }

    /// Whether more than half of the seats are taken.
    pub(crate) fn is_crowded(&self) -> bool {
        self.0.limit.active() * 2 > self.0.limit.max()
    }

    /// How long a client may be silent now.
    pub(crate) fn idle(&self) -> Duration {
        let (max, active) = (self.0.limit.max(), self.0.limit.active());
        if !self.is_crowded() {
            return self.0.idle;
        }
        let shortest = self.0.idle / IDLE_DIVISOR_MAX;
        let free = max.saturating_sub(active);
        // At most 65,536 seats.
        shortest + (self.0.idle - shortest) * (2 * free) as u32 / max.max(1) as u32
    }

    /// The same for the edns-tcp-keepalive option.
    pub(crate) fn idle_tenths(&self) -> u16 {
        u16::try_from(self.idle().as_millis() / 100).unwrap_or(u16::MAX)
    }

    /// Waits for a client to do its part, for as long as there is patience; `None` when it ran out.
    pub(crate) async fn wait_for<T>(&self, part: impl Future<Output = T>) -> Option<T> {
        let start = Instant::now();
        // Looks again this often whether the seats have filled meanwhile.
        let look = self.0.idle / IDLE_DIVISOR_MAX;
        let mut part = std::pin::pin!(part);
        loop {
            let left = self.idle().saturating_sub(start.elapsed());
            match timeout(left.min(look), &mut part).await {
                Ok(done) => return Some(done),
                Err(_) if start.elapsed() >= self.idle() => return None,
                Err(_) => {}
            }
        }
    }
}

impl Inner {
    fn clients(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        // Counting cannot panic half-way.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut clients = self.seats.0.clients();
        if let Some(taken) = clients.get_mut(&self.client) {
            *taken -= 1;
            if *taken == 0 {
                clients.remove(&self.client);
            }
        }
    }
}

/// The network that counts as one client.
fn network(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    let prefix = if address.is_ipv4() {
        IPV4_PREFIX
    } else {
        IPV6_PREFIX
    };
    super::rate::masked(address, prefix)
}

#[cfg(test)]
mod tests;
