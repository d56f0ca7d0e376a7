//! HPACK as plainly as it can be written, to compare the decoder with: no tables but the RFC's, one bit at a time.

use super::super::{huffman, static_table::ENTRIES, static_table::NAMES};

type Text = (Vec<u8>, Vec<u8>);

pub(super) struct Reference {
    pub(super) table: Vec<Text>,
    pub(super) capacity: usize,
    pub(super) most_capacity: usize,
}

pub(super) fn size(field: &Text) -> usize {
    field.0.len() + field.1.len() + 32
}

impl Reference {
    pub(super) fn new(table_size: usize) -> Self {
        Self {
            table: Vec::new(),
            capacity: 4096,
            most_capacity: table_size,
        }
    }

    pub(super) fn size(&self) -> usize {
        self.table.iter().map(size).sum()
    }

    fn shrink(&mut self, most: usize) {
        while self.size() > most {
            self.table.pop();
        }
    }

    /// Name, value, and whether it is never indexed.
    pub(super) fn decode(&mut self, mut block: &[u8]) -> Option<Vec<(Text, bool)>> {
        let mut fields = Vec::new();
        let mut updates = 0;
        while !block.is_empty() {
            let first = block[0];
            if first >> 7 == 1 {
                let index = integer(&mut block, 7)?;
                fields.push((self.get(index)?, false));
            } else if first >> 5 == 1 {
                updates += 1;
                let capacity = integer(&mut block, 5)?;
                if updates > 2 || !fields.is_empty() || capacity > self.most_capacity {
                    return None;
                }
                self.capacity = capacity;
                self.shrink(capacity);
            } else {
                let added = first >> 6 == 1;
                let index = integer(&mut block, if added { 6 } else { 4 })?;
                let name = if index == 0 {
                    string(&mut block)?
                } else {
                    self.get(index)?.0
                };
                let field = (name, string(&mut block)?);
                if added {
                    self.shrink(self.capacity.saturating_sub(size(&field)));
                    if size(&field) <= self.capacity {
                        self.table.insert(0, field.clone());
                    }
                }
                fields.push((field, first >> 4 == 1));
            }
        }
        Some(fields)
    }

    fn get(&self, index: usize) -> Option<Text> {
        let place = index.checked_sub(1)?;
        if place >= 61 {
            return self.table.get(place - 61).cloned();
        }
        let value = match ENTRIES[place].field() {
            super::Field::Pseudo(_, value) => value.to_vec(),
            super::Field::Regular(_, value) => value.as_bytes().to_vec(),
            super::Field::Malformed => return None,
        };
        Some((NAMES[place].into(), value))
    }
}

fn integer(block: &mut &[u8], bits: u32) -> Option<usize> {
    let most = (1 << bits) - 1;
    let value = usize::from(*block.first()?) & most;
    *block = &block[1..];
    if value < most {
        return Some(value);
    }
    let mut value = most as u64;
    for place in 0.. {
        let byte = *block.first()?;
        *block = &block[1..];
        value += u64::from(byte % 128) * 128_u64.pow(place);
        if byte < 128 {
            return Some(value as usize);
        }
        if place == 3 {
            break;
        }
    }
    None
}

fn string(block: &mut &[u8]) -> Option<Vec<u8>> {
    let coded = *block.first()? >= 128;
    let length = integer(block, 7)?;
    let text = block.get(..length)?;
    *block = &block[length..];
    if coded {
        text_of(text)
    } else {
        Some(text.to_vec())
    }
}

fn text_of(coded: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static CODES: std::collections::HashMap<(usize, u32), u16> = (0..=256)
            .map(|symbol| {
                let (code, length) = huffman::tests::code(symbol);
                ((length, code), symbol)
            })
            .collect();
    }
    let (mut out, mut code, mut length) = (Vec::new(), 0, 0);
    for bit in coded
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |place| u32::from(byte >> place & 1)))
    {
        code = code << 1 | bit;
        length += 1;
        if let Some(symbol) = CODES.with(|codes| codes.get(&(length, code)).copied()) {
            out.push(u8::try_from(symbol).ok()?);
            (code, length) = (0, 0);
        }
    }
    (length < 8 && code == (1 << length) - 1).then_some(out)
}
