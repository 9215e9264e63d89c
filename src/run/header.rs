//! Header: what an opslog says of its run in the first line.

use std::path::Path;

use super::active::Run;
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
            pair: self.config.key.pair.clone(),
            direction: self.config.key.direction.clone(),
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
        let (config, io) = (self.config, &self.io);
        let checksum = match config.policy.checksum {
            Checksum::Mismatch => "mismatch",
            Checksum::Always => "always",
            Checksum::Never => "never",
        };
        let fsync = match io.fsync {
            Fsync::EachFile => "each file",
            Fsync::AtEnd => "at the end",
            Fsync::Never => "never",
        };
        let max_delete = config.deletion.as_ref().map(|deletion| match deletion.max {
            MaxDelete::Count(count) => count.to_string(),
            MaxDelete::Percent(percent) => format!("{percent}%"),
            MaxDelete::Unlimited => "none".to_owned(),
        });
        let all = serde_json::json!({
            "delete_missing": max_delete.is_some(),
            "max_delete": max_delete,
            "filter": config.selection.lines(),
            "min_age": config.policy.min_age.map(|age| age.as_secs_f64()),
            "require_file": config.require_file.as_ref().map(|name| String::from_utf8_lossy(name)),
            "require_mount": config.require_mount,
            "workers": io.workers,
            "scan_threads": io.scan_threads,
            "mtime_threshold": config.policy.mtime_threshold.as_secs_f64(),
            "checksum": checksum,
            "hash_copies": io.hash_copies,
            "bwlimit": io.bwlimit,
            "owner": config.metadata.owner,
            "mode": config.metadata.mode,
            "xattrs": config.metadata.xattrs,
            "fsync": fsync,
        });
        all.as_object().cloned().unwrap_or_default()
    }
}
