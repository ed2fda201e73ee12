//! Fields that end at this hop (RFC 9110, section 7.6.1).

use httparse::Header;

/// What the `Connection` fields of a message say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connection<'f> {
    fields: &'f [Header<'f>],
    /// `close` is among the words.
    pub(super) closes: bool,
    /// Some word names a field of the message.
    names_fields: bool,
}

impl<'f> Connection<'f> {
    pub(super) fn of(fields: &'f [Header<'f>]) -> Self {
        let mut connection = Self {
            fields,
            closes: false,
            names_fields: false,
        };
        for word in words(fields) {
            if word.eq_ignore_ascii_case(b"close") {
                connection.closes = true;
            } else if !word.eq_ignore_ascii_case(b"keep-alive") {
                connection.names_fields = true;
            }
        }
        connection
    }

    /// Whether a field is for this hop because it is named there. Those that say where the message ends and
    /// for whom it is cannot be taken away like that.
    pub(super) fn lists(&self, name: &str) -> bool {
        self.names_fields
            && !["host", "content-length", "transfer-encoding"]
                .iter()
                .any(|kept| kept.eq_ignore_ascii_case(name))
            && words(self.fields).any(|word| word.eq_ignore_ascii_case(name.as_bytes()))
    }
}

fn words<'f>(fields: &'f [Header<'f>]) -> impl Iterator<Item = &'f [u8]> {
    fields
        .iter()
        .filter(|field| field.name.len() == 10 && field.name.eq_ignore_ascii_case("connection"))
        .flat_map(|field| field.value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}

/// Whether a field always is for one hop alone. `Transfer-Encoding` and `Trailer` are not among them: a
/// chunked body is passed on as it is.
pub(super) fn is_hop_by_hop(name: &str) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other);
    match name.len() {
        2 => is("te"),
        7 => is("upgrade"),
        10 => is("connection") || is("keep-alive"),
        16 => is("proxy-connection"),
        _ => false,
    }
}
