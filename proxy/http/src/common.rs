//! What a worker's two lanes share: how a request is decided, and where it is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue, header};
use meridian_accept::{CertStore, TrustedSources};
use meridian_live::View;
use meridian_telemetry::decision::DecisionIds;

use crate::answer::{self, Answer};
use crate::config::{ClientFrom, Toggle};
use crate::exchange::{Admission, Asked, Exchange, Routed, admit};
use crate::fields::Fields;
use crate::forward::{self, Told, Trust};
use crate::info::ConnectionInfo;
use crate::metrics::{HttpMetrics, Unrouted};
use crate::record::Recorder;
use crate::table::Table;

const ENDPOINT: HeaderName = HeaderName::from_static("x-meridian-endpoint");
const REGION: HeaderName = HeaderName::from_static("x-meridian-region");
const DECISION: HeaderName = HeaderName::from_static("x-meridian-decision");

/// See the module's documentation.
pub(crate) struct Common {
    pub(crate) view: View<Table>,
    pub(crate) trusted: TrustedSources,
    pub(crate) client_from: ClientFrom,
    pub(crate) certificates: Option<Arc<CertStore>>,
    pub(crate) decision_headers: Toggle,
    pub(crate) body_timeout: Duration,
    pub(crate) ids: DecisionIds,
    pub(crate) metrics: HttpMetrics,
    pub(crate) recorder: Recorder,
}

impl Common {
    /// A request's head is complete.
    pub(crate) fn begin(&self) -> Exchange {
        Exchange {
            started: Instant::now(),
            decision: self.ids.next_id(),
            routed: None,
            first_byte: None,
        }
    }

    /// Finds route, client and first endpoint.
    ///
    /// # Errors
    /// No route takes the request.
    pub(crate) fn admit<F: Fields + ?Sized>(
        &self,
        connection: &ConnectionInfo,
        asked: &Asked<'_, F>,
        exchange: &Exchange,
    ) -> Result<Routed, Unrouted> {
        let admission = Admission {
            connection,
            trusted: &self.trusted,
            client_from: self.client_from,
            certificates: self.certificates.as_deref(),
            decision: exchange.decision,
            now: exchange.started,
        };
        admit(self.view.full(), &admission, asked)
    }

    /// What the upstream is told of the client.
    pub(crate) fn told<'a, F: Fields + ?Sized>(
        &self,
        connection: &'a ConnectionInfo,
        routed: &Routed,
        fields: &'a F,
    ) -> Told<'a> {
        let trust = if self.trusted.contains(connection.peer.ip()) {
            Trust::Trusted {
                header: self.client_from,
                client: routed.client,
            }
        } else {
            Trust::Stranger
        };
        forward::told(fields, connection, trust, routed.route().forwarded)
    }

    /// The answer to a request that no route takes.
    pub(crate) fn unrouted_answer<F: ?Sized>(
        &self,
        unrouted: Unrouted,
        asked: &Asked<'_, F>,
    ) -> Answer {
        let answer = answer::unrouted_answer(unrouted);
        if unrouted != Unrouted::Method {
            return answer;
        }
        let table = self.view.full();
        answer.allowing(&table.lookup.methods(asked.host.as_bytes(), asked.path))
    }

    /// What we add to a response: the route's fields, a cookie, the decision.
    pub(crate) fn own_fields<'e>(
        &self,
        exchange: &'e Exchange,
    ) -> impl Iterator<Item = (HeaderName, HeaderValue)> + use<'e> {
        let routed = exchange.routed.as_ref();
        let by_route = routed
            .into_iter()
            .flat_map(|routed| routed.route().response.fields());
        let cookie = routed.and_then(|routed| routed.cookie.as_deref()).map(text);
        by_route
            .chain(cookie.map(|cookie| (header::SET_COOKIE, cookie)))
            .chain(self.decision_headers(exchange).into_iter().flatten())
    }

    /// What a response says of the decision, where that is wanted.
    fn decision_headers(&self, exchange: &Exchange) -> Option<[(HeaderName, HeaderValue); 3]> {
        if self.decision_headers == Toggle::Off {
            return None;
        }
        let routed = exchange.routed.as_ref()?;
        let endpoint = routed.endpoint()?;
        let region = &routed.table.topology().regions[endpoint.region.index()];
        Some([
            (ENDPOINT, text(endpoint.id.as_str())),
            (REGION, text(region.id.as_str())),
            (DECISION, text(&exchange.decision.to_string())),
        ])
    }
}

fn text(value: &str) -> HeaderValue {
    // Ids and cookies hold letters, digits and `-_.=;/ ` only.
    HeaderValue::try_from(value).unwrap_or_else(|_| HeaderValue::from_static(""))
}
