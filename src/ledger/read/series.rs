//! Which pairs there are, and which directions of each.

use super::Reader;
use crate::ledger::database::DbResult;
use crate::ledger::value::Value;

/// One direction of one pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Name of the pair.
    pub pair: String,
    /// Label of the direction.
    pub direction: String,
}

/// Series that are reported, at most. Whoever has more has names that are made anew for each run.
pub const MOST_SERIES: usize = 500;

impl Reader {
    /// Every series there is, in order, or those of one pair or one direction.
    ///
    /// The queries hop along the index from one name to the next. With SQLite, `SELECT DISTINCT`
    /// would read all of it.
    pub(super) fn series(
        &mut self,
        pair: Option<&str>,
        direction: Option<&str>,
    ) -> DbResult<Vec<Series>> {
        let mut found: Vec<Series> = Vec::new();
        let (mut compares, mut from) = start(pair);
        while let Some(name) = self.pair(compares, &from)?.filter(|_| found.len() < MOST_SERIES) {
            for label in self.directions(&name, direction, MOST_SERIES - found.len())? {
                found.push(Series { pair: name.clone(), direction: label });
            }
            if pair.is_some() {
                break;
            }
            (compares, from) = (">", name);
        }
        Ok(found)
    }

    fn directions(
        &mut self,
        pair: &str,
        wanted: Option<&str>,
        most: usize,
    ) -> DbResult<Vec<String>> {
        let mut found = Vec::new();
        let (mut compares, mut from) = start(wanted);
        while let Some(label) = self.direction(pair, compares, &from)? {
            found.push(label.clone());
            if wanted.is_some() || found.len() == most {
                break;
            }
            (compares, from) = (">", label);
        }
        Ok(found)
    }

    fn pair(&mut self, compares: &str, from: &str) -> DbResult<Option<String>> {
        let (table, hop) = (self.runs_by_series(), hop("sync_pair", compares));
        let query = format!("SELECT sync_pair FROM {table} WHERE {hop}");
        self.first_text(&query, &[Value::text(from)])
    }

    fn direction(&mut self, pair: &str, compares: &str, from: &str) -> DbResult<Option<String>> {
        let (table, hop) = (self.runs_by_series(), hop("direction", compares));
        let query = format!("SELECT direction FROM {table} WHERE sync_pair = ? AND {hop}");
        self.first_text(&query, &[Value::text(pair), Value::text(from)])
    }

    fn first_text(&mut self, query: &str, values: &[Value]) -> DbResult<Option<String>> {
        Ok(self.db.first(query, values)?.and_then(|row| row[0].as_text()))
    }
}

/// Where hopping begins: at the wanted name, or at the very first one.
fn start(wanted: Option<&str>) -> (&'static str, String) {
    wanted.map_or((">=", String::new()), |name| ("=", name.to_owned()))
}

/// The condition for the next name. One wanted name gets no `ORDER BY`: MariaDB sorts what it is
/// told to, even if it is all alike.
fn hop(column: &str, compares: &str) -> String {
    let order = if compares == "=" { String::new() } else { format!(" ORDER BY {column}") };
    format!("{column} {compares} ?{order} LIMIT 1")
}
