//! Addresses inside texts: `ip("…")`.

use std::net::IpAddr;

/// An address, a range of them, or a prefix: always first and last, of one family.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpMatcher {
    first: u128,
    last: u128,
    is_v6: bool,
}

impl IpMatcher {
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        let parsed = if let Some((first, last)) = pattern.split_once('-') {
            Self::range(first.trim(), last.trim())
        } else if let Some((address, bits)) = pattern.split_once('/') {
            Self::prefix(address, bits)
        } else {
            Self::range(pattern, pattern)
        };
        parsed.ok_or_else(|| {
            format!("ip: invalid pattern: \"{pattern}\" is no address, range or prefix")
        })
    }

    fn range(first: &str, last: &str) -> Option<Self> {
        let (first, last): (IpAddr, IpAddr) = (first.parse().ok()?, last.parse().ok()?);
        let is_v6 = first.is_ipv6();
        (is_v6 == last.is_ipv6()).then_some(())?;
        let matcher = Self { first: number(first), last: number(last), is_v6 };
        (matcher.first <= matcher.last).then_some(matcher)
    }

    fn prefix(address: &str, bits: &str) -> Option<Self> {
        let address: IpAddr = address.parse().ok()?;
        let bits: u32 = bits.parse().ok()?;
        let width = if address.is_ipv6() { 128 } else { 32 };
        let rest = u32::checked_sub(width, bits)?;
        // A shift by all 128 bits is none; the mask is then all ones.
        let below = 1_u128.checked_shl(rest).map_or(u128::MAX, |one| one - 1);
        let first = number(address) & !below;
        Some(Self { first, last: first | below, is_v6: address.is_ipv6() })
    }

    fn contains(&self, address: IpAddr) -> bool {
        let number = number(address);
        address.is_ipv6() == self.is_v6 && self.first <= number && number <= self.last
    }

    /// Whether an address of the kind stands anywhere in `text`.
    pub(super) fn is_in(&self, text: &[u8]) -> bool {
        let mut at = 0;
        while at < text.len() {
            let length = if starts_v4(&text[at..]) {
                span(&text[at..], |b| b.is_ascii_digit() || b == b'.')
            } else if starts_v6(&text[at..]) {
                span(&text[at..], |b| b.is_ascii_hexdigit() || b == b':' || b == b'.')
            } else {
                at += 1;
                continue;
            };
            let address = std::str::from_utf8(&text[at..at + length]).ok();
            if address.and_then(|a| a.parse().ok()).is_some_and(|a| self.contains(a)) {
                return true;
            }
            at += length + 1;
        }
        false
    }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn span(text: &[u8], wanted: impl Fn(u8) -> bool) -> usize {
    text.iter().take_while(|b| wanted(**b)).count()
}

/// A digit with a dot in the next three bytes.
fn starts_v4(text: &[u8]) -> bool {
    text.len() > 3 && text[0].is_ascii_digit() && text[1..4].contains(&b'.')
}

/// Up to four hexadecimal digits and a colon, or two colons and a digit.
fn starts_v6(text: &[u8]) -> bool {
    if text.len() < 3 {
        return false;
    }
    let digits = span(&text[..text.len().min(5)], |b| b.is_ascii_hexdigit());
    (digits > 0 && text.get(digits) == Some(&b':')) || (text[0] == b':' && text[1] == b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_inside_texts() {
        for (pattern, text, found) in [
            ("192.168.4.5", "from 192.168.4.5:80", true),
            ("192.168.4.0/24", "192.168.5.1, 192.168.4.200.", false),
            ("192.168.4.0/24", "192.168.5.1, 192.168.4.200", true),
            ("10.0.0.1-10.0.0.9", "a=10.0.0.9", true),
            ("10.0.0.1-10.0.0.9", "a=10.0.0.10", false),
            ("2001:db8::/32", "x 2001:db8::1 y", true),
            ("::1", "::1", true),
            ("::/0", "1.2.3.4", false),
            ("0.0.0.0/0", "1.2.3.4", true),
        ] {
            let matcher = IpMatcher::new(pattern).expect("valid");
            assert_eq!(matcher.is_in(text.as_bytes()), found, "{pattern} in {text}");
        }
        for bad in ["", "x", "1.2.3.4/33", "1.2.3.9-1.2.3.1", "1.2.3.4-::1"] {
            assert!(IpMatcher::new(bad).is_err(), "{bad}");
        }
    }
}
