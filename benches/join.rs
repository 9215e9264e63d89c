//! How long does it take to join two sorted listings, for each name in them? It should be a few
//! nanoseconds, a hundredth of what looking at the file costs.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ha_sync::model::{Entry, EntryKind, Timestamp};
use ha_sync::pipeline::{Sorted, join};

const NAMES: usize = 10_000;

struct Names(Vec<(Vec<u8>, Entry)>);

impl Sorted for Names {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn get(&self, index: usize) -> (&[u8], &Entry) {
        let (name, entry) = &self.0[index];
        (name, entry)
    }
}

/// The names whose number `is_there` accepts.
fn names(is_there: impl Fn(usize) -> bool) -> Names {
    let time = Timestamp { seconds: 1_600_000_000, nanoseconds: 0 };
    let kind = EntryKind::File { len: 1 };
    let entry =
        Entry { kind, mtime: time, ctime: time, inode: 1, mode: 0o644, uid: 0, gid: 0, links: 1 };
    let name = |number: usize| format!("IMG_20260721_{number:06}.jpg").into_bytes();
    Names(
        (0..NAMES)
            .filter(|number| is_there(*number))
            .map(|number| (name(number), entry.clone()))
            .collect(),
    )
}

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("join");
    group.throughput(Throughput::Elements(NAMES as u64));
    let sides = [
        ("equal", names(|_| true), names(|_| true)),
        ("interleaved", names(|number| number % 2 == 0), names(|number| number % 2 == 1)),
    ];
    for (case, source, dest) in &sides {
        group.bench_function(*case, |bencher| {
            bencher.iter_batched(
                || (),
                |()| join(source, dest).map(black_box).count(),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(join_benches, benches);
criterion_main!(join_benches);
