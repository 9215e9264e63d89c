//! Which pairs there are, and which directions of each.

use super::Reader;
use crate::ledger::database::{Answer, Row};
use crate::ledger::schema::ITERATIONS;
use crate::ledger::value::Value;

/// One direction of one pair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Series {
    /// Name of the pair.
    pub pair: String,
    /// Label of the direction.
    pub direction: String,
}

/// No more than this: whoever has more has names that are made anew for each run.
const MOST: usize = 500;

impl Reader {
    /// Every series there is, in order.
    ///
    /// It hops along the index from one name to the next. `SELECT DISTINCT` would read all of it in SQLite.
    pub(super) fn series(&mut self, pair: Option<&str>, direction: Option<&str>) -> Answer<Vec<Series>> {
        let mut found: Vec<Series> = Vec::new();
        let mut next_pair = match pair {
            Some(pair) => Some(pair.to_owned()),
            None => {
                self.name(&format!("SELECT sync_pair FROM {ITERATIONS} ORDER BY sync_pair LIMIT 1"), &[])?
            }
        };
        while let Some(name) = next_pair.filter(|_| found.len() < MOST) {
            for label in self.directions(&name, direction, MOST - found.len())? {
                found.push(Series { pair: name.clone(), direction: label });
            }
            let beyond =
                format!("SELECT sync_pair FROM {ITERATIONS} WHERE sync_pair > ? ORDER BY sync_pair LIMIT 1");
            next_pair = if pair.is_some() { None } else { self.name(&beyond, &[Value::text(&name)])? };
        }
        Ok(found)
    }

    fn directions(&mut self, pair: &str, wanted: Option<&str>, most: usize) -> Answer<Vec<String>> {
        let (compares, mut from) = match wanted {
            Some(direction) => ("=", direction.to_owned()),
            None => (">=", String::new()),
        };
        let mut found = Vec::new();
        let mut query = direction_query(compares);
        while let Some(label) = self.name(&query, &[Value::text(pair), Value::text(&from)])? {
            found.push(label.clone());
            if wanted.is_some() || found.len() == most {
                break;
            }
            (from, query) = (label, direction_query(">"));
        }
        Ok(found)
    }

    fn name(&mut self, query: &str, values: &[Value]) -> Answer<Option<String>> {
        Ok(self.db.first(query, values)?.and_then(|row: Row| row[0].as_text()))
    }
}

fn direction_query(compares: &str) -> String {
    format!(
        "SELECT direction FROM {ITERATIONS} WHERE sync_pair = ? AND direction {compares} ? ORDER BY direction LIMIT 1"
    )
}
