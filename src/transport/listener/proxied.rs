//! The PROXY protocol, version 2 (haproxy.org, proxy-protocol.txt, section 2.2): a balancer says ahead of
//! the first byte of TLS whose connection it passes on. Version 1 is refused.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// Bytes of the part that every header has.
pub const FIXED: usize = 16;
/// Bytes that may follow: addresses, and what a balancer adds.
pub const MAX_REST: usize = 536;

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
const VERSION_2: u8 = 0x20;
const LOCAL: u8 = 0x20;
const PROXY: u8 = 0x21;
const UNSPECIFIED: u8 = 0x00;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;
/// The type of the field that holds a CRC-32C of the header (section 2.2.3).
const CRC: u8 = 0x03;

/// Why a header is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProxyFault {
    #[error("no PROXY protocol header of version 2")]
    NotVersion2,
    #[error("a PROXY protocol header that is too long")]
    TooLong,
    #[error("a PROXY protocol header for something else than TCP over IP")]
    Family,
    #[error("a PROXY protocol header that is broken")]
    Broken,
}

/// How many bytes follow the fixed part.
///
/// # Errors
/// Where it is not the beginning of a header that can be taken.
pub fn rest(fixed: &[u8; FIXED]) -> Result<usize, ProxyFault> {
    if !fixed.starts_with(SIGNATURE) || fixed[12] & 0xf0 != VERSION_2 {
        return Err(ProxyFault::NotVersion2);
    }
    let length = usize::from(u16::from_be_bytes([fixed[14], fixed[15]]));
    if length > MAX_REST { Err(ProxyFault::TooLong) } else { Ok(length) }
}

/// Whose connection it is; `None` where it is the balancer's own.
///
/// # Errors
/// Where the header is not one of TCP over IP, or contradicts itself.
pub fn source(fixed: &[u8; FIXED], rest: &[u8]) -> Result<Option<SocketAddr>, ProxyFault> {
    match (fixed[12], fixed[13]) {
        // What else it says is to be skipped, whatever it is.
        (LOCAL, _) | (PROXY, UNSPECIFIED) => return Ok(None),
        (PROXY, _) => {}
        _ => return Err(ProxyFault::Broken),
    }
    let (source, fields): (SocketAddr, _) = match fixed[13] {
        TCP_OVER_IPV4 => {
            let (addresses, fields) = rest.split_first_chunk::<12>().ok_or(ProxyFault::Broken)?;
            let [a, b, c, d, _, _, _, _, high, low, ..] = *addresses;
            ((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into(), fields)
        }
        TCP_OVER_IPV6 => {
            let (addresses, fields) = rest.split_first_chunk::<36>().ok_or(ProxyFault::Broken)?;
            let ip = addresses.first_chunk::<16>().ok_or(ProxyFault::Broken)?;
            let port = u16::from_be_bytes([addresses[32], addresses[33]]);
            ((Ipv6Addr::from(*ip), port).into(), fields)
        }
        _ => return Err(ProxyFault::Family),
    };
    check(fixed, rest, fields)?;
    Ok(Some(source))
}

/// Walks through the fields: type, length, value (section 2.2.2). None of them is used but the checksum.
fn check(fixed: &[u8; FIXED], rest: &[u8], mut fields: &[u8]) -> Result<(), ProxyFault> {
    while let Some((&[kind, high, low], behind)) = fields.split_first_chunk::<3>() {
        let length = usize::from(u16::from_be_bytes([high, low]));
        let (value, behind) = behind.split_at_checked(length).ok_or(ProxyFault::Broken)?;
        if kind == CRC {
            let told = u32::from_be_bytes(value.try_into().map_err(|_| ProxyFault::Broken)?);
            let at = rest.len() - behind.len() - value.len();
            // It is made with zeros in its own place.
            let bytes = fixed.iter().chain(&rest[..at]).chain(&[0; 4]).chain(behind);
            if crc32c(bytes.copied()) != told {
                return Err(ProxyFault::Broken);
            }
        }
        fields = behind;
    }
    if fields.is_empty() { Ok(()) } else { Err(ProxyFault::Broken) }
}

/// RFC 9260, appendix A.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    !bytes.fold(u32::MAX, |crc, byte| {
        let shift = |crc: u32, _| (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
        (0..8).fold(crc ^ u32::from(byte), shift)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V4: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0x01, 0xbb];

    fn read(command: u8, family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, ProxyFault> {
        let mut fixed = [0; FIXED];
        fixed[..12].copy_from_slice(SIGNATURE);
        (fixed[12], fixed[13]) = (command, family);
        fixed[14..].copy_from_slice(&(rest.len() as u16).to_be_bytes());
        assert_eq!(super::rest(&fixed)?, rest.len());
        source(&fixed, rest)
    }

    #[test]
    fn the_source_of_a_passed_on_connection_is_read() {
        assert_eq!(read(PROXY, TCP_OVER_IPV4, &V4), Ok(Some("192.0.2.7:12345".parse().unwrap())));
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        (v6[15], v6[33]) = (1, 80);
        assert_eq!(read(PROXY, TCP_OVER_IPV6, &v6), Ok(Some("[2001:db8::1]:80".parse().unwrap())));
    }

    #[test]
    fn a_balancer_may_speak_for_itself() {
        assert_eq!(read(LOCAL, UNSPECIFIED, b""), Ok(None));
        assert_eq!(read(LOCAL, TCP_OVER_IPV4, b"\x01\xff"), Ok(None), "what it says beside is skipped");
        assert_eq!(read(PROXY, UNSPECIFIED, b"anything"), Ok(None));
    }

    #[test]
    fn what_is_not_tcp_over_ip_or_contradicts_itself_is_refused() {
        for family in [0x12, 0x22, 0x31, 0x32, 0x10, 0x41, 0xff] {
            assert_eq!(read(PROXY, family, &[0; 216]), Err(ProxyFault::Family), "{family:x}");
        }
        assert_eq!(read(0x22, TCP_OVER_IPV4, &V4), Err(ProxyFault::Broken));
        assert_eq!(read(0x11, TCP_OVER_IPV4, &V4), Err(ProxyFault::NotVersion2));
        assert_eq!(read(PROXY, TCP_OVER_IPV4, &V4[..11]), Err(ProxyFault::Broken));
        assert_eq!(read(PROXY, TCP_OVER_IPV6, &[0; 35]), Err(ProxyFault::Broken));
        assert_eq!(read(PROXY, TCP_OVER_IPV4, &[0; MAX_REST + 1]), Err(ProxyFault::TooLong));
        assert_eq!(rest(b"PROXY TCP4 192.0"), Err(ProxyFault::NotVersion2));
        assert_eq!(rest(&[0x16; FIXED]), Err(ProxyFault::NotVersion2));
    }

    #[test]
    fn fields_are_skipped_where_they_are_whole() {
        let with = |fields: &[u8]| read(PROXY, TCP_OVER_IPV4, &[&V4, fields].concat()).is_ok();
        assert!(with(b"\x04\x00\x03abc\x01\x00\x02h2"));
        assert!(!with(b"\x04\x00\x04abc") && !with(b"\x04\x00") && !with(b"\x03\x00\x01a"));
    }

    #[test]
    fn a_checksum_is_checked_where_there_is_one() {
        assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
        let mut fields = *b"\x03\x00\x04\0\0\0\0\x04\x00\x01a";
        let mut fixed = [0; FIXED];
        fixed[..12].copy_from_slice(SIGNATURE);
        (fixed[12], fixed[13], fixed[15]) = (PROXY, TCP_OVER_IPV4, 23);
        let sum = crc32c(fixed.iter().chain(&V4).chain(&fields).copied());
        fields[3..7].copy_from_slice(&sum.to_be_bytes());
        assert!(read(PROXY, TCP_OVER_IPV4, &[&V4[..], &fields].concat()).is_ok());
        fields[10] = b'b';
        assert_eq!(read(PROXY, TCP_OVER_IPV4, &[&V4[..], &fields].concat()), Err(ProxyFault::Broken));
    }
}
