//! How fast is MD5 on one core? A copy that is hashed cannot be faster than that. It should not be
//! slower by more than a tenth: `scripts/bench large` measures that.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use md5::{Digest as _, Md5};

fn benches(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("digest");
    for kibibytes in [4, 64, 256, 1024] {
        let bytes = vec![0x5a; kibibytes << 10];
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_with_input(
            BenchmarkId::new("MD5, KiB", kibibytes),
            &bytes,
            |bencher, bytes| {
                bencher.iter(|| Md5::digest(bytes));
            },
        );
    }
    group.finish();
}

criterion_group!(digest_benches, benches);
criterion_main!(digest_benches);
