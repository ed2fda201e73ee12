//! One key of a zone: the private half for signing, the public half as DNSKEY, DS and CDS say it.

use std::fmt;
use std::str::FromStr;

use hickory_proto::dnssec::rdata::DNSKEY;
use hickory_proto::dnssec::{DigestType, PublicKeyBuf};
use hickory_proto::rr::Name;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

/// Bytes of a signature; the same for both algorithms.
pub(crate) const SIGNATURE_BYTES: usize = 64;

/// DNSKEY flags: ZONE (RFC 4034 §2.1.1).
const FLAG_ZONE: u16 = 0x0100;
/// DNSKEY flags: SEP, for keys that a DS points at.
const FLAG_ENTRY: u16 = 0x0001;

/// How a zone is signed (RFC 8624 recommends both).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// 13: understood by every validator.
    #[default]
    EcdsaP256,
    /// 15: faster to sign, needs no randomness; a few old validators treat the zone as unsigned.
    Ed25519,
}

impl Algorithm {
    /// The number in DNSKEY, DS and RRSIG.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::EcdsaP256 => 13,
            Self::Ed25519 => 15,
        }
    }

    /// As written in `meridian.yaml`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "ecdsa_p256",
            Self::Ed25519 => "ed25519",
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyRole {
    /// Everything: the zone's one key.
    Csk,
    /// The DNSKEY set; the parent's DS points at it.
    Ksk,
    /// Everything but the DNSKEY set.
    Zsk,
}

impl KeyRole {
    /// Whether the key signs the zone's keys, and a DS points at it.
    #[must_use]
    pub const fn is_entry(self) -> bool {
        matches!(self, Self::Csk | Self::Ksk)
    }

    /// Whether the key signs the zone's data.
    #[must_use]
    pub const fn signs_data(self) -> bool {
        matches!(self, Self::Csk | Self::Zsk)
    }

    /// As written on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csk => "csk",
            Self::Ksk => "ksk",
            Self::Zsk => "zsk",
        }
    }

    const fn flags(self) -> u16 {
        if self.is_entry() {
            FLAG_ZONE | FLAG_ENTRY
        } else {
            FLAG_ZONE
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KeyRole {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        [Self::Csk, Self::Ksk, Self::Zsk]
            .into_iter()
            .find(|role| role.as_str() == text)
            .ok_or_else(|| format!("`{text}` is no role of a key; use csk, ksk or zsk"))
    }
}

/// A key that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not PKCS#8, or of another algorithm.
    #[error("this is no PKCS#8 private key for {algorithm}: {reason}")]
    Rejected {
        /// The zone's algorithm.
        algorithm: Algorithm,
        /// What ring said.
        reason: String,
    },
    /// The system has no randomness to give.
    #[error("the system's random number generator failed")]
    NoRandomness,
    /// hickory-proto could not encode the public half.
    #[error("the public key cannot be encoded: {0}")]
    Public(String),
}

/// A private key in PKCS#8, wiped when dropped.
pub(crate) type Pkcs8 = Zeroizing<Vec<u8>>;

enum Pair {
    EcdsaP256(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// A key ready to sign. Never printed: `Debug` shows its tag alone.
pub(crate) struct SigningKey {
    pair: Pair,
    pub(crate) algorithm: Algorithm,
    pub(crate) role: KeyRole,
    pub(crate) tag: u16,
    /// The start of the public key: tells keys apart whose tags are alike.
    pub(crate) id: u64,
    dnskey: DNSKEY,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.role, self.tag)
    }
}

impl SigningKey {
    /// Makes a new private key.
    pub(crate) fn generate(algorithm: Algorithm) -> Result<Pkcs8, KeyError> {
        let random = SystemRandom::new();
        let document = match algorithm {
            Algorithm::EcdsaP256 => {
                EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            }
            Algorithm::Ed25519 => Ed25519KeyPair::generate_pkcs8(&random),
        };
        let document = document.map_err(|_| KeyError::NoRandomness)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// Reads a private key.
    pub(crate) fn from_pkcs8(
        pkcs8: &[u8],
        algorithm: Algorithm,
        role: KeyRole,
    ) -> Result<Self, KeyError> {
        let rejected = |reason: ring::error::KeyRejected| KeyError::Rejected {
            algorithm,
            reason: reason.to_string(),
        };
        let pair = match algorithm {
            Algorithm::EcdsaP256 => Pair::EcdsaP256(Box::new(
                EcdsaKeyPair::from_pkcs8(
                    &ECDSA_P256_SHA256_FIXED_SIGNING,
                    pkcs8,
                    &SystemRandom::new(),
                )
                .map_err(rejected)?,
            )),
            // OpenSSL writes Ed25519 keys without their public half.
            Algorithm::Ed25519 => Pair::Ed25519(Box::new(
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8).map_err(rejected)?,
            )),
        };
        // DNSKEY has an uncompressed point without its leading 4 (RFC 6605 §4).
        let public = match &pair {
            Pair::EcdsaP256(pair) => pair.public_key().as_ref()[1..].to_vec(),
            Pair::Ed25519(pair) => pair.public_key().as_ref().to_vec(),
        };
        let id = public.first_chunk().map_or(0, |id| u64::from_be_bytes(*id));
        let public = PublicKeyBuf::new(
            public,
            hickory_proto::dnssec::Algorithm::from_u8(algorithm.number()),
        );
        let dnskey = DNSKEY::with_flags(role.flags(), public);
        let tag = dnskey
            .calculate_key_tag()
            .map_err(|error| KeyError::Public(error.to_string()))?;
        Ok(Self {
            pair,
            algorithm,
            role,
            tag,
            id,
            dnskey,
        })
    }

    /// Signs. ECDSA asks the system for randomness: one `getrandom` call.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<[u8; SIGNATURE_BYTES]> {
        let signature = match &self.pair {
            Pair::EcdsaP256(pair) => pair.sign(&SystemRandom::new(), message).ok()?,
            Pair::Ed25519(pair) => pair.sign(message),
        };
        signature.as_ref().try_into().ok()
    }

    /// DNSKEY data on the wire; that of CDNSKEY is the same.
    pub(crate) fn dnskey_data(&self) -> Vec<u8> {
        use hickory_proto::dnssec::PublicKey;
        let mut data = self.dnskey.flags().to_be_bytes().to_vec();
        data.extend_from_slice(&[3, self.algorithm.number()]);
        data.extend_from_slice(self.dnskey.public_key().public_bytes());
        data
    }

    /// DS data on the wire (SHA-256, the one digest RFC 8624 says to use); that of CDS is the same.
    pub(crate) fn ds_data(&self, zone: &Name) -> Result<Vec<u8>, KeyError> {
        let digest = self
            .dnskey
            .to_digest(zone, DigestType::SHA256)
            .map_err(|error| KeyError::Public(error.to_string()))?;
        let mut data = self.tag.to_be_bytes().to_vec();
        data.extend_from_slice(&[self.algorithm.number(), DigestType::SHA256.into()]);
        data.extend_from_slice(digest.as_ref());
        Ok(data)
    }
}
