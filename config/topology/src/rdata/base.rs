//! Bytes as text: hexadecimal, base64 and base32 with the extended hexadecimal alphabet.

use data_encoding::{BASE32HEX_NOPAD, BASE64, HEXUPPER, HEXUPPER_PERMISSIVE};

pub(super) fn read_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    HEXUPPER_PERMISSIVE.decode(text).map_err(|error| {
        format!("this is not hexadecimal ({error}); write two digits for each byte")
    })
}

pub(super) fn write_hex(bytes: &[u8]) -> String {
    HEXUPPER.encode(bytes)
}

pub(super) fn read_base64(text: &[u8]) -> Result<Vec<u8>, String> {
    BASE64
        .decode(text)
        .map_err(|error| format!("this is not base64 ({error})"))
}

pub(super) fn write_base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

pub(super) fn read_base32hex(text: &[u8]) -> Result<Vec<u8>, String> {
    BASE32HEX_NOPAD
        .decode(&text.to_ascii_uppercase())
        .map_err(|error| format!("this is not base32hex ({error}), as RFC 5155 writes hashes"))
}

pub(super) fn write_base32hex(bytes: &[u8]) -> String {
    BASE32HEX_NOPAD.encode(bytes)
}
