//! PROXY protocol headers, versions 1 and 2: no panic, no over-read, and a
//! verdict that does not change with what follows the header.
#![no_main]

use libfuzzer_sys::fuzz_target;
use meridian_accept::proxy_protocol::{Parsed, V2_BYTES_MAX, encode, parse};

fuzz_target!(|input: &[u8]| {
    match parse(input) {
        Ok(Parsed::Complete { header, consumed }) => {
            assert!(consumed <= input.len().min(V2_BYTES_MAX));
            assert_eq!(
                parse(&input[..consumed]).ok(),
                Some(Parsed::Complete { header, consumed })
            );
            assert_eq!(parse(&input[..consumed - 1]).ok(), Some(Parsed::Partial));
            if let Some(ends) = header.addresses {
                let again = encode(header.version, ends.source, ends.destination);
                assert!(matches!(parse(&again), Ok(Parsed::Complete { .. })));
            }
        }
        Ok(Parsed::Partial) => assert!(input.len() < V2_BYTES_MAX),
        Ok(Parsed::Absent) => assert!(!input.is_empty()),
        Err(_) => {}
    }
});
