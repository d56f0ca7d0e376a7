//! The Huffman code of HPACK (RFC 7541 section 5.2, appendix B).
//!
//! The code is canonical, so the codes follow from their lengths. A table maps the next 12 bits to
//! one or two symbols; longer codes are rare, and are found by their length.

use bytes::BytesMut;

use super::Error;

/// Symbols: 256 bytes, and the end of string (EOS).
const SYMBOLS: usize = 257;
const EOS: u16 = 256;

/// Bits of the code of each symbol.
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, //
    28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, //
    10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, //
    15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, //
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, //
    6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, //
    7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, //
    23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, //
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, //
    23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, //
    26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, //
    28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, //
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const SHORTEST: usize = 5;
const LONGEST: usize = 30;

/// The codes of one length. They are consecutive numbers.
#[derive(Clone, Copy)]
struct Row {
    first: u32,
    /// The index of the first symbol in [`SORTED`].
    place: usize,
    /// The last code plus 1, shifted to the front of 32 bits. Smaller numbers start with a code of
    /// this length or a shorter one.
    end: u64,
}

/// The codes of each length.
static ROWS: [Row; LONGEST + 1] = ROWS_AND_SORTED.0;

/// Symbols in the order of their codes.
static SORTED: [u16; SYMBOLS] = ROWS_AND_SORTED.1;

const ROWS_AND_SORTED: ([Row; LONGEST + 1], [u16; SYMBOLS]) = {
    let mut rows = [Row {
        first: 0,
        place: 0,
        end: 0,
    }; LONGEST + 1];
    let mut sorted = [0; SYMBOLS];
    let (mut length, mut code, mut place) = (SHORTEST, 0_u32, 0);
    while length <= LONGEST {
        let (first, first_place) = (code, place);
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                sorted[place] = symbol as u16;
                place += 1;
                code += 1;
            }
            symbol += 1;
        }
        rows[length] = Row {
            first,
            place: first_place,
            end: (code as u64) << (32 - length),
        };
        code <<= 1;
        length += 1;
    }
    assert!(
        place == SYMBOLS && rows[LONGEST].end == 1 << 32,
        "every number is the beginning of a code"
    );
    (rows, sorted)
};

/// Bits of one table lookup.
const WINDOW: usize = 12;

/// The symbols at the start of the next [`WINDOW`] bits.
#[derive(Clone, Copy)]
struct Step {
    symbols: [u8; 2],
    /// Bits of the first symbol; 0 when its code is longer than the window.
    first: u8,
    /// Bits of both symbols; those of the first when there is no second.
    both: u8,
}

static STEPS: [Step; 1 << WINDOW] = steps();

const fn steps() -> [Step; 1 << WINDOW] {
    let single = single_steps();
    let mut steps = single;
    let mut bits = 0;
    while bits < steps.len() {
        let first = single[bits];
        let second = single[(bits << first.first) % steps.len()];
        if first.first > 0 && second.first > 0 && (first.first + second.first) as usize <= WINDOW {
            steps[bits] = Step {
                symbols: [first.symbols[0], second.symbols[0]],
                first: first.first,
                both: first.first + second.first,
            };
        }
        bits += 1;
    }
    steps
}

const fn single_steps() -> [Step; 1 << WINDOW] {
    let mut steps = [Step {
        symbols: [0; 2],
        first: 0,
        both: 0,
    }; 1 << WINDOW];
    let (rows, sorted) = ROWS_AND_SORTED;
    let (mut bits, mut length, mut code) = (0, SHORTEST, 0);
    while length <= WINDOW {
        let last = rows[length + 1].place - rows[length].place;
        while code < last {
            let symbol = sorted[rows[length].place + code] as u8;
            let behind = bits + (1 << (WINDOW - length));
            while bits < behind {
                steps[bits] = Step {
                    symbols: [symbol, 0],
                    first: length as u8,
                    both: length as u8,
                };
                bits += 1;
            }
            code += 1;
        }
        code = 0;
        length += 1;
    }
    steps
}

/// Capacity that [`decode`] needs for this many bytes: the shortest code has 5 bits, and two
/// symbols are written at once.
pub(super) const fn most_decoded(coded: usize) -> usize {
    coded.saturating_mul(8) / SHORTEST + 2
}

/// Appends the decoded symbols.
pub(super) fn decode(coded: &[u8], out: &mut BytesMut) -> Result<(), Error> {
    let before = out.len();
    out.resize(before + most_decoded(coded.len()), 0);
    let written = decode_into(coded, &mut out[before..])?;
    out.truncate(before + written);
    Ok(())
}

fn decode_into(coded: &[u8], out: &mut [u8]) -> Result<usize, Error> {
    // The next bit comes first. `have` bits are counted; the bits after them are the next ones or
    // 0.
    let (mut bits, mut have, mut written) = (0_u64, 0, 0);
    let mut rest = coded;
    while let Some(word) = rest.first_chunk() {
        bits |= u64::from_be_bytes(*word) >> have;
        let bytes = (63 - have) / 8;
        rest = &rest[bytes as usize..];
        have += bytes * 8;
        // Enough for any code.
        while have >= 32 {
            let step = STEPS[(bits >> (64 - WINDOW)) as usize];
            let used = if step.first > 0 {
                out[written..written + 2].copy_from_slice(&step.symbols);
                written += 1 + usize::from(step.both > step.first);
                u32::from(step.both)
            } else {
                let (symbol, length) = long_code(bits)?;
                out[written] = symbol;
                written += 1;
                length
            };
            bits <<= used;
            have -= used;
        }
    }
    finish(bits, have, rest, &mut out[written..]).map(|more| written + more)
}

/// Decodes the last bits: those that are left, and those of less than 8 bytes. Returns the number
/// of symbols.
fn finish(mut bits: u64, mut have: u32, mut rest: &[u8], out: &mut [u8]) -> Result<usize, Error> {
    let mut written = 0;
    loop {
        while let (Some((byte, behind)), ..=56) = (rest.split_first(), have) {
            bits |= u64::from(*byte) << (56 - have);
            have += 8;
            rest = behind;
        }
        if is_padding(bits, have) {
            return Ok(written);
        }
        let step = STEPS[(bits >> (64 - WINDOW)) as usize];
        let (symbols, used) = match step {
            Step { first: 0, .. } => {
                let (symbol, length) = long_code(bits)?;
                ([symbol, 0], length)
            }
            // The second symbol may consist of bits beyond the end.
            Step {
                symbols,
                first,
                both,
            } if u32::from(both) > have => (symbols, u32::from(first)),
            Step { symbols, both, .. } => (symbols, u32::from(both)),
        };
        if used > have {
            return Err(Error("a Huffman string with wrong padding"));
        }
        out[written..written + 2].copy_from_slice(&symbols);
        written += 1 + usize::from(step.first > 0 && used > u32::from(step.first));
        bits <<= used;
        have -= used;
    }
}

/// Whether only the beginning of EOS is left, shorter than a byte.
fn is_padding(bits: u64, have: u32) -> bool {
    have < 8 && bits.leading_ones() >= have
}

/// The symbol and length of a code that is longer than [`WINDOW`].
#[cold]
fn long_code(bits: u64) -> Result<(u8, u32), Error> {
    let next = bits >> 32;
    for (length, row) in (0..).zip(&ROWS).skip(WINDOW + 1) {
        if next < row.end {
            let code = (next >> (32 - length)) as u32;
            return match SORTED[row.place + (code - row.first) as usize] {
                EOS => Err(Error("a Huffman string with EOS")),
                symbol => Ok((symbol as u8, length)),
            };
        }
    }
    Err(Error("no Huffman code")) // never: the last row ends above every number
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The code of a symbol and its length.
    pub(in super::super) fn code(symbol: u16) -> (u32, usize) {
        let length = usize::from(LENGTHS[usize::from(symbol)]);
        let place = SORTED.iter().position(|sorted| *sorted == symbol).unwrap();
        (
            ROWS[length].first + (place - ROWS[length].place) as u32,
            length,
        )
    }

    /// Bits as text, padded to whole bytes with ones.
    pub(in super::super) fn packed(bits: &str) -> Vec<u8> {
        let byte = |bits: &[u8]| bits.iter().fold(0, |byte, bit| byte << 1 | (bit - b'0'));
        let padded = format!(
            "{bits}{}",
            "1".repeat(bits.len().next_multiple_of(8) - bits.len())
        );
        padded.as_bytes().chunks(8).map(byte).collect()
    }

    fn bits(symbol: u16) -> String {
        let (code, length) = code(symbol);
        format!("{code:0length$b}")
    }

    pub(in super::super) fn encoded(text: &[u8]) -> Vec<u8> {
        packed(
            &text
                .iter()
                .map(|byte| bits(u16::from(*byte)))
                .collect::<String>(),
        )
    }

    fn decoded(coded: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = BytesMut::from("in front");
        decode(coded, &mut out)?;
        Ok(out.strip_prefix(b"in front").unwrap().to_vec())
    }

    #[test]
    fn codes_are_those_of_the_rfc() {
        for (symbol, expected, length) in [
            (0, 0x1ff8, 13),
            (9, 0xff_ffea, 24),
            (10, 0x3fff_fffc, 30),
            (u16::from(b' '), 0x14, 6),
            (u16::from(b'0'), 0x0, 5),
            (u16::from(b'z'), 0x7b, 7),
            (u16::from(b'~'), 0x1ffd, 13),
            (128, 0xf_ffe6, 20),
            (199, 0x1ff_ffec, 25),
            (255, 0x3ff_ffee, 26),
            (EOS, 0x3fff_ffff, 30),
        ] {
            assert_eq!(code(symbol), (expected, length), "{symbol}");
        }
    }

    #[test]
    fn every_byte_is_decoded_wherever_it_stands() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encoded(&all)).unwrap(), all);
        for byte in 0..=255 {
            for before in 0..9 {
                for behind in 0..9 {
                    let text =
                        [&b"0az&Xe%?!"[..before], &[byte; 3], &b"eX~0tz|ae"[..behind]].concat();
                    assert_eq!(decoded(&encoded(&text)).unwrap(), text);
                }
            }
        }
    }

    #[test]
    fn random_strings_are_decoded() {
        let mut random = fastrand::Rng::with_seed(7541);
        for _ in 0..2000 {
            let printable = random.bool();
            let byte = |random: &mut fastrand::Rng| {
                if printable {
                    random.u8(b' '..=b'~')
                } else {
                    random.u8(..)
                }
            };
            let text: Vec<u8> = (0..random.usize(..100))
                .map(|_| byte(&mut random))
                .collect();
            assert_eq!(decoded(&encoded(&text)).unwrap(), text);
        }
    }

    #[test]
    fn padding_is_less_than_a_byte_of_ones() {
        let wrong = Err(Error("a Huffman string with wrong padding"));
        assert_eq!(decoded(&[]), Ok(vec![]));
        for front in [
            "",
            "a",
            "aaaaaaaa",
            "0123456789",
            "a longer text, so that there are several words",
        ] {
            let front: String = front.bytes().map(|byte| bits(u16::from(byte))).collect();
            let to_byte = front.len().next_multiple_of(8) - front.len();
            assert!(decoded(&packed(&front)).is_ok());
            assert_eq!(
                decoded(&packed(&format!("{front}{}", "1".repeat(to_byte + 8)))),
                wrong,
                "a byte more"
            );
            assert_eq!(
                decoded(&packed(&format!("{front}{}", "1".repeat(to_byte + 16)))),
                wrong
            );
            for zero in 0..to_byte.min(5) {
                // With 5 bits or more it may be a symbol.
                let padding: String = (0..to_byte)
                    .map(|at| if at == zero { '0' } else { '1' })
                    .collect();
                let result = decoded(&packed(&format!("{front}{padding}")));
                assert!(
                    result == wrong || to_byte >= 5,
                    "{front} {padding}: {result:?}"
                );
            }
        }
        assert_eq!(decoded(&[0b0001_1000]), wrong, "`a` and 000");
        assert_eq!(decoded(&[0b0001_1110]), wrong, "`a` and 110");
        assert_eq!(decoded(&[0b0001_1111]), Ok(b"a".to_vec()));
    }

    #[test]
    fn the_end_of_string_is_an_error_wherever_it_stands() {
        for front in 0..20 {
            for behind in 0..20 {
                let part = |count| bits(u16::from(b'a')).repeat(count);
                let text = format!("{}{}{}", part(front), bits(EOS), part(behind));
                assert_eq!(
                    decoded(&packed(&text)),
                    Err(Error("a Huffman string with EOS"))
                );
            }
        }
        assert_eq!(decoded(&[0xff; 4]), Err(Error("a Huffman string with EOS")));
    }
}
