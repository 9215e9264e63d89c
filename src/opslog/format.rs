//! The lines of an opslog, version 1, as `docs/opslog.md` promises them.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::words::{FailCause, Kind, Operation, RunStatus, Status};
use crate::model::{Outcome, RunKey, Summary, Verdict};
use crate::time::to_rfc3339;

/// Version of the format that is written. A reader refuses a greater one.
pub const FORMAT: u32 = 1;

/// One line.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Line<'a> {
    /// The first line: which run this is.
    Header(Header),
    /// One operation.
    #[serde(borrow)]
    Operation(Record<'a>),
    /// The last line of a sealed opslog: how the run ended.
    Footer(Footer),
}

/// Which run this is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format.
    pub format: u32,
    /// Unique id of the run, a UUIDv7.
    pub run_id: String,
    /// Logical pair name.
    pub pair: String,
    /// Direction label.
    pub direction: String,
    /// Absolute path of the source.
    pub src: String,
    /// Absolute path of the destination.
    pub dest: String,
    /// When the run began: RFC 3339 in UTC, with milliseconds, as every time in an opslog.
    pub started_at: String,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// Version of the tool.
    pub version: String,
    /// Machine that the run was on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The database that its rows are for, without the password; `none` if there is no database.
    /// `None` in opslogs of earlier releases, which do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The options that decide what is done, by flag.
    pub options: serde_json::Map<String, serde_json::Value>,
}

impl Header {
    /// The run's pair and direction.
    pub fn key(&self) -> RunKey {
        RunKey::new(&*self.pair, &*self.direction)
    }
}

/// One operation: the columns of `sync_operations` and some of our own. A field that is NULL is
/// left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<'a> {
    /// `create`, `update` or `delete`.
    pub operation: Operation,
    /// The path relative to the roots. Bytes that are not UTF-8 are shown as U+FFFD.
    #[serde(borrow)]
    pub filepath: Cow<'a, str>,
    /// The path's exact bytes in base64, if they are not UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filepath_b64: Option<String>,
    /// What was carried or deleted.
    pub kind: Kind,
    /// Size before, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_before: Option<u64>,
    /// Size after, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_after: Option<u64>,
    /// MD5 before, 32 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5_before: Option<String>,
    /// MD5 after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5_after: Option<String>,
    /// Bytes of content that were (in a dry run: would be) transferred.
    pub bytes: u64,
    /// When it began.
    pub started_at: String,
    /// When it ended.
    pub ended_at: String,
    /// `success` or `fail`.
    pub status: Status,
    /// How a failure counts; `None` for a success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<FailCause>,
    /// In a dry run: the contents have to be compared first, and may turn out to be equal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compares: bool,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<Cow<'a, str>>,
}

/// How the run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Footer {
    /// When it ended.
    pub ended_at: String,
    /// How it ended.
    pub status: RunStatus,
    /// Lines of operations before this one.
    pub operations: u64,
    /// Every count of the run, by name.
    #[serde(serialize_with = "write_counts", deserialize_with = "read_counts")]
    pub counts: Summary,
    /// Opslogs that were deleted by age and had never reached a database.
    #[serde(default)]
    pub retired_unflushed: u64,
    /// What ended the run early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

impl<'a> Record<'a> {
    /// The line of an outcome.
    pub fn of(outcome: &'a Outcome) -> Self {
        let (path, effect) = (outcome.path.as_bytes(), &outcome.effect);
        let filepath = String::from_utf8_lossy(path);
        let filepath_b64 = matches!(filepath, Cow::Owned(_)).then(|| BASE64.encode(path));
        let (status, cause, error_message) = match &outcome.verdict {
            Verdict::Done | Verdict::Planned { .. } => (Status::Success, None, None),
            Verdict::Failed(failure) => {
                (Status::Fail, Some(failure.cause.into()), Some(Cow::Borrowed(&*failure.reason)))
            }
        };
        Self {
            operation: effect.change.into(),
            filepath,
            filepath_b64,
            kind: effect.subject.into(),
            size_before: effect.size_before,
            size_after: effect.size_after,
            md5_before: effect.md5_before.map(|md5| md5.to_string()),
            md5_after: effect.md5_after.map(|md5| md5.to_string()),
            bytes: effect.bytes,
            started_at: to_rfc3339(outcome.started),
            ended_at: to_rfc3339(outcome.ended),
            status,
            cause,
            compares: outcome.verdict == (Verdict::Planned { compares: true }),
            error_message,
        }
    }

    /// The path's exact bytes. `None` if `filepath_b64` is not base64.
    pub fn path_bytes(&self) -> Option<Vec<u8>> {
        match &self.filepath_b64 {
            Some(encoded) => BASE64.decode(encoded).ok(),
            None => Some(self.filepath.as_bytes().to_vec()),
        }
    }

    /// Adds the operation to the counts of its run.
    pub fn add_to(&self, counts: &mut Summary) {
        counts.copied_bytes += self.bytes;
        match (self.status, self.cause, self.operation) {
            (Status::Fail, Some(FailCause::Conflict), _) => counts.conflicts += 1,
            (Status::Fail, Some(FailCause::Deferred), _) => counts.deferred += 1,
            (Status::Fail, _, _) => counts.failed += 1,
            (Status::Success, _, Operation::Create) => {
                counts.created += 1;
                counts.created_directories += u64::from(self.kind == Kind::Directory);
            }
            (Status::Success, _, Operation::Update) => {
                counts.updated += 1;
                let metadata_only = self.bytes == 0
                    && self.md5_before.is_some()
                    && self.md5_before == self.md5_after;
                counts.updated_metadata += u64::from(metadata_only);
            }
            (Status::Success, _, Operation::Delete) => counts.deleted += 1,
        }
    }
}

fn write_counts<S: Serializer>(counts: &Summary, serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(None)?;
    for (name, value) in counts.fields() {
        map.serialize_entry(name, &value)?;
    }
    map.end()
}

fn read_counts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Summary, D::Error> {
    let mut counts = Summary::default();
    for (name, value) in std::collections::BTreeMap::<String, u64>::deserialize(deserializer)? {
        counts.set(&name, value);
    }
    Ok(counts)
}
