//! From what the files say to the plan: credentials, heads, tasks; what contradicts itself is reported.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use crate::diagnostic::{self, Diagnostic, Report, codes};
use crate::model::{Basis, Jurisdictions, RulesDigest, TransferMechanism};
use crate::token::{KeyStore, TokenRule};

use super::file::{self, Proof, RuleFile};
use super::plan::{
    Agreement, Contractor, Ending, Holder, Plan, Scheme, Surroundings, Task, TokenHolder, Told,
};
use super::route::{RouteCompiler, Terms};
use super::template::Router;
use super::{legal, lint};

/// Compiles the files of a directory. The plan is there only where no file has an error.
pub fn compile(
    files: Vec<(Arc<diagnostic::Source>, RuleFile)>,
    surroundings: &Surroundings,
) -> (Plan, Vec<Diagnostic>) {
    let digest =
        RulesDigest::of(files.iter().map(|(source, _)| (source.name.as_str(), source.text.as_str())));
    let mut plan = Plan {
        digest,
        sources: files.iter().map(|(source, _)| Arc::clone(source)).collect(),
        contractors: Vec::new(),
        holders: HashMap::new(),
        api_keys: Vec::new(),
        tokens: HashMap::new(),
        key_stores: Vec::new(),
    };
    let mut found = Vec::new();
    let mut ids = BTreeMap::new();
    for (source, file) in files {
        let mut report = super::report(&source);
        let other = ids.insert(file.id.value.clone(), source.name.clone());
        if let Some(other) = other.filter(|_| !file.id.stands_in) {
            let help = format!("{other} has this id too; each contractor has one file");
            report.add(codes::CONTRACTOR_TAKEN, &file.id.span, &file.id.key, "is taken", help);
        }
        plan.add_credentials(&file, &surroundings.home, &mut report);
        let contractor = contractor(file, surroundings, &mut report);
        plan.contractors.push(Arc::new(contractor));
        found.append(&mut report.found);
    }
    (plan, found)
}

impl Plan {
    fn add_credentials(&mut self, file: &RuleFile, home: &Path, report: &mut Report) {
        let mut ids = BTreeSet::new();
        for (credential, written) in file.credentials.iter().enumerate() {
            if !ids.insert(&written.id.value) && !written.id.stands_in {
                report.add(
                    codes::CREDENTIAL_ID_TAKEN,
                    &written.id.span,
                    &written.id.key,
                    "is taken",
                    "each credential of a contractor has an id of its own",
                );
            }
            let holder = Holder { contractor: self.contractors.len(), credential };
            let proof = &written.proof;
            if proof.stands_in {
                continue;
            }
            let taken = match &proof.value {
                Proof::Token(rule) => self.add_token(rule, holder, home, report.file()),
                Proof::ApiKey(hash) => {
                    let taken = self.holder_of_key(hash).is_some();
                    self.api_keys.push((*hash, holder));
                    taken
                }
                other => self.holders.insert(other.clone(), holder).is_some(),
            };
            if taken {
                report.add(
                    codes::CREDENTIAL_USED_TWICE,
                    &proof.span,
                    &proof.key,
                    "is used twice",
                    "each credential proves one contractor; issue another one",
                );
            }
        }
    }
}

impl Plan {
    /// True where another credential takes the same tokens.
    fn add_token(&mut self, rule: &TokenRule, holder: Holder, home: &Path, rule_file: &str) -> bool {
        let rule = TokenRule { source: rule.source.below(home), ..rule.clone() };
        let known = self.key_stores.iter().find(|store| *store.source() == rule.source);
        let keys = known.cloned().unwrap_or_else(|| {
            let store = Arc::new(KeyStore::new(rule.source.clone(), rule_file.to_owned()));
            self.key_stores.push(Arc::clone(&store));
            store
        });
        keys.renew_every(rule.refresh);
        let subjects = self.tokens.entry(rule.issuer.clone()).or_default();
        let holders = subjects.entry(rule.subject.clone()).or_default();
        let taken = holders.iter().any(|other| other.rule.audience == rule.audience);
        holders.push(TokenHolder { rule, keys, holder });
        taken
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
            transfer: file.agreement.transfer.map(|transfer| transfer.value),
        },
        endings: file.credentials.iter().map(|_| Ending::default()).collect(),
        schemes: file.credentials.iter().map(|credential| scheme(&credential.proof.value)).collect(),
        interface: bytes::Bytes::new(),
        credentials: file.credentials.into_iter().map(|credential| credential.id.value).collect(),
        canaries: file.canaries,
        tasks: Vec::new(),
        routes: Vec::new(),
        router: Router::default(),
    };
    let mut ids = BTreeSet::new();
    for task in file.tasks {
        if !ids.insert(task.id.value.clone()) && !task.id.stands_in {
            report.add(
                codes::TASK_TAKEN,
                &task.id.span,
                &task.id.key,
                "is taken",
                "each task of a contractor has an id of its own",
            );
        }
        legal::check(&task, super::today(), report);
        if task.basis.value == Basis::Consent {
            let help = "on consent, records leave one by one: begin with `@`; a link may leave with \
                        transform = \"rewrite-url\"";
            let code = codes::CONSENT_BESIDE_RECORDS;
            task.routes.iter().for_each(|route| legal::check_beside(route, code, help, report));
        }
        let needs_admission = task.basis.value != Basis::Contract;
        let terms = Terms { task: contractor.tasks.len(), payment: task.payment, needs_admission };
        check_overlaps(&task.routes, report);
        for route in task.routes {
            if let Some(route) = compiler.compile(route, terms, report) {
                contractor.router.insert(&route.template, contractor.routes.len());
                contractor.routes.push(route);
            }
        }
        let (id, basis) = (task.id.value, task.basis.value);
        let file::Task { purpose, legal, consent, limits, access, .. } = task;
        let legal = legal.map(|grant| grant.value);
        contractor.tasks.push(Task { id, purpose, basis, legal, consent, limits, access });
    }
    contractor
}

fn scheme(proof: &Proof) -> Scheme {
    match proof {
        Proof::SanUri(_) | Proof::SanDns(_) | Proof::Fingerprint(_) => Scheme::Certificate,
        Proof::ApiKey(_) => Scheme::ApiKey,
        Proof::Token(_) => Scheme::Token,
    }
}

fn check_head(file: &RuleFile, jurisdictions: Jurisdictions, report: &mut Report) {
    let known = !file.jurisdiction.stands_in;
    if known && jurisdictions.need_mechanism() && file.agreement.transfer.is_none() {
        let message = format!(
            "crosses a border (from {} to {}) without a transfer mechanism",
            jurisdictions.from, jurisdictions.to
        );
        let help =
            format!("add transfer to [contractor.agreement]: one of {}", TransferMechanism::WORDS.join(", "));
        report.add(
            codes::TRANSFER_WITHOUT_MECHANISM,
            &file.jurisdiction.span,
            &file.jurisdiction.key,
            message,
            help,
        );
    }
    check_derogation(file, jurisdictions, report);
    lint::agreement(&file.agreement, super::today(), report);
    lint::tasks(&file.tasks, report);
    let expires = &file.agreement.expires;
    if expires.value <= super::today() {
        report.add(
            codes::AGREEMENT_ENDED,
            &expires.span,
            &expires.key,
            "is past: every request is refused",
            "renew the agreement or remove the contractor",
        );
    }
    let mut routes = file.tasks.iter().flat_map(|task| &task.routes);
    if !file.canaries.is_empty() && routes.all(|route| route.subject.is_none()) {
        report.add(
            codes::CANARIES_WITHOUT_SUBJECT,
            &file.id.span,
            &file.id.key,
            "has `canaries`, and no route names a `subject`",
            "add subject = \"@.customer.id\" to the routes: by that a planted customer is recognised",
        );
    }
    if file.credentials.is_empty() {
        report.add(
            codes::NO_CREDENTIAL,
            &file.id.span,
            &file.id.key,
            "has no credential: nobody can use these rules",
            "add a [[contractor.credential]]",
        );
    }
}

/// A derogation carries single transfers, such as those of a legal case, and not a service.
fn check_derogation(file: &RuleFile, jurisdictions: Jurisdictions, report: &mut Report) {
    let is_service = |task: &file::Task| task.basis.value != Basis::LegalObligation && !task.basis.stands_in;
    let Some(transfer) = &file.agreement.transfer else { return };
    if file.jurisdiction.stands_in
        || transfer.value != TransferMechanism::Derogation
        || !jurisdictions.need_mechanism()
    {
        return;
    }
    if let Some(task) = file.tasks.iter().find(|task| is_service(task)) {
        let message =
            format!("is \"derogation\", and the task {} is not a single case", task.id.value.as_str());
        let help = "GDPR, Article 49, is for specific situations: the customer's explicit consent, a contract with \
                    the customer, a legal claim; document which, or agree on scc, bcr or an adequacy decision";
        report.add(codes::DEROGATION_FOR_SERVICE, &transfer.span, &transfer.key, message, help);
    }
}

/// One task must not say two things about one request.
fn check_overlaps(routes: &[file::Route], report: &mut Report) {
    for (at, route) in routes.iter().enumerate() {
        if routes[..at].iter().any(|earlier| earlier.shares_requests_with(route)) {
            report.add(
                codes::ROUTE_TWICE,
                &route.path.span,
                &route.path.key,
                "is served by an earlier route of this task",
                "one task has one route for each path and method; merge them, or make two tasks",
            );
        }
    }
}
