//! Links in upstream responses, for the transform `rewrite-url`.

use super::query::Query;
use super::template::{Parameters, PathTemplate, RequestPath};

/// Turns an upstream's link to this route into the path that the contractor calls.
pub struct LinkRewriter {
    /// The upstream's URLs, without a slash at their ends; they differ in host and port only.
    pub bases: Vec<String>,
    pub template: PathTemplate,
    pub parameters: Parameters,
    /// Permitted query parameters.
    pub query: Vec<String>,
}

impl LinkRewriter {
    /// `None` where the link leads anywhere else, or carries a parameter that the route refuses.
    pub fn rewrite(&self, url: &str) -> Option<String> {
        // One may be the beginning of another: http://a:90 of http://a:9001.
        let behind = |base: &String| url.strip_prefix(base.as_str()).filter(|rest| rest.starts_with('/'));
        let rest = match self.bases.iter().find_map(behind) {
            Some(rest) => rest,
            None if url.starts_with("//") => return None,
            None => url.strip_prefix(self.base_path())?,
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let path = RequestPath::parse(path).ok()?;
        if url.contains('#') || !self.template.accepts(&path, &self.parameters) {
            return None;
        }
        let query = Query::parse(query, &self.query).ok()?;
        Some(path.encode() + &query.encode())
    }

    fn base_path(&self) -> &str {
        let base = self.bases.first().map_or("", String::as_str);
        let authority = base.find("://").map_or(0, |at| at + 3);
        base[authority..].find('/').map_or("", |at| &base[authority + at..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_same_route_or_nowhere() {
        let rewriter = |bases: &str| LinkRewriter {
            bases: bases.split(' ').map(str::to_owned).collect(),
            template: PathTemplate::parse("/orders").unwrap(),
            parameters: Parameters::default(),
            query: vec!["cursor".into()],
        };
        let plain = rewriter("http://127.0.0.1:9001");
        assert_eq!(
            plain.rewrite("http://127.0.0.1:9001/orders?cursor=o20").as_deref(),
            Some("/orders?cursor=o20")
        );
        assert_eq!(plain.rewrite("/orders?cursor=a%20b").as_deref(), Some("/orders?cursor=a%20b"));
        for elsewhere in [
            "http://127.0.0.1:90011/orders",
            "https://127.0.0.1:9001/orders",
            "//evil/orders",
            "http://evil/orders",
            "/customers",
            "/orders?q=1",
            "/orders?cursor=1#x",
            "http://127.0.0.1:9001@evil/orders",
            "orders",
            "",
        ] {
            assert_eq!(plain.rewrite(elsewhere), None, "{elsewhere}");
        }
        let prefixed = rewriter("https://api.internal/v2");
        assert_eq!(prefixed.rewrite("/v2/orders?cursor=1").as_deref(), Some("/orders?cursor=1"));
        assert_eq!(prefixed.rewrite("https://api.internal/v2/orders").as_deref(), Some("/orders"));
        assert_eq!(prefixed.rewrite("/orders"), None);
        let many = rewriter("http://a:90 http://a:9001");
        assert_eq!(many.rewrite("http://a:9001/orders").as_deref(), Some("/orders"));
        assert_eq!(many.rewrite("http://a:90/orders").as_deref(), Some("/orders"));
        assert_eq!(many.rewrite("http://a:91/orders"), None);
    }
}
