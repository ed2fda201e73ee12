//! What is done once a second, off every request's way: counts become gauges, and endpoints are compared
//! with their peers.

use std::time::Duration;

use meridian_live::View;
use tokio_util::sync::CancellationToken;

use crate::config::Toggle;
use crate::table::Table;
use crate::traffic::Outliers;

/// How often.
const EVERY: Duration = Duration::from_secs(1);

/// Watches the tables of a view until `shutdown`.
pub(crate) async fn watch(view: View<Table>, outliers: Toggle, shutdown: CancellationToken) {
    let mut seen = Outliers::default();
    loop {
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        let table = view.full();
        for service in table.services() {
            if let Some(tls) = &service.tls {
                tls.refresh();
            }
            let in_flight = service.stats.in_flight();
            service.metrics.in_flight.set(i64::from(in_flight));
        }
        if outliers == Toggle::On {
            seen.look(&table);
        }
    }
}
