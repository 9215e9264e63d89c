//! The API: a question comes in, JSON goes out. `docs/api.md` is its contract.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Json;
use axum::extract::{RawQuery, State};
use serde_json::{Value, json};

use super::database::Lane;
use super::query::{Query, Wrong};
use super::refusal::Refused;
use super::state::Shared;
use crate::ledger::{
    DbError, History, Iteration, MOST_SERIES, OperationsFilter, Reader, RunFilter, STATUSES,
    Series, Standing,
};
use crate::time::to_rfc3339;

type Answer = Result<Json<Value>, Refused>;

/// Rows, points or days of an answer: the number if no limit is given, and the greatest limit.
const RUNS: (usize, usize) = (20, 200);
const OPERATIONS: (usize, usize) = (50, 500);
const POINTS: (usize, usize) = (60, 1000);
const DAYS: (u64, u64) = (30, 3660);

/// How long one request looks for operations that match.
const SEARCH: Duration = Duration::from_secs(2);

/// The words that the columns hold.
const OPERATION_STATUSES: [&str; 2] = ["success", "fail"];
const OPERATION_WORDS: [&str; 3] = ["create", "update", "delete"];

/// `GET /api/pairs`
pub(super) async fn pairs(State(shared): State<Arc<Shared>>, RawQuery(query): RawQuery) -> Answer {
    Query::parse(query.as_deref().unwrap_or_default(), &[])?;
    let standings = shared.database.ask(standings).await?;
    let is_empty = standings.is_none();
    let missing = is_empty.then(|| shared.database.missing()).flatten();
    let standings = standings.unwrap_or_default();
    let is_cut = standings.len() >= MOST_SERIES;
    let each =
        standings.into_iter().map(|standing| (standing.series.clone(), standing_json(&standing)));
    let pairs = by_pair(each);
    Ok(Json(json!({
        "now": now(), "has_tables": !is_empty, "missing": missing, "is_cut": is_cut, "pairs": pairs,
    })))
}

/// `GET /api/iterations`
pub(super) async fn iterations(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
) -> Answer {
    let names = ["pair", "direction", "status", "dry_run", "limit", "before"];
    let query = Query::parse(query.as_deref().unwrap_or_default(), &names)?;
    let filter = RunFilter {
        pair: query.text("pair"),
        direction: query.text("direction"),
        status: query.word("status", &STATUSES)?,
        dry_run: query.switch("dry_run")?,
        before: query.id("before")?,
        limit: query.number("limit", 1, RUNS.1)?.unwrap_or(RUNS.0),
    };
    let before = filter.before;
    let (runs, next) = match shared.database.ask(move |reader| reader.runs(&filter)).await? {
        Some(Some(found)) => (found.runs, found.next),
        Some(None) => return Err(no_run(before.unwrap_or_default())),
        None => (Vec::new(), None),
    };
    Ok(Json(json!({ "now": now(), "iterations": runs, "next": next })))
}

/// `GET /api/operations`
pub(super) async fn operations(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
) -> Answer {
    let names = ["iteration_id", "status", "operation", "q", "limit", "after"];
    let query = Query::parse(query.as_deref().unwrap_or_default(), &names)?;
    let Some(id) = query.id("iteration_id")? else {
        return Err(Wrong("iteration_id is missing: give the id of a run".into()).into());
    };
    let filter = OperationsFilter {
        iteration: id,
        status: query.word("status", &OPERATION_STATUSES)?,
        operation: query.word("operation", &OPERATION_WORDS)?,
        path: query.text("q"),
        after: query.id("after")?.unwrap_or_default(),
        limit: query.number("limit", 1, OPERATIONS.1)?.unwrap_or(OPERATIONS.0),
        patience: SEARCH,
    };
    let asked = shared.database.ask_in(Lane::Search, move |reader| {
        let Some(run) = reader.run(filter.iteration)? else { return Ok(None) };
        reader.operations(&filter).map(|found| Some((run, found)))
    });
    let (run, found) = asked.await?.flatten().ok_or_else(|| no_run(id))?;
    Ok(Json(json!({
        "now": now(),
        "iteration": run,
        "operations": found.operations,
        "next": found.next,
        "looked_at": found.looked_at,
    })))
}

/// `GET /api/history`
pub(super) async fn history(
    State(shared): State<Arc<Shared>>,
    RawQuery(query): RawQuery,
) -> Answer {
    let query = Query::parse(query.as_deref().unwrap_or_default(), &["pair", "days", "limit"])?;
    let pair = query.text("pair");
    let days = query.number("days", 1, DAYS.1)?.unwrap_or(DAYS.0);
    let limit = query.number("limit", 1, POINTS.1)?.unwrap_or(POINTS.0);
    let age = Duration::from_secs(days * 24 * 3600);
    let since = to_rfc3339(SystemTime::now().checked_sub(age).unwrap_or(SystemTime::UNIX_EPOCH));
    let asked = shared.database.ask(move |reader| reader.history(pair.as_deref(), &since, limit));
    let found = asked.await?.unwrap_or_default();
    let each = found.into_iter().map(|History { series, points, is_cut }| {
        let points = json!({ "direction": series.direction, "runs": points, "is_cut": is_cut });
        (series, points)
    });
    Ok(Json(json!({ "now": now(), "days": days, "pairs": by_pair(each) })))
}

/// How far a run's clock may be ahead. No clock is right to the millisecond; one that is minutes
/// ahead is wrong.
const AHEAD: Duration = Duration::from_secs(300);

/// Where every series stands now.
pub(super) fn standings(reader: &mut Reader) -> Result<Vec<Standing>, DbError> {
    reader.standings(&to_rfc3339(SystemTime::now() + AHEAD))
}

fn no_run(id: i64) -> Refused {
    Refused::Missing(format!("there is no run {id}"))
}

fn standing_json(standing: &Standing) -> Value {
    json!({
        "direction": standing.series.direction,
        "running": standing.running,
        "last_run": standing.last_run,
        "last_success": standing.last_success,
        "last_dry_run": standing.last_dry_run,
    })
}

/// Groups the values of the series by pair. The series of one pair come one after the other.
fn by_pair(each: impl Iterator<Item = (Series, Value)>) -> Vec<Value> {
    let mut pairs: Vec<(String, Vec<Value>)> = Vec::new();
    for (series, said) in each {
        match pairs.last_mut().filter(|(pair, _)| *pair == series.pair) {
            Some((_, directions)) => directions.push(said),
            None => pairs.push((series.pair, vec![said])),
        }
    }
    pairs
        .into_iter()
        .map(|(pair, directions)| json!({ "pair": pair, "directions": directions }))
        .collect()
}

/// The time of this server. All relative times on the page are relative to it, not to the reader's
/// clock.
fn now() -> String {
    to_rfc3339(SystemTime::now())
}

/// A number in a run's row; 0 if it is missing.
pub(super) fn number(run: &Iteration, name: &str) -> u64 {
    run[name].as_u64().unwrap_or(0)
}
