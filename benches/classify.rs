//! How long does one decision take? A run makes one for each name on either side, and nearly all of
//! them are "in sync".

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use ha_sync::model::{Entry, EntryKind, Joined, Timestamp};
use ha_sync::pipeline::{Checksum, Rules, classify};

fn file(len: u64, seconds: i64) -> Entry {
    let time = Timestamp { seconds, nanoseconds: 123_456_789 };
    let kind = EntryKind::File { len };
    Entry { kind, mtime: time, ctime: time, inode: 1, mode: 0o644, uid: 0, gid: 0, links: 1 }
}

fn benches(criterion: &mut Criterion) {
    let rules = Rules {
        mtime_threshold: Duration::from_secs(2),
        granularity: Duration::ZERO,
        checksum: Checksum::Mismatch,
        min_age: None,
    };
    let coarse =
        Rules { mtime_threshold: Duration::ZERO, granularity: Duration::from_secs(1), ..rules };
    let (old, new) = (file(5, 1_600_000_000), file(7, 1_600_000_100));
    let cases = [
        ("in sync", Joined::Both(&old, &old), rules),
        ("in sync, a coarse side", Joined::Both(&old, &old), coarse),
        ("newer at the source", Joined::Both(&new, &old), rules),
        ("only at the source", Joined::SourceOnly(&new), rules),
    ];
    let mut group = criterion.benchmark_group("classify");
    for (case, joined, rules) in cases {
        group.bench_function(case, |bencher| {
            bencher.iter(|| classify(black_box(joined), black_box(&rules)));
        });
    }
    group.finish();
}

criterion_group!(classify_benches, benches);
criterion_main!(classify_benches);
