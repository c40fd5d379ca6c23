//! What decisions make of the rule file: in data, in words, and as a patch. Nobody writes rule files from here.

use std::collections::BTreeMap;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::rules::Plan;
use crate::rules::suggest::{Fate, Permission, Stricter, decide, permissions, source_of};

use super::super::super::guard::{Fault, See, blocking, rights};
use super::super::super::house::House;
use super::one::{self, One};

/// A change of a rule file.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Changed {
    /// The name of the rule file.
    pub file: String,
    /// Nothing is left of it.
    pub removes_file: bool,
    /// As `patch -p0` takes it, in the folder of the rules.
    pub patch: String,
    /// Lines of it are left out, since they name customers: these are changed by hand.
    pub hides: bool,
    pub cuts: Vec<Cut>,
    /// In terms of data.
    pub differences: Vec<Difference>,
    /// Why the files as they would be do not come into force, as `fieldgate check` says it.
    pub faults: Vec<String>,
    /// It could be applied as it is: the files have no error, and nothing is wider.
    pub is_ready: bool,
}

/// A part of the change.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Cut {
    pub task: Option<String>,
    pub route: Option<String>,
    pub what: String,
    pub why: String,
    /// It is in the patch; where it is not, somebody makes it by hand.
    pub done: bool,
}

/// A difference in terms of data.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct Difference {
    pub effect: String,
    pub task: Option<String>,
    pub route: Option<String>,
    pub what: String,
}

impl Difference {
    pub fn colour(&self) -> &'static str {
        match self.effect.as_str() {
            "widens" => "bad",
            "may widen" => "warn",
            "narrows" => "good",
            _ => "",
        }
    }
}

impl Changed {
    /// `None` where nothing is to be changed.
    pub fn of(house: &House, plan: &Plan, one: &One) -> Result<Option<Changed>, Fault> {
        let Some(source) = source_of(plan, &one.review.contractor) else { return Ok(None) };
        let fates = fates(permissions(source).unwrap_or_default().into_iter().map(|(known, _)| known), one);
        if fates.is_empty() {
            return Ok(None);
        }
        let inside = || Fault::Inside(anyhow::anyhow!("rules in force cannot be read again"));
        let decided = decide(source, &fates).ok_or_else(inside)?;
        let (patch, hides) = decided.patch(source);
        let faults =
            house.orders.check(decided.sources(plan)).map_err(|error| Fault::Inside(error.into()))?;
        let differences = decided.changes(plan);
        let is_ready = faults.is_empty()
            && !hides
            && decided.cuts.iter().all(|cut| cut.done)
            && differences.as_ref().is_some_and(|all| !all.iter().any(|one| one.effect.needs_review()));
        let differences = differences.unwrap_or_default().into_iter().map(|change| Difference {
            effect: change.effect.as_str().to_owned(),
            task: change.task,
            route: change.route,
            what: change.what,
        });
        let cuts = decided.cuts.iter().map(|cut| Cut {
            task: cut.task.clone(),
            route: cut.route.clone(),
            what: cut.cut.clone(),
            why: cut.why.clone(),
            done: cut.done,
        });
        Ok(Some(Changed {
            file: source.file_name().to_owned(),
            removes_file: decided.is_removal,
            patch,
            hides,
            cuts: cuts.collect(),
            differences: differences.collect(),
            faults,
            is_ready,
        }))
    }

    pub fn by_hand(&self) -> usize {
        self.cuts.iter().filter(|cut| !cut.done).count()
    }
}

fn fates(known: impl Iterator<Item = Permission>, one: &One) -> BTreeMap<Permission, Fate> {
    let of = |permission: Permission| {
        let same = |item: &&one::Item| {
            (&*item.task, &*item.route, &*item.path, &*item.transform)
                == (&*permission.task, &*permission.route, &*permission.path, permission.treatment)
        };
        let decided = one.items().find(same)?.counts()?;
        let fate = match decided.decision.as_str() {
            "reduce" => Fate::Reduced(Stricter::new(&decided.becomes)?),
            "revoke" => Fate::Revoked,
            _ => return None,
        };
        Some((permission, fate))
    };
    known.filter_map(of).collect()
}

pub async fn file(see: See<rights::View>, Path(id): Path<i64>) -> Result<Response, Fault> {
    let house = see.house;
    let one = blocking(move || one::load(&house, id)).await?;
    let changed = one.change.ok_or(Fault::Missing("change: all that was decided is to keep"))?;
    let name = format!("attachment; filename=\"review-{id}-{}.patch\"", one.review.contractor);
    let headers = [(CONTENT_TYPE, "text/x-diff; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, name)];
    Ok((headers, changed.patch).into_response())
}
