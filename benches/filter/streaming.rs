//! Reduction as a serde seed: whatever deserializer reads the text, this decides member by member what
//! is copied and what is skipped.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

use crate::rule::{Member, Tree};

/// How the value of an allowed field gets into the output.
pub trait Copy {
    fn copy<'de, D: Deserializer<'de>>(from: D, out: &mut Vec<u8>) -> Result<(), D::Error>;
}

/// The bytes of the input, by serde_json.
pub struct SerdeRaw;

/// The bytes of the input, by sonic-rs.
pub struct SonicRaw;

/// Text, numbers and literals that are written anew: for a parser that does not keep the input.
pub struct Rewritten;

impl Copy for SerdeRaw {
    fn copy<'de, D: Deserializer<'de>>(from: D, out: &mut Vec<u8>) -> Result<(), D::Error> {
        out.extend_from_slice(<&RawValue>::deserialize(from)?.get().as_bytes());
        Ok(())
    }
}

impl Copy for SonicRaw {
    fn copy<'de, D: Deserializer<'de>>(from: D, out: &mut Vec<u8>) -> Result<(), D::Error> {
        out.extend_from_slice(sonic_rs::LazyValue::deserialize(from)?.as_raw_str().as_bytes());
        Ok(())
    }
}

impl Copy for Rewritten {
    fn copy<'de, D: Deserializer<'de>>(from: D, out: &mut Vec<u8>) -> Result<(), D::Error> {
        from.deserialize_any(Rewrite(out))
    }
}

/// Reduces one value; gives back whether something of it was written.
pub struct Reduce<'a, C> {
    allowed: &'a Tree,
    out: &'a mut Vec<u8>,
    copy: PhantomData<C>,
}

impl<'a, C: Copy> Reduce<'a, C> {
    pub fn new(allowed: &'a Tree, out: &'a mut Vec<u8>) -> Self {
        Reduce { allowed, out, copy: PhantomData }
    }

    /// Writes a child after `lead`; takes the lead back where nothing of the child may leave.
    fn child<E>(
        &mut self,
        child: &'a Tree,
        lead: [&str; 2],
        read: impl FnOnce(Reduce<'_, C>) -> Result<bool, E>,
    ) -> Result<bool, E> {
        let before = self.out.len();
        lead.iter().for_each(|text| self.out.extend_from_slice(text.as_bytes()));
        let kept = read(Reduce::new(child, self.out))?;
        if !kept {
            self.out.truncate(before);
        }
        Ok(kept)
    }
}

impl<'de, C: Copy> DeserializeSeed<'de> for Reduce<'_, C> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<bool, D::Error> {
        match self.allowed {
            Tree::Whole => C::copy(from, self.out).map(|()| true),
            Tree::Members(_) | Tree::Elements(_) => from.deserialize_any(self),
        }
    }
}

impl<'de, C: Copy> Visitor<'de> for Reduce<'_, C> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<bool, A::Error> {
        let allowed = self.allowed;
        self.out.push(b'{');
        let mut any = false;
        while let Some(member) = map.next_key_seed(Name(allowed))? {
            let Some(Member { lead, value, .. }) = member else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let comma = if any { "," } else { "" };
            any |= self.child(value, [comma, lead], |seed| map.next_value_seed(seed))?;
        }
        self.out.push(b'}');
        Ok(true)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<bool, A::Error> {
        let Tree::Elements(allowed) = self.allowed else {
            while sequence.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(false);
        };
        self.out.push(b'[');
        let (mut any, mut more) = (false, true);
        while more {
            let comma = if any { "," } else { "" };
            any |= self.child(allowed, [comma, ""], |seed| {
                let kept = sequence.next_element_seed(seed)?;
                more = kept.is_some();
                Ok(kept.unwrap_or(false))
            })?;
        }
        self.out.push(b']');
        Ok(true)
    }

    fn visit_bool<E>(self, _: bool) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_i64<E>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_u64<E>(self, _: u64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_str<E>(self, _: &str) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E>(self) -> Result<bool, E> {
        Ok(false)
    }
}

/// Looks up the name of a member without keeping it.
struct Name<'a>(&'a Tree);

impl<'de, 'a> DeserializeSeed<'de> for Name<'a> {
    type Value = Option<&'a Member>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_str(self)
    }
}

impl<'a> Visitor<'_> for Name<'a> {
    type Value = Option<&'a Member>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("the name of a member")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.member(name))
    }
}

/// Writes one scalar; the fields of the bench's rules are no containers.
struct Rewrite<'a>(&'a mut Vec<u8>);

impl Rewrite<'_> {
    fn write<E: Error>(self, value: &(impl serde::Serialize + ?Sized)) -> Result<(), E> {
        serde_json::to_writer(self.0, value).map_err(E::custom)
    }
}

impl Visitor<'_> for Rewrite<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.write(&value)
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.write(value)
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.write(&())
    }
}
