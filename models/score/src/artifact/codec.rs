//! An artifact's bytes: header, checksum, postcard payload. The layout is in the parent's docs.

use super::{Artifact, ArtifactError, FORMAT_VERSION, MAGIC, PAYLOAD_LEN_MAX};

/// The part of the header that the checksum covers: magic, format, length.
const CHECKED_LEN: usize = 14;
/// The header: the checked part and the checksum.
pub(super) const HEADER_LEN: usize = CHECKED_LEN + blake3::OUT_LEN;

impl Artifact {
    /// The artifact's bytes: equal artifacts give equal bytes.
    pub fn encode(&self) -> Result<Vec<u8>, ArtifactError> {
        let payload = postcard::to_stdvec(self)?;
        let declared = payload.len();
        let length = u32::try_from(declared)
            .ok()
            .filter(|_| declared <= PAYLOAD_LEN_MAX)
            .ok_or(ArtifactError::TooLong { declared })?;
        let mut bytes = Vec::with_capacity(HEADER_LEN + declared);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        let checksum = checksum(&bytes, &payload);
        bytes.extend_from_slice(checksum.as_bytes());
        bytes.extend_from_slice(&payload);
        Ok(bytes)
    }

    /// Reads an artifact, refusing whatever is not exactly what [`Artifact::encode`] wrote.
    pub fn load(bytes: &[u8]) -> Result<Self, ArtifactError> {
        let (header, payload) = bytes
            .split_at_checked(HEADER_LEN)
            .ok_or(ArtifactError::TooShort { len: bytes.len() })?;
        if header[..8] != MAGIC {
            return Err(ArtifactError::BadMagic);
        }
        let found = u16::from_le_bytes([header[8], header[9]]);
        if found != FORMAT_VERSION {
            return Err(ArtifactError::UnsupportedFormat { found });
        }
        let declared =
            u32::from_le_bytes([header[10], header[11], header[12], header[13]]) as usize;
        if declared > PAYLOAD_LEN_MAX {
            return Err(ArtifactError::TooLong { declared });
        }
        if declared != payload.len() {
            return Err(ArtifactError::LengthMismatch {
                declared,
                actual: payload.len(),
            });
        }
        let actual = checksum(&header[..CHECKED_LEN], payload);
        if actual.as_bytes() != &header[CHECKED_LEN..] {
            return Err(ArtifactError::ChecksumMismatch {
                expected: hex::encode(&header[CHECKED_LEN..]),
                actual: actual.to_hex().to_string(),
            });
        }
        let (artifact, rest) = postcard::take_from_bytes::<Self>(payload)?;
        if !rest.is_empty() {
            return Err(ArtifactError::Trailing { len: rest.len() });
        }
        artifact.validate()?;
        Ok(artifact)
    }
}

pub(super) fn checksum(header: &[u8], payload: &[u8]) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new();
    hasher.update(header);
    hasher.update(payload);
    hasher.finalize()
}
