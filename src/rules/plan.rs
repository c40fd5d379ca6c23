//! What the rules mean, ready to be asked: look-up tables, compiled filters, and a digest.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::civil::Date;

use crate::diagnostic::table::At;
use crate::diagnostic::{Diagnostic, Report, Source};
use crate::filter::{Filter, Origin, Path, Selection, SelectionError, Transform, Treatment, UrlRewrite};
use crate::model::{
    Basis, ContractorId, Country, CredentialId, Jurisdictions, RulesDigest, SubjectKey, TaskId,
    TransferMechanism,
};

use super::file::{self, Limits, Method, Proof, RuleFile, Written};
use super::query::Query;
use super::template::{Parameters, PathTemplate, RequestPath, Router};

/// What rules stand in: they name upstreams, cross borders, and make pseudonyms.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Where the data comes from.
    pub jurisdiction: Country,
    /// Each upstream's URL, without a slash at its end.
    pub upstreams: BTreeMap<String, String>,
    pub subject_key: SubjectKey,
}

/// All rules of a directory, compiled. Immutable: a request keeps the plan that it began with.
#[derive(Debug)]
pub struct Plan {
    pub digest: RulesDigest,
    pub contractors: Vec<Arc<Contractor>>,
    holders: HashMap<Proof, Holder>,
    api_keys: Vec<([u8; 32], Holder)>,
}

/// Whose credential it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    pub contractor: usize,
    pub credential: usize,
}

#[derive(Debug)]
pub struct Contractor {
    pub id: ContractorId,
    pub name: String,
    pub service: String,
    pub contact: String,
    pub jurisdictions: Jurisdictions,
    pub agreement: Agreement,
    pub credentials: Vec<CredentialId>,
    pub tasks: Vec<Task>,
    pub routes: Vec<Route>,
    router: Router,
}

#[derive(Debug)]
pub struct Agreement {
    pub reference: String,
    pub effective: Date,
    pub expires: Date,
    pub transfer: Option<TransferMechanism>,
}

#[derive(Debug)]
pub struct Task {
    pub id: TaskId,
    pub purpose: String,
    pub basis: Basis,
    pub limits: Limits,
}

#[derive(Debug)]
pub struct Route {
    /// Index into [`Contractor::tasks`].
    pub task: usize,
    pub template: PathTemplate,
    parameters: Parameters,
    pub methods: Vec<Method>,
    pub upstream: String,
    pub query: Vec<String>,
    /// Reduces a response.
    pub filter: Filter,
    /// Checks a request body; `None`: the route takes no body.
    pub accept: Option<Filter>,
    /// What the filter's fields are called, in its order.
    pub fields: Vec<FieldLabel>,
}

/// A disclosed field, as the ledger names it.
#[derive(Debug)]
pub struct FieldLabel {
    pub path: String,
    /// The transform's name, or `whole`, or nothing for a plain path.
    pub treatment: Option<&'static str>,
}

impl Plan {
    /// Who holds the credential that a verified certificate proves.
    pub fn holder(&self, proof: &Proof) -> Option<Holder> {
        self.holders.get(proof).copied()
    }

    /// Who holds an API key, by its SHA-256. Each known key is compared, each in constant time.
    pub fn holder_of_key(&self, hash: &[u8; 32]) -> Option<Holder> {
        let mut found = None;
        for (known, holder) in &self.api_keys {
            if aws_lc_rs::constant_time::verify_slices_are_equal(known, hash).is_ok() {
                found = Some(*holder);
            }
        }
        found
    }

    pub fn contractor(&self, holder: Holder) -> &Arc<Contractor> {
        &self.contractors[holder.contractor]
    }
}

impl Holder {
    /// Two credentials of the same contractor.
    pub fn same_contractor(self, other: Holder) -> bool {
        self.contractor == other.contractor
    }
}

impl Contractor {
    /// Indexes of the routes that serve `path`, whatever the method.
    pub fn routes_for(&self, path: &RequestPath) -> Vec<usize> {
        let accepting = |group: &[usize]| {
            group.iter().copied().filter(|route| self.routes[*route].accepts(path)).collect()
        };
        self.router
            .find(path)
            .into_iter()
            .map(accepting)
            .find(|routes: &Vec<usize>| !routes.is_empty())
            .unwrap_or_default()
    }
}

impl Route {
    fn accepts(&self, path: &RequestPath) -> bool {
        self.template.accepts(path, &self.parameters)
    }
}

/// Compiles the files of a directory. The plan is there only where no file has an error.
pub fn compile(files: Vec<(Arc<Source>, RuleFile)>, surroundings: &Surroundings) -> (Plan, Vec<Diagnostic>) {
    let digest =
        RulesDigest::of(files.iter().map(|(source, _)| (source.name.as_str(), source.text.as_str())));
    let mut plan = Plan { digest, contractors: Vec::new(), holders: HashMap::new(), api_keys: Vec::new() };
    let mut found = Vec::new();
    let mut ids = BTreeMap::new();
    for (source, file) in files {
        let mut report = Report::new(Arc::clone(&source));
        if let Some(other) = ids.insert(file.id.value.clone(), source.name.clone()) {
            let help = format!("{other} has this id too; each contractor has one file");
            report.error(&file.id.span, &file.id.key, "is taken", help);
        }
        plan.add_credentials(&file, &mut report);
        let contractor = contractor(file, surroundings, &mut report);
        plan.contractors.push(Arc::new(contractor));
        found.append(&mut report.found);
    }
    (plan, found)
}

impl Plan {
    fn add_credentials(&mut self, file: &RuleFile, report: &mut Report) {
        let mut ids = BTreeSet::new();
        for (credential, written) in file.credentials.iter().enumerate() {
            if !ids.insert(&written.id.value) {
                report.error(
                    &written.id.span,
                    &written.id.key,
                    "is taken",
                    "each credential of a contractor has an id of its own",
                );
            }
            let holder = Holder { contractor: self.contractors.len(), credential };
            let proof = &written.proof;
            let taken = match &proof.value {
                Proof::Token => false,
                Proof::ApiKey(hash) => {
                    let taken = self.holder_of_key(hash).is_some();
                    self.api_keys.push((*hash, holder));
                    taken
                }
                other => self.holders.insert(other.clone(), holder).is_some(),
            };
            if taken {
                report.error(
                    &proof.span,
                    &proof.key,
                    "is used twice",
                    "each credential proves one contractor; issue another one",
                );
            }
        }
    }
}

fn contractor(file: RuleFile, surroundings: &Surroundings, report: &mut Report) -> Contractor {
    let jurisdictions = Jurisdictions { from: surroundings.jurisdiction, to: file.jurisdiction.value };
    check_head(&file, jurisdictions, report);
    let compiler = RouteCompiler { contractor: &file.id.value, surroundings };
    let mut contractor = Contractor {
        id: file.id.value.clone(),
        name: file.name,
        service: file.service,
        contact: file.contact,
        jurisdictions,
        agreement: Agreement {
            reference: file.agreement.reference,
            effective: file.agreement.effective.value,
            expires: file.agreement.expires.value,
            transfer: file.agreement.transfer,
        },
        credentials: file.credentials.into_iter().map(|credential| credential.id.value).collect(),
        tasks: Vec::new(),
        routes: Vec::new(),
        router: Router::default(),
    };
    let mut ids = BTreeSet::new();
    for task in file.tasks {
        if !ids.insert(task.id.value.clone()) {
            report.error(
                &task.id.span,
                &task.id.key,
                "is taken",
                "each task of a contractor has an id of its own",
            );
        }
        check_basis(&task, report);
        for route in task.routes {
            contractor.check_overlap(&route, report);
            if let Some(route) = compiler.compile(route, contractor.tasks.len(), report) {
                contractor.router.insert(&route.template, contractor.routes.len());
                contractor.routes.push(route);
            }
        }
        let (id, basis) = (task.id.value, task.basis.value);
        contractor.tasks.push(Task { id, purpose: task.purpose, basis, limits: task.limits });
    }
    contractor
}

fn check_head(file: &RuleFile, jurisdictions: Jurisdictions, report: &mut Report) {
    if jurisdictions.from != jurisdictions.to && file.agreement.transfer.is_none() {
        let message = format!(
            "crosses a border (from {} to {}) without a transfer mechanism",
            jurisdictions.from, jurisdictions.to
        );
        let help =
            format!("add transfer to [contractor.agreement]: one of {}", TransferMechanism::WORDS.join(", "));
        report.error(&file.jurisdiction.span, &file.jurisdiction.key, message, help);
    }
    let expires = &file.agreement.expires;
    if expires.value <= super::today() {
        report.warning(
            &expires.span,
            &expires.key,
            "is past: every request is refused",
            "renew the agreement or remove the contractor",
        );
    }
    if file.credentials.is_empty() {
        report.warning(
            &file.id.span,
            &file.id.key,
            "has no credential: nobody can use these rules",
            "add a [[contractor.credential]]",
        );
    }
}

/// Bases that need something which this version does not have are refused, never half kept.
fn check_basis(task: &file::Task, report: &mut Report) {
    let needs = match task.basis.value {
        Basis::Contract => return,
        Basis::Consent => "needs the consent registry",
        Basis::LegalObligation => "needs legal grants",
    };
    let message = format!("{needs}, which this version does not have");
    report.error(&task.basis.span, &task.basis.key, message, "only basis = \"contract\" can be kept for now");
}

impl Contractor {
    /// One task must not say two things about one request.
    fn check_overlap(&self, route: &file::Route, report: &mut Report) {
        let same = self.routes.iter().any(|other| {
            other.task == self.tasks.len()
                && other.template.overlaps(&route.path.value)
                && route.methods.iter().any(|method| other.methods.contains(&method.value))
        });
        if same {
            report.error(
                &route.path.span,
                &route.path.key,
                "is served by an earlier route of this task",
                "one task has one route for each path and method; merge them, or make two tasks",
            );
        }
    }
}

struct RouteCompiler<'a> {
    contractor: &'a ContractorId,
    surroundings: &'a Surroundings,
}

impl RouteCompiler<'_> {
    fn compile(&self, written: file::Route, task: usize, report: &mut Report) -> Option<Route> {
        check_paths(&written, report);
        let parameters = parameters(&written, report);
        let base = self.upstream(&written.upstream, report)?;
        let accept = accept(&written, report)?;
        let link = LinkRewriter {
            base,
            template: written.path.value.clone(),
            parameters: parameters.clone(),
            query: written.query.clone(),
        };
        let link = UrlRewrite(Arc::new(move |url| link.rewrite(url)));
        let fields = &written.disclose.value;
        let disclose: Vec<(Path, Treatment)> =
            fields.iter().map(|field| (field.path.clone(), self.treatment(field.treatment, &link))).collect();
        let labels = fields.iter().zip(&disclose).map(|(field, (_, treatment))| FieldLabel {
            path: field.text.value.clone(),
            treatment: match treatment {
                Treatment::Plain => None,
                Treatment::Whole => Some("whole"),
                Treatment::Transformed(transform) => Some(transform.name()),
            },
        });
        let labels = labels.collect();
        let selection = Selection {
            records: written.records.map(|path| path.value),
            subject: written.subject.map(|path| path.value),
            when: written.when.map(|condition| condition.value),
            disclose,
        };
        let filter = Filter::compile(&selection).map_err(|error| match error {
            SelectionError::Treatments(first, second) => {
                let (first, second) = (&fields[first].text, &fields[second].text);
                let message =
                    format!("can select the same value as \"{}\" and treats it differently", first.value);
                report.error(
                    &second.span,
                    &second.key,
                    message,
                    "give both the same transform, or make the paths distinct",
                );
            }
            SelectionError::NestedRecords | SelectionError::TooComplex => {
                let at = &written.disclose;
                report.error(
                    &at.span,
                    &at.key,
                    error.to_string(),
                    "use fewer `..`, wildcards and index selectors, or split the route",
                );
            }
        });
        Some(Route {
            task,
            template: written.path.value,
            parameters,
            methods: written.methods.into_iter().map(|method| method.value).collect(),
            upstream: written.upstream.value,
            query: written.query,
            filter: filter.ok()?,
            accept,
            fields: labels,
        })
    }

    fn upstream(&self, name: &At<String>, report: &mut Report) -> Option<String> {
        let base = self.surroundings.upstreams.get(&name.value).cloned();
        if base.is_none() {
            let known: Vec<&str> = self.surroundings.upstreams.keys().map(String::as_str).collect();
            let help =
                format!("one of: {}; or add [upstream.{}] to fieldgate.toml", known.join(", "), name.value);
            report.error(&name.span, &name.key, "is not an upstream of fieldgate.toml", help);
        }
        base
    }

    fn treatment(&self, written: Written, link: &UrlRewrite) -> Treatment {
        Treatment::Transformed(match written {
            Written::Plain => return Treatment::Plain,
            Written::Whole => return Treatment::Whole,
            Written::Last4 => Transform::Last4,
            Written::Mask { keep_first, keep_last } => Transform::Mask { keep_first, keep_last },
            Written::Initials => Transform::Initials,
            Written::EmailDomain => Transform::EmailDomain,
            Written::Year => Transform::Year,
            Written::Truncate { length } => Transform::Truncate { length },
            Written::Pseudonym => {
                Transform::Pseudonym(self.surroundings.subject_key.for_contractor(self.contractor))
            }
            Written::Redact => Transform::Redact,
            Written::RewriteUrl => Transform::RewriteUrl(link.clone()),
        })
    }
}

fn parameters(route: &file::Route, report: &mut Report) -> Parameters {
    let mut parameters = Parameters::default();
    for param in &route.params {
        let (name, regex) = &param.value;
        if !route.path.value.parameters().any(|known| known == name) {
            report.error(
                &param.span,
                &param.key,
                "is not a parameter of `path`",
                format!("the path is \"{}\"", route.path.value.as_str()),
            );
        }
        parameters.0.insert(name.clone(), regex.clone());
    }
    parameters
}

fn check_paths(route: &file::Route, report: &mut Report) {
    if let Some(records) = &route.records {
        if records.value.origin == Origin::Record {
            report.error(
                &records.span,
                &records.key,
                "begins with `@`",
                "records are found from the body: begin with `$`",
            );
        }
        if records.value.has_descendant() {
            report.error(
                &records.span,
                &records.key,
                "has a `..`, so that one record could be inside another",
                "name the way to the records, such as \"$.data[*]\"",
            );
        }
    }
    match &route.subject {
        None => report.warning(
            &route.path.span,
            &route.path.key,
            "has no `subject`",
            "the ledger cannot tell whom these disclosures are about; add subject = \"@.customer.id\"",
        ),
        Some(subject) => {
            if !subject.value.is_singular() {
                report.error(
                    &subject.span,
                    &subject.key,
                    "can select more than one value",
                    "names and indexes only, such as \"@.customer.id\"",
                );
            }
            if route.records.is_some() && subject.value.origin == Origin::Body {
                report.error(
                    &subject.span,
                    &subject.key,
                    "begins with `$`",
                    "each record has its own subject: begin with `@`",
                );
            }
        }
    }
}

/// The check of request bodies: the same filter, asked whether it would leave anything out.
fn accept(route: &file::Route, report: &mut Report) -> Option<Option<Filter>> {
    let writes = route
        .methods
        .iter()
        .find(|method| matches!(method.value, Method::Post | Method::Put | Method::Patch));
    let Some(accept) = &route.accept else {
        if let Some(method) = writes {
            let help = "list the members of a request body that may pass: accept = [\"$.comment\"], or accept = [] for none";
            report.error(&method.span, &method.key, "sends a body, and `accept` is missing", help);
        }
        return Some(None);
    };
    if writes.is_none() {
        report.error(
            &route.path.span,
            &route.path.key,
            "has `accept` and no method that sends a body",
            "add methods = [\"POST\"], or remove `accept`",
        );
    }
    for path in accept.iter().filter(|path| path.value.origin == Origin::Record) {
        report.error(
            &path.span,
            &path.key,
            "begins with `@`",
            "a request body has no records: begin with `$`",
        );
    }
    if accept.is_empty() {
        return Some(None);
    }
    let disclose = accept.iter().map(|path| (path.value.clone(), Treatment::Plain)).collect();
    match Filter::compile(&Selection { disclose, ..Selection::default() }) {
        Ok(filter) => Some(Some(filter)),
        Err(error) => {
            report.error(
                &route.path.span,
                &route.path.key,
                error.to_string(),
                "use fewer `..` and wildcards in `accept`",
            );
            None
        }
    }
}

/// Turns an upstream's link to this route into the path that the contractor calls.
struct LinkRewriter {
    base: String,
    template: PathTemplate,
    parameters: Parameters,
    query: Vec<String>,
}

impl LinkRewriter {
    /// `None` where the link leads anywhere else, or carries a parameter that the route refuses.
    fn rewrite(&self, url: &str) -> Option<String> {
        let rest = match url.strip_prefix(&self.base) {
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
        let authority = self.base.find("://").map_or(0, |at| at + 3);
        self.base[authority..].find('/').map_or("", |at| &self.base[authority + at..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_the_same_route_or_nowhere() {
        let rewriter = |base: &str| LinkRewriter {
            base: base.into(),
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
    }
}
