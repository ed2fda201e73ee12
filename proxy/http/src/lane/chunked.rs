//! Where a chunked body ends (RFC 9112, section 7.1).
//!
//! The bytes of the body are passed on as they are, trailers included; this only finds their end, and
//! refuses what two readers could understand differently: a size that is no plain hexadecimal number,
//! lines that end in a bare LF, control characters in an extension.

/// Most digits of a chunk's size: what fits into 63 bits.
const SIZE_DIGITS_MAX: u8 = 15;
/// Most bytes of a chunk's extensions; nobody uses them (RFC 9112, section 7.1.1).
const EXTENSION_BYTES_MAX: u16 = 256;
/// Most bytes of all trailers.
const TRAILER_BYTES_MAX: u16 = 8 * 1024;

/// The body breaks a rule: nothing of what follows can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// A reader that looks at every byte once.
#[derive(Debug, Clone)]
pub(super) struct Scanner {
    state: State,
    /// Of the chunk: its size as far as it is read, then what of it is left.
    left: u64,
    digits: u8,
    extension_bytes: u16,
    trailer_bytes: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the first byte of a trailer line.
    Trailer,
    TrailerName,
    TrailerLine,
    TrailerLf,
    LastLf,
    Done,
    /// A rule was broken: where the body ends cannot be known any more.
    Broken,
}

impl State {
    /// The byte before was one of a trailer line, its end included.
    fn is_trailer(self) -> bool {
        matches!(
            self,
            Self::TrailerName | Self::TrailerLine | Self::TrailerLf
        )
    }
}

/// Takes what is inside of a chunked body.
pub(super) trait ChunkSink {
    /// A piece of the body itself.
    fn data(&mut self, bytes: &[u8]);

    /// A byte of a trailer line; a CR stands for the line's end.
    fn trailer(&mut self, byte: u8);
}

/// Nobody wants to know.
impl ChunkSink for () {
    fn data(&mut self, _: &[u8]) {}

    fn trailer(&mut self, _: u8) {}
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self {
            state: State::Size,
            left: 0,
            digits: 0,
            extension_bytes: 0,
            trailer_bytes: 0,
        }
    }

    /// Whether the body is over.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// How many of these bytes belong to the body; fewer than all only when it ends among them.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        self.feed_into(bytes, &mut ())
    }

    /// The same, and what is inside of the coding goes to `sink`.
    pub(super) fn feed_into(
        &mut self,
        bytes: &[u8],
        sink: &mut impl ChunkSink,
    ) -> Result<usize, Malformed> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                let available = (bytes.len() - at) as u64;
                let step = self.left.min(available);
                self.left -= step;
                // Not more than there are bytes.
                let end = at + step as usize;
                sink.data(&bytes[at..end]);
                at = end;
                if self.left == 0 {
                    self.state = State::DataCr;
                }
                continue;
            }
            self.state = self.next(bytes[at]).inspect_err(|_| {
                // Whoever asks again must not get another answer.
                self.state = State::Broken;
            })?;
            if self.state.is_trailer() {
                sink.trailer(bytes[at]);
            }
            at += 1;
        }
        Ok(at)
    }

    fn next(&mut self, byte: u8) -> Result<State, Malformed> {
        match (self.state, byte) {
            (State::Size, byte) => self.size(byte),
            (State::Extension, b'\r') => Ok(State::SizeLf),
            (State::Extension, byte) if is_text(byte) => {
                self.extension_bytes += 1;
                within(self.extension_bytes, EXTENSION_BYTES_MAX, State::Extension)
            }
            (State::SizeLf, b'\n') if self.left == 0 => Ok(State::Trailer),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => {
                (self.digits, self.extension_bytes) = (0, 0);
                Ok(State::Size)
            }
            (State::Trailer, b'\r') => Ok(State::LastLf),
            (State::TrailerLine, b'\r') => Ok(State::TrailerLf),
            (State::TrailerName, b':') => self.trailer(State::TrailerLine),
            // A line that begins with a blank would continue the one before; a blank before the colon
            // makes two names of one (section 5.1).
            (State::Trailer | State::TrailerName, byte) if is_token(byte) => {
                self.trailer(State::TrailerName)
            }
            (State::TrailerLine, byte) if is_text(byte) => self.trailer(State::TrailerLine),
            (State::TrailerLf, b'\n') => Ok(State::Trailer),
            (State::LastLf, b'\n') => Ok(State::Done),
            _ => Err(Malformed),
        }
    }

    fn trailer(&mut self, next: State) -> Result<State, Malformed> {
        self.trailer_bytes += 1;
        within(self.trailer_bytes, TRAILER_BYTES_MAX, next)
    }

    fn size(&mut self, byte: u8) -> Result<State, Malformed> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if self.digits > 0 => return Ok(State::SizeLf),
            b';' if self.digits > 0 => return Ok(State::Extension),
            _ => return Err(Malformed),
        };
        self.digits += 1;
        self.left = self.left << 4 | u64::from(digit);
        within(
            u16::from(self.digits),
            u16::from(SIZE_DIGITS_MAX),
            State::Size,
        )
    }
}

/// What a field's name is made of (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Visible characters, blanks and what is beyond ASCII.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn within(count: u16, most: u16, next: State) -> Result<State, Malformed> {
    if count <= most {
        Ok(next)
    } else {
        Err(Malformed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many bytes a body takes when it comes in pieces of `step` bytes; `None` while it goes on.
    fn end(bytes: &[u8], step: usize) -> Result<Option<usize>, Malformed> {
        let mut scanner = Scanner::new();
        let mut total = 0;
        for piece in bytes.chunks(step) {
            total += scanner.feed(piece)?;
            if scanner.is_done() {
                return Ok(Some(total));
            }
        }
        Ok(None)
    }

    #[test]
    fn a_broken_body_stays_broken() {
        let mut scanner = Scanner::new();
        // An empty line at the beginning would end the trailers, were they still read.
        let body = b"2\r\n\r\n\r\n0\r\nx: \x01";
        assert_eq!(scanner.feed(body), Err(Malformed));
        assert_eq!(scanner.feed(b"\r\n"), Err(Malformed));
        assert!(!scanner.is_done());
    }

    #[test]
    fn the_end_is_found_wherever_the_pieces_are_cut() {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "00A\r\n0123456789\r\n1;name=\"v w\"\r\n\n\r\n0;last\r\n\r\n",
            "3\r\nabc\r\n0\r\nx-checksum: 1\r\nexpires: never\r\n\r\n",
        ] {
            let with_next = format!("{body}GET / HTTP/1.1\r\n");
            for step in 1..with_next.len() {
                let found = end(with_next.as_bytes(), step);
                assert_eq!(found, Ok(Some(body.len())), "{body:?} by {step}");
            }
            for cut in 0..body.len() {
                assert_eq!(
                    end(&body.as_bytes()[..cut], 1),
                    Ok(None),
                    "{body:?} at {cut}"
                );
            }
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_malformed() {
        for body in [
            "\r\n",
            "\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "5 \r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "-1\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\rhello\r\n0\r\n\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5;a\nb\r\nhello\r\n0\r\n\r\n",
            "5;a\0\r\nhello\r\n0\r\n\r\n",
            "0\r\n\n",
            "0\r\n\rx",
            "0\r\nname: value\n\r\n",
            "0\r\n folded: x\r\n\r\n",
            "0\r\n: x\r\n\r\n",
            "1000000000000000\r\n",
            "ffffffffffffffffff\r\n",
        ] {
            assert_eq!(end(body.as_bytes(), 1), Err(Malformed), "{body:?}");
            assert_eq!(end(body.as_bytes(), body.len()), Err(Malformed), "{body:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extension = format!("1;{}\r\n", "e".repeat(300));
        assert_eq!(end(extension.as_bytes(), 64), Err(Malformed));
        let trailers = format!("0\r\n{}", "name: value\r\n".repeat(1000));
        assert_eq!(end(trailers.as_bytes(), 64), Err(Malformed));
    }

    proptest! {
        #[test]
        fn pieces_decide_nothing(bytes in prop::collection::vec(prop::sample::select(&b"0159afF\r\n;: x"[..]), 0..60), step in 1_usize..20) {
            prop_assert_eq!(end(&bytes, step), end(&bytes, bytes.len().max(1)));
        }

        #[test]
        fn what_is_written_in_chunks_ends_where_it_ends(chunks in prop::collection::vec(1_usize..300, 0..8), step in 1_usize..50) {
            let mut body = Vec::new();
            for length in chunks {
                body.extend_from_slice(format!("{length:x}\r\n").as_bytes());
                body.extend(std::iter::repeat_n(b'\n', length));
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\n\r\n");
            let length = body.len();
            body.extend_from_slice(b"rest");
            prop_assert_eq!(end(&body, step), Ok(Some(length)));
        }
    }
}
