//! The account as a file for the customer.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};

use crate::customer::{self, Period};
use crate::ledger::{self, Frame};

use super::super::super::guard::{Act, Fault, blocking, rights};
use super::super::super::house::House;
use super::super::super::store::now;
use super::CustomerAsked;
use super::account::{Asked, ask};

/// The page that `fieldgate ledger account --format html` writes: one file that loads nothing. Its own style makes it
/// a file to keep, and none of our pages.
pub async fn file(act: Act<rights::LookUp, CustomerAsked>) -> Result<Response, Fault> {
    let asked = ask(&act.house, &act.who, "account-copy", act.form).await?;
    let house = Arc::clone(&act.house);
    let page = blocking(move || write(&house, asked)).await?;
    let name = "attachment; filename=\"account-of-disclosures.html\"";
    Ok(([(CONTENT_TYPE, "text/html; charset=utf-8"), (CONTENT_DISPOSITION, name)], page).into_response())
}

fn write(house: &House, asked: Asked) -> anyhow::Result<String> {
    let (search, plan) = (house.whole()?, house.plan());
    let accounting = customer::account(&search, asked.names, asked.period, Some(&plan))?;
    let Period { since, until } = asked.period;
    let root = search.log().root().unwrap_or_default();
    let frame = Frame {
        company: house.config.company.as_deref().unwrap_or("this company"),
        subject: &asked.customer,
        prepared: now(),
        since,
        until,
        tree_size: search.log().size(),
        root: &root,
        pruned_before: customer::deleted_before(&search)?,
        not_readable_epochs: ledger::destroyed_epochs(&house.config.ledger.subject_key),
    };
    Ok(ledger::html(&accounting, &customer::recipients(Some(&plan)), &frame)?)
}
