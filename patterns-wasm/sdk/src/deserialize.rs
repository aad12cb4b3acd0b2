//! From the JSON tree to a plugin's config: serde's `Deserializer`, as small as it can be.
//!
//! A fault gathers the path of its key on the way out. What a plugin's config does not use is not in its file: each method
//! pulls in only what it needs, and only `deserialize_any` and the floats bring the standard library's parser of fractions.

use std::fmt::{self, Display};

use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, Expected, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};

use crate::json::Json;

/// What is wrong with a config, and where.
#[derive(Debug)]
pub(crate) struct Fault {
    /// As in `table.a[2]`; empty for the whole.
    path: String,
    text: String,
}

impl Fault {
    #[cold]
    fn new(text: String) -> Self {
        Self { path: String::new(), text }
    }

    /// This fault as one of a value under `name`: a key, or a place as in `[2]`.
    #[cold]
    fn under(mut self, name: &str) -> Self {
        let dot = if self.path.is_empty() || self.path.starts_with('[') { "" } else { "." };
        self.path = [name, dot, &self.path].concat();
        self
    }

    #[cold]
    fn found(what: &str, allowed: &dyn Expected) -> Self {
        Self::new(["found ", what, ", allowed: ", &allowed.to_string()].concat())
    }
}

impl Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            f.write_str(&self.path)?;
            f.write_str(": ")?;
        }
        f.write_str(&self.text)
    }
}

impl std::error::Error for Fault {}

/// `Unexpected` is not formatted as serde would: that brings the printer of fractions with it.
#[cold]
#[inline(never)]
fn shown(found: &Unexpected<'_>) -> String {
    match found {
        Unexpected::Str(text) => ["\"", text, "\""].concat(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Bool(value) => String::from(if *value { "true" } else { "false" }),
        Unexpected::Other(text) => String::from(*text),
        Unexpected::Seq => String::from("a list"),
        Unexpected::Map => String::from("keys and values"),
        Unexpected::Unit | Unexpected::Option => String::from("null"),
        _ => String::from("another kind of value"),
    }
}

impl serde::de::Error for Fault {
    fn custom<T: Display>(text: T) -> Self {
        Self::new(text.to_string())
    }

    #[cold]
    fn invalid_type(found: Unexpected<'_>, allowed: &dyn Expected) -> Self {
        Self::found(&shown(&found), allowed)
    }

    #[cold]
    fn invalid_value(found: Unexpected<'_>, allowed: &dyn Expected) -> Self {
        Self::found(&shown(&found), allowed)
    }

    #[cold]
    fn invalid_length(len: usize, allowed: &dyn Expected) -> Self {
        Self::found(&[&len.to_string(), " of them"].concat(), allowed)
    }

    #[cold]
    fn unknown_variant(found: &str, known: &'static [&'static str]) -> Self {
        Self::new(["found \"", found, "\", allowed: ", &known.join(", ")].concat())
    }

    #[cold]
    fn unknown_field(found: &str, known: &'static [&'static str]) -> Self {
        let known = match known {
            [] => String::from("this plugin has no config"),
            some => ["known are ", &some.join(", ")].concat(),
        };
        Self::new(["unknown key '", found, "'; ", &known].concat())
    }

    #[cold]
    fn missing_field(name: &'static str) -> Self {
        Self::new(["the key '", name, "' is missing"].concat())
    }

    #[cold]
    fn duplicate_field(name: &'static str) -> Self {
        Self::new(["the key '", name, "' stands twice"].concat())
    }
}

/// One value of the tree.
pub(crate) struct Value(pub(crate) Json);

impl Value {
    #[cold]
    fn unfit(&self, allowed: &dyn Expected) -> Fault {
        match &self.0 {
            Json::Null => Fault::invalid_type(Unexpected::Unit, allowed),
            Json::Bool(value) => Fault::invalid_type(Unexpected::Bool(*value), allowed),
            Json::Number(text) => Fault::found(text, allowed),
            Json::Text(text) => Fault::invalid_type(Unexpected::Str(text), allowed),
            Json::List(_) => Fault::invalid_type(Unexpected::Seq, allowed),
            Json::Object(_) => Fault::invalid_type(Unexpected::Map, allowed),
        }
    }

    /// A whole number, as the widest type that holds it.
    fn integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Json::Number(text) = &self.0 {
            if let Ok(value) = text.parse::<u64>() {
                return visitor.visit_u64(value);
            }
            if let Ok(value) = text.parse::<i64>() {
                return visitor.visit_i64(value);
            }
        }
        Err(self.unfit(&visitor))
    }

    fn float<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if let Json::Number(text) = &self.0
            && let Ok(value) = text.parse()
        {
            return visitor.visit_f64(value);
        }
        Err(self.unfit(&visitor))
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Json::Text(text) => visitor.visit_string(text),
            _ => Err(self.unfit(&visitor)),
        }
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Json::List(items) => {
                let len = items.len();
                let mut list = List { items: items.into_iter(), place: 0 };
                let value = visitor.visit_seq(&mut list)?;
                if list.items.len() > 0 {
                    return Err(Fault::new(
                        [
                            "found ",
                            &len.to_string(),
                            " of them, allowed: ",
                            &list.place.to_string(),
                        ]
                        .concat(),
                    ));
                }
                Ok(value)
            }
            _ => Err(self.unfit(&visitor)),
        }
    }

    fn object<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Json::Object(entries) => {
                visitor.visit_map(Entries { entries: entries.into_iter(), value: None })
            }
            _ => Err(self.unfit(&visitor)),
        }
    }
}

struct List {
    items: std::vec::IntoIter<Json>,
    place: usize,
}

impl<'de> SeqAccess<'de> for &mut List {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        let Some(item) = self.items.next() else { return Ok(None) };
        let place = self.place;
        self.place += 1;
        let value = seed.deserialize(Value(item));
        value.map(Some).map_err(|fault| fault.under(&["[", &place.to_string(), "]"].concat()))
    }
}

struct Entries {
    entries: std::vec::IntoIter<(String, Json)>,
    value: Option<(String, Json)>,
}

impl<'de> MapAccess<'de> for Entries {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        let Some((name, value)) = self.entries.next() else { return Ok(None) };
        let key = seed.deserialize(StrDeserializer::new(&name))?;
        self.value = Some((name, value));
        Ok(Some(key))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, value) =
            self.value.take().ok_or_else(|| Fault::custom("a value without a key"))?;
        seed.deserialize(Value(value)).map_err(|fault| fault.under(&name))
    }
}

/// A variant: its name and, when it came as an object of one key, what it holds.
struct Variant {
    name: String,
    content: Option<Json>,
}

impl<'de> EnumAccess<'de> for Variant {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Fault> {
        let value = seed.deserialize(StrDeserializer::new(&self.name))?;
        Ok((value, self))
    }
}

impl Variant {
    fn content(self) -> Result<(String, Value), Fault> {
        let content =
            self.content.ok_or_else(|| Fault::custom("a value is missing").under(&self.name))?;
        Ok((self.name, Value(content)))
    }
}

impl<'de> VariantAccess<'de> for Variant {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.content {
            None | Some(Json::Null) => Ok(()),
            Some(_) => Err(Fault::custom("takes no value").under(&self.name)),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let (name, value) = self.content()?;
        seed.deserialize(value).map_err(|fault| fault.under(&name))
    }

    fn tuple_variant<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Fault> {
        let (name, value) = self.content()?;
        value.list(visitor).map_err(|fault| fault.under(&name))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let (name, value) = self.content()?;
        value.object(visitor).map_err(|fault| fault.under(&name))
    }
}

impl<'de> Deserializer<'de> for Value {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Json::Null => visitor.visit_unit(),
            Json::Bool(value) => visitor.visit_bool(value),
            Json::Number(ref text) if text.contains(['.', 'e', 'E']) => self.float(visitor),
            Json::Number(_) => self.integer(visitor),
            Json::Text(text) => visitor.visit_string(text),
            Json::List(_) => self.list(visitor),
            Json::Object(_) => self.object(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Json::Bool(value) => visitor.visit_bool(value),
            _ => Err(self.unfit(&visitor)),
        }
    }

    fn deserialize_i8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_i16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_i32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_i64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u8<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u16<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_u64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.integer(visitor)
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.float(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.float(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    /// A text or a whole number: what a size may be.
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Json::Number(_) => self.integer(visitor),
            _ => self.text(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Json::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.0 {
            Json::Null => visitor.visit_unit(),
            _ => Err(self.unfit(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.object(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.object(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let variant = match self.0 {
            Json::Text(name) => Variant { name, content: None },
            Json::Object(entries) => {
                let mut entries = entries.into_iter();
                match (entries.next(), entries.next()) {
                    (Some((name, value)), None) => Variant { name, content: Some(value) },
                    _ => return Err(Fault::custom("one key is wanted here, the kind")),
                }
            }
            _ => return Err(self.unfit(&visitor)),
        };
        visitor.visit_enum(variant)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}
