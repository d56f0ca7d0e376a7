//! The decoder against the RFC, another implementation, a simple reference decoder, and random
//! bytes.

mod reference;
mod vectors;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode};

use self::reference::Reference;
use super::{
    Decoder, Error, Field, Pseudo, encoder, fuzzing::read_blocks, huffman::tests::encoded,
    static_table::NAMES,
};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<(Field, usize)>, Error> {
    let mut fields = Vec::new();
    decoder.decode(block, &mut |field, size| {
        fields.push((field, size));
        true
    })?;
    Ok(fields)
}

/// The headers of the first block of a new connection.
fn first(block: &[u8]) -> Result<Vec<Field>, Error> {
    Ok(decode(&mut Decoder::new(4096), block)?
        .into_iter()
        .map(|(field, _)| field)
        .collect())
}

fn pseudo(name: &str) -> Pseudo {
    match name {
        ":method" => Pseudo::Method,
        ":scheme" => Pseudo::Scheme,
        ":authority" => Pseudo::Authority,
        ":path" => Pseudo::Path,
        ":status" => Pseudo::Status,
        ":protocol" => Pseudo::Protocol,
        _ => Pseudo::Unknown,
    }
}

/// A header that is neither a pseudo-header of an unknown name nor malformed.
fn field(name: &str, value: &str) -> Field {
    if name.starts_with(':') {
        return Field::Pseudo(pseudo(name), Bytes::copy_from_slice(value.as_bytes()));
    }
    let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
    Field::Regular(HeaderName::from_bytes(name.as_bytes()).unwrap(), value)
}

fn fields(lines: &str) -> Vec<Field> {
    let line = |line: &str| {
        let (name, value) = line.split_once(": ").unwrap();
        field(name, value)
    };
    lines
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(line)
        .collect()
}

fn sizes(fields: &[(Field, usize)]) -> usize {
    fields.iter().map(|(_, size)| size).sum()
}

/// A literal with a new name; both strings plain.
fn literal(pattern: u8, name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![pattern];
    for text in [name, value] {
        push_integer(&mut out, 0, 7, text.len());
        out.extend_from_slice(text);
    }
    out
}

fn push_integer(out: &mut Vec<u8>, pattern: u8, bits: u32, value: usize) {
    let most = (1 << bits) - 1;
    if value < most {
        return out.push(pattern | value as u8);
    }
    out.push(pattern | most as u8);
    let mut rest = value - most;
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest /= 128;
    }
    out.push(rest as u8);
}

// === RFC 7541 appendix C ===

/// Decodes the blocks of an example in sequence: headers, and the content of the dynamic table
/// after each.
fn example(capacity: usize, blocks: &[(&str, &str, &str, usize)]) {
    let mut decoder = Decoder::new(4096);
    decoder.table.resize(capacity);
    for (block, expected, table, size) in blocks {
        let found = decode(&mut decoder, &hex(block)).unwrap();
        let found: Vec<Field> = found.into_iter().map(|(field, _)| field).collect();
        assert_eq!(found, fields(expected), "{block}");
        let entries: Vec<Field> = decoder
            .table
            .entries
            .iter()
            .map(super::entry::Entry::field)
            .collect();
        assert_eq!(
            (entries, decoder.table.size),
            (fields(table), *size),
            "{block}"
        );
    }
}

#[test]
fn examples_of_single_fields() {
    let custom = "custom-key: custom-header";
    example(
        4096,
        &[(
            "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
            custom,
            custom,
            55,
        )],
    );
    example(
        4096,
        &[(
            "040c 2f73 616d 706c 652f 7061 7468",
            ":path: /sample/path",
            "",
            0,
        )],
    );
    example(
        4096,
        &[(
            "1008 7061 7373 776f 7264 0673 6563 7265 74",
            "password: secret",
            "",
            0,
        )],
    );
    example(4096, &[("82", ":method: GET", "", 0)]);
}

#[test]
fn examples_of_integers() {
    // C.1.1 and C.1.2: 10 and 1337 in 5 bits, as sizes of the table.
    let mut decoder = Decoder::new(4096);
    assert_eq!(decode(&mut decoder, &[0x2a, 0x3f, 0x9a, 0x0a]), Ok(vec![]));
    assert_eq!(
        decode(&mut Decoder::new(1336), &[0x3f, 0x9a, 0x0a])
            .unwrap_err()
            .0,
        UPDATE_TOO_LARGE
    );
    assert_eq!(
        decode(&mut Decoder::new(1337), &[0x3f, 0x9a, 0x0a]),
        Ok(vec![])
    );
}

const REQUESTS: [&str; 3] = [
    ":method: GET
     :scheme: http
     :path: /
     :authority: www.example.com",
    ":method: GET
     :scheme: http
     :path: /
     :authority: www.example.com
     cache-control: no-cache",
    ":method: GET
     :scheme: https
     :path: /index.html
     :authority: www.example.com
     custom-key: custom-value",
];

const AFTER_REQUESTS: [&str; 3] = [
    ":authority: www.example.com",
    "cache-control: no-cache
     :authority: www.example.com",
    "custom-key: custom-value
     cache-control: no-cache
     :authority: www.example.com",
];

fn requests(blocks: [&str; 3]) {
    let sizes = [57, 110, 164];
    let all: Vec<_> = (0..3)
        .map(|n| (blocks[n], REQUESTS[n], AFTER_REQUESTS[n], sizes[n]))
        .collect();
    example(4096, &all);
}

#[test]
fn examples_of_requests() {
    requests([
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
    ]);
}

#[test]
fn examples_of_requests_with_huffman_codes() {
    requests([
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
    ]);
}

const RESPONSES: [&str; 3] = [
    ":status: 302
     cache-control: private
     date: Mon, 21 Oct 2013 20:13:21 GMT
     location: https://www.example.com",
    ":status: 307
     cache-control: private
     date: Mon, 21 Oct 2013 20:13:21 GMT
     location: https://www.example.com",
    ":status: 200
     cache-control: private
     date: Mon, 21 Oct 2013 20:13:22 GMT
     location: https://www.example.com
     content-encoding: gzip
     set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
];

const AFTER_RESPONSES: [&str; 3] = [
    "location: https://www.example.com
     date: Mon, 21 Oct 2013 20:13:21 GMT
     cache-control: private
     :status: 302",
    ":status: 307
     location: https://www.example.com
     date: Mon, 21 Oct 2013 20:13:21 GMT
     cache-control: private",
    "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1
     content-encoding: gzip
     date: Mon, 21 Oct 2013 20:13:22 GMT",
];

fn responses(blocks: [&str; 3]) {
    let sizes = [222, 222, 215];
    let all: Vec<_> = (0..3)
        .map(|n| (blocks[n], RESPONSES[n], AFTER_RESPONSES[n], sizes[n]))
        .collect();
    example(256, &all);
}

#[test]
fn examples_of_responses_with_eviction() {
    responses([
        "4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133
         2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70
         6c65 2e63 6f6d",
        "4803 3330 37c1 c0bf",
        "88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d
         54c0 5a04 677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049
         5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e
         3d31",
    ]);
}

#[test]
fn examples_of_responses_with_huffman_codes_and_eviction() {
    responses([
        "4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6
         2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
        "4883 640e ffc1 c0bf",
        "88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab
         77ad 94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f
         9587 3160 65c0 03ed 4ee5 b106 3d50 07",
    ]);
}

// === Other implementations ===

#[test]
fn blocks_of_another_encoder_are_decoded() {
    let mut decoder = Decoder::new(4096);
    for (number, (block, expected)) in vectors::BLOCKS.iter().enumerate() {
        let found = decode(&mut decoder, &hex(block)).unwrap();
        let expected: Vec<_> = expected
            .iter()
            .map(|(name, value)| (field(name, value), name.len() + value.len() + 32))
            .collect();
        assert_eq!(found, expected, "block {number}");
    }
}

// === Errors ===

const CUT_OFF: &str = "the block is cut off";
const TOO_LONG: &str = "an integer is too long";
const UPDATE_TOO_LARGE: &str = "a dynamic table size update above the limit";
const UPDATE_LATE: &str = "a dynamic table size update after a header";
const UPDATES: &str = "too many dynamic table size updates";
const BEYOND: &str = "an index beyond the dynamic table";
const PADDING: &str = "a Huffman string with wrong padding";
const EOS: &str = "a Huffman string with EOS";

#[test]
fn a_block_that_breaks_the_rules_is_an_error() {
    for (block, reason) in [
        ("80", "index 0"),
        ("be", BEYOND),
        ("ffff ffff 7f", BEYOND),
        ("7e 01 61", BEYOND), // a literal with the name of index 62
        ("0f2f 01 61", BEYOND),
        ("1f2f 01 61", BEYOND),
        ("ff", CUT_OFF),
        ("ff80", CUT_OFF),
        ("40", CUT_OFF),
        ("00", CUT_OFF),
        ("10", CUT_OFF),
        ("4001", CUT_OFF),
        ("400161", CUT_OFF),
        ("40016101", CUT_OFF),
        ("4081", CUT_OFF),
        ("407f", CUT_OFF),
        ("007f ffff ff7f", CUT_OFF),
        ("00ff ffff ff7f", CUT_OFF),
        ("3f", CUT_OFF),
        ("ff80 8080 8000", TOO_LONG),
        ("ffff ffff ffff ffff ffff 01", TOO_LONG),
        ("3fff ffff ff0f", TOO_LONG),
        ("007f ffff ffff 0f", TOO_LONG),
        ("3fe2 1f", UPDATE_TOO_LARGE),
        ("3fff ffff 7f", UPDATE_TOO_LARGE),
        ("2020 20", UPDATES),
        ("8220", UPDATE_LATE),
        ("2082 20", UPDATE_LATE),
        ("0001 6101 6220", UPDATE_LATE),
        ("0081 18 01 61", PADDING),
        ("0001 61 81 18", PADDING),
        ("0001 61 82 1fff", PADDING),
        ("0001 61 81 ff", PADDING),
        ("4001 61 84 ffff ffff", EOS),
        ("0001 61 84 ffff ffff", EOS),
    ] {
        assert_eq!(first(&hex(block)), Err(Error(reason)), "{block}");
        let error = Decoder::new(4096).decode(&hex(block), &mut |_, _| false);
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err(reason.to_owned()),
            "{block}, unwanted"
        );
    }
    assert_eq!(
        first(&hex("20 3fe1 1f 82")).unwrap(),
        [field(":method", "GET")],
        "two updates"
    );
    assert_eq!(
        first(&hex("0f80 8000 01 61")).unwrap().len(),
        1,
        "zeros at the end of an integer"
    );
    assert_eq!(first(&[]), Ok(vec![]));
}

#[test]
fn a_block_that_is_cut_within_a_field_is_an_error() {
    let mut block = literal(0x40, &[b'n'; 200], &[b'v'; 300]);
    let whole = block.len();
    block.push(0xbe);
    for end in 1..whole {
        assert_eq!(first(&block[..end]), Err(Error(CUT_OFF)), "{end}");
    }
    assert_eq!(first(&block).unwrap().len(), 2);
}

// === Fields ===

#[test]
fn a_malformed_field_is_one_field_and_no_error() {
    let malformed: [(&[u8], &[u8]); 22] = [
        (b"", b"x"),
        (b"Upper", b"x"),
        (b"uppeR", b"x"),
        (b"a b", b"x"),
        (b"a:", b"x"),
        (b"\"", b"x"),
        (b":\"", b"x"),
        (b"a\0", b"x"),
        (b" a", b"x"),
        (b"\xe9", b"x"),
        (b"a\x7f", b"x"),
        (b":", b"x"),
        (b":Path", b"x"),
        (b"::path", b"x"),
        (b":pa th", b"x"),
        (b"a", b"\0"),
        (b"a", b"x\r\ny: z"),
        (b"a", b"\n"),
        (b"a", b"\x7f"),
        (b":path", b"/\n"),
        (b":path", b"/\x7f"),
        (b":unknown", b"\x1f"),
    ];
    for pattern in [0x00, 0x10, 0x40] {
        for (name, value) in malformed {
            let mut decoder = Decoder::new(4096);
            let mut block = literal(pattern, name, value);
            block.push(0x82);
            let found = decode(&mut decoder, &block).unwrap();
            let size = name.len() + value.len() + 32;
            assert_eq!(
                found,
                [(Field::Malformed, size), (field(":method", "GET"), 42)],
                "{name:?} {value:?}"
            );
            if pattern == 0x40 {
                assert_eq!(
                    decode(&mut decoder, &[0xbe]),
                    Ok(vec![(Field::Malformed, size)])
                );
                assert_eq!(decoder.table.size, size);
            }
        }
    }
}

#[test]
fn the_name_of_a_malformed_entry_keeps_its_meaning() {
    for (name, value, expected) in [
        ("x-a", "\n", field("x-a", "ok")),
        (":path", "\n", field(":path", "ok")),
        ("X-A", "fine", Field::Malformed),
    ] {
        let mut decoder = Decoder::new(4096);
        decode(
            &mut decoder,
            &literal(0x40, name.as_bytes(), value.as_bytes()),
        )
        .unwrap();
        let by_index = [0x7e, 2, b'o', b'k'];
        let found = decode(&mut decoder, &by_index).unwrap();
        assert_eq!(found, [(expected, name.len() + 2 + 32)], "{name}");
    }
}

#[test]
fn values_may_have_tabs_and_bytes_above_ascii() {
    for value in ["", " ", "\t", "a\tb", "\u{e9}\u{20ac}"] {
        for name in ["x-a", ":path", ":unknown"] {
            assert_eq!(
                first(&literal(0, name.as_bytes(), value.as_bytes())).unwrap(),
                [field(name, value)]
            );
        }
    }
}

#[test]
fn only_never_indexed_literals_are_sensitive() {
    for (pattern, sensitive) in [(0x00, false), (0x10, true), (0x40, false)] {
        match &first(&literal(pattern, b"x-a", b"1")).unwrap()[..] {
            [Field::Regular(_, value)] => {
                assert_eq!(value.is_sensitive(), sensitive, "{pattern:x}")
            }
            other => panic!("{other:?}"),
        }
    }
    match &first(&hex("1f08 01 61")).unwrap()[..] {
        [Field::Regular(name, value)] => assert!(name == "authorization" && value.is_sensitive()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn after_false_fields_are_only_added_to_the_table() {
    let block = [
        literal(0x40, b"x-a", b"1"),
        literal(0x00, b"x-b", b"2"),
        literal(0x40, b"x-c", b"3"),
        vec![0xbe, 0x40, 0x81, 0x1f, 0x81, 0x1f],
    ]
    .concat();
    for most in 1..=5 {
        let (mut decoder, mut count) = (Decoder::new(4096), 0);
        let mut take = |_, _| {
            count += 1;
            count < most
        };
        decoder.decode(&block, &mut take).unwrap();
        assert_eq!(count, most);
        let table: Vec<Field> = decoder
            .table
            .entries
            .iter()
            .map(super::entry::Entry::field)
            .collect();
        assert_eq!(
            table,
            [field("a", "a"), field("x-c", "3"), field("x-a", "1")]
        );
    }
}

// === The dynamic table ===

#[test]
fn an_entry_larger_than_the_table_empties_it() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &literal(0x40, b"x-a", b"1")).unwrap();
    let fits = literal(0x40, b"x-b", &[b'x'; 4096 - 32 - 3]);
    assert_eq!(sizes(&decode(&mut decoder, &fits).unwrap()), 4096);
    assert_eq!((decoder.table.entries.len(), decoder.table.size), (1, 4096));
    for value in [
        [b'x'; 4096 - 32 - 2].to_vec(),
        encoded(&[b'a'; 4096 - 32 - 2]),
    ] {
        decode(&mut decoder, &fits).unwrap();
        let mut block = literal(0x40, b"x-b", &value);
        if value[0] != b'x' {
            block[5] |= 0x80; // Huffman
        }
        assert_eq!(sizes(&decode(&mut decoder, &block).unwrap()), 4097);
        assert_eq!((decoder.table.entries.len(), decoder.table.size), (0, 0));
    }
}

#[test]
fn a_name_may_come_from_the_entry_that_makes_room() {
    let mut decoder = Decoder::new(4096);
    decode(&mut decoder, &literal(0x40, b"x-long", &[b'x'; 4000])).unwrap();
    let mut block = vec![0x7e];
    push_integer(&mut block, 0, 7, 3000);
    block.extend_from_slice(&[b'y'; 3000]);
    assert_eq!(sizes(&decode(&mut decoder, &block).unwrap()), 3038);
    assert_eq!((decoder.table.entries.len(), decoder.table.size), (1, 3038));
}

#[test]
fn a_size_update_evicts_and_gives_memory_back() {
    let mut decoder = Decoder::new(4096);
    for number in 0..200 {
        decode(
            &mut decoder,
            &literal(0x40, b"x-a", format!("{number}").as_bytes()),
        )
        .unwrap();
    }
    assert!(decoder.table.size <= 4096 && decoder.table.size > 4000);
    decode(&mut decoder, &[0x3f, 100 - 31]).unwrap();
    assert_eq!((decoder.table.entries.len(), decoder.table.size), (2, 76));
    decode(&mut decoder, &[0x20]).unwrap();
    assert_eq!(
        (decoder.table.entries.capacity(), decoder.table.size),
        (0, 0)
    );
    decode(&mut decoder, &literal(0x40, b"x-a", b"1")).unwrap();
    assert_eq!(decoder.table.size, 0);
    // The smallest size between two blocks counts, not only the last.
    decode(
        &mut decoder,
        &[&[0x3f, 0xe1, 0x1f][..], &literal(0x40, b"x-a", b"1")].concat(),
    )
    .unwrap();
    assert_eq!(decoder.table.size, 36);
    assert_eq!(
        decode(&mut decoder, &[0x20, 0x3f, 0xe1, 0x1f, 0xbe]),
        Err(Error(BEYOND))
    );
}

#[test]
fn the_table_has_4096_bytes_until_the_peer_knows_our_settings() {
    let mut decoder = Decoder::new(0);
    decode(&mut decoder, &literal(0x40, b"x-a", b"1")).unwrap();
    assert_eq!(
        decode(&mut decoder, &[0xbe]).unwrap(),
        [(field("x-a", "1"), 36)]
    );
    assert_eq!(decode(&mut decoder, &[0x21]), Err(Error(UPDATE_TOO_LARGE)));
    let mut larger = Decoder::new(65_536);
    for _ in 0..2 {
        decode(&mut larger, &literal(0x40, b"x-a", &[b'x'; 3000])).unwrap();
    }
    assert_eq!(larger.table.entries.len(), 1);
    decode(&mut larger, &[0x3f, 0xe1, 0xff, 0x03]).unwrap(); // 65536
    for _ in 0..2 {
        decode(&mut larger, &literal(0x40, b"x-a", &[b'x'; 3000])).unwrap();
    }
    assert_eq!(larger.table.entries.len(), 3);
}

// === Robustness ===

fn random_text(random: &mut fastrand::Rng, alphabet: &[u8], most: usize) -> Vec<u8> {
    (0..random.usize(..=most))
        .map(|_| alphabet[random.usize(..alphabet.len())])
        .collect()
}

fn push_string(out: &mut Vec<u8>, random: &mut fastrand::Rng, text: &[u8]) {
    let (pattern, text) = if random.bool() {
        (0x80, encoded(text))
    } else {
        (0, text.to_vec())
    };
    push_integer(out, pattern, 7, text.len());
    out.extend_from_slice(&text);
}

/// A block that is mostly valid when the dynamic table has this many entries.
fn random_block(random: &mut fastrand::Rng, entries: usize) -> Vec<u8> {
    let mut out = Vec::new();
    if random.u8(..10) == 0 {
        (0..random.u8(..3)).for_each(|_| push_integer(&mut out, 0x20, 5, random.usize(..=4096)));
        return out; // the number of remaining entries is unknown
    }
    let mut known = 61 + entries.min(3);
    for _ in 0..random.usize(..12) {
        let (pattern, bits) =
            [(0x80, 7), (0x40, 6), (0x40, 6), (0x00, 4), (0x10, 4)][random.usize(..5)];
        let index = random.usize(1..=known);
        if bits == 7 {
            push_integer(&mut out, pattern, bits, index);
            continue;
        }
        match random.bool() {
            true => push_integer(&mut out, pattern, bits, index),
            false => {
                out.push(pattern);
                let alphabet: &[u8] = if random.u8(..20) == 0 {
                    b"aB:\0 \xff"
                } else {
                    b"abcdefghijklmnopqrstuvwxyz-09"
                };
                let mut name = random_text(random, alphabet, 20);
                if random.u8(..10) == 0 {
                    name = NAMES[random.usize(..61)].into();
                }
                push_string(&mut out, random, &name);
            }
        }
        let alphabet: &[u8] = if random.u8(..20) == 0 {
            b"a\n\0\x7f\xff\t"
        } else {
            b"0aeiost /%-.Z~{\xc3"
        };
        let most = if random.u8(..20) == 0 { 1000 } else { 50 };
        let value = random_text(random, alphabet, most);
        push_string(&mut out, random, &value);
        if pattern == 0x40 && known < 64 {
            known += usize::from(value.len() < 100);
        }
    }
    out
}

/// What the API returns for a name and a value.
fn expected(name: &[u8], value: &[u8], never: bool) -> (Field, bool) {
    const TOKEN: &[u8] = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz";
    let token = |name: &[u8]| !name.is_empty() && name.iter().all(|byte| TOKEN.contains(byte));
    let Ok(mut checked) = HeaderValue::from_bytes(value) else {
        return (Field::Malformed, false);
    };
    match name.strip_prefix(b":") {
        Some(rest) if token(rest) => {
            let pseudo = pseudo(std::str::from_utf8(name).unwrap());
            (Field::Pseudo(pseudo, Bytes::copy_from_slice(value)), false)
        }
        None if token(name) => {
            checked.set_sensitive(never);
            (
                Field::Regular(HeaderName::from_bytes(name).unwrap(), checked),
                never,
            )
        }
        _ => (Field::Malformed, false),
    }
}

fn with_sensitive(field: Field) -> (Field, bool) {
    let sensitive = matches!(&field, Field::Regular(_, value) if value.is_sensitive());
    (field, sensitive)
}

/// Decodes this block with both; returns whether it was valid.
fn compare(decoder: &mut Decoder, reference: &mut Reference, block: &[u8]) -> bool {
    let found = decode(decoder, block);
    let expected_fields = reference.decode(block);
    assert_eq!(
        found.is_ok(),
        expected_fields.is_some(),
        "{found:?} {block:x?}"
    );
    let (Ok(found), Some(expected_fields)) = (found, expected_fields) else {
        return false;
    };
    let found: Vec<_> = found
        .into_iter()
        .map(|(field, size)| (with_sensitive(field), size))
        .collect();
    let expected_fields: Vec<_> = (expected_fields.iter())
        .map(|(text, never)| (expected(&text.0, &text.1, *never), reference::size(text)))
        .collect();
    assert_eq!(found, expected_fields, "{block:x?}");
    let table: Vec<_> = decoder
        .table
        .entries
        .iter()
        .map(|entry| (entry.field(), entry.size()))
        .collect();
    let expected_table: Vec<_> = (reference.table.iter())
        .map(|text| (expected(&text.0, &text.1, false).0, reference::size(text)))
        .collect();
    assert_eq!(
        (table, decoder.table.size),
        (expected_table, reference.size())
    );
    true
}

#[test]
fn random_and_mutated_blocks_mean_the_same_to_a_plain_decoder() {
    let (mut valid, mut broken) = (0, 0);
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let size = [0, 100, 4096, 8000][random.usize(..4)];
        let (mut decoder, mut reference) = (Decoder::new(size), Reference::new(size));
        let may_break = random.bool();
        for _ in 0..60 {
            let mut block = random_block(&mut random, decoder.table.entries.len());
            for _ in 0..if may_break { random.usize(..3) } else { 0 } {
                mutate(&mut random, &mut block);
            }
            match compare(&mut decoder, &mut reference, &block) {
                true => valid += 1,
                false => {
                    broken += 1;
                    (decoder, reference) = (Decoder::new(size), Reference::new(size));
                }
            }
        }
    }
    assert!(valid > 1000 && broken > 200, "{valid} {broken}");
}

fn mutate(random: &mut fastrand::Rng, block: &mut Vec<u8>) {
    if block.is_empty() {
        return block.push(random.u8(..));
    }
    let place = random.usize(..block.len());
    match random.u8(..6) {
        0 => block.truncate(place),
        1 => block.insert(place, random.u8(..)),
        2 => drop(block.remove(place)),
        3 => block[place] ^= 1 << random.u8(..8),
        4 => block[place] = 0xff,
        _ => block[place] = random.u8(..),
    }
}

#[test]
fn random_bytes_mean_the_same_to_a_plain_decoder() {
    let mut random = fastrand::Rng::with_seed(9113);
    for _ in 0..5000 {
        let block: Vec<u8> = (0..random.usize(..40)).map(|_| random.u8(..)).collect();
        compare(&mut Decoder::new(4096), &mut Reference::new(4096), &block);
    }
}

#[test]
fn the_promises_of_the_fuzz_target_hold() {
    for seed in 0..60 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut bytes = Vec::new();
        for _ in 0..random.usize(..20) {
            let block = random_block(&mut random, 0);
            if block.len() < 256 {
                bytes.push(block.len() as u8);
                bytes.extend(block);
            }
        }
        let all = read_blocks(&bytes, usize::MAX);
        assert_eq!(all.fields, all.again);
        assert!(all.table_size <= 4096 && all.fields.len() <= bytes.len());
        for most in [0, 1, 3] {
            let some = read_blocks(&bytes, most);
            assert_eq!((some.table_size, some.broken), (all.table_size, all.broken));
        }
    }
}

// === The encoder ===

#[test]
fn what_the_encoder_writes_is_decoded_again() {
    let mut random = fastrand::Rng::with_seed(1);
    let mut names: Vec<HeaderName> = NAMES
        .iter()
        .filter(|name| !name.starts_with(':'))
        .map(|name| HeaderName::from_static(name))
        .collect();
    for _ in 0..500 {
        let name = [
            &b"x"[..],
            &random_text(&mut random, b"abcdefghijklmnopqrstuvwxyz0123456789-_", 200),
        ]
        .concat();
        names.push(HeaderName::from_bytes(&name).unwrap());
    }
    for (length, name) in names.iter().enumerate() {
        for sensitive in [false, true] {
            let mut value = HeaderValue::from_bytes(&vec![b'v'; length]).unwrap();
            value.set_sensitive(sensitive);
            let mut out = Vec::new();
            encoder::field(&mut out, name, value.as_bytes(), sensitive);
            match &first(&out).unwrap()[..] {
                [Field::Regular(found, found_value)] => {
                    assert_eq!((found, found_value), (name, &value));
                    let secret = name == "authorization" || (name == "cookie" && length < 20);
                    assert_eq!(found_value.is_sensitive(), sensitive || secret, "{name}");
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let mut out = Vec::new();
    encoder::field(
        &mut out,
        &http::header::ACCEPT_ENCODING,
        b"gzip, deflate",
        false,
    );
    assert_eq!(
        first(&out).unwrap(),
        [field("accept-encoding", "gzip, deflate")]
    );
}

#[test]
fn pseudo_header_fields_that_the_encoder_writes_are_decoded_again() {
    for name in [
        ":method",
        ":scheme",
        ":authority",
        ":path",
        ":protocol",
        ":status",
    ] {
        for value in [
            "",
            "GET",
            "POST",
            "PUT",
            "/",
            "/index.html",
            "/x",
            "http",
            "https",
            "ftp",
            "200",
        ] {
            let mut out = Vec::new();
            encoder::size_update(&mut out);
            encoder::pseudo(&mut out, pseudo(name), value.as_bytes());
            assert_eq!(first(&out).unwrap(), [field(name, value)]);
        }
    }
    for code in 100..1000 {
        let mut out = Vec::new();
        encoder::status(&mut out, StatusCode::from_u16(code).unwrap());
        assert_eq!(first(&out).unwrap(), [field(":status", &code.to_string())]);
    }
}
