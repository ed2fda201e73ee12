//! Frame Streams, the framing that dnstap files and sockets use (farsightsec/fstrm, `fstrm/control.h`).
//!
//! A data frame is its length in four bytes, big endian, and its payload. A length of 0 escapes a
//! control frame: its length, its type, and fields. A file has START … STOP; a socket's writer says
//! READY, waits for ACCEPT, then START … STOP, and waits for FINISH.

use std::io::{self, Read, Write};

/// What the frames hold, as readers ask for it.
pub(super) const CONTENT_TYPE: &[u8] = b"protobuf:dnstap.Dnstap";
/// Longest control frame (fstrm's own bound).
const CONTROL_BYTES_MAX: usize = 512;
/// The one control field there is.
const FIELD_CONTENT_TYPE: u32 = 1;

/// Control frames by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Accept = 1,
    Start = 2,
    Stop = 3,
    Ready = 4,
    Finish = 5,
}

/// Writes a control frame; those that name a content type do.
pub(super) fn write_control(out: &mut impl Write, control: Control) -> io::Result<()> {
    let mut body = Vec::with_capacity(64);
    body.extend_from_slice(&(control as u32).to_be_bytes());
    if matches!(control, Control::Accept | Control::Start | Control::Ready) {
        body.extend_from_slice(&FIELD_CONTENT_TYPE.to_be_bytes());
        body.extend_from_slice(&(CONTENT_TYPE.len() as u32).to_be_bytes());
        body.extend_from_slice(CONTENT_TYPE);
    }
    let mut frame = Vec::with_capacity(8 + body.len());
    frame.extend_from_slice(&0_u32.to_be_bytes());
    frame.extend_from_slice(&(body.len() as u32).to_be_bytes());
    frame.extend_from_slice(&body);
    out.write_all(&frame)
}

/// Appends a data frame.
pub(super) fn push_data(out: &mut Vec<u8>, payload: &[u8]) {
    // A payload is a DNS message of at most 64 KiB and what surrounds it.
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
}

/// Reads the control frame that must come next, and refuses a reader that wants something else than
/// dnstap.
pub(super) fn expect_control(from: &mut impl Read, wanted: Control) -> io::Result<()> {
    let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    if read_u32(from)? != 0 {
        return Err(bad("the reader sent data".into()));
    }
    let length = read_u32(from)? as usize;
    if !(4..=CONTROL_BYTES_MAX).contains(&length) {
        return Err(bad(format!("a control frame of {length} bytes")));
    }
    let mut body = vec![0; length];
    from.read_exact(&mut body)?;
    let mut rest = body.as_slice();
    let kind = read_u32(&mut rest)?;
    if kind != wanted as u32 {
        return Err(bad(format!("control frame {kind} instead of {wanted:?}")));
    }
    let mut types = 0;
    while !rest.is_empty() {
        let (field, length) = (read_u32(&mut rest)?, read_u32(&mut rest)? as usize);
        let Some((value, behind)) = rest.split_at_checked(length) else {
            return Err(bad("a control field longer than its frame".into()));
        };
        rest = behind;
        if field == FIELD_CONTENT_TYPE {
            types += 1;
            if value == CONTENT_TYPE {
                return Ok(());
            }
        }
    }
    // No content type at all means any.
    if types == 0 {
        return Ok(());
    }
    Err(bad("the reader takes other content than dnstap".into()))
}

fn read_u32(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}
