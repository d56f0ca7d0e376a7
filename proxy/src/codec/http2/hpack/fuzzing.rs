//! Entry points for the fuzz targets in `fuzz/`: decodes blocks, and encodes and decodes the result
//! again.

use super::{Decoder, Error, Field, Pseudo, encoder};

/// The decoded header blocks of one connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    /// Name, value, and whether it is sensitive. A malformed header has no name.
    pub fields: Vec<(String, Vec<u8>, bool)>,
    /// The same, encoded and decoded once more.
    pub again: Vec<(String, Vec<u8>, bool)>,
    /// The size of the dynamic table at the end.
    pub table_size: usize,
    /// The error, if any.
    pub broken: Option<&'static str>,
}

/// Decodes header blocks, each after a byte with its length, and at most `most` headers of each.
pub fn read_blocks(mut bytes: &[u8], most: usize) -> Blocks {
    let (mut decoder, mut blocks) = (Decoder::new(4096), Blocks::default());
    while let Some((length, rest)) = bytes.split_first() {
        let (block, behind) = rest.split_at(rest.len().min(usize::from(*length)));
        bytes = behind;
        match fields(&mut decoder, block, most) {
            Ok(fields) => {
                let written = written(&fields);
                let again = self::fields(&mut Decoder::new(0), &written, usize::MAX);
                blocks
                    .again
                    .extend(again.unwrap_or_default().into_iter().map(text));
                blocks
                    .fields
                    .extend(fields.into_iter().filter(can_be_written).map(text));
            }
            Err(Error(reason)) => {
                blocks.broken = Some(reason);
                break;
            }
        }
    }
    blocks.table_size = decoder.table.size;
    blocks
}

fn fields(decoder: &mut Decoder, block: &[u8], most: usize) -> Result<Vec<Field>, Error> {
    let mut fields = Vec::new();
    if most == 0 {
        decoder.decode(block, &mut |_, _| false)?;
        return Ok(fields);
    }
    decoder.decode(block, &mut |field, _| {
        fields.push(field);
        fields.len() < most
    })?;
    Ok(fields)
}

fn can_be_written(field: &Field) -> bool {
    !matches!(field, Field::Malformed | Field::Pseudo(Pseudo::Unknown, _))
}

fn written(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    encoder::size_update(&mut out);
    for field in fields {
        match field {
            Field::Pseudo(which, value) => encoder::pseudo(&mut out, *which, value),
            Field::Regular(name, value) => {
                encoder::field(&mut out, name, value.as_bytes(), value.is_sensitive());
            }
            Field::Malformed => {}
        }
    }
    out
}

fn text(field: Field) -> (String, Vec<u8>, bool) {
    match field {
        Field::Pseudo(which, value) => (format!(":{which:?}"), value.to_vec(), false),
        Field::Regular(name, value) => {
            // The encoder makes some values sensitive by itself.
            let secret = name == "authorization" || (name == "cookie" && value.len() < 20);
            (
                name.to_string(),
                value.as_bytes().to_vec(),
                value.is_sensitive() || secret,
            )
        }
        Field::Malformed => Default::default(),
    }
}
