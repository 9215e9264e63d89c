//! The page in a browser: what a person sees, clicks and shares, and what file names cannot do to
//! it.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::browser::Browser;
use super::filled::{Run, insert_operations, insert_runs};
use super::server::Dashboard;
use crate::fixture::*;
use crate::ledger::base::*;
use crate::ledger::mariadb::Server;

/// Four pairs: in step, failing, at work, and one whose jobs only try.
pub fn fill(base: &Base) {
    base.make_tables();
    let mut id = 0;
    let mut next = || {
        id += 1;
        id
    };
    let mut runs = Vec::new();
    for (pair, every) in [("media", 30), ("photos", 60), ("owncloud", 20)] {
        for direction in ["dell-to-hp", "hp-to-dell"] {
            for number in (1..=70).rev() {
                let mut run = Run::new(next(), pair, direction, number * every);
                run.seconds = 40 + (number * number * 7 + every) % 90;
                run.bytes = ((number * 37 + every) % 23) << 27;
                run.counts = [number % 9, number % 4, 0, 0];
                runs.push(if number % 31 == 0 {
                    run.failed("partial_failure", 2, None)
                } else {
                    run
                });
            }
        }
    }
    let error = "cannot write at the destination: No space left on device (os error 28)";
    runs.push(Run { seconds: 12, ..Run::new(next(), "photos", "hp-to-dell", 9) }.failed(
        "failed",
        0,
        Some(error),
    ));
    runs.push(Run { status: "running", ..Run::new(next(), "owncloud", "dell-to-hp", 4) });
    runs.push(
        Run { counts: [1820, 44, 7, 0], ..Run::new(next(), "games", "dell-to-hp", 95) }.dry(),
    );
    runs.push(Run { counts: [0, 0, 0, 0], ..Run::new(next(), "games", "hp-to-dell", 80) }.dry());
    insert_runs(base, runs);
    insert_operations(base, 1, 2500);
}

struct Seen {
    base: Base,
    dashboard: Dashboard,
    browser: Browser,
}

impl Seen {
    fn new(fill: impl FnOnce(&Base)) -> Self {
        let base = Base::sqlite();
        fill(&base);
        let dashboard = Dashboard::start(&base.pair.dsn, &[]);
        Self { base, dashboard, browser: Browser::start() }
    }

    fn url(&self, query: &str) -> String {
        format!("http://127.0.0.1:{}/{query}", self.dashboard.port)
    }

    #[track_caller]
    fn open(&self, query: &str) {
        self.browser.open(&self.url(query));
        self.browser
            .wait("Number(document.body.dataset.round) > 0 && !document.body.dataset.asking");
    }

    /// Nothing was asked for elsewhere, and the browser complained of nothing.
    #[track_caller]
    fn assert_quiet(&self) {
        let asked =
            self.browser.get("performance.getEntriesByType('resource').map((entry) => entry.name)");
        for url in asked.as_array().unwrap() {
            assert!(url.as_str().unwrap().starts_with(&self.url("")), "{url}");
        }
        assert_eq!(self.browser.complaints(), Vec::<String>::new());
    }
}

#[test]
fn a_person_sees_how_every_pair_stands_and_follows_it_to_the_operations() {
    let seen = Seen::new(fill);
    let browser = &seen.browser;
    seen.open("");

    // The whole.
    assert_eq!(browser.text("#verdict"), "1 of 4 pairs needs a look: photos");
    assert_eq!(browser.get("document.querySelectorAll('.card').length"), 4);
    let card = |pair: &str| format!(".card[data-key='{pair}']");
    assert!(browser.text(&format!("{} .pill", card("media"))).contains("In step"));
    assert_eq!(browser.text(&format!("{} .pill", card("games"))), "Dry runs only");
    assert!(
        browser
            .text(&card("games"))
            .contains("Nothing has been synced yet: its runs were dry runs only")
    );
    assert!(browser.text(&card("games")).contains(": would create 1,820, update 44, delete 7"));
    assert!(browser.text(&card("owncloud")).contains("Running for 4 min"));
    let error = format!("{} .error:not([hidden])", card("photos"));
    assert_eq!(
        browser.text(&error),
        "cannot write at the destination: No space left on device (os error 28)"
    );
    let colour = |selector: &str| {
        let script = "return getComputedStyle(document.querySelector(arguments[0])).color.match(/\\d+/g).map(Number)";
        let colour: Vec<u64> = browser
            .run_with(script, &selector.into())
            .as_array()
            .unwrap()
            .iter()
            .map(|part| part.as_u64().unwrap())
            .collect();
        colour[0] > 150 && colour[1] < 100 && colour[2] < 100
    };
    assert!(
        colour(&error) && !colour(&format!("{} .pill", card("media"))),
        "red is what is wrong, and nothing else"
    );
    assert_eq!(
        browser.get(&format!("document.querySelectorAll(\"{} .plot .bar\").length", card("media"))),
        120
    );
    let told = browser.get("document.querySelector('[data-key=media] .last a').title");
    assert!(told.as_str().unwrap().contains(", 20"), "the exact time is there: {told}");

    // The list, its pages and its filters; each has an address.
    let first = browser.text("#runs tbody tr:first-child");
    assert_eq!(browser.get("document.querySelectorAll('#runs tbody tr').length"), 20);
    browser.and_drawn("document.getElementById('runs-older').click()");
    assert!(browser.text("#runs tbody tr:first-child") != first);
    assert!(browser.get("location.search").as_str().unwrap().starts_with("?before="));
    browser.back();
    browser
        .wait(&format!("document.querySelector('#runs tbody tr').innerText === {}", json!(first)));
    browser.and_drawn("const form = document.getElementById('run-filter'); form.elements.status.value = 'failed'; form.elements.status.dispatchEvent(new Event('change', { bubbles: true }))");
    assert_eq!(browser.get("location.search"), "?status=failed");
    assert_eq!(browser.get("document.querySelectorAll('#runs tbody tr').length"), 1);

    // A field that has the focus follows the address all the same.
    browser.run("document.getElementById('run-filter').elements.status.focus()");
    browser.back();
    browser.wait("document.querySelectorAll('#runs tbody tr').length === 20");
    assert_eq!(browser.get("document.getElementById('run-filter').elements.status.value"), "");
    seen.open("?status=failed");

    // A run: by a click on it, then by its address alone.
    browser.and_drawn("document.querySelector('#runs tbody a').click()");
    let run = browser.get("location.search").as_str().unwrap().to_owned();
    assert!(
        run.starts_with("?run=") && browser.text("#run-error").contains("No space left"),
        "{run}"
    );
    assert_eq!(
        browser.get("document.activeElement.id"),
        "run-title",
        "who listens is told that something new begins"
    );

    seen.open("?run=1&operation=update&q=file-00019&status=success");
    let rows = browser.text("#operations tbody .path");
    assert_eq!(rows.lines().filter(|line| line.contains("/file-00019")).count(), 49, "{rows}");
    assert_eq!(
        browser.get("document.querySelector('#operation-filter [name=q]').value"),
        "file-00019"
    );
    assert_eq!(
        browser.get("document.querySelector('#operation-filter [name=operation]').value"),
        "update"
    );

    // Pages of operations, a filter, and one that finds nothing.
    seen.open("?run=1");
    assert!(browser.text("#operations tbody tr:first-child").contains("file-0000000"));
    browser.and_drawn("document.getElementById('operations-next').click()");
    assert!(browser.text("#operations tbody tr:first-child").contains("file-0000050"));
    let shared = browser.get("location.search").as_str().unwrap().to_owned();
    browser.and_drawn("const s = document.querySelector('#operation-filter [name=status]'); s.value = 'fail'; s.dispatchEvent(new Event('change', { bubbles: true }))");
    assert_eq!(browser.get("document.querySelectorAll('#operations tbody tr').length"), 2);
    assert!(browser.text("#operations .why").contains("Permission denied"));
    browser.run("document.querySelector('#operation-filter [name=q]').focus()");
    browser.press(&["n", "o", "p", "e", "\u{e007}"]);
    browser.wait("location.search.includes('q=nope')");
    browser.wait("document.getElementById('search-state').innerText === 'No operation matches.'");
    seen.open(&shared);
    assert!(
        browser.text("#operations tbody tr:first-child").contains("file-0000050"),
        "a link shows what its sender saw"
    );

    seen.open("?run=99999");
    assert!(browser.text("#trouble").contains("There is no run 99999."));
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|line| line.contains("404")), "{complaints:?}");
    seen.assert_quiet();
}

#[test]
fn a_run_whose_opslog_is_damaged_is_not_said_to_have_changed_nothing() {
    let seen = Seen::new(|base| {
        Opslog::new(&base.pair.logs, "media", 1, 4).with(|lines| drop(lines.remove(2))).lay_down();
        assert_eq!(base.flush().code, Some(1));
    });
    seen.open("?run=1");
    let error = seen.browser.text("#run-error");
    assert!(error.contains("it holds 3 operations, its last line says 4"), "{error}");
    assert_eq!(
        seen.browser.text("#search-state"),
        "What this run did is not here: its opslog is damaged."
    );
    seen.assert_quiet();
}

#[test]
fn a_refresh_shows_what_is_new_and_keeps_scroll_selection_and_focus() {
    let seen = Seen::new(fill);
    let browser = &seen.browser;
    browser.resize(1000, 600);
    seen.open("");
    browser.run(
        "const row = document.querySelectorAll('#runs tbody tr')[4]; window.row = row; row.scrollIntoView();
         getSelection().selectAllChildren(row.cells[1]); row.querySelector('a').focus({ preventScroll: true });
         window.nodes = [...document.querySelectorAll('.card, .bar')]; window.was = [scrollY, getSelection().toString()]",
    );
    assert!(browser.get("scrollY").as_f64().unwrap() > 100.0);
    insert_runs(&seen.base, [Run::new(9000, "photos", "hp-to-dell", 0)]);
    browser.wait_for_refresh();
    browser.wait("document.getElementById('verdict').innerText === '3 pairs are in step, 1 not synced in both directions yet'");
    assert_eq!(
        browser.get("getSelection().toString() === window.was[1] && window.was[1] !== ''"),
        true
    );
    assert_eq!(browser.get("document.activeElement === window.row.querySelector('a')"), true);
    assert_eq!(
        browser.get("window.nodes.filter((node) => !node.isConnected).length <= 1"),
        true,
        "nothing is made anew but the oldest bar"
    );
    // One row came above: what was looked at stays where it was looked at, or at the very place.
    let moved = browser.get("Math.abs(scrollY - window.was[0])").as_f64().unwrap();
    assert!(moved < 80.0, "{moved}");
    assert!(
        browser.text("#runs tbody tr:first-child").contains("just now")
            || browser.text("#runs tbody tr:first-child").contains(" s ago")
    );
    seen.assert_quiet();
}

#[test]
fn the_keyboard_reaches_everything_and_a_phone_shows_it() {
    let seen = Seen::new(fill);
    let browser = &seen.browser;
    seen.open("");
    browser.press(&["\u{e004}"]);
    assert_eq!(browser.get("document.activeElement.className"), "skip");
    browser.press(&["\u{e004}", "\u{e004}"]);
    assert_eq!(browser.get("document.activeElement.closest('.card') !== null"), true);
    assert_eq!(browser.get("getComputedStyle(document.activeElement).outlineStyle"), "solid");
    browser.press(&["\u{e007}"]);
    browser.wait("!document.getElementById('run').hidden");
    for (width, query) in [(360, ""), (360, "?run=1"), (1400, ""), (1400, "?run=1")] {
        browser.resize(width, 800);
        seen.open(query);
        let wide = browser
            .get("document.documentElement.scrollWidth - document.documentElement.clientWidth");
        assert_eq!(wide, 0, "{width} {query}: nothing sticks out");
    }
    // Every field has a name, every table its heads, every picture its words.
    for (expression, what) in [
        (
            "[...document.querySelectorAll('select, input')].every((field) => field.labels.length === 1)",
            "fields",
        ),
        ("[...document.querySelectorAll('th')].every((head) => head.scope === 'col')", "heads"),
        (
            "[...document.querySelectorAll('svg.plot')].every((plot) => plot.getAttribute('role') === 'group' && plot.querySelector('title').textContent !== '' && [...plot.querySelectorAll('.bar')].every((bar) => bar.hasAttribute('href') && bar.firstElementChild.textContent !== ''))",
            "plots",
        ),
        (
            "document.querySelector('main') && document.querySelector('header') && document.querySelector('html').lang === 'en'",
            "landmarks",
        ),
        ("document.getElementById('verdict').getAttribute('aria-live') === 'polite'", "live"),
    ] {
        assert_eq!(browser.get(&format!("Boolean({expression})")), true, "{what}");
    }
    seen.assert_quiet();
}

#[test]
fn a_plot_has_a_scale_and_its_bars_are_reached_and_heard() {
    let seen = Seen::new(fill);
    let browser = &seen.browser;
    seen.open("");
    let within = |part: &str| format!(".card[data-key='media'] [data-key='dell-to-hp'] {part}");
    let runs =
        seen.dashboard.ask("/api/history?pair=media")["pairs"][0]["directions"][0]["runs"].clone();
    let ids: Vec<i64> =
        runs.as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()).collect();
    assert_eq!(ids.len(), 60);
    // The longest and the largest of what `fill` made.
    let longest = (1..=60).map(|number| 40 + (number * number * 7 + 30) % 90).max().unwrap();
    let scale = browser.text(&within(".scale"));
    let expected = format!("{} min {} s\n0\n2.75 GiB", longest / 60, longest % 60);
    assert_eq!(
        scale.split_whitespace().collect::<Vec<_>>(),
        expected.split_whitespace().collect::<Vec<_>>()
    );
    assert!(
        browser.text(&within(".legend")).starts_with("60 runs, the first 30 h ago")
            || browser.text(&within(".legend")).starts_with("60 runs, the first 1 d ago"),
        "{}",
        browser.text(&within(".legend"))
    );

    let [role, name] = browser.heard(&within(".plot"));
    assert_eq!(
        (role.as_str(), name.starts_with("The last 60 runs: at most 2 min")),
        ("group", true),
        "{name}"
    );
    let [role, name] = browser.heard(&within(&format!(".bar[data-key='{}']", ids[59])));
    assert_eq!((role.as_str(), name.contains(": Done, ")), ("link", true), "{role} {name}");
    let [_, name] = browser.heard(&within(".bar.partial_failure"));
    assert!(name.contains(": Partly failed, ") && name.ends_with("2 paths failed"), "{name}");

    // One bar is in the order of the Tab key, the arrows go on from there.
    browser.run_with("document.querySelector(arguments[0]).focus()", &within(".last a").into());
    browser.press(&["\u{e004}"]);
    let focused = || browser.get("document.activeElement.dataset.key");
    assert_eq!(focused(), json!(ids[59].to_string()), "the latest run");
    browser.press(&["\u{e012}", "\u{e012}", "\u{e014}"]);
    assert_eq!(focused(), json!(ids[58].to_string()));
    let legend = browser.text(&within(".legend"));
    assert!(legend.contains(": Done, "), "what is pointed at is told: {legend}");
    for (key, index) in
        [("\u{e011}", 0), ("\u{e012}", 0), ("\u{e010}", 59), ("\u{e014}", 59), ("\u{e012}", 58)]
    {
        browser.press(&[key]);
        assert_eq!(focused(), json!(ids[index].to_string()));
    }
    browser.wait_for_refresh();
    assert_eq!(focused(), json!(ids[58].to_string()), "a refresh takes nothing away");
    let stops = format!(
        "[...document.querySelectorAll(\"{}\")].filter((bar) => bar.tabIndex === 0).length",
        within(".bar")
    );
    assert_eq!(browser.get(&stops), 1);
    browser.press(&["\u{e004}"]);
    assert!(browser.text(&within(".legend")).starts_with("60 runs"), "and then the plot again");
    browser.press(&["\u{e008}", "\u{e004}"]);
    browser.run_with(
        "document.querySelector(arguments[0]).focus()",
        &within(&format!(".bar[data-key='{}']", ids[58])).into(),
    );
    browser.press(&["\u{e007}"]);
    browser.wait(&format!(
        "location.search === '?run={}' && !document.getElementById('run').hidden",
        ids[58]
    ));
    seen.assert_quiet();
}

#[test]
fn what_is_plotted_is_asked_for_when_a_run_has_ended() {
    let seen = Seen::new(fill);
    let browser = &seen.browser;
    let slot = || browser.get("Math.floor(Date.now() / 300000)");
    let asked = || {
        let names = browser.get("performance.getEntriesByType('resource').map((entry) => entry.name.split('/').pop()).filter((name) => name.startsWith('history'))");
        names
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let mut id = 9000;
    loop {
        let begun = {
            seen.open("");
            slot()
        };
        browser.wait_for_refresh();
        let before = asked();
        id += 1;
        insert_runs(&seen.base, [Run::new(id, "photos", "hp-to-dell", 0)]);
        browser.wait(&format!("document.querySelector(\".bar[data-key='{id}']\")"));
        // Every five minutes all of it is asked for in any case.
        if slot() == begun {
            assert_eq!(before, ["history?"]);
            assert_eq!(asked(), ["history?", "history?pair=photos&limit=60"]);
            return;
        }
    }
}

#[test]
fn a_pair_is_overdue_by_its_own_measure() {
    let seen = Seen::new(|base| {
        base.make_tables();
        let every = |pair, first, minutes: i64, late: i64| {
            (0..10).map(move |number| {
                Run::new(first + number, pair, "there", late + (9 - number) * minutes)
            })
        };
        let half_hourly = every("late", 1, 30, 100);
        let daily = every("daily", 11, 24 * 60, 26 * 60);
        let by_hand = every("hand", 31, 2, 20).skip(5);
        // One that died, or hangs: its row stays.
        let hung = every("hung", 41, 30, 26 * 60);
        let at_work = [
            Run { status: "running", ..Run::new(51, "hung", "there", 25 * 60) },
            Run { status: "running", ..Run::new(52, "first", "there", 5) },
            Run::new(53, "skewed", "there", -60),
            Run::new(54, "busy", "there", 5),
        ];
        let alone = Run::new(21, "new", "there", 600);
        insert_runs(
            base,
            half_hourly.chain(daily).chain(by_hand).chain(hung).chain(at_work).chain([alone]),
        );
        base.execute(&[
            r#"UPDATE sync_iterations SET counts = '{"deferred":12}' WHERE sync_pair = 'busy'"#,
        ]);
    });
    seen.open("");
    let states = seen.browser.text(".direction .state");
    assert_eq!(
        states.lines().collect::<Vec<_>>(),
        [
            "Overdue",
            "Overdue",
            "12 deferred to the next run",
            "Begun in the future: a clock is wrong",
            "First run at work",
            "In step",
            "In step",
            "In step",
        ],
        "hung, late; busy, skewed; first; daily, hand, new: the worst come first"
    );
    assert_eq!(seen.browser.text("#verdict"), "2 of 8 pairs need a look: hung, late");
    seen.base.execute(&[
        "DELETE FROM sync_iterations WHERE sync_pair <> 'hung'",
        "UPDATE sync_iterations SET ended_at = NULL, status = 'running' WHERE id = 51",
        "DELETE FROM sync_iterations WHERE status = 'success'",
    ]);
    seen.open("");
    assert_eq!(
        seen.browser.text("#verdict"),
        "To be watched: hung (Running for long)",
        "never in step yet"
    );
    seen.assert_quiet();
}

#[test]
fn an_empty_database_shows_how_to_begin_and_then_the_first_run() {
    let seen = Seen::new(|_| {});
    let browser = &seen.browser;
    seen.open("");
    assert!(
        browser
            .text("#first")
            .contains("ha-sync --src /path/to/a --dest /path/to/b --pair media --dry-run")
    );
    assert_eq!(browser.text("#verdict"), "No runs yet");
    assert!(browser.text("#missing").contains("rows.sqlite"), "where it is waited for");
    write(&seen.base.pair.a, "file", "x", T0);
    assert_eq!(seen.base.pair.sync(&["--dry-run"]).code, Some(0));
    browser.wait("document.getElementById('verdict').innerText === 'Nothing has been synced yet'");
    assert_eq!(seen.base.pair.sync(&[]).code, Some(0));
    browser.wait("document.getElementById('verdict').innerText === 'The pair is in step'");
    assert!(browser.text(".card").contains("just now") || browser.text(".card").contains(" s ago"));
    seen.assert_quiet();
}

#[test]
fn a_database_that_goes_away_is_told_of_and_what_was_known_stays() {
    let mut server = Server::start(&[]);
    let mut pair = Fixture::new();
    pair.dsn = server.database("own");
    write(&pair.a, "file", "x", T0);
    assert_eq!(pair.sync(&[]).code, Some(0));
    let dashboard = Dashboard::start(&pair.dsn, &[]);
    let browser = Browser::start();
    browser.open(&format!("http://127.0.0.1:{}/", dashboard.port));
    browser.wait("document.querySelectorAll('.card').length === 1");
    server.kill();
    browser.wait("!document.getElementById('away').hidden");
    let told = browser.text("#away");
    assert!(told.starts_with("The database cannot be reached. What is shown is as of "), "{told}");
    assert_eq!(browser.get("document.querySelectorAll('.card').length"), 1);
    browser.wait("document.getElementById('verdict').innerText.startsWith('As of ') && document.getElementById('verdict').className === 'idle'");
    server.resume();
    browser.wait("document.getElementById('away').hidden");
    browser.wait("document.getElementById('verdict').innerText === 'The pair is in step'");
    // The dashboard itself.
    let port = dashboard.port;
    drop(dashboard);
    browser.wait(
        "document.getElementById('away').innerText.startsWith('The dashboard cannot be reached')",
    );
    assert_eq!(browser.get("document.querySelectorAll('.card').length"), 1);
    let _again = Dashboard::start_on(port, &pair.dsn, &[]);
    browser.wait("document.getElementById('away').hidden");
}

/// Names that want to be something else than names.
fn hostile() -> Vec<(Vec<u8>, &'static str)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        (text("<img src=x onerror=alert(1)>"), "<img src=x onerror=alert(1)>"),
        (text("<script>document.title='pwned'<"), "<script>document.title='pwned'<"),
        (text("</td></table><h1>x"), "x"),
        (text("\" onmouseover=\"alert(1)"), "\" onmouseover=\"alert(1)"),
        (text("' autofocus onfocus='alert(1)"), "' autofocus onfocus='alert(1)"),
        (text("javascript:alert(1)"), "javascript:alert(1)"),
        (text("${alert(1)} {{7*7}} &lt;b&gt; &#x3c;"), "${alert(1)} {{7*7}} &lt;b&gt; &#x3c;"),
        (text("line\nbreak\ttab\rreturn"), "line\\nbreak\\ttab\\rreturn"),
        (text("exe.\u{202e}gpj"), "exe.\\u{202e}gpj"),
        (text("\u{2066}isolate\u{200b}\u{feff}"), "\\u{2066}isolate\\u{200b}\\u{feff}"),
        (text("עברית و عربي"), "עברית و عربي"),
        (text("back\\slash"), "back\\\\slash"),
        (text("\u{1}\u{1b}[2J\u{7f}\u{85}"), "\\u{1}\\u{1b}[2J\\u{7f}\\u{85}"),
        (b"caf\xe9 \xff\xfe \xf0\x9f".to_vec(), "caf\\xe9 \\xff\\xfe \\xf0\\x9f"),
        (b"\xed\xa0\x80 \xc0\xaf good: \xc3\xa9".to_vec(), "\\xed\\xa0\\x80 \\xc0\\xaf good: é"),
        (text("😀 emoji"), "😀 emoji"),
        (text("'; DROP TABLE sync_operations; --"), "'; DROP TABLE sync_operations; --"),
    ]
}

#[test]
fn file_names_are_shown_as_text_whatever_they_say() {
    use std::os::unix::ffi::OsStrExt as _;
    let names = hostile();
    let seen = Seen::new(|base| {
        for (name, _) in &names {
            write(&base.pair.a, std::ffi::OsStr::from_bytes(name), "x", T0);
        }
        assert_eq!(base.pair.sync(&[]).code, Some(0));
        // And a message that has a name in it.
        base.execute(&["UPDATE sync_iterations SET status = 'failed', error_message = '<img src=y onerror=alert(2)>' || char(8238) || 'x'"]);
        base.execute(&["UPDATE sync_operations SET status = 'fail', error_message = '<svg onload=alert(3)>' WHERE id = 1"]);
    });
    let browser = &seen.browser;
    seen.open("?run=1");
    let shown = browser.get(
        "[...document.querySelectorAll('#operations .path bdi')].map((node) => node.textContent)",
    );
    let shown: Vec<&str> =
        shown.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    for (name, expected) in &names {
        assert!(
            shown.iter().any(|shown| shown == expected
                || shown.starts_with(expected)
                || shown.contains(expected)),
            "{}: {shown:#?}",
            String::from_utf8_lossy(name)
        );
    }
    assert_eq!(browser.text("#run-error"), "<img src=y onerror=alert(2)>\\u{202e}x");
    // No element but the page's own.
    let foreign = "[...document.querySelectorAll('*')].map((node) => node.localName).filter((name) => ['img', 'iframe', 'object', 'b'].includes(name))";
    assert_eq!(browser.get(foreign), json!([]));
    assert_eq!(browser.get("document.querySelectorAll('script').length"), 1);
    let handlers = "[...document.querySelectorAll('*')].flatMap((node) => [...node.attributes]).filter((one) => one.name.startsWith('on') || one.name === 'style').length";
    assert_eq!(browser.get(handlers), 0);
    assert!(browser.get("document.title").as_str().unwrap().starts_with("● Run 1"));
    // A name in another direction of writing moves nothing else of its row.
    let rows = browser.get("[...document.querySelectorAll('#operations tbody tr')].map((row) => [...row.cells].map((cell) => cell.getBoundingClientRect().left))");
    let rows: &Vec<Value> = rows.as_array().unwrap();
    assert!(rows.len() >= names.len() && rows.iter().all(|row| *row == rows[0]), "{rows:?}");
    seen.open("");
    assert_eq!(browser.text(".error:not([hidden])"), "<img src=y onerror=alert(2)>\\u{202e}x");
    seen.open("?run=1&q=%3Cscript%3E");
    assert_eq!(browser.get("document.querySelectorAll('#operations tbody tr').length"), 1);
    // What an address says is no markup either.
    browser.open(&seen.url("?pair=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E"));
    browser.wait("Number(document.body.dataset.round) > 0");
    assert_eq!(browser.get("document.querySelectorAll('img').length"), 0);
    seen.assert_quiet();
}

#[test]
fn a_script_in_the_page_would_not_run() {
    let seen = Seen::new(fill);
    let browser = &seen.browser;
    seen.open("");
    browser.run("const script = document.createElement('script'); try { script.textContent = 'window.ran = 1' } catch {} document.head.append(script)");
    assert_eq!(browser.get("window.ran === undefined"), true);
    assert_eq!(
        browser.run(
            "try { document.body.innerHTML = '<b>x</b>'; return 'done' } catch (error) { return error.name }"
        ),
        "TypeError"
    );
    assert_eq!(browser.get("document.querySelectorAll('.card').length"), 4);
    let complaints = browser.complaints();
    assert!(
        complaints.iter().any(|line| line.contains("The action has been blocked")),
        "{complaints:?}"
    );
}

/// Pictures for the eye and for the documentation: `HA_SYNC_PICTURES=folder cargo nextest run
/// --run-ignored only -E 'test(pictures)'`.
#[test]
#[ignore = "it writes pictures into the folder that HA_SYNC_PICTURES names"]
fn pictures_of_the_page() {
    let folder = PathBuf::from(std::env::var_os("HA_SYNC_PICTURES").expect("a folder"));
    let seen = Seen::new(|base| {
        fill(base);
        insert_runs(
            base,
            (1..=140).map(|number| {
                let direction = ["dell-to-hp", "hp-to-dell"][number as usize % 2];
                let pair = if number <= 70 { "ai" } else { "infra" };
                let age = (140 - number) % 70 / 2 * 60 + 3;
                let run = Run::new(5000 + number, pair, direction, age);
                Run {
                    seconds: 20 + number * 13 % 50,
                    bytes: (number * 29 % 17) << 24,
                    counts: [number % 5, number % 3, 0, 0],
                    ..run
                }
            }),
        );
    });
    let save = |browser: &Browser, name: &str| {
        std::fs::write(folder.join(name), browser.picture()).unwrap();
    };
    take(&seen, &save, "overview", "");
    take(&seen, &save, "run", "?run=1");
    let empty = Seen::new(|_| {});
    take(&empty, &save, "empty", "");
    let away = Seen::new(fill);
    away.open("");
    let file = PathBuf::from(away.base.pair.dsn.trim_start_matches("sqlite:"));
    std::fs::write(&file, "no database").unwrap();
    away.browser.wait("!document.getElementById('away').hidden");
    save(&away.browser, "away.png");
}

fn take(seen: &Seen, save: &dyn Fn(&Browser, &str), name: &str, query: &str) {
    for (width, wide) in [(1400, "wide"), (360, "narrow")] {
        for (dark, light) in [(false, "light"), (true, "dark")] {
            seen.browser.resize(width, 1000);
            seen.browser.darken(dark);
            seen.open(query);
            save(&seen.browser, &format!("{name}-{wide}-{light}.png"));
        }
    }
}
