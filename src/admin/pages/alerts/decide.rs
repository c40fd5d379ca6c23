//! What people say about alerts: they acknowledge one, or mute those of its kind. Each is an entry in the ledger
//! before it holds.

use std::sync::Arc;

use axum::Json;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::ledger::OwnKind;

use super::super::super::alerts::can_be_muted;
use super::super::super::api::Nothing;
use super::super::super::guard::{Act, Fault, Who, blocking, rights};
use super::super::super::house::House;
use super::super::super::store::{Acknowledged, Mute, now};
use super::AlertShown;
use super::one::{Number, number};

/// Characters of a note.
const LONGEST: usize = 500;
/// How long a mute lasts at most, in microseconds: a year.
const LASTING: i64 = 366 * 86_400_000_000;

/// What somebody found out about an alert.
#[derive(Deserialize, ToSchema)]
pub struct AlertNote {
    /// It is written to the ledger: no customer's data.
    note: String,
}

/// Alerts of one signal that nobody needs to look at for a time.
#[derive(Deserialize, ToSchema)]
pub struct MuteAsked {
    /// Such as `off-hours`.
    signal: String,
    /// All contractors where it is left out.
    #[serde(default)]
    contractor: String,
    /// The last day, in UTC: `2026-12-31`.
    until: String,
    /// It is written to the ledger: no customer's data.
    reason: String,
}

type Noted = Act<rights::Acknowledge, AlertNote>;
type Muting = Act<rights::Acknowledge, MuteAsked>;
type Ending = Act<rights::Acknowledge, Nothing>;

pub async fn acknowledge(asked: Number, act: Noted) -> Result<Response, Fault> {
    let shown = acknowledged(number(asked)?, act).await?;
    Ok(Redirect::to(&format!("/alerts/{}", shown.told.number)).into_response())
}

pub async fn acknowledge_model(asked: Number, act: Noted) -> Result<Json<AlertShown>, Fault> {
    acknowledged(number(asked)?, act).await.map(Json)
}

async fn acknowledged(number: u64, act: Noted) -> Result<AlertShown, Fault> {
    let Act { house, who, form, .. } = act;
    let note = text("The note", &form.note)?;
    let store = Arc::clone(&house.store);
    let alert = blocking(move || store.alert(number)?.ok_or(Fault::Missing("alert"))).await?;
    if alert.acknowledged.is_some() {
        return Err(already());
    }
    let event = json!({
        "alert": number, "signal": alert.raised.kind, "position": alert.raised.entry, "note": note,
    });
    let event = without_nulls(event);
    let entry = house.note_as(OwnKind::Alert, &who, "acknowledge", event).await?;
    let said = Acknowledged { at: now(), by: who.name().to_owned(), note, entry };
    blocking(move || {
        if !house.store.acknowledge(number, &said)? {
            return Err(already());
        }
        let alert = house.store.alert(number)?.ok_or(Fault::Missing("alert"))?;
        Ok(AlertShown::of(&alert))
    })
    .await
}

fn already() -> Fault {
    Fault::Conflict("It is acknowledged already.".into())
}

pub async fn mute(act: Muting) -> Result<Response, Fault> {
    muted(act).await?;
    Ok(Redirect::to("/alerts#mutes").into_response())
}

pub async fn mute_model(act: Muting) -> Result<Json<Mute>, Fault> {
    muted(act).await.map(Json)
}

async fn muted(act: Muting) -> Result<Mute, Fault> {
    let Act { house, who, form, .. } = act;
    if !can_be_muted(&form.signal) {
        let what = "Alerts of this signal cannot be muted: it is critical, or there is no such signal.";
        return Err(Fault::Wrong(what.into()));
    }
    let contractor = (!form.contractor.is_empty()).then_some(form.contractor);
    if let Some(contractor) = &contractor {
        check_contractor(&house, contractor).await?;
    }
    let (reason, until) = (text("The reason", &form.reason)?, end_of(&form.until)?);
    let event = json!({
        "signal": form.signal, "contractor": contractor, "until": until, "reason": reason,
    });
    house.note_as(OwnKind::Alert, &who, "mute", without_nulls(event)).await?;
    let by = who.name().to_owned();
    let mut mute = Mute { number: 0, signal: form.signal, contractor, until, by, at: now(), reason };
    blocking(move || {
        mute.number = house.store.mute(&mute)?;
        Ok::<_, Fault>(mute)
    })
    .await
}

/// A contractor of the rules, or one that there are alerts about.
async fn check_contractor(house: &Arc<House>, contractor: &str) -> Result<(), Fault> {
    if house.plan().contractors.iter().any(|known| known.id.to_string() == contractor) {
        return Ok(());
    }
    let (house, wanted) = (Arc::clone(house), contractor.to_owned());
    let is_known = blocking(move || Ok::<_, Fault>(house.store.alerted()?.0.contains(&wanted))).await?;
    if is_known { Ok(()) } else { Err(Fault::Wrong("There is no such contractor.".into())) }
}

pub async fn unmute(asked: Number, act: Ending) -> Result<Response, Fault> {
    unmuted(asked, act).await?;
    Ok(Redirect::to("/alerts#mutes").into_response())
}

pub async fn unmute_model(asked: Number, act: Ending) -> Result<Json<Mute>, Fault> {
    unmuted(asked, act).await.map(Json)
}

async fn unmuted(asked: Number, act: Ending) -> Result<Mute, Fault> {
    let Act { house, who, form: Nothing {}, .. } = act;
    let number = number(asked).map_err(|_| Fault::Missing("mute"))?;
    let store = Arc::clone(&house.store);
    let mute = blocking(move || store.mute_in_force(number)?.ok_or(Fault::Missing("mute"))).await?;
    let event = json!({ "signal": mute.signal, "contractor": mute.contractor, "until": mute.until });
    house.note_as(OwnKind::Alert, &who, "unmute", without_nulls(event)).await?;
    ended(&house, &who, number).await?;
    Ok(mute)
}

async fn ended(house: &Arc<House>, who: &Who, number: u64) -> Result<(), Fault> {
    let (store, by) = (Arc::clone(&house.store), who.name().to_owned());
    let ended = blocking(move || store.unmute(number, &by)).await?;
    if ended { Ok(()) } else { Err(Fault::Conflict("It has ended already.".into())) }
}

/// What somebody writes, without what is around it.
fn text(what: &str, text: &str) -> Result<String, Fault> {
    let text = text.trim().replace("\r\n", "\n");
    match text.chars().count() {
        1..=LONGEST => Ok(text),
        _ => Err(Fault::Wrong(format!("{what} has 1 to {LONGEST} characters."))),
    }
}

/// When a day ends (UTC), in microseconds since 1970-01-01T00:00:00Z.
fn end_of(day: &str) -> Result<i64, Fault> {
    let wrong = || Fault::Wrong("The last day is one of the next 365, such as 2026-12-31.".into());
    let next = day.parse::<Date>().ok().and_then(|day| day.tomorrow().ok()).ok_or_else(wrong)?;
    let end = jiff::tz::Offset::UTC.to_timestamp(next.to_datetime(jiff::civil::Time::midnight()));
    let end = end.map_err(|_| wrong())?.as_microsecond();
    if (1..=LASTING).contains(&(end - now())) { Ok(end) } else { Err(wrong()) }
}

fn without_nulls(mut event: serde_json::Value) -> serde_json::Value {
    if let Some(members) = event.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    event
}
