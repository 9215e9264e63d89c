//! The Lease, on a fake of the API server and on a real one. The tests are the same on both, so
//! that the fake is held to the truth.
//!
//! On the fake each is a test of its own. The real server takes seconds and a processor to start.
//! So one test starts it and lets all of them run on it side by side, each with a pair of its own:
//! they mostly wait. A test that ends the server has a server to itself.

mod bodies;
mod fake;
mod hanging;
mod lab;
mod outage;
mod paused;
mod plugin;
mod pod;
mod refused;
mod rules;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use self::lab::Lab;

/// One test, for any API server.
type Body = fn(&Lab);

macro_rules! on_both {
    ($($module:ident::$name:ident),+ $(,)?) => {
        const BODIES: &[(&str, Body)] = &[$((stringify!($name), $module::$name)),+];

        mod on_a_fake {
            $(#[test]
            fn $name() {
                super::$module::$name(&super::Lab::fake());
            })+
        }
    };
}

on_both!(
    rules::an_api_server_keeps_to_what_the_lease_relies_on,
    bodies::a_pair_is_held_by_one_run_in_whatever_direction,
    bodies::a_lease_is_renewed_and_released_by_a_signal,
    bodies::a_dead_holders_lease_is_taken_over_when_its_time_is_over_and_not_before,
    bodies::a_lease_that_is_deleted_taken_or_edited_ends_the_run,
    bodies::unlock_removes_what_is_stale_and_asks_before,
    bodies::unlock_says_of_a_lease_without_a_holder_that_nobody_has_it,
    bodies::a_token_that_is_replaced_is_read_again,
    paused::a_run_that_slept_through_its_lease_changes_nothing_more,
    paused::a_run_that_slept_while_it_deleted_deletes_nothing_more,
    refused::what_may_not_be_done_is_named_with_the_rule_that_is_missing,
    refused::a_namespace_that_is_not_there_is_named,
);

#[test]
fn a_real_api_server_says_the_same() {
    let lab = Lab::real();
    const ONLY_THERE: (&str, Body) =
        ("a_pod_takes_a_lease_by_itself", pod::a_pod_takes_a_lease_by_itself);
    let failed: Vec<&str> = thread::scope(|threads| {
        let begun: Vec<_> = BODIES
            .iter()
            .chain([&ONLY_THERE])
            .map(|(name, body)| {
                let lab = &lab;
                (*name, threads.spawn(move || catch_unwind(AssertUnwindSafe(|| body(lab))).is_ok()))
            })
            .collect();
        begun
            .into_iter()
            .filter_map(|(name, thread)| (!thread.join().unwrap()).then_some(name))
            .collect()
    });
    assert!(failed.is_empty(), "on the real server: {failed:?}");
}
