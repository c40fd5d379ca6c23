//! Query parameters: read once, allowed by name, written once for the upstream.

use percent_encoding::utf8_percent_encode;

use super::template::{RESERVED, decode};

/// Parameters that a route permits, decoded, in the order of the request.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryFault {
    /// A bad escape, a control character, or a parameter that occurs twice.
    Malformed,
    /// A parameter that the route does not list.
    NotPermitted,
}

impl Query {
    /// Reads `name=value&…` with `+` as a space, as HTML forms and most servers do.
    ///
    /// # Errors
    /// Where a parameter is not permitted, or two servers could read it differently.
    pub fn parse(raw: &str, permitted: &[String]) -> Result<Query, QueryFault> {
        let mut parameters: Vec<(String, String)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = text(name)?;
            if !permitted.contains(&name) {
                return Err(QueryFault::NotPermitted);
            }
            if parameters.iter().any(|(seen, _)| *seen == name) {
                return Err(QueryFault::Malformed);
            }
            parameters.push((name, text(value)?));
        }
        Ok(Query(parameters))
    }

    /// `?name=value&…`, or nothing.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        for (name, value) in &self.0 {
            out.push(if out.is_empty() { '?' } else { '&' });
            out.extend(utf8_percent_encode(name, RESERVED));
            out.push('=');
            out.extend(utf8_percent_encode(value, RESERVED));
        }
        out
    }
}

fn text(raw: &str) -> Result<String, QueryFault> {
    let text = decode(&raw.replace('+', " ")).ok_or(QueryFault::Malformed)?;
    if text.chars().any(char::is_control) {
        return Err(QueryFault::Malformed);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listed_parameters_pass_and_each_once() {
        let permitted = ["cursor".to_owned(), "limit".to_owned()];
        let parse = |raw| Query::parse(raw, &permitted).map(|query| query.encode());
        assert_eq!(parse("cursor=a%20b%26c+d&limit=5").as_deref(), Ok("?cursor=a%20b%26c%20d&limit=5"));
        assert_eq!(parse("").as_deref(), Ok(""));
        assert_eq!(parse("%6cimit").as_deref(), Ok("?limit="));
        assert_eq!(parse("sort=phone"), Err(QueryFault::NotPermitted));
        assert_eq!(parse("limit=1&limit=2"), Err(QueryFault::Malformed));
        for bad in ["limit=%", "limit=%0a", "limit=%ff"] {
            assert_eq!(parse(bad), Err(QueryFault::Malformed), "{bad}");
        }
    }
}
