//! A rule file to begin with, from an upstream's own document. It discloses nothing: its author takes the
//! comment signs away.

use super::super::file::Method;
use super::super::template::PathTemplate;
use super::document::{Document, Lookup, Member, Node};

/// So deep candidates are listed.
const DEPTH: usize = 8;
/// What a name tells, to whom it may concern; the first that fits.
const HINTS: [(&str, &str); 16] = [
    ("phone", "phone number"),
    ("mobile", "phone number"),
    ("email", "e-mail address"),
    ("street", "address"),
    ("postal", "address"),
    ("zip", "address"),
    ("city", "address"),
    ("address", "address"),
    ("birth", "date of birth"),
    ("iban", "bank account"),
    ("card", "card number"),
    ("password", "secret"),
    ("token", "secret"),
    ("ssn", "national identifier"),
    ("gender", "gender"),
    ("name", "name"),
];

impl Document {
    /// Routes for the paths that the document has, or those of `only`, as text of a rule file.
    ///
    /// # Errors
    /// Where it has none of them.
    pub fn scaffold(&self, upstream: &str, only: &[String]) -> Result<String, String> {
        let mut text = String::new();
        let wanted = |path: &str| only.is_empty() || only.iter().any(|one| one == path);
        let unknown = |one: &&String| !self.paths().any(|(path, _)| path == one.as_str());
        if let Some(missing) = only.iter().find(unknown) {
            let known: Vec<&str> = self.paths().map(|(path, _)| path).collect();
            return Err(format!("{} has no path {missing}; it has: {}", self.name, known.join(", ")));
        }
        for (path, _) in self.paths().filter(|(path, _)| wanted(path)) {
            match PathTemplate::parse(path) {
                Ok(template) => text += &self.route(&template, upstream),
                Err(why) => text += &format!("\n# {path:?} is left out: {why}\n"),
            }
        }
        if text.is_empty() {
            return Err(format!("{} has no path", self.name));
        }
        Ok(text)
    }

    /// Reading comes first: what writes is for its author to add.
    fn route(&self, template: &PathTemplate, upstream: &str) -> String {
        let path = quoted(template.as_str());
        let Lookup::Operation(operation) = self.look_up(template, Method::Get) else {
            return format!("\n# {path} has no GET and is left out\n");
        };
        let mut text = format!("\n[[task.route]]\npath     = {path}\nupstream = {}\n", quoted(upstream));
        let query: Vec<String> = operation.query().into_iter().map(quoted).collect();
        if !query.is_empty() {
            text += &format!("# query    = [{}]\n", query.join(", "));
        }
        text += "# subject  = \"@.customer.id\"               # whom a record is about\n";
        text += "disclose = [\n";
        let mut lines = Vec::new();
        self.candidates(&operation.answer(), "$".to_owned(), DEPTH, &mut lines);
        if lines.is_empty() {
            text += "  # the document does not say what the answer holds\n";
        }
        lines.iter().for_each(|line| text += line);
        text + "]\n"
    }

    fn candidates(&self, node: &Node, path: String, depth: usize, lines: &mut Vec<String>) {
        if depth == 0 {
            return;
        }
        for name in node.names() {
            if let Member::Known(next) = node.member(self, name) {
                self.candidate(&next, format!("{path}{}", step(name)), name, depth, lines);
            }
        }
        if let Member::Known(next) = node.items(self) {
            self.candidate(&next, format!("{path}[*]"), "", depth, lines);
        }
    }

    fn candidate(&self, node: &Node, path: String, name: &str, depth: usize, lines: &mut Vec<String>) {
        let types = node.types();
        let plain: Vec<&str> =
            types.iter().copied().filter(|one| *one != "object" && *one != "array").collect();
        if !plain.is_empty() || types.is_empty() {
            let lower = name.to_lowercase();
            let hint = HINTS.iter().find(|(word, _)| lower.contains(word));
            let hint = hint.map(|(_, what)| format!("; looks like personal data: {what}"));
            let kind = if plain.is_empty() { "any type".to_owned() } else { plain.join(" or ") };
            lines.push(format!("  # {},  # {kind}{}\n", quoted(&path), hint.unwrap_or_default()));
        }
        self.candidates(node, path, depth - 1, lines);
    }
}

fn step(name: &str) -> String {
    let mut letters = name.chars();
    let first = letters.next().is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '_');
    match first && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
        true => format!(".{name}"),
        false => format!("[{}]", serde_json::Value::from(name)),
    }
}

/// A TOML string on one line, whatever stands in it.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
