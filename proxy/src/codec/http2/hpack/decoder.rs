//! Decodes header blocks.

use bytes::{Bytes, BytesMut};

use super::{
    Error, Field,
    entry::{Entry, Name, OVERHEAD, field},
    huffman,
    table::Table,
};

/// An indexed field (RFC 7541 section 6.1): this bit, and the index in the others.
const INDEXED: u8 = 0x80;
/// A literal that is added to the dynamic table (section 6.2.1).
const ADDED: u8 = 0x40;
/// A dynamic table size update (section 6.3).
const SIZE_UPDATE: u8 = 0x20;
/// A never-indexed literal (section 6.2.3).
const NEVER_INDEXED: u8 = 0x10;

/// At the beginning of a block: the smallest size between two blocks, and the last one (RFC 7541
/// section 4.2).
const MOST_SIZE_UPDATES: usize = 2;

/// When no more than this is left of a block after a string, another long one is unlikely.
const FEW: usize = 32;

/// Decodes the header blocks of one connection, in order.
///
/// Between blocks it holds only the dynamic table, whose entries own exactly their bytes. The
/// values of literals that are not added to the table share one allocation for each block: while
/// one such value is alive, up to 8/5 of the block's bytes stay allocated.
#[derive(Debug)]
pub(crate) struct Decoder {
    pub(super) table: Table,
    most_capacity: usize,
}

impl Decoder {
    /// `table_size` is our SETTINGS_HEADER_TABLE_SIZE; a dynamic table size update above it is an error.
    ///
    /// The dynamic table has the 4096 bytes of RFC 9113 section 6.5.2 until the peer sends an update.
    pub(crate) fn new(table_size: usize) -> Self {
        Self {
            table: Table::new(),
            most_capacity: table_size,
        }
    }

    /// Decodes one whole header block: HEADERS and CONTINUATION joined.
    ///
    /// `take` gets every header in order, with its size as in RFC 9113 section 6.5.2. When it
    /// returns false, the rest of the block is decoded only for the dynamic table, and `take` is
    /// not called again.
    ///
    /// # Errors
    /// The block violates RFC 7541. The dynamic tables of both sides differ then, so the connection
    /// must be closed.
    pub(crate) fn decode(
        &mut self,
        block: &[u8],
        take: &mut impl FnMut(Field, usize) -> bool,
    ) -> Result<(), Error> {
        let mut reader = Reader {
            rest: block,
            arena: BytesMut::new(),
        };
        self.read_size_updates(&mut reader)?;
        let mut wanted = true;
        while let Some(first) = reader.rest.first().copied() {
            match first {
                INDEXED.. => {
                    let entry = self.table.get(reader.integer(0x7f)?)?;
                    if wanted {
                        wanted = take(entry.field(), entry.size());
                    }
                }
                ADDED.. => wanted = self.read_added(&mut reader, wanted, take)?,
                SIZE_UPDATE.. => return Err(Error("a dynamic table size update after a header")),
                _ => wanted = self.read_literal(&mut reader, first, wanted, take)?,
            }
        }
        Ok(())
    }

    fn read_size_updates(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        let mut count = 0;
        while let Some(SIZE_UPDATE..ADDED) = reader.rest.first() {
            count += 1;
            if count > MOST_SIZE_UPDATES {
                return Err(Error("too many dynamic table size updates"));
            }
            let capacity = reader.integer(0x1f)?;
            if capacity > self.most_capacity {
                return Err(Error("a dynamic table size update above the limit"));
            }
            self.table.resize(capacity);
        }
        Ok(())
    }

    /// A literal that is added to the table; returns whether more headers are wanted.
    fn read_added(
        &mut self,
        reader: &mut Reader<'_>,
        wanted: bool,
        take: &mut impl FnMut(Field, usize) -> bool,
    ) -> Result<bool, Error> {
        let (name, name_length) = self.read_name(reader, 0x3f)?;
        let value = reader.string()?;
        let size = name_length + reader.bytes(value).len() + OVERHEAD;
        if !self.table.make_room(size) {
            return Ok(wanted && take(field(name, reader.share(value), false), size));
        }
        // An exact copy: an entry must not keep more memory alive than the table counts.
        let value = Bytes::copy_from_slice(reader.bytes(value));
        let entry = self.table.insert(Entry::new(name, name_length, value));
        Ok(wanted && take(entry.field(), size))
    }

    /// A literal that is not added to the table; returns whether more headers are wanted.
    fn read_literal(
        &self,
        reader: &mut Reader<'_>,
        first: u8,
        wanted: bool,
        take: &mut impl FnMut(Field, usize) -> bool,
    ) -> Result<bool, Error> {
        let (name, name_length) = self.read_name(reader, 0x0f)?;
        let value = reader.string()?;
        if !wanted {
            return Ok(false);
        }
        let size = name_length + reader.bytes(value).len() + OVERHEAD;
        Ok(take(
            field(name, reader.share(value), first >= NEVER_INDEXED),
            size,
        ))
    }

    /// The name of a literal and its length: by its index, or a string after index 0.
    #[inline(always)] // otherwise the name is copied through memory for each literal
    fn read_name(&self, reader: &mut Reader<'_>, mask: u8) -> Result<(Name, usize), Error> {
        let index = reader.integer(mask)?;
        if index > 0 {
            return Ok(self.table.get(index)?.name());
        }
        let name = reader.string()?;
        let spelt = reader.bytes(name);
        Ok((Name::parse(spelt), spelt.len()))
    }
}

/// A string that was read.
#[derive(Clone, Copy)]
enum Text<'a> {
    /// Plain, in the block itself.
    Plain(&'a [u8]),
    /// Huffman-coded; the arena has the decoded bytes, until the next string is read.
    Decoded,
}

/// The rest of a block, and a buffer for decoded strings.
struct Reader<'a> {
    rest: &'a [u8],
    /// For all strings of the block: allocated with the first, and large enough for the others.
    arena: BytesMut,
}

impl<'a> Reader<'a> {
    /// An integer (RFC 7541 section 5.1) in the bits of `mask` and the following bytes.
    fn integer(&mut self, mask: u8) -> Result<usize, Error> {
        let value = self.byte()? & mask;
        if value < mask {
            Ok(usize::from(value))
        } else {
            self.long_integer(mask)
        }
    }

    /// At most 4 bytes: 28 bits exceed the length of any block.
    fn long_integer(&mut self, mask: u8) -> Result<usize, Error> {
        let mut value = usize::from(mask);
        for shift in [0, 7, 14, 21] {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Error("an integer is too long"))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let (byte, rest) = self
            .rest
            .split_first()
            .ok_or(Error("the block is cut off"))?;
        self.rest = rest;
        Ok(*byte)
    }

    /// A string (RFC 7541 section 5.2).
    #[inline(always)] // as for `read_name`
    fn string(&mut self) -> Result<Text<'a>, Error> {
        self.arena.clear();
        let is_coded = self.rest.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(0x7f)?;
        let (string, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(Error("the block is cut off"))?;
        if !is_coded {
            self.rest = rest;
            return Ok(Text::Plain(string));
        }
        self.arena.reserve(huffman::most_decoded(self.rest.len()));
        self.rest = rest;
        huffman::decode(string, &mut self.arena)?;
        Ok(Text::Decoded)
    }

    /// The bytes of the last string.
    fn bytes(&self, text: Text<'a>) -> &[u8] {
        match text {
            Text::Plain(string) => string,
            Text::Decoded => &self.arena,
        }
    }

    /// The bytes of the last string, as a part of the arena.
    fn share(&mut self, text: Text<'a>) -> Bytes {
        if let Text::Plain(string) = text {
            if self.arena.capacity() == 0 && self.rest.len() < FEW {
                return Bytes::copy_from_slice(string); // an arena would be a second allocation
            }
            self.arena
                .reserve(string.len() + huffman::most_decoded(self.rest.len()));
            self.arena.extend_from_slice(string);
        }
        if self.arena.is_empty() {
            Bytes::new()
        } else {
            self.arena.split().freeze()
        }
    }
}
