//! A simulation of contenders, a server and a network that does its worst, on a clock of its own.
//! It proves that there are never two holders at once.
//!
//! Each contender has a clock that is off by up to a day and runs up to two per cent too fast or
//! too slow. Requests and answers are late or lost, and late requests are carried out although
//! nobody waits for them any more. Processes are stopped for longer than a Lease holds. From time
//! to time the server's own clock is off by a day for a moment, which is shorter than the time
//! between the two looks.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::acquiring::{Contender, Look, Step};
use super::clock::{ServerClock, Stamp};
use super::held_lease::{HeldLease, Next};
use super::record::{Claim, Record};
use super::timings::LeaseTimings;

/// Milliseconds of true time, which no contender can see.
type Time = u64;

const DAY: Time = 24 * 3600 * 1000;
const LASTS: Time = 20 * 60 * 1000;

/// The time for which the server's clock is right between two moments in which it is wrong. It is
/// longer than anything takes, or both looks could fall into such moments.
const CALM: Time = 150_000;

/// The pseudo-random numbers of one history (SplitMix64).
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }

    fn one_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    fn delay(&mut self) -> Time {
        if self.one_in(8) { self.below(12_000) } else { self.below(150) }
    }
}

/// A request to the server.
#[derive(Clone, Debug)]
enum Call {
    Get,
    Post(Value),
    Put(Value),
    Delete { uid: String, version: String },
}

#[derive(Clone, Debug)]
enum Answered {
    FoundLease(Option<Record>),
    Stored(Record),
    Conflict,
    Deleted,
}

#[derive(Clone, Debug)]
enum Event {
    Wake { actor: usize },
    Arrive { actor: usize, number: u64, call: Call },
    Answer { actor: usize, number: u64, answered: Answered, date: Option<SystemTime> },
    GiveUp { actor: usize, number: u64 },
}

#[derive(Debug)]
struct Server {
    stored: Option<Value>,
    version: u64,
    tells_date: bool,
    /// Until when its clock is off, and by how many milliseconds.
    wild: (Time, i64),
}

struct Actor {
    claim: Claim,
    timings: LeaseTimings,
    clock: ServerClock,
    contender: Contender,
    held_lease: Option<HeldLease>,
    /// The call whose answer is pending: its number, the request and the time when it was sent.
    pending: Option<(u64, Call, Duration)>,
    boot: Time,
    millionths: i64,
    paused_until: Time,
    shall_release: bool,
}

impl Actor {
    fn new(number: usize, seconds: u64, dice: &mut Dice) -> Self {
        let (identity, duration) = (format!("host/{number}/x"), Duration::from_secs(seconds));
        let claim = Claim {
            name: "ha-sync-media".into(),
            namespace: "infrastructure".into(),
            identity: identity.clone(),
            duration,
            direction: "there".into(),
            run_id: String::new(),
        };
        let timings = LeaseTimings::new(duration);
        let contender = Contender::new(&identity, timings);
        Self {
            claim,
            timings,
            clock: ServerClock::default(),
            contender,
            held_lease: None,
            pending: None,
            boot: dice.below(2 * DAY),
            millionths: 20_000 - dice.below(40_001) as i64,
            paused_until: 0,
            shall_release: false,
        }
    }

    /// Time since boot.
    fn now(&self, time: Time) -> Duration {
        let micros = (self.boot + time) as i64 * 1000;
        Duration::from_micros((micros + (time as i64 * self.millionths) / 1000) as u64)
    }

    /// The true time that passes while this clock advances by `duration`.
    fn passes(&self, duration: Duration) -> Time {
        let micros = duration.as_micros() as i64;
        ((micros - micros * self.millionths / 1_000_000) as u64).div_ceil(1000) + 1
    }
}

struct World {
    time: Time,
    dice: Dice,
    server: Server,
    actors: Vec<Actor>,
    queue: BinaryHeap<Reverse<(Time, u64)>>,
    events: Vec<Option<Event>>,
    calls: u64,
    /// The number of times that a contender became the holder.
    held: u64,
}

impl World {
    fn new(seed: u64, durations: &[u64], tells_date: bool) -> Self {
        let mut dice = Dice(seed);
        let actors: Vec<Actor> = durations
            .iter()
            .enumerate()
            .map(|(number, seconds)| Actor::new(number, *seconds, &mut dice))
            .collect();
        let server = Server { stored: None, version: 0, tells_date, wild: (0, 0) };
        let mut world = Self {
            time: 0,
            dice,
            server,
            actors,
            queue: BinaryHeap::new(),
            events: Vec::new(),
            calls: 0,
            held: 0,
        };
        for actor in 0..durations.len() {
            let after = world.dice.below(2000);
            world.after(after, Event::Wake { actor });
        }
        world
    }

    fn after(&mut self, delay: Time, event: Event) {
        self.queue.push(Reverse((self.time + delay, self.events.len() as u64)));
        self.events.push(Some(event));
    }

    fn run(&mut self) {
        while let Some(Reverse((time, event))) = self.queue.pop() {
            if time > LASTS {
                return;
            }
            self.time = time;
            let Some(event) = self.events[event as usize].take() else { continue };
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        if let Event::Wake { actor } | Event::Answer { actor, .. } | Event::GiveUp { actor, .. } =
            event
        {
            // A process that is stopped gets no events.
            let asleep = self.actors[actor].paused_until.saturating_sub(self.time);
            if asleep > 0 {
                return self.after(asleep, event);
            }
        }
        match event {
            Event::Wake { actor } => self.wake(actor),
            Event::Arrive { actor, number, call } => self.arrive(actor, number, call),
            Event::Answer { actor, number, answered, date } => {
                self.answer(actor, number, Some((answered, date)));
            }
            Event::GiveUp { actor, number } => self.answer(actor, number, None),
        }
    }

    fn send(&mut self, actor: usize, call: Call) {
        self.calls += 1;
        let number = self.calls;
        let sent = self.actors[actor].now(self.time);
        self.actors[actor].pending = Some((number, call.clone(), sent));
        let mut delay = self.dice.delay();
        let mut unsent = 0;
        match self.dice.below(40) {
            // The process is stopped while it waits, and gets the answer long after it was given.
            0 => self.actors[actor].paused_until = self.time + self.dice.below(90_000),
            // The process is stopped between dating the renewal and sending it.
            1 => {
                unsent = self.dice.below(90_000);
                self.actors[actor].paused_until = self.time + unsent;
                delay += unsent;
            }
            _ => {}
        }
        if !self.dice.one_in(10) {
            self.after(delay, Event::Arrive { actor, number, call });
        }
        let deadline = self.actors[actor].passes(self.actors[actor].timings.call());
        self.after(unsent + deadline, Event::GiveUp { actor, number });
    }

    fn arrive(&mut self, actor: usize, number: u64, call: Call) {
        let answered = self.server.handle(call);
        if self.server.wild.0 + CALM < self.time && self.dice.one_in(12) {
            let off = [DAY as i64, -(DAY as i64)][self.dice.below(2) as usize];
            self.server.wild = (self.time + self.dice.below(700), off);
        }
        let date = self.server.date(self.time);
        let delay = self.dice.delay();
        if !self.dice.one_in(10) {
            self.after(delay, Event::Answer { actor, number, answered, date });
        }
    }

    fn answer(
        &mut self,
        actor: usize,
        number: u64,
        answer: Option<(Answered, Option<SystemTime>)>,
    ) {
        let now = self.actors[actor].now(self.time);
        let one = &mut self.actors[actor];
        let Some((_, call, sent)) = one.pending.take_if(|(pending, ..)| *pending == number) else {
            return;
        };
        let answered = answer.map(|(answered, date)| {
            let stamp = Stamp { sent, received: now, date };
            one.clock.hear(stamp);
            (answered, stamp)
        });
        let again = one.passes(one.timings.retry());
        match (&mut one.held_lease, call, answered) {
            (_, Call::Delete { .. }, _) | (None, _, None) => {
                self.after(again, Event::Wake { actor });
            }
            (Some(held_lease), Call::Put(_), Some((Answered::Stored(record), _))) => {
                held_lease.renewed(sent, record);
                self.hold(actor);
            }
            (Some(held_lease), Call::Put(_), Some(_)) => {
                held_lease.refused(now);
                self.after(0, Event::Wake { actor });
            }
            (Some(held_lease), _, Some((Answered::FoundLease(found), _))) => {
                if held_lease.seen(now, found).is_err() {
                    one.held_lease = None;
                }
                self.after(0, Event::Wake { actor });
            }
            (Some(held_lease), _, _) => {
                held_lease.failed(now, String::new());
                self.after(0, Event::Wake { actor });
            }
            (None, _, Some((Answered::Stored(record), _))) => {
                one.held_lease = Some(HeldLease::new(one.timings, record, sent));
                self.held += 1;
                self.hold(actor);
            }
            (None, _, Some((Answered::FoundLease(record), stamp))) => {
                let step = one.contender.look(Look { record, stamp });
                self.take(actor, step);
            }
            (None, _, Some(_)) => self.after(again, Event::Wake { actor }),
        }
    }

    fn take(&mut self, actor: usize, step: Step) {
        let one = &self.actors[actor];
        let server = one.clock.at_most(one.now(self.time));
        match step {
            Step::Create => self.send(actor, Call::Post(one.claim.create(server))),
            Step::Take(record) => self.send(actor, Call::Put(one.claim.take(&record, server))),
            Step::LookAgain(after) => self.after(one.passes(after), Event::Wake { actor }),
            Step::Held(_) => self.after(one.passes(one.timings.poll()), Event::Wake { actor }),
        }
    }

    fn wake(&mut self, actor: usize) {
        if self.actors[actor].pending.is_some() {
            return;
        }
        if self.dice.one_in(40) {
            self.actors[actor].paused_until = self.time + self.dice.below(90_000);
            return self.after(1, Event::Wake { actor });
        }
        let now = self.actors[actor].now(self.time);
        let is_done = self.dice.one_in(60);
        let one = &mut self.actors[actor];
        let Some(held_lease) = &mut one.held_lease else { return self.send(actor, Call::Get) };
        if is_done || one.shall_release {
            let (uid, version) =
                (held_lease.record().uid.clone(), held_lease.record().version.clone());
            one.held_lease = None;
            one.contender = Contender::new(&one.claim.identity, one.timings);
            return self.send(actor, Call::Delete { uid, version });
        }
        match held_lease.next(now) {
            Next::Wait(until) => {
                let after = one.passes(until - now);
                self.after(after, Event::Wake { actor });
            }
            Next::Renew => {
                let object = held_lease.renewal(one.clock.at_most(now));
                self.send(actor, Call::Put(object));
            }
            Next::Look => self.send(actor, Call::Get),
            Next::Lost(_) => {
                one.held_lease = None;
                one.contender = Contender::new(&one.claim.identity, one.timings);
                self.after(1, Event::Wake { actor });
            }
        }
    }

    /// A contender takes itself for the holder from now on. No other one may do so.
    fn hold(&mut self, actor: usize) {
        let takes_itself = |one: &Actor| {
            one.held_lease
                .as_ref()
                .is_some_and(|held_lease| one.now(self.time) < held_lease.valid_until())
        };
        let holders: Vec<usize> =
            (0..self.actors.len()).filter(|one| takes_itself(&self.actors[*one])).collect();
        assert!(holders.len() <= 1, "at {} ms, {holders:?} hold it", self.time);
        self.after(0, Event::Wake { actor });
    }
}

impl Server {
    fn handle(&mut self, call: Call) -> Answered {
        let stored = self.stored.as_ref().and_then(|object| Record::read(object.clone()));
        match (call, stored) {
            (Call::Get, stored) => Answered::FoundLease(stored),
            (Call::Post(object), None) => self.store(object, true),
            (Call::Put(object), Some(stored)) => match Record::read(object.clone()) {
                Some(sent) if sent.version == stored.version && sent.uid == stored.uid => {
                    self.store(object, false)
                }
                _ => Answered::Conflict,
            },
            (Call::Delete { uid, version }, Some(stored))
                if (&uid, &version) == (&stored.uid, &stored.version) =>
            {
                self.stored = None;
                Answered::Deleted
            }
            _ => Answered::Conflict,
        }
    }

    fn store(&mut self, mut object: Value, is_new: bool) -> Answered {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if is_new {
            object["metadata"]["uid"] = json!(format!("uid-{}", self.version));
        }
        self.stored = Some(object.clone());
        Record::read(object).map_or(Answered::Conflict, Answered::Stored)
    }

    /// The server's clock in whole seconds, as in the header.
    fn date(&self, time: Time) -> Option<SystemTime> {
        let off = if time < self.wild.0 { self.wild.1 } else { 0 };
        let shown = (1_700_000_000_000 + time as i64 + off) as u64 / 1000;
        self.tells_date.then(|| SystemTime::UNIX_EPOCH + Duration::from_secs(shown))
    }
}

fn held(seed: u64, durations: &[u64], tells_date: bool) -> u64 {
    let mut world = World::new(seed, durations, tells_date);
    world.run();
    world.held
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn two_contenders_never_hold_it_at_once(seed: u64, first in 3_u64..40, second in 3_u64..40) {
        held(seed, &[first, second], true);
    }

    #[test]
    fn three_contenders_never_hold_it_at_once(seed: u64, seconds in 3_u64..20) {
        held(seed, &[seconds, seconds, seconds + 5], true);
    }

    #[test]
    fn nor_do_they_where_the_server_tells_no_time(seed: u64, seconds in 3_u64..20) {
        held(seed, &[seconds, 2 * seconds, 10], false);
    }
}

/// A simulation would prove nothing if no contender ever acquired the Lease or took it over.
#[test]
fn in_these_histories_the_lease_changes_hands() {
    for (durations, tells_date) in [(&[3, 3][..], true), (&[5, 8, 5], true), (&[5, 5], false)] {
        let changes: u64 = (0..20).map(|seed| held(seed, durations, tells_date)).sum();
        assert!(changes > 200, "{durations:?}: {changes}");
    }
}
