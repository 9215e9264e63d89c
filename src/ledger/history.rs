//! What past runs did, as their rows say.

use serde_json::{Map, Number, Value as Json};

use super::database::{Database, DbResult};
use super::schema::{ITERATIONS, iteration_columns};
use super::value::Value;

/// Which runs are asked for.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Only those of this pair.
    pub pair: Option<String>,
    /// So many, at most.
    pub limit: u32,
}

/// One run: the columns of `sync_iterations`, by name.
pub type Iteration = Map<String, Json>;

pub(super) fn history(db: &mut dyn Database, filter: &Filter) -> DbResult<Vec<Iteration>> {
    let columns = iteration_columns();
    let (scope, mut values) = match &filter.pair {
        Some(pair) => (" WHERE sync_pair = ?", vec![Value::text(pair)]),
        None => ("", Vec::new()),
    };
    values.push(Value::Int(filter.limit.into()));
    let query = format!(
        "SELECT {} FROM {ITERATIONS}{scope} ORDER BY started_at DESC, id DESC LIMIT ?",
        columns.join(", ")
    );
    let mut found = Vec::new();
    db.query(&query, &values, &mut |row| {
        found.push(named(&columns, &row));
    })?;
    Ok(found)
}

/// A row, by the names of its columns.
pub(super) fn named(columns: &[&str], row: &[Value]) -> Iteration {
    columns
        .iter()
        .zip(row)
        .map(|(name, value)| ((*name).to_owned(), to_json(name, value)))
        .collect()
}

/// A value in the type that the column means. MySQL's text protocol gives everything as text.
fn to_json(column: &str, value: &Value) -> Json {
    let text = || value.as_text().map_or(Json::Null, Json::String);
    match column {
        "started_at" | "ended_at" => value.as_time().map_or(Json::Null, Json::String),
        "dry_run" | "compares" => Json::Bool(value.as_int() == Some(1)),
        "counts" => {
            value.as_text().and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_else(text)
        }
        "sync_pair" | "direction" | "src" | "dest" | "status" | "error_message" | "run_id"
        | "plan_digest" | "host" | "version" | "operation" | "filepath" | "md5_before"
        | "md5_after" | "kind" | "cause" => text(),
        _ => value.as_int().map_or(Json::Null, |number| Json::Number(Number::from(number))),
    }
}
