//! What an opslog says of its run in the first line.

use std::path::Path;

use super::Run;
use crate::lock;
use crate::opslog::{FORMAT, Header};
use crate::pipeline::{Checksum, Fsync, MaxDelete};
use crate::time::to_rfc3339;

impl Run<'_> {
    pub(super) fn header(&self, database: String) -> Header {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        Header {
            format: FORMAT,
            run_id: self.id.to_string(),
            pair: self.config.pair.clone(),
            direction: self.config.direction.clone(),
            src: text(&self.config.source),
            dest: text(&self.config.dest),
            started_at: to_rfc3339(self.started),
            dry_run: self.config.dry_run,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            host: lock::host(),
            pid: std::process::id(),
            database: Some(database),
            options: self.options_for_the_header(),
        }
    }

    fn options_for_the_header(&self) -> serde_json::Map<String, serde_json::Value> {
        let options = &self.options;
        let checksum = match options.rules.checksum {
            Checksum::Mismatch => "mismatch",
            Checksum::Always => "always",
            Checksum::Never => "never",
        };
        let fsync = match options.fsync {
            Fsync::EachFile => "each file",
            Fsync::AtEnd => "at the end",
            Fsync::Never => "never",
        };
        let max_delete = options.delete_missing.map(|max| match max {
            MaxDelete::Count(count) => count.to_string(),
            MaxDelete::Percent(percent) => format!("{percent}%"),
            MaxDelete::Unlimited => "none".to_owned(),
        });
        let all = serde_json::json!({
            "delete_missing": max_delete.is_some(),
            "max_delete": max_delete,
            "filter": options.filter.lines(),
            "min_age": self.config.min_age.map(|age| age.as_secs_f64()),
            "require_file": options.require_file.as_ref().map(|name| String::from_utf8_lossy(name)),
            "require_mount": self.config.require_mount,
            "workers": options.workers,
            "scan_threads": options.scan_threads,
            "mtime_threshold": options.rules.mtime_threshold.as_secs_f64(),
            "checksum": checksum,
            "hash_copies": options.hash_copies,
            "bwlimit": options.bwlimit,
            "owner": options.carry_owner,
            "mode": options.carry_mode,
            "xattrs": options.carry_xattrs,
            "fsync": fsync,
        });
        all.as_object().cloned().unwrap_or_default()
    }
}
