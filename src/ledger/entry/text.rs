//! The bytes of an entry, member by member: every disclosure waits for them.

use crate::model::Hex;

/// A JSON object in work, without its closing brace.
pub(super) struct Object(Vec<u8>);

/// The name of a member that is not the first one, with all that JSON writes before its value.
macro_rules! member {
    ($name:literal) => {
        concat!(",\"", $name, "\":")
    };
}
pub(super) use member;

impl Object {
    /// Nothing yet, with room for so many bytes.
    pub fn with_room(room: usize) -> Self {
        Object(Vec::with_capacity(room))
    }

    /// Puts JSON behind what is there, as it is: a name as [`member!`] gives it, or a sign.
    pub fn put(&mut self, json: &'static str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    pub fn text(&mut self, name: &'static str, value: &str) {
        self.put(name);
        push_text(&mut self.0, value);
    }

    /// `null` where there is none.
    pub fn text_or_null(&mut self, name: &'static str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => {
                self.put(name);
                self.put("null");
            }
        }
    }

    /// Nothing where there is none.
    pub fn text_if_any(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    pub fn hex(&mut self, name: &'static str, value: &[u8; 16]) {
        self.put(name);
        self.plain(&Hex::of(value));
    }

    pub fn number(&mut self, name: &'static str, value: impl itoa::Integer) {
        self.put(name);
        push_number(&mut self.0, value);
    }

    /// Nothing for zero.
    pub fn number_if_any(&mut self, name: &'static str, value: u64) {
        if value > 0 {
            self.number(name, value);
        }
    }

    /// A list of what `put` puts for each item.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        items: impl IntoIterator<Item = T>,
        mut put: impl FnMut(&mut Self, T),
    ) {
        self.put(name);
        self.put("[");
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.put(",");
            }
            put(self, item);
        }
        self.put("]");
    }

    /// A text of which JSON writes every letter as it is.
    pub fn plain(&mut self, text: &str) {
        self.put("\"");
        self.0.extend_from_slice(text.as_bytes());
        self.put("\"");
    }

    /// A value that is seldom there.
    pub fn value(&mut self, name: &'static str, value: &impl serde::Serialize) {
        self.put(name);
        // Structures of strings and numbers always serialise, and memory takes whatever is written.
        let _ = serde_json::to_writer(&mut self.0, value);
    }

    pub fn open(self) -> Vec<u8> {
        self.0
    }
}

/// Puts a whole number in decimal behind what is there.
pub(super) fn push_number(json: &mut Vec<u8>, value: impl itoa::Integer) {
    json.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Puts a JSON string behind what is there, as serde_json writes it.
fn push_text(json: &mut Vec<u8>, text: &str) {
    // Without a branch for each byte, sixteen are looked at as one.
    let is_plain =
        text.bytes().fold(true, |plain, byte| plain & (byte >= b' ') & (byte != b'"') & (byte != b'\\'));
    if is_plain {
        json.reserve(text.len() + 2);
        json.push(b'"');
        json.extend_from_slice(text.as_bytes());
        json.push(b'"');
    } else {
        let _ = serde_json::to_writer(json, text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_text_is_written_as_serde_json_writes_it(text in "\\PC*|[ -~\\x00-\\x1f\"\\\\]{0,40}") {
            let mut json = b"before".to_vec();
            push_text(&mut json, &text);
            prop_assert_eq!(&json[6..], serde_json::to_vec(&text).unwrap());
        }

        #[test]
        fn a_number_is_written_in_decimal(number: u64, signed: i64) {
            let mut json = Vec::new();
            push_number(&mut json, number);
            json.push(b' ');
            push_number(&mut json, signed);
            prop_assert_eq!(json, format!("{number} {signed}").into_bytes());
        }
    }
}
