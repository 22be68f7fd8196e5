//! As much of the protocol buffer wire format as reading a tokeniser takes.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// A whole number, a truth value or a member of an enumeration.
    Number(u64),
    /// A float.
    Float(f32),
    /// Text, bytes or a message.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// Bytes; empty for anything else.
    pub fn bytes(self) -> &'a [u8] {
        if let Value::Bytes(bytes) = self { bytes } else { &[] }
    }

    /// A number; 0 for anything else.
    pub fn number(self) -> u64 {
        if let Value::Number(number) = self { number } else { 0 }
    }
}

/// The fields of a message in order, by number; `None` where the message is damaged.
pub fn fields(mut message: &[u8]) -> Option<Vec<(u64, Value<'_>)>> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let key = varint(&mut message)?;
        let value = match key & 7 {
            0 => Value::Number(varint(&mut message)?),
            1 => Value::Bytes(take(&mut message, 8)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).ok()?;
                Value::Bytes(take(&mut message, length)?)
            }
            5 => Value::Float(f32::from_le_bytes(take(&mut message, 4)?.try_into().ok()?)),
            _ => return None,
        };
        found.push((key >> 3, value));
    }
    Some(found)
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(message, 1)?[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(message: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = message.split_at_checked(count)?;
    *message = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::{Value, fields};

    #[test]
    fn fields_of_every_kind() {
        let message = [0x08, 0x96, 0x01, 0x12, 0x02, b'h', b'i', 0x1d, 0, 0, 0x80, 0x3f];
        let expected = [(1, Value::Number(150)), (2, Value::Bytes(b"hi")), (3, Value::Float(1.0))];
        assert_eq!(fields(&message).unwrap(), expected);
    }

    #[test]
    fn a_message_that_ends_early_is_refused() {
        assert!(fields(&[0x12, 0x05, b'h']).is_none());
        assert!(fields(&[0x08, 0x96]).is_none());
    }
}
