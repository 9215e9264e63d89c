//! `--exclude`, `--include` and `--exclude-from`, in the order in which they were given.

use std::path::PathBuf;

use clap::ArgMatches;
use clap::parser::ValueSource;

/// One `--exclude`, `--include` or `--exclude-from`.
#[derive(Clone, Debug)]
pub enum PatternArg {
    /// Leave out what matches.
    Exclude(String),
    /// Take in again what matches.
    Include(String),
    /// Leave out what matches a line of the file.
    ExcludeFrom(PathBuf),
}

/// The patterns in the order in which they were typed, after those from the environment.
///
/// A typed flag adds to its variable. Other flags replace it, but here one more glob must not take
/// the protection from a name that a job's settings protect from deletion.
pub(super) fn in_order(matches: &ArgMatches) -> Vec<PatternArg> {
    fn placed<T: Clone + Send + Sync + 'static>(
        matches: &ArgMatches,
        id: &str,
        pattern: impl Fn(T) -> PatternArg,
    ) -> Vec<(usize, PatternArg)> {
        if matches.value_source(id) != Some(ValueSource::CommandLine) {
            return Vec::new();
        }
        let values = matches.get_many::<T>(id).into_iter().flatten().cloned();
        matches.indices_of(id).into_iter().flatten().zip(values.map(pattern)).collect()
    }
    let mut typed = placed(matches, "exclude", PatternArg::Exclude);
    typed.extend(placed(matches, "include", PatternArg::Include));
    typed.extend(placed(matches, "exclude_from", PatternArg::ExcludeFrom));
    typed.sort_by_key(|(place, _)| *place);
    let set = [
        lines_of("HA_SYNC_EXCLUDE", PatternArg::Exclude),
        lines_of("HA_SYNC_INCLUDE", PatternArg::Include),
        lines_of("HA_SYNC_EXCLUDE_FROM", |file| PatternArg::ExcludeFrom(file.into())),
    ];
    set.into_iter().flatten().chain(typed.into_iter().map(|(_, pattern)| pattern)).collect()
}

/// The patterns of a variable, one a line. Empty lines do not count: a YAML block ends in one. A
/// value that is not UTF-8 has been refused before.
fn lines_of(variable: &str, pattern: impl Fn(String) -> PatternArg) -> Vec<PatternArg> {
    let text = std::env::var(variable).unwrap_or_default();
    text.lines().filter(|line| !line.is_empty()).map(|line| pattern(line.to_owned())).collect()
}
