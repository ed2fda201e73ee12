//! Transaction signatures (RFC 8945): who sent a message, and that nobody changed it.
//!
//! A request is checked once ([`KeyRing::check`]); what comes of it ([`Checked`]) signs the answers,
//! each message of a stream chained to the one before ([`Signer`]). A client signs its request by
//! [`Signer::request`] and checks the answers by [`Verifier`], which accepts up to
//! [`UNSIGNED_MAX`] messages in a row without a signature, the last one never (RFC 8945 §5.3.1).
//!
//! Signatures are compared in constant time. A shortened one is checked and then refused with
//! BADTRUNC: nobody needs them, and they are weaker. The clock is an argument.

use std::sync::Arc;

use ring::hmac;
use subtle::ConstantTimeEq;
use thiserror::Error;

use super::record::{WireName, name_bytes};
use crate::wire::{HEADER_BYTES, RType};

/// Allowed difference of clocks that we state (RFC 8945 §10).
pub(crate) const FUDGE_SECONDS: u16 = 300;
/// Messages of an answer that may go by between two signed ones.
pub(crate) const UNSIGNED_MAX: usize = 99;
/// Longest secret: longer ones are hashed by HMAC and gain nothing.
pub const SECRET_BYTES_MAX: usize = 512;

/// A keyed hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Algorithm {
    /// The name in wire form, in lower case.
    fn wire(self) -> &'static [u8] {
        match self {
            Self::Sha1 => b"\x09hmac-sha1\0",
            Self::Sha256 => b"\x0bhmac-sha256\0",
            Self::Sha384 => b"\x0bhmac-sha384\0",
            Self::Sha512 => b"\x0bhmac-sha512\0",
        }
    }

    fn ring(self) -> hmac::Algorithm {
        match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn mac_bytes(self) -> usize {
        self.ring().digest_algorithm().output_len()
    }
}

/// A shared key. Its secret is never shown.
pub(crate) struct Key {
    name: WireName,
    algorithm: Algorithm,
    secret: hmac::Key,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Key({}, {:?})", self.name.escape_ascii(), self.algorithm)
    }
}

impl Key {
    pub(crate) fn new(name: WireName, algorithm: Algorithm, secret: &[u8]) -> Self {
        Self {
            name,
            algorithm,
            secret: hmac::Key::new(algorithm.ring(), secret),
        }
    }

    /// The lowercased wire name.
    pub(crate) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Bytes that a signature adds to a message: the record, and the clock that BADTIME tells.
    pub(crate) fn record_bytes(&self) -> usize {
        self.name.len() + 10 + self.algorithm.wire().len() + 16 + self.algorithm.mac_bytes() + 6
    }
}

/// A TSIG error code (RFC 8945 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub(crate) enum TsigCode {
    None = 0,
    BadSig = 16,
    BadKey = 17,
    BadTime = 18,
    BadTrunc = 22,
}

/// Why a signed message is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum TsigError {
    #[error("the TSIG record is malformed")]
    Malformed,
    #[error("it is signed by a key or algorithm that was not agreed on (BADKEY)")]
    BadKey,
    #[error("its signature is wrong (BADSIG): do both sides have the same secret?")]
    BadSig,
    #[error("it was signed {seconds} s away from our clock (BADTIME): are both clocks right?")]
    BadTime { seconds: u64 },
    #[error("its signature is shortened (BADTRUNC)")]
    BadTrunc,
    #[error("it carries no signature")]
    Unsigned,
    #[error("the peer says {0}")]
    Peer(PeerCode),
}

/// The error that a peer put into its TSIG record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeerCode(u16);

impl std::fmt::Display for PeerCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            16 => f.write_str("BADSIG: it has another secret for this key"),
            17 => f.write_str("BADKEY: it does not know this key, or with another algorithm"),
            18 => f.write_str("BADTIME: its clock differs"),
            22 => f.write_str("BADTRUNC"),
            code => write!(f, "TSIG error {code}"),
        }
    }
}

/// A TSIG record as it was read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TsigRecord {
    /// Where the record starts: the message that was signed ends here.
    pub(crate) at: usize,
    /// The key's name, lowercased.
    pub(crate) key: WireName,
    algorithm: WireName,
    time: u64,
    fudge: u16,
    mac: Box<[u8]>,
    original_id: u16,
    error: u16,
    other: Box<[u8]>,
}

impl TsigRecord {
    /// Reads the record's data. `None` when it is malformed.
    pub(crate) fn read(at: usize, key: WireName, data: &[u8]) -> Option<Self> {
        let (algorithm, rest) = data.split_at_checked(name_bytes(data)?)?;
        let (head, rest) = rest.split_first_chunk::<10>()?;
        let time = u64::from_be_bytes([0, 0, head[0], head[1], head[2], head[3], head[4], head[5]]);
        let mac_bytes = usize::from(u16::from_be_bytes([head[8], head[9]]));
        let (mac, rest) = rest.split_at_checked(mac_bytes)?;
        let (tail, other) = rest.split_first_chunk::<6>()?;
        if usize::from(u16::from_be_bytes([tail[4], tail[5]])) != other.len() {
            return None;
        }
        Some(Self {
            at,
            key,
            algorithm: algorithm.to_ascii_lowercase().into(),
            time,
            fudge: u16::from_be_bytes([head[6], head[7]]),
            mac: mac.into(),
            original_id: u16::from_be_bytes([tail[0], tail[1]]),
            error: u16::from_be_bytes([tail[2], tail[3]]),
            other: other.into(),
        })
    }

    fn time_bytes(&self) -> [u8; 8] {
        time_and_fudge(self.time, self.fudge)
    }
}

/// 48 bits of seconds and the fudge, as they are sent and signed.
fn time_and_fudge(time: u64, fudge: u16) -> [u8; 8] {
    let [_, _, a, b, c, d, e, f] = time.to_be_bytes();
    let [g, h] = fudge.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

/// What is signed beside the message (RFC 8945 §4.3.3).
#[derive(Clone, Copy)]
struct Variables<'a> {
    time: [u8; 8],
    error: u16,
    other: &'a [u8],
}

impl Variables<'_> {
    fn hash(self, context: &mut hmac::Context, key: &Key) {
        context.update(&key.name);
        context.update(&[0, 255, 0, 0, 0, 0]);
        context.update(key.algorithm.wire());
        context.update(&self.time);
        context.update(&self.error.to_be_bytes());
        // Six bytes of clock, or what a record of at most 64 KiB held.
        context.update(&(self.other.len() as u16).to_be_bytes());
        context.update(self.other);
    }
}

fn hash_prior(context: &mut hmac::Context, mac: &[u8]) {
    // A MAC has at most 64 bytes, or what a record of at most 64 KiB held.
    context.update(&(mac.len() as u16).to_be_bytes());
    context.update(mac);
}

/// Hashes a message as it was before its TSIG record was put behind it.
fn hash_stripped(context: &mut hmac::Context, message: &[u8], record: &TsigRecord) {
    let Some(head) = message.first_chunk::<HEADER_BYTES>() else {
        return;
    };
    let mut head = *head;
    head[..2].copy_from_slice(&record.original_id.to_be_bytes());
    let additionals = u16::from_be_bytes([head[10], head[11]]).saturating_sub(1);
    head[10..].copy_from_slice(&additionals.to_be_bytes());
    context.update(&head);
    context.update(message.get(HEADER_BYTES..record.at).unwrap_or_default());
}

/// What came of checking a request.
#[derive(Debug)]
pub(crate) enum Checked {
    /// It is by the key's holder; answers are signed.
    Good(Signer),
    /// It is refused: answer NOTAUTH and let `Refusal::sign` add why.
    Refused(Refusal),
    /// FORMERR.
    Malformed,
}

/// A refusal and the record that explains it.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: TsigCode,
    /// Refusals of a request that the key's holder did sign are signed themselves.
    signer: Option<Signer>,
    key: WireName,
    algorithm: WireName,
    time: u64,
    fudge: u16,
    original_id: u16,
}

impl Refusal {
    /// Appends the TSIG record to an answer.
    pub(crate) fn sign(self, message: &mut Vec<u8>, now: u64) {
        let other = match self.code {
            TsigCode::BadTime => now.to_be_bytes()[2..].to_vec(),
            _ => Vec::new(),
        };
        // The time of a BADTIME answer is the request's, so that its sender can check it.
        let time = match self.code {
            TsigCode::BadTime => self.time,
            _ => now,
        };
        match self.signer {
            Some(mut signer) => signer.sign_with(message, time, self.code, &other),
            None => append(
                message,
                &self.key,
                &self.algorithm,
                time_and_fudge(time, self.fudge),
                &[],
                self.original_id,
                self.code as u16,
                &other,
            ),
        }
    }
}

/// The keys this server shares with others.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyRing(Vec<Arc<Key>>);

impl KeyRing {
    pub(crate) fn new(keys: Vec<Arc<Key>>) -> Self {
        Self(keys)
    }

    /// The key of a lowercased wire name.
    pub(crate) fn get(&self, name: &[u8]) -> Option<&Arc<Key>> {
        self.0.iter().find(|key| *key.name == *name)
    }

    /// Checks a request in the order of RFC 8945 §5.2.
    pub(crate) fn check(&self, message: &[u8], record: &TsigRecord, now: u64) -> Checked {
        let refuse = |code, signer| {
            Checked::Refused(Refusal {
                code,
                signer,
                key: record.key.clone(),
                algorithm: record.algorithm.clone(),
                time: record.time,
                fudge: record.fudge,
                original_id: record.original_id,
            })
        };
        let known = self.get(&record.key);
        let Some(key) = known.filter(|key| *key.algorithm.wire() == *record.algorithm) else {
            return refuse(TsigCode::BadKey, None);
        };
        let mut context = hmac::Context::with_key(&key.secret);
        hash_stripped(&mut context, message, record);
        let variables = Variables {
            time: record.time_bytes(),
            error: record.error,
            other: &record.other,
        };
        variables.hash(&mut context, key);
        let signer = Signer {
            key: Arc::clone(key),
            prior: record.mac.clone(),
            chained: false,
            original_id: record.original_id,
        };
        match check_mac(key, context, &record.mac) {
            Mac::Malformed => Checked::Malformed,
            Mac::Wrong => refuse(TsigCode::BadSig, None),
            Mac::Right | Mac::Shortened if now.abs_diff(record.time) > record.fudge.into() => {
                refuse(TsigCode::BadTime, Some(signer))
            }
            Mac::Shortened => refuse(TsigCode::BadTrunc, Some(signer)),
            Mac::Right => Checked::Good(signer),
        }
    }
}

enum Mac {
    Right,
    Shortened,
    Wrong,
    Malformed,
}

fn check_mac(key: &Key, context: hmac::Context, mac: &[u8]) -> Mac {
    let whole = key.algorithm.mac_bytes();
    if mac.len() > whole || mac.len() < (whole / 2).max(10) {
        return Mac::Malformed;
    }
    let expected = context.sign();
    let same: bool = expected.as_ref()[..mac.len()].ct_eq(mac).into();
    match (same, mac.len() == whole) {
        (false, _) => Mac::Wrong,
        (true, true) => Mac::Right,
        (true, false) => Mac::Shortened,
    }
}

/// Signs the messages of one direction of one exchange.
#[derive(Debug)]
pub(crate) struct Signer {
    key: Arc<Key>,
    /// The MAC before: the request's, then that of the last message signed. Empty for a request.
    prior: Box<[u8]>,
    /// A message was signed already: the next one is signed as its continuation.
    chained: bool,
    original_id: u16,
}

impl Signer {
    /// Signs a request; the verifier checks the answers to it.
    pub(crate) fn request(key: &Arc<Key>, message: &mut Vec<u8>, now: u64) -> Verifier {
        let mut signer = Self {
            key: Arc::clone(key),
            prior: Box::default(),
            chained: false,
            original_id: message
                .first_chunk()
                .map_or(0, |id: &[u8; 2]| u16::from_be_bytes(*id)),
        };
        signer.sign(message, now);
        Verifier {
            key: signer.key,
            context: None,
            prior: signer.prior,
            chained: false,
            unsigned: 0,
        }
    }

    /// Who asked.
    pub(crate) fn key(&self) -> &Arc<Key> {
        &self.key
    }

    /// Appends a TSIG record to a whole message.
    pub(crate) fn sign(&mut self, message: &mut Vec<u8>, now: u64) {
        self.sign_with(message, now, TsigCode::None, &[]);
    }

    fn sign_with(&mut self, message: &mut Vec<u8>, time: u64, code: TsigCode, other: &[u8]) {
        let time = time_and_fudge(time, FUDGE_SECONDS);
        let mut context = hmac::Context::with_key(&self.key.secret);
        if !self.prior.is_empty() {
            hash_prior(&mut context, &self.prior);
        }
        context.update(message);
        if self.chained {
            context.update(&time);
        } else {
            let variables = Variables {
                time,
                error: code as u16,
                other,
            };
            variables.hash(&mut context, &self.key);
        }
        let mac = context.sign();
        append(
            message,
            &self.key.name,
            self.key.algorithm.wire(),
            time,
            mac.as_ref(),
            self.original_id,
            code as u16,
            other,
        );
        self.prior = mac.as_ref().into();
        self.chained = true;
    }
}

/// Writes a TSIG record behind a message.
#[expect(clippy::too_many_arguments, reason = "they are the record's fields")]
fn append(
    message: &mut Vec<u8>,
    key: &[u8],
    algorithm: &[u8],
    time: [u8; 8],
    mac: &[u8],
    original_id: u16,
    error: u16,
    other: &[u8],
) {
    message.extend_from_slice(key);
    message.extend_from_slice(&RType::TSIG.0.to_be_bytes());
    message.extend_from_slice(&[0, 255, 0, 0, 0, 0]);
    let data_bytes = algorithm.len() + 16 + mac.len() + other.len();
    // A name, a MAC and a clock: some 350 bytes.
    message.extend_from_slice(&(data_bytes as u16).to_be_bytes());
    message.extend_from_slice(algorithm);
    message.extend_from_slice(&time);
    message.extend_from_slice(&(mac.len() as u16).to_be_bytes());
    message.extend_from_slice(mac);
    message.extend_from_slice(&original_id.to_be_bytes());
    message.extend_from_slice(&error.to_be_bytes());
    message.extend_from_slice(&(other.len() as u16).to_be_bytes());
    message.extend_from_slice(other);
    if let Some(counts) = message.get_mut(10..HEADER_BYTES) {
        let additionals = u16::from_be_bytes([counts[0], counts[1]]).saturating_add(1);
        counts.copy_from_slice(&additionals.to_be_bytes());
    }
}

/// Checks the messages of an answer, in order.
#[derive(Debug)]
pub(crate) struct Verifier {
    key: Arc<Key>,
    /// The hash over messages since the last signed one.
    context: Option<hmac::Context>,
    prior: Box<[u8]>,
    chained: bool,
    unsigned: usize,
}

impl Verifier {
    /// Checks the next message, with the TSIG record found in it.
    pub(crate) fn check(
        &mut self,
        message: &[u8],
        record: Option<&TsigRecord>,
        now: u64,
    ) -> Result<(), TsigError> {
        let mut context = self.context.take().unwrap_or_else(|| {
            let mut context = hmac::Context::with_key(&self.key.secret);
            hash_prior(&mut context, &self.prior);
            context
        });
        let Some(record) = record else {
            // The first message is always signed.
            if !self.chained || self.unsigned == UNSIGNED_MAX {
                return Err(TsigError::Unsigned);
            }
            self.unsigned += 1;
            context.update(message);
            self.context = Some(context);
            return Ok(());
        };
        if record.mac.is_empty() && record.error != 0 {
            return Err(TsigError::Peer(PeerCode(record.error)));
        }
        if *record.key != *self.key.name || *record.algorithm != *self.key.algorithm.wire() {
            return Err(TsigError::BadKey);
        }
        hash_stripped(&mut context, message, record);
        if self.chained {
            context.update(&record.time_bytes());
        } else {
            let variables = Variables {
                time: record.time_bytes(),
                error: record.error,
                other: &record.other,
            };
            variables.hash(&mut context, &self.key);
        }
        match check_mac(&self.key, context, &record.mac) {
            Mac::Malformed => return Err(TsigError::Malformed),
            Mac::Wrong => return Err(TsigError::BadSig),
            Mac::Shortened => return Err(TsigError::BadTrunc),
            Mac::Right => {}
        }
        if record.error != 0 {
            return Err(TsigError::Peer(PeerCode(record.error)));
        }
        let seconds = now.abs_diff(record.time);
        if seconds > record.fudge.into() {
            return Err(TsigError::BadTime { seconds });
        }
        self.prior = record.mac.clone();
        (self.chained, self.unsigned) = (true, 0);
        Ok(())
    }

    /// Whether the answer may end here: its last message was signed.
    pub(crate) fn may_end(&self) -> bool {
        self.chained && self.unsigned == 0
    }
}

#[cfg(test)]
mod tests;
