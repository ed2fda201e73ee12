//! Why bytes or parts are not an artifact.

use thiserror::Error;

use super::codec::HEADER_LEN;
use super::{FORMAT_VERSION, PAYLOAD_LEN_MAX};

/// Why bytes are not an artifact of this build.
#[derive(Debug, Error)]
pub enum ArtifactError {
    /// Fewer bytes than a header has.
    #[error("the file has {len} bytes, an artifact's header alone has {HEADER_LEN}: cut short")]
    TooShort {
        /// Bytes given.
        len: usize,
    },
    /// The file is something else.
    #[error("the file does not start with \"MRDNMODL\": it is not a Meridian model")]
    BadMagic,
    /// Another build wrote it.
    #[error(
        "the artifact has format {found}, this build reads {FORMAT_VERSION}: retrain the model"
    )]
    UnsupportedFormat {
        /// The format found.
        found: u16,
    },
    /// The length is over the bound.
    #[error("the artifact declares {declared} bytes of payload, the bound is {PAYLOAD_LEN_MAX}")]
    TooLong {
        /// Bytes declared or encoded.
        declared: usize,
    },
    /// Cut short, or something was appended.
    #[error("the artifact declares {declared} bytes of payload and has {actual}")]
    LengthMismatch {
        /// Bytes declared.
        declared: usize,
        /// Bytes present.
        actual: usize,
    },
    /// The content changed after it was written.
    #[error("checksum mismatch: the header says {expected}, the content has {actual}: corrupted")]
    ChecksumMismatch {
        /// Hash in the header, hexadecimal.
        expected: String,
        /// Hash of the content, hexadecimal.
        actual: String,
    },
    /// The checksum holds but the payload is not an artifact.
    #[error("the payload does not decode: {0}")]
    Payload(#[from] postcard::Error),
    /// The payload decodes and is longer than what it decodes to.
    #[error("{len} bytes follow the artifact inside its payload")]
    Trailing {
        /// Bytes left over.
        len: usize,
    },
    /// A name or version that could not be a file name.
    #[error(
        "{field} {value:?} must be 1 to 64 of a-z, A-Z, 0-9, '.', '_' and '-', and start with a letter or digit"
    )]
    BadLabel {
        /// `name` or `version`.
        field: &'static str,
        /// What was given.
        value: String,
    },
    /// The model was trained on other features than this build computes.
    #[error("feature {index} is {found:?} and this build computes {expected:?}: retrain the model")]
    FeatureMismatch {
        /// Position of the first difference.
        index: usize,
        /// Name in the artifact, empty when it has fewer.
        found: String,
        /// Name in this build, empty when it has fewer.
        expected: String,
    },
    /// Vectors of the model disagree in length.
    #[error("the model has {actual} {vector} for {expected} features")]
    ShapeMismatch {
        /// Which vector.
        vector: &'static str,
        /// Length needed.
        expected: usize,
        /// Length found.
        actual: usize,
    },
    /// A number that no training may produce.
    #[error("{field} is {value}, which no training produces")]
    BadNumber {
        /// Which number.
        field: String,
        /// Its value.
        value: f64,
    },
}
