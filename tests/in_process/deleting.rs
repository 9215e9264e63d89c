//! What happens to what only the destination has.

use std::fs;

use ha_sync::model::Change;
use ha_sync::pipeline::{Deletion, MaxDelete, Options};

use crate::trees::{Pair, at, look, mirror, options, write};

fn pair_with_extras() -> Pair {
    let pair = Pair::new();
    write(&pair.a, "kept", "1", at(0));
    write(&pair.b, "kept", "1", at(0));
    write(&pair.b, "gone/deep/file", "2", at(0));
    write(&pair.b, "extra", "3", at(0));
    pair
}

#[test]
fn it_is_kept_unless_its_deletion_is_asked_for() {
    let pair = pair_with_extras();
    let before = look(&pair.b);
    let kept = pair.run(&options());
    assert_eq!((kept.synced.counts.only_at_dest, kept.changes()), (2, vec![]));
    assert_eq!(look(&pair.b), before);

    let deleted = pair.run(&mirror());
    let gone = ["extra", "gone", "gone/deep", "gone/deep/file"];
    assert_eq!(deleted.changes(), gone.map(|path| (Change::Delete, path.to_owned())));
    assert_eq!(look(&pair.b), look(&pair.a));
    assert_eq!(deleted.equal(), ["kept"]);
}

#[test]
fn an_empty_source_withholds_every_deletion() {
    let pair = pair_with_extras();
    fs::remove_file(pair.a.join("kept")).unwrap();
    let before = look(&pair.b);
    let ran = pair.run(&mirror());
    let withheld = ran.synced.withheld.unwrap();
    assert_eq!((withheld.candidates, ran.synced.counts.withheld), (5, 5));
    assert!(withheld.reason.contains("as if its disk were not mounted"), "{}", withheld.reason);
    assert_eq!(look(&pair.b), before);
}

#[test]
fn more_candidates_than_allowed_and_none_is_deleted() {
    let pair = pair_with_extras();
    let before = look(&pair.b);
    let limited = |max| {
        let deletion = mirror().deletion.map(|deletion| Deletion { max, ..deletion });
        pair.run(&Options { deletion, ..mirror() })
    };
    let ran = limited(MaxDelete::Count(3));
    assert_eq!((ran.synced.counts.withheld, ran.changes()), (4, vec![]));
    assert_eq!(look(&pair.b), before);
    assert_eq!(limited(MaxDelete::Count(4)).synced.counts.deleted, 4);
}

#[test]
fn a_conflict_protects_what_may_be_the_former_name_of_a_file_below_it() {
    let pair = Pair::new();
    write(&pair.a, "name/moved", "content", at(0));
    write(&pair.b, "name", "in the way", at(0));
    write(&pair.b, "former", "content", at(0));
    let ran = pair.run(&mirror());
    assert_eq!((ran.synced.counts.spared, ran.synced.counts.deleted), (1, 0));
    assert_eq!(ran.heard.spared[0].0.to_string(), "former");
    assert!(pair.b.join("former").exists());
}
