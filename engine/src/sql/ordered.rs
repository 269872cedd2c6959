//! What compares as values of one type do. The keys of the store and those of sorts are made of it, each with bytes of its
//! own before a value, for its type, NULL and NaN, and each with its own integers.

/// The bits of a float that is a number: all flipped when negative, else the sign bit. -0 is 0.
#[inline]
pub fn float(x: f64) -> u64 {
    let bits = if x == 0.0 { 0 } else { x.to_bits() };
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

/// What [`float`] was made of.
#[inline]
pub fn parse_float(ordered: u64) -> f64 {
    f64::from_bits(if ordered >> 63 == 1 { ordered & !(1 << 63) } else { !ordered })
}

/// Appends a text with 0x00 as 0x01 0x01 and 0x01 as 0x01 0x02, and with 0x00 at its end, so that none is the start of another.
#[inline]
pub fn text_into(bytes: &mut Vec<u8>, text: &str) {
    let mut rest = text.as_bytes();
    while let Some(position) = rest.iter().position(|&byte| byte <= 1) {
        bytes.extend_from_slice(&rest[..position]);
        bytes.extend_from_slice(&[1, rest[position] + 1]);
        rest = &rest[position + 1..];
    }
    bytes.extend_from_slice(rest);
    bytes.push(0);
}

/// Turns an order around, of bytes of which none is the start of another.
#[inline]
pub fn descend(bytes: &mut [u8]) {
    for byte in bytes {
        *byte = !*byte;
    }
}
