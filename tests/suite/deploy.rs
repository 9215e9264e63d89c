//! The manifests: made from one table, checked against the schemas of Kubernetes, and understood by
//! the programs that they start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser as _;
use ha_sync::cli::{Cli, DashboardCli};
use ha_sync::config::{Config, DashboardConfig};
use serde_json::Value;

use crate::docs::project;
use crate::fixture::*;

/// An object for the API server.
#[derive(Debug)]
pub struct Thing(pub Value);

impl Thing {
    pub fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().unwrap()
    }

    fn is(&self, kind: &str) -> bool {
        self.0["kind"] == kind
    }

    /// The only container of a CronJob.
    fn container(&self) -> &Value {
        &self.0["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
    }

    fn args(&self) -> Vec<String> {
        let args = self.container()["args"].as_array().unwrap();
        args.iter().map(|arg| arg.as_str().unwrap().to_owned()).collect()
    }
}

/// What `kubectl apply -k deploy/` sends.
pub fn objects() -> Vec<Thing> {
    let ran = run(Command::new("kubectl").arg("kustomize").arg(project().join("deploy")));
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout.split("\n---\n").map(|text| Thing(serde_saphyr::from_str(text).unwrap())).collect()
}

/// A copy of deploy/ and its generator, to change.
fn copy() -> (tempfile::TempDir, PathBuf) {
    let scratch = tempfile::Builder::new().prefix("ha-sync-deploy-").tempdir().unwrap();
    fs::create_dir(scratch.path().join("scripts")).unwrap();
    for (from, to) in [("deploy", "deploy"), ("scripts/manifests", "scripts/manifests")] {
        let ran = run(Command::new("cp")
            .arg("-a")
            .arg(project().join(from))
            .arg(scratch.path().join(to)));
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    }
    let deploy = scratch.path().join("deploy");
    (scratch, deploy)
}

fn check(deploy: &Path) -> Ran {
    run(Command::new(project().join("scripts/check-manifests")).arg("--deploy").arg(deploy))
}

#[test]
fn what_is_checked_in_is_what_the_table_and_the_templates_say() {
    let ran = run(Command::new(project().join("scripts/manifests")).arg("--check"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""), "{}", ran.stderr);
}

/// One after the other: each starts the checker, which makes its environment when it is missing.
#[test]
fn the_manifests_pass_the_strict_check_and_damaged_ones_do_not() {
    let ran = check(&project().join("deploy"));
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    let damages = [
        (
            "pairs/media.yaml",
            "concurrencyPolicy: Forbid",
            "concurrencyPollicy: Forbid",
            "was unexpected",
        ),
        (
            "pairs/media.yaml",
            "claimName: pvc-dell-media",
            "claimName: pvc-dell-medja",
            "which is not there",
        ),
        (
            "pairs/media.yaml",
            "volumeName: pv-hp-media",
            "volumeName: pv-hp-photos",
            "do not name each other",
        ),
        ("pairs/ai.yaml", "runAsGroup: 0", "fsGroup: 0", "fsGroup"),
        (
            "pairs/ai.yaml",
            "add: [CHOWN, DAC_OVERRIDE, FOWNER, FSETID]",
            "add: [SYS_ADMIN]",
            "adds ['SYS_ADMIN']",
        ),
        ("pairs/ai.yaml", "7,22,37,52 * * * *", "*/15 * * * *", "both directions begin at once"),
        (
            "pairs/ai.yaml",
            "mountPath: /mnt/dell/ai, readOnly: true",
            "mountPath: /mnt/dell/ai",
            "not mounted read-only",
        ),
        (
            "pairs/ai.yaml",
            "secretRef: {name: ha-sync-db-secret}",
            "secretRef: {name: db-secret}",
            "Secret db-secret",
        ),
        ("rbac.yaml", "verbs: [create,", "verbs: [patch, create,", "the Role has"),
        ("kustomization.yaml", "  - pairs/games.yaml\n", "", "there are"),
    ];
    for (file, before, after, said) in damages {
        let (_scratch, deploy) = copy();
        let text = fs::read_to_string(deploy.join(file)).unwrap();
        assert!(text.contains(before), "{file} does not have {before:?}");
        fs::write(deploy.join(file), text.replace(before, after)).unwrap();
        let ran = check(&deploy);
        assert!(
            ran.code == Some(1) && ran.stdout.contains(said),
            "{after:?}: {}{}",
            ran.stdout,
            ran.stderr
        );
    }
}

/// The checker's verdict when the table has been changed and the manifests made again.
fn with_table(change: impl Fn(String) -> String) -> Ran {
    let (scratch, deploy) = copy();
    let table = fs::read_to_string(deploy.join("pairs.txt")).unwrap();
    fs::write(deploy.join("pairs.txt"), change(table)).unwrap();
    let made = run(&mut Command::new(scratch.path().join("scripts/manifests")));
    if made.code == Some(0) { check(&deploy) } else { made }
}

#[test]
fn a_seventh_pair_is_one_line() {
    let ran = with_table(|table| format!("{table}music 200Gi 4 --dry-run\n"));
    assert!(
        ran.code == Some(0) && ran.stdout.contains("51 objects"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
}

#[test]
fn one_direction_may_delete_with_a_required_file_and_not_both() {
    let photos = |more: &str| {
        let line = format!("photos 500Gi 4 {more}");
        with_table(|table| {
            let others = table.lines().filter(|line| !line.starts_with("photos"));
            others.chain([line.as_str()]).collect::<Vec<_>>().join("\n")
        })
    };
    let one = photos("--require-file=.mounted dell-to-hp:--delete-missing");
    assert_eq!(one.code, Some(0), "{}{}", one.stdout, one.stderr);
    for (more, said) in [
        ("--require-file=.mounted --delete-missing", "both directions delete"),
        ("dell-to-hp:--delete-missing", "would not notice a disk"),
        ("dell-to-pc:--delete-missing", "there is no direction dell-to-pc"),
    ] {
        let ran = photos(more);
        let text = format!("{}{}", ran.stdout, ran.stderr);
        assert!(ran.code == Some(1) && text.contains(said), "{more}: {text}");
    }
}

#[test]
fn the_jobs_arguments_are_ones_that_the_sync_takes() {
    let things = objects();
    let jobs: Vec<&Thing> = things.iter().filter(|thing| thing.is("CronJob")).collect();
    assert_eq!(jobs.len(), 12);
    for job in jobs {
        let words = std::iter::once("ha-sync".to_owned()).chain(job.args());
        let cli =
            Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{}: {error}", job.name()));
        assert!(cli.command.is_none() && cli.sync.safety.require_mount, "{}", job.name());
        // As shipped. Users who take a pair into production remove this in their own copy.
        assert!(cli.sync.carried.dry_run && !cli.sync.deletion.delete_missing, "{}", job.name());
        // What they mean is asked of folders that are here.
        let pair = Fixture::new();
        let mut args = cli.sync;
        args.src = Some(pair.a.clone());
        args.dest = Some(pair.b.clone());
        args.log.log_dir = Some(pair.logs.clone());
        args.log.db_dsn = Some(
            "user:pass@tcp(general-purpose-db.infrastructure.svc.cluster.local:3306)/general_db"
                .into(),
        );
        let config =
            Config::from_args(&args).unwrap_or_else(|error| panic!("{}: {error}", job.name()));
        assert_eq!(job.name(), format!("ha-sync-{}-{}", config.key.pair, config.key.direction));
    }
}

#[test]
fn the_makefile_builds_and_pushes_the_image_that_is_named() {
    let plan = |words: &[&str]| {
        run(Command::new("make").arg("-n").args(words).current_dir(project())).stdout
    };
    assert_eq!(plan(&["docker-build", "IMAGE=here/x:1"]), "docker build --tag here/x:1 .\n");
    assert_eq!(plan(&["docker-push", "IMAGE=here/x:1"]), "docker push here/x:1\n");
    assert_eq!(plan(&["build"]), "cargo build --release --locked --bins\n");
    let shipped = plan(&["docker-push"]);
    let things = objects();
    let image = things.iter().find(|thing| thing.is("CronJob")).unwrap().container()["image"]
        .as_str()
        .unwrap();
    assert_eq!(shipped, format!("docker push {image}\n"));
}

#[test]
fn the_dashboards_arguments_are_ones_that_it_takes() {
    let things = objects();
    let ui = things.iter().find(|thing| thing.is("Deployment")).unwrap();
    let container = &ui.0["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["command"], serde_json::json!(["/ha-sync-ui"]));
    let words = container["args"].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
    let cli = DashboardCli::try_parse_from(std::iter::once("ha-sync-ui").chain(words)).unwrap();
    let ingress = things.iter().find(|thing| thing.is("Ingress")).unwrap();
    assert_eq!(cli.allowed_host, [ingress.0["spec"]["rules"][0]["host"].as_str().unwrap()]);
    let port = container["ports"][0]["containerPort"].as_u64().unwrap();
    assert_eq!(cli.listen, format!("0.0.0.0:{port}"));
    let mut cli = cli;
    cli.database.db_dsn = Some("user:pass@tcp(db:3306)/general_db".into());
    assert!(DashboardConfig::from_cli(&cli).is_ok());
}

/// Capabilities of a job, as `setpriv` wants them.
fn capabilities() -> Vec<String> {
    let things = objects();
    let job = things.iter().find(|thing| thing.is("CronJob")).unwrap();
    let added = job.container()["securityContext"]["capabilities"]["add"].as_array().unwrap();
    added.iter().map(|name| format!("+{}", name.as_str().unwrap().to_lowercase())).collect()
}

/// Syncs trees of several owners as a root user that has only these capabilities, and compares
/// everything that can be seen.
fn carries_all_with(capabilities: &[String]) -> Result<(), String> {
    let script = r#"
        mkdir -p a/alien a/closed a/shared b/alien
        echo secret >a/alien/secret; echo newer >a/alien/changed; echo older >b/alien/changed; echo new >a/closed/new
        echo same >a/alien/touched; cp a/alien/touched b/alien/touched; touch -d 2020-01-01 b/alien/*
        echo program >a/setgid; ln -s nowhere a/alien/link
        chown -hR 1000:1000 a/alien a/closed a/shared a/setgid; chown -R 1001:1001 b/alien
        setfacl -m u:1005:r a/alien/touched; setfattr -n user.note -v text a/alien/secret
        chmod 600 a/alien/secret b/alien/changed; chmod 6755 a/setgid; chmod 2775 a/shared
        chmod 700 b/alien a/alien; chmod 500 a/closed"#;
    let pair = Fixture::new();
    let made = run(Command::new("bash").args(["-ec", script]).current_dir(pair.scratch.path()));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    let command = pair.command();
    let mut limited = Command::new("setpriv");
    limited.arg(format!("--bounding-set=-all,{}", capabilities.join(","))).arg("--no-new-privs");
    let ran = run(limited.arg(command.get_program()).args(command.get_args()));
    let seen = |root: &Path| {
        let find = "find . -mindepth 1 ! -path ./alien -printf '%p %y %m %U:%G %T@\\n' | sort; getfacl -Rnp alien | grep -v ^#; getfattr -Rd alien";
        run(Command::new("bash").args(["-c", find]).current_dir(root)).stdout
    };
    match (ran.code, seen(&pair.a), seen(&pair.b)) {
        (Some(0), a, b) if without_alien(&a) == without_alien(&b) => Ok(()),
        (_, a, b) => Err(format!("{}{}\n{a}\n{b}", ran.stdout, ran.stderr)),
    }
}

/// The directory that stood on both sides keeps its owner: that alone is never work.
fn without_alien(seen: &str) -> String {
    seen.replace("# owner: 1001", "# owner: 1000")
}

#[test]
fn the_jobs_capabilities_suffice_and_none_is_more_than_needed() {
    let all = capabilities();
    carries_all_with(&all).unwrap();
    for dropped in &all {
        let rest: Vec<String> = all.iter().filter(|name| *name != dropped).cloned().collect();
        assert!(carries_all_with(&rest).is_err(), "nothing is lost without {dropped}");
    }
}

/// Grafana's queries, with something in place of its own variables.
fn queries_of_grafana() -> Vec<String> {
    let text = fs::read_to_string(project().join("deploy/monitoring/grafana.json")).unwrap();
    let board: Value = serde_json::from_str(&text).unwrap();
    let panels = board["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().unwrap());
    targets.map(|target| target["expr"].as_str().unwrap().replace("$pair", ".*")).collect()
}

#[test]
fn grafana_asks_for_metrics_that_there_are_in_a_language_that_prometheus_speaks() {
    let queries = queries_of_grafana();
    assert!(queries.len() >= 7, "{queries:?}");
    let documented = fs::read_to_string(project().join("docs/monitoring.md")).unwrap();
    for query in &queries {
        let words = query.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        for metric in words.filter(|word| word.starts_with("hasync_")) {
            assert!(documented.contains(metric), "docs/monitoring.md does not know {metric}");
        }
    }
    let rules = queries.iter().zip(0..).map(
        |(query, number)| serde_json::json!({ "record": format!("panel:{number}"), "expr": query }),
    );
    let file = serde_json::json!({ "groups": [{ "name": "grafana", "rules": rules.collect::<Vec<_>>() }] });
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("rules.yaml");
    fs::write(&path, file.to_string()).unwrap();
    let ran = run(Command::new("promtool").args(["check", "rules"]).arg(&path));
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
}
