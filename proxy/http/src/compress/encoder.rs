//! The codings, one piece after the other.

use std::io::{self, Write};
use std::sync::Arc;

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::write::GzEncoder;
use meridian_topology::Coding;
use zstd::stream::write::Encoder as ZstdEncoder;

/// How far back an encoder looks: 256 KiB. Clients have to hold as much (RFC 9659 allows up to 8 MiB).
pub(super) const WINDOW_BITS: u32 = 18;
/// Encoders of a worker at once; answers beyond that go out as they are.
const ENCODERS_MAX: usize = 256;
/// Effort: what a proxy can afford for every answer.
const GZIP_LEVEL: u32 = 4;
const BROTLI_QUALITY: u32 = 4;
const ZSTD_LEVEL: i32 = 3;
/// Bytes that the brotli encoder collects at once.
const BROTLI_BUFFER: usize = 4 * 1024;

/// Encoders at work. Each keeps its window and tables, however slowly its client reads.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seats(Arc<()>);

impl Seats {
    /// Whether there is room for another one.
    pub(crate) fn is_free(&self) -> bool {
        Arc::strong_count(&self.0) <= ENCODERS_MAX
    }
}

/// One answer's encoder.
pub(crate) struct Encoder {
    kind: Kind,
    _seat: Seats,
}

enum Kind {
    Gzip(GzEncoder<Vec<u8>>),
    /// Boxed: its state is large.
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
}

impl Encoder {
    /// An encoder that has seen nothing.
    ///
    /// # Errors
    /// No memory.
    pub(crate) fn new(coding: Coding, seats: &Seats) -> io::Result<Self> {
        let kind = match coding {
            Coding::Gzip => {
                let level = flate2::Compression::new(GZIP_LEVEL);
                Kind::Gzip(GzEncoder::new(Vec::new(), level))
            }
            Coding::Brotli => Kind::Brotli(Box::new(CompressorWriter::new(
                Vec::new(),
                BROTLI_BUFFER,
                BROTLI_QUALITY,
                WINDOW_BITS,
            ))),
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(WINDOW_BITS)?;
                Kind::Zstd(encoder)
            }
        };
        Ok(Self {
            kind,
            _seat: seats.clone(),
        })
    }

    /// What a piece becomes; all of it can be read by the client.
    ///
    /// # Errors
    /// The encoder broke.
    pub(crate) fn push(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        if piece.is_empty() {
            return Ok(Bytes::new());
        }
        let out = match &mut self.kind {
            Kind::Gzip(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Kind::Brotli(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                encoder.get_mut()
            }
            Kind::Zstd(encoder) => {
                encoder.write_all(piece)?;
                encoder.flush()?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(out).into())
    }

    /// The end.
    ///
    /// # Errors
    /// The encoder broke.
    pub(crate) fn finish(self) -> io::Result<Bytes> {
        Ok(match self.kind {
            Kind::Gzip(encoder) => encoder.finish()?,
            Kind::Brotli(encoder) => encoder.into_inner(),
            Kind::Zstd(encoder) => encoder.finish()?,
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn decode(coding: Coding, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        match coding {
            Coding::Gzip => flate2::read::GzDecoder::new(bytes).read_to_end(&mut text),
            Coding::Brotli => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut text),
            Coding::Zstd => zstd::stream::read::Decoder::new(bytes)
                .unwrap()
                .read_to_end(&mut text),
        }
        .unwrap();
        text
    }

    #[test]
    fn what_was_pushed_comes_back() {
        let text: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| (n % 977).to_le_bytes())
            .collect();
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(*coding, &Seats::default()).unwrap();
            let mut out = Vec::new();
            for piece in text.chunks(10_000) {
                out.extend_from_slice(&encoder.push(piece).unwrap());
            }
            out.extend_from_slice(&encoder.finish().unwrap());
            assert!(out.len() < text.len() / 10, "{coding}: {} bytes", out.len());
            assert!(decode(*coding, &out) == text, "{coding}");
        }
    }

    /// A stream of events: what was said can be read before the next word.
    #[test]
    fn every_piece_can_be_read_when_it_comes() {
        for coding in Coding::ALL {
            let mut encoder = Encoder::new(*coding, &Seats::default()).unwrap();
            assert!(encoder.push(b"").unwrap().is_empty());
            let piece = encoder.push(b"data: hello\n\n").unwrap();
            let mut found = [0; 13];
            match coding {
                Coding::Gzip => flate2::read::GzDecoder::new(&piece[..]).read_exact(&mut found),
                Coding::Brotli => {
                    brotli::Decompressor::new(&piece[..], 4096).read_exact(&mut found)
                }
                Coding::Zstd => zstd::stream::read::Decoder::new(&piece[..])
                    .unwrap()
                    .read_exact(&mut found),
            }
            .unwrap();
            assert_eq!(&found, b"data: hello\n\n", "{coding}");
        }
    }
}
