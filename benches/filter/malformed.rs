//! Which entrants are strict: they refuse every text that the grammar of RFC 8259 refuses.

use anyhow::{Result, ensure};

use crate::peers::Entrant;

/// What is wrong, and the text.
const MALFORMED: [(&str, &[u8]); 29] = [
    ("nothing", b""),
    ("text after the value", b"{\"order_id\":1} x"),
    ("two values", b"{\"order_id\":1}{\"order_id\":1}"),
    ("an object that does not end", b"{\"order_id\":1"),
    ("a string that does not end", b"{\"order_id\":1,\"z\":\"a}"),
    ("a comma before ]", b"{\"order_id\":1,\"z\":[1,]}"),
    ("a comma before }", b"{\"order_id\":1,\"z\":{\"a\":1,}}"),
    ("no comma", b"{\"order_id\":1,\"z\":[1 2]}"),
    ("no colon", b"{\"order_id\":1,\"z\":{\"a\" 1}}"),
    ("a number as a name", b"{\"order_id\":1,\"z\":{1:1}}"),
    ("brackets that do not match", b"{\"order_id\":1,\"z\":[1}]}"),
    ("01", b"{\"order_id\":1,\"z\":01}"),
    ("1.", b"{\"order_id\":1,\"z\":[1.]}"),
    (".5", b"{\"order_id\":1,\"z\":[.5]}"),
    ("1e", b"{\"order_id\":1,\"z\":[1e]}"),
    ("-", b"{\"order_id\":1,\"z\":[-]}"),
    ("+1", b"{\"order_id\":1,\"z\":[+1]}"),
    ("NaN", b"{\"order_id\":1,\"z\":NaN}"),
    ("nulll", b"{\"order_id\":1,\"z\":nulll}"),
    ("a line end in a string", b"{\"order_id\":1,\"z\":\"a\nb\"}"),
    ("a control character in a name", b"{\"order_id\":1,\"z\x01\":1}"),
    ("\\q", b"{\"order_id\":1,\"z\":\"\\q\"}"),
    ("\\u12G4", b"{\"order_id\":1,\"z\":\"\\u12G4\"}"),
    ("\\u12G4 in a name", b"{\"order_id\":1,\"\\u12G4\":1}"),
    ("a byte that is not UTF-8", b"{\"order_id\":1,\"z\":\"\xff\"}"),
    ("an overlong UTF-8 sequence", b"{\"order_id\":1,\"z\":\"\xc0\x80\"}"),
    ("a surrogate as UTF-8", b"{\"order_id\":1,\"z\":\"\xed\xa0\x80\"}"),
    ("a form feed between tokens", b"{\"order_id\":1,\x0c\"z\":1}"),
    ("a comment", b"{\"order_id\":1,/**/\"z\":1}"),
];

const WELL_FORMED: &[u8] =
    b" {\"order_id\":-0.5E+1 ,\"z\":[ ] ,\"y\":[{},\"\\u00e9\\\"\xc3\xa9\",1e9,null]}\r\n";

/// The malformed texts that an entrant accepts.
pub fn accepted(entrant: &mut Entrant) -> Result<Vec<&'static str>> {
    ensure!((entrant.run)(WELL_FORMED).is_ok(), "{} refuses a well-formed text", entrant.name);
    let accepted = MALFORMED.iter().filter(|(_, text)| (entrant.run)(text).is_ok());
    Ok(accepted.map(|(fault, _)| *fault).collect())
}
