//! How long does it take to find out that two equal trees are in sync? And how long would a walk
//! with `jwalk` on both sides take, joined by path? The first plan of the product was such a walk.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use ha_sync::model::Timestamp;
use ha_sync::pipeline::{IoOptions, Options, Process, Silent, Trees, sync};
use ha_sync::stop::Stop;
use ha_sync::tree::Tree;

const DIRECTORIES: usize = 200;
const FILES: usize = 50;
const THREADS: usize = 8;

fn make_tree(root: &Path) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    for directory in 0..DIRECTORIES {
        let path = root.join(format!("dir-{directory}"));
        fs::create_dir_all(&path).expect("a scratch folder can be filled");
        for file in 0..FILES {
            let file = File::create(path.join(format!("file-{file}")))
                .expect("a scratch folder can be filled");
            file.set_modified(time).expect("an own file can be dated");
        }
    }
}

fn options() -> Options {
    let options = Options::plain(Process::new(1, false, Timestamp::default()));
    let io = IoOptions { scan_threads: THREADS, resume_above: u64::MAX, ..options.io };
    Options { dry_run: true, io, ..options }
}

fn in_sync(source: &Path, dest: &Path) -> u64 {
    let open = |path| Arc::new(Tree::open(path).expect("the trees are there").keeping_open(1000));
    let trees = Trees { source: open(source), dest: open(dest) };
    let synced = sync(&trees, &options(), &Silent, &Stop::new(), &mut Silent);
    synced.result.expect("nothing disturbs the scan");
    synced.counts.in_sync
}

/// Length in bytes and mtime of every file, by its path.
fn walked(root: &Path) -> BTreeMap<std::path::PathBuf, (u64, SystemTime)> {
    let walk = jwalk::WalkDir::new(root)
        .skip_hidden(false)
        .parallelism(jwalk::Parallelism::RayonNewPool(THREADS));
    let files = walk.into_iter().filter_map(|entry| {
        let entry = entry.expect("nothing disturbs the walk");
        let meta = entry.metadata().expect("nothing disturbs the walk");
        let path = entry.path().strip_prefix(root).expect("it lies below").to_owned();
        meta.is_file().then(|| (path, (meta.len(), meta.modified().expect("Linux keeps mtimes"))))
    });
    files.collect()
}

fn in_sync_by_jwalk(source: &Path, dest: &Path) -> u64 {
    let (source, dest) = (walked(source), walked(dest));
    source.iter().filter(|(path, file)| dest.get(*path) == Some(file)).count() as u64
}

fn benches(criterion: &mut Criterion) {
    let scratch = tempfile::tempdir().expect("there is a place for temporaries");
    let (source, dest) = (scratch.path().join("source"), scratch.path().join("dest"));
    make_tree(&source);
    make_tree(&dest);
    let files = (DIRECTORIES * FILES) as u64;
    assert_eq!((in_sync(&source, &dest), in_sync_by_jwalk(&source, &dest)), (files, files));
    let mut group = criterion.benchmark_group("scan");
    group.throughput(Throughput::Elements(2 * files)).sample_size(20);
    group.bench_function("ours, with the decisions", |bencher| {
        bencher.iter(|| in_sync(&source, &dest));
    });
    group.bench_function("jwalk, joined by path", |bencher| {
        bencher.iter(|| in_sync_by_jwalk(&source, &dest));
    });
    group.finish();
}

criterion_group!(scan_benches, benches);
criterion_main!(scan_benches);
