//! The OPT record of a response (RFC 6891): what goes into it, and how much room it needs.
//!
//! Everything that a client asked for is set aside before the first record is written, so that
//! records never push an option out. Two things are not: an extended error, which is an explanation
//! and is left out when it does not fit, and padding, which fills whatever length the rest has come
//! to (RFC 8467 §4.1) and therefore is written last.

use super::{ClientSubnet, ExtendedError, OPT_RECORD_BYTES, RType, Rcode, options};

/// Encrypted responses are padded to a multiple of this (RFC 8467 §4.1).
pub const PADDING_BLOCK_BYTES: usize = 468;

/// Bytes of an option before its data: code and length.
const OPTION_HEAD_BYTES: usize = 4;

/// What goes into a response's OPT record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptReply<'a> {
    /// The largest UDP message this server reads.
    pub udp_bytes_max: u16,
    /// DO, as the client sent it.
    pub dnssec_ok: bool,
    /// The client's subnet and the scope of our answer.
    pub subnet: Option<(&'a ClientSubnet, u8)>,
    /// Client and server cookie (RFC 7873).
    pub cookie: Option<&'a [u8; options::CLIENT_COOKIE_BYTES + options::SERVER_COOKIE_BYTES]>,
    /// How long a silent stream stays open, in tenths of a second (RFC 7828).
    pub keepalive_tenths: Option<u16>,
    /// Which server this is (RFC 5001); at most 255 bytes.
    pub nsid: Option<&'a [u8]>,
    /// Whether to hide the length (RFC 7830).
    pub padded: bool,
    /// Why there is no answer.
    pub error: Option<ExtendedError>,
}

impl OptReply<'_> {
    /// Bytes to set aside: everything but the extended error and the padding.
    pub(super) fn reserved_bytes(&self) -> usize {
        let option = |bytes: Option<usize>| bytes.map_or(0, |bytes| OPTION_HEAD_BYTES + bytes);
        OPT_RECORD_BYTES
            + self.subnet.map_or(0, |(subnet, _)| subnet.reply_bytes())
            + option(self.cookie.map(|cookie| cookie.len()))
            + option(self.keepalive_tenths.map(|_| 2))
            + option(self.nsid.map(<[u8]>::len))
    }

    /// Writes the record at the start of `to`, which holds the reserved bytes at least and may be
    /// filled to its end; `message_bytes` stand before it. Returns its length.
    pub(super) fn write(&self, to: &mut [u8], message_bytes: usize, rcode: Rcode) -> usize {
        let mut options = Options {
            to: &mut to[OPT_RECORD_BYTES..],
            at: 0,
        };
        if let Some((subnet, scope)) = self.subnet {
            let bytes = subnet.reply_bytes();
            subnet.write_reply(scope, &mut options.to[options.at..options.at + bytes]);
            options.at += bytes;
        }
        if let Some(cookie) = self.cookie {
            options.put(options::COOKIE, &[cookie]);
        }
        if let Some(tenths) = self.keepalive_tenths {
            options.put(options::TCP_KEEPALIVE, &[&tenths.to_be_bytes()]);
        }
        if let Some(nsid) = self.nsid {
            options.put(options::NSID, &[nsid]);
        }
        if let Some(error) = self.error
            && options.has_room(2 + error.text.len())
        {
            let code = error.code.to_be_bytes();
            options.put(options::EXTENDED_ERROR, &[&code, error.text.as_bytes()]);
        }
        if self.padded {
            options.pad(message_bytes + OPT_RECORD_BYTES);
        }
        let options_bytes = options.at;
        to[0] = 0;
        to[1..3].copy_from_slice(&RType::OPT.0.to_be_bytes());
        to[3..5].copy_from_slice(&self.udp_bytes_max.to_be_bytes());
        to[5] = rcode.high_bits();
        to[6] = 0;
        to[7] = u8::from(self.dnssec_ok) << 7;
        to[8] = 0;
        // Fewer than 400 bytes, and padding below one block.
        to[9..11].copy_from_slice(&(options_bytes as u16).to_be_bytes());
        OPT_RECORD_BYTES + options_bytes
    }
}

/// Options being written one behind the other.
struct Options<'b> {
    to: &'b mut [u8],
    at: usize,
}

impl Options<'_> {
    fn has_room(&self, data_bytes: usize) -> bool {
        self.at + OPTION_HEAD_BYTES + data_bytes <= self.to.len()
    }

    /// Writes one option; its room was set aside or asked for.
    fn put(&mut self, code: u16, parts: &[&[u8]]) {
        let data_bytes: usize = parts.iter().map(|part| part.len()).sum();
        self.head(code, data_bytes);
        for part in parts {
            self.to[self.at..self.at + part.len()].copy_from_slice(part);
            self.at += part.len();
        }
    }

    fn head(&mut self, code: u16, data_bytes: usize) {
        let head = &mut self.to[self.at..self.at + OPTION_HEAD_BYTES];
        head[..2].copy_from_slice(&code.to_be_bytes());
        // Every option written here is far below 65,536 bytes.
        head[2..].copy_from_slice(&(data_bytes as u16).to_be_bytes());
        self.at += OPTION_HEAD_BYTES;
    }

    /// Pads the whole message, of which `before` bytes precede the options, to the next block, or
    /// to the end of the room.
    fn pad(&mut self, before: usize) {
        if !self.has_room(0) {
            return;
        }
        let bytes = before + self.at + OPTION_HEAD_BYTES;
        let missing = bytes.next_multiple_of(PADDING_BLOCK_BYTES) - bytes;
        let missing = missing.min(self.to.len() - self.at - OPTION_HEAD_BYTES);
        self.head(options::PADDING, missing);
        self.to[self.at..self.at + missing].fill(0);
        self.at += missing;
    }
}
