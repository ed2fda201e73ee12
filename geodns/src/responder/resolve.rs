//! From a question to records: RFC 1034 §4.3.2 over the zone tree, with steering where a name has it.

use hickory_proto::rr::RecordType;

use super::client::Client;
use super::steer::{Steer, SteeredFact};
use crate::wire::{
    Authority, Class, ExtendedError, Full, Owner, Question, RECORD_HEAD_BYTES, RType, Rcode, ResponseWriter, Section,
};
use crate::zone::{CNAME_CHAIN_MAX, Cut, Found, Node, RrSet, Zone};
use crate::zones::Zones;

/// Sent beside SERVFAIL when a policy leaves nobody: 0 is "other error" (RFC 8914 §4.1), the text
/// says which.
const NOBODY: ExtendedError = ExtendedError { code: 0, text: "no endpoint may serve this client now" };

/// How a response ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) rcode: Rcode,
    pub(super) authority: Authority,
}

impl Verdict {
    const ANSWER: Self = Self { rcode: Rcode::NoError, authority: Authority::Ours };

    const fn error(rcode: Rcode) -> Self {
        Self { rcode, authority: Authority::None }
    }
}

/// The state of one question on its way through the tree.
pub(super) struct Resolution<'z, 'w, 'b> {
    zones: &'z Zones,
    writer: &'w mut ResponseWriter<'b>,
    client: &'z Client,
    /// What was asked for; ANY is narrowed to one type at the name where it ends (RFC 8482 §4.1).
    rtype: RType,
    /// Where the name now looked up is spelled out in the response.
    owner: Owner,
    /// CNAMEs followed so far.
    hops: usize,
    pub(super) steered: Option<SteeredFact>,
}

impl<'z, 'w, 'b> Resolution<'z, 'w, 'b> {
    pub(super) fn new(
        zones: &'z Zones,
        client: &'z Client,
        question: &Question<'_>,
        writer: &'w mut ResponseWriter<'b>,
    ) -> Self {
        let (rtype, owner) = (question.rtype, Owner::QUESTION);
        Self { zones, writer, client, rtype, owner, hops: 0, steered: None }
    }
}
