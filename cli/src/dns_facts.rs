//! The DNS room as the admin API sees it: wiring between two rooms of one rank.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use meridian_admin::{DnsFacts, DnsQuestion, NamesPage};
use meridian_geodns::status::{self, NamesWanted};
use meridian_geodns::transfer::ZoneExchange;
use meridian_geodns::{ClientQuestion, Responder, query_explain_in, surface_explain};
use meridian_live::LiveHandle;
use meridian_topology::ServiceId;
use serde::Serialize;
use serde_json::Value;

/// A running node's DNS.
pub struct RunningDns {
    /// What answers.
    pub responder: Arc<Responder>,
    /// Zones from elsewhere, and updates.
    pub exchange: ZoneExchange,
    /// Health, load and drains of this moment.
    pub live: LiveHandle,
}

impl DnsFacts for RunningDns {
    fn summary(&self) -> Value {
        let zones = self.responder.zones();
        let metrics = self.responder.metrics();
        value(&status::summary(&zones, metrics, &self.live.status()))
    }

    fn names(&self, page: &NamesPage) -> Value {
        let contains = page.contains.as_deref().map(str::to_lowercase);
        let wanted = NamesWanted {
            after: page.after.as_deref(),
            limit: page.limit,
            service: page.service.as_ref(),
            contains: contains.as_deref(),
        };
        value(&status::names(
            &self.responder.zones(),
            &self.live.status(),
            wanted,
        ))
    }

    fn query(&self, question: &DnsQuestion) -> Result<Value, String> {
        let rtype = question.rtype.to_uppercase().parse::<RecordType>();
        let asked = ClientQuestion {
            name: &question.name,
            rtype: rtype.map_err(|_| format!("type: `{}` is no record type", question.rtype))?,
            client: question.client,
        };
        let (zones, world) = (self.responder.zones(), self.live.world());
        query_explain_in(&zones, self.responder.rules(), asked, &world)
            .map(|said| value(&said))
            .map_err(|error| error.to_string())
    }

    fn zones(&self) -> Value {
        value(&self.exchange.statuses())
    }

    fn refresh(&self, zone: Option<&str>) -> Result<usize, String> {
        self.exchange.refresh(zone)
    }

    fn surface(&self, service: &ServiceId, client: IpAddr) -> Value {
        let zones = self.responder.zones();
        value(&surface_explain(
            &zones,
            self.responder.rules(),
            service,
            client,
        ))
    }
}

/// Facts of plain fields always become JSON; null would be a fault of ours, and is seen as one.
fn value(facts: &impl Serialize) -> Value {
    serde_json::to_value(facts).unwrap_or_default()
}
